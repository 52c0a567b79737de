"""Data that are not all in memory: windows, their order, reading ahead, conversion, errors."""

import resource
import subprocess
import sys
import threading

import numpy as np
import pytest

import dsmfast
from dsmfast import _core, reference
from dsmfast._rows.cut import Cut, Shard
from dsmfast._rows.in_memory import InMemory
from dsmfast._rows.sharded import Sharded
from dsmfast._rows.streamed import Reader, Streamed
from problems import relative_error


def same(first, second):
    return all(np.array_equal(getattr(first, n), getattr(second, n)) for n in ("W", "b", "c"))


def rows(n=1000, d=5, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


class Slices:
    """The least that is asked of data: shape, dtype, and slices of rows."""

    def __init__(self, X):
        self.X = X
        self.shape = X.shape
        self.dtype = X.dtype
        self.asked = []

    def __getitem__(self, key):
        assert isinstance(key, slice)
        self.asked.append((key.start, key.stop))
        return self.X[key]


@pytest.fixture
def mapped(tmp_path):
    def write(X):
        np.save(tmp_path / "X.npy", X)
        return np.load(tmp_path / "X.npy", mmap_mode="r")

    return write


OPTIONS = {"n_hidden": 8, "sigma": 0.5, "epochs": 3, "batch_size": 64}


def kinds(X, mapped, tmp_path):
    yield "array", X
    yield "memmap", mapped(X)
    yield "slices", Slices(X)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "X.h5", "w") as file:
        yield "h5py", file.create_dataset("X", data=X)
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(tmp_path / "X.zarr", shape=X.shape, dtype=X.dtype, chunks=(100, 5))
    array[:] = X
    yield "zarr", array


def test_all_kinds_are_one(mapped, tmp_path):
    X = rows()
    expected = dsmfast.train(X, window=256, **OPTIONS)
    assert expected.model.training["window"] == 256
    for name, data in kinds(X, mapped, tmp_path):
        result = dsmfast.train(data, window=256, **OPTIONS)
        assert same(result.model, expected.model), name
        assert np.array_equal(result.history["loss"], expected.history["loss"]), name
        whole = dsmfast.train(data, **OPTIONS)  # which fit into one window
        assert same(whole.model, dsmfast.train(X, **OPTIONS).model), name


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("objective", ["dsm", "ism", "esm"])
def test_it_is_the_reference_over_windows(objective, threads):
    """Windows in the order of the seed, rows within them; noise by the row's place in all data."""
    X = rows(300, dtype="float64")
    score = (lambda x: -0.3 * x) if objective == "esm" else None
    result = dsmfast.train(
        Slices(X),
        6,
        0.5,
        objective=objective,
        score=score,
        epochs=2,
        batch_size=32,
        window=130,  # 4 batches of 32 rows
        optimizer=dsmfast.SGD(learning_rate=0.1, momentum=0.0),
        schedule="constant",
        path="explicit",
        seed=9,
        dtype="float64",
        threads=threads,
    )
    options = {"batch_size": 32, "window": 130, "seed": 9, "dtype": "float64"}
    start = dsmfast.train(Slices(X), 6, 0.5, epochs=0, **options).model
    model = reference.ScoreModel(start.W.copy(), start.b.copy(), start.c.copy(), 0.5)
    step = 0
    for epoch in (1, 2):
        for window in _core.shuffled_rows(9, epoch, 3, 2**32 - 1):
            first = 128 * window
            count = min(128, 300 - first)
            order = first + _core.shuffled_rows(9, epoch, count, window + 1)
            for begin in range(0, count, 32):
                batch = order[begin : begin + 32]
                noise = {}
                if objective == "dsm":
                    noise["noise"] = reference.normals(9, step, 0, batch, 5, "float64")
                options = {"score": score} if score else {}
                _, gradient = reference.loss_and_grad(
                    model, X[batch], objective, **noise, **options
                )
                for p, g in zip((model.W, model.b, model.c), gradient, strict=True):
                    p -= 0.1 * 2 * 0.5**4 * g
                step += 1
    for name in ("W", "b", "c"):
        assert relative_error(getattr(result.model, name), getattr(model, name)) < 1e-12


def test_each_epoch_sees_each_row_once(mapped):
    data = Slices(rows(1000))
    dsmfast.train(data, window=256, **{**OPTIONS, "epochs": 2})
    windows = [(0, 256), (256, 512), (512, 768), (768, 1000)]
    asked = [slice_ for slice_ in data.asked if slice_[1] - slice_[0] > 200]
    assert sorted(asked[-8:-4]) == sorted((a, min(b, 1024)) for a, b in windows)
    assert sorted(asked[-4:]) == sorted(windows)
    assert asked[-8:-4] != sorted(windows) or asked[-4:] != sorted(windows)


def test_scores_come_by_windows():
    X = rows(300)
    scores = np.asarray(-0.3 * X, dtype=np.float32)
    options = {**OPTIONS, "objective": "esm", "window": 128}
    given = dsmfast.train(Slices(X), score=Slices(scores), **options)
    assert same(given.model, dsmfast.train(X, score=lambda x: -0.3 * x, **options).model)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "int16", "float64"])
def test_types_are_converted_by_windows(dtype):
    X = (rows(500) * 30 + 128).clip(0, 255).astype(dtype)
    scale = 1 / 255
    expected = dsmfast.train((X * np.float32(scale)).astype(np.float32), window=128, **OPTIONS)
    converted = dsmfast.train(X, window=128, scale=scale, **OPTIONS)
    assert relative_error(converted.model.W, expected.model.W) < 1e-4
    assert same(converted.model, dsmfast.train(Slices(X), window=128, scale=scale, **OPTIONS).model)
    whole = dsmfast.train(X, scale=scale, **OPTIONS)
    again = dsmfast.train((X * np.float32(scale)).astype(np.float32), **OPTIONS)
    assert relative_error(whole.model.W, again.model.W) < 1e-4


def test_the_scale_is_that_of_validation_rows_too():
    X = rows(200)
    options = {**OPTIONS, "scale": 2.0}
    scaled = dsmfast.train(X, validation=X, **options)
    given = dsmfast.train(2 * X, validation=2 * X, **OPTIONS)
    assert np.array_equal(scaled.history["validation_loss"], given.history["validation_loss"])


@pytest.mark.parametrize("path", ["explicit", "gram"])
def test_bits_do_not_depend_on_threads_or_pieces(path, monkeypatch):
    data = rows(1000)
    one = dsmfast.train(data, window=256, path=path, threads=1, **OPTIONS)
    monkeypatch.setattr("dsmfast._run.stepper.PIECE", 1e-9)
    assert same(dsmfast.train(data, window=256, path=path, threads=3, **OPTIONS).model, one.model)


def test_a_source_that_fails_midway_costs_nothing():
    class Failing(Slices):
        def __getitem__(self, key):
            if len(self.asked) > 70:  # the start is known by then, and some windows are trained on
                raise OSError("the disk is gone")
            return super().__getitem__(key)

    before = threading.active_count()
    with pytest.raises(OSError, match="the disk is gone") as caught:
        dsmfast.train(Failing(rows(100_000)), window=1024, **OPTIONS)
    result = caught.value.result
    assert result.stop_reason == "error"
    assert result.steps > 0
    assert np.isfinite(result.model.W).all()
    assert threading.active_count() <= before + 1


def test_a_nan_is_named_by_its_place_in_all_rows(monkeypatch):
    monkeypatch.setattr("dsmfast._rows.streamed.SAMPLE", 1000)  # which does not come upon it
    X = rows(200_000, 2)
    X[150_007, 1] = np.nan
    with pytest.raises(ValueError, match="got nan in row 150007, column 1") as caught:
        dsmfast.train(Slices(X), window=1024, **OPTIONS)
    assert caught.value.result.stop_reason == "error"


def test_sigma_auto_goes_by_some_rows():
    X = rows(300)
    result = dsmfast.train(Slices(X), 8, "auto", window=128, batch_size=64, epochs=1)
    assert result.model.sigma == dsmfast.select_sigma(X)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"window": 32}, ValueError, "window: expected at least batch_size=64 rows, got 32"),
        ({"window": 100.5}, TypeError, "window: expected an integer"),
        ({"window": -1}, ValueError, "window: expected a finite number > 0"),
        ({"scale": 0}, ValueError, "scale: expected a finite number > 0"),
        ({"scale": "big"}, TypeError, "scale: expected a real number"),
        ({"validation": 0.2}, TypeError, "validation: expected rows; a fraction requires all"),
        ({"objective": "esm_smoothed"}, ValueError, "data: needed for 'esm_smoothed' because X is"),
        (
            {"objective": "esm", "score": np.zeros((2, 5))},
            ValueError,
            r"score: expected a function of x, or an array of shape \(1000, 5\)",
        ),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        dsmfast.train(Slices(rows()), **{"window": 256, **OPTIONS, **options})


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (rows().reshape(10, 100, 5), ValueError, r"X: expected shape \(n, n_features\)"),
        (np.zeros((0, 5), np.float32), ValueError, r"X: expected shape .* with n, n_features > 0"),
        (np.zeros((9, 5), complex), TypeError, "X: expected real numbers, got dtype complex128"),
    ],
)
def test_bad_data(X, error, message):
    with pytest.raises(error, match=message):
        dsmfast.train(Slices(X), window=256, **OPTIONS)


def test_slices_that_are_not_what_the_shape_says():
    data = Slices(rows(1000))
    data.shape = (2000, 5)
    with pytest.raises(ValueError, match=r"X: expected shape .* of rows .* got"):
        dsmfast.train(data, window=256, **OPTIONS)


LIMIT = 300 * 2**20


def limited():
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited another way")
def test_a_file_larger_than_the_memory_that_is_allowed(tmp_path):
    """Twenty times what the process may have; the file has holes, so it takes no disk."""
    n, d = 20 * LIMIT // (4 * 256), 256
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (n, d))
    X[:64] = rows(64, d)
    del X
    code = f"""
import numpy as np, dsmfast
X = np.load({str(tmp_path / "X.npy")!r}, mmap_mode="r")

result = dsmfast.train(X, 2, 0.5, epochs=1, batch_size=4096, window=2**16)
print(result.steps)
try:
    np.array(X)
except MemoryError:
    print("all of it does not fit")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited,
        env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "2"},
    )
    expected = [str(-(-n // 4096)), "all of it does not fit"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_narrow_types_in_memory_are_streamed(monkeypatch):
    """A copy in the precision of training would be four times as large."""
    X = np.random.default_rng(0).integers(0, 9, (300, 5)).astype(np.uint8)
    options = {"n_hidden": 8, "sigma": 0.5, "epochs": 2, "batch_size": 32}
    wide = X.astype(np.float32)
    windows, whole = dsmfast.train(wide, window=64, **options), dsmfast.train(wide, **options)
    monkeypatch.setattr("dsmfast._rows.options.VALUES", 64 * 5)
    found = dsmfast.train(X, **options).model
    assert np.array_equal(found.W, windows.model.W)
    assert not np.array_equal(found.W, whole.model.W)


@pytest.mark.parametrize("seed", range(40))
def test_windows_of_ranks_are_whole_batches_that_fit(seed):
    """All rows once, of each rank no more than it can have, and as many as that lets them be."""
    rng = np.random.default_rng(seed)
    batch_size = int(rng.integers(1, 40))
    lengths = rng.integers(1, 10 ** rng.integers(1, 5), size=rng.integers(1, 9)).tolist()
    most = (batch_size * rng.integers(1, 9, size=len(lengths))).tolist()
    shards = [Shard(n, w if w < n else None) for n, w in zip(lengths, most, strict=True)]
    cut = Cut.of(shards, batch_size)
    parts = np.diff(cut.begins, axis=0)
    assert parts.sum(axis=0).tolist() == lengths
    assert (parts >= 0).all()
    assert (cut.rows[:-1] % batch_size == 0).all()
    assert (parts[:-1].sum(axis=1) == cut.rows[0]).all()
    assert all(s.window is None or p <= s.window for s, p in zip(shards, parts.max(0), strict=True))
    if any(shard.window for shard in shards):
        limit = min(s.window * cut.total // s.rows for s in shards if s.window)
        # By a batch less than the largest number of batches, where shares are rounded up.
        assert cut.rows[0] >= max(1, limit // batch_size - len(lengths)) * batch_size
    else:
        assert cut.windows == 1


@pytest.mark.parametrize("lengths", [[300, 400], [20, 480, 200], [3, 697]])
def test_ranks_share_out_each_row_of_an_epoch_once(lengths):
    """In windows of which each rank takes its part; a rank may have none in one."""
    X = rows(700)
    ends = np.cumsum(lengths)
    parts = [X[end - n : end] for end, n in zip(ends, lengths, strict=True)]
    shards = [Shard(n, 96 if n > 96 else None) for n in lengths]
    visits = []
    for rank, part in enumerate(parts):
        own = (
            Streamed(Reader(part, "X", X.dtype, 1.0), 96, 32) if len(part) > 96 else InMemory(part)
        )
        share = Sharded.alone(own, 32)
        assert share.own_shape == part.shape
        placed = share.placed(
            lambda mine, rank=rank: [*shards[:rank], mine, *shards[rank + 1 :]], rank
        )
        assert placed.shape == X.shape
        windows = placed.windows(lambda window: (window.rows.copy(), window.first_row))
        visits.append([(v.made, v.first_step, v.order) for v in windows.epoch(3, 1, 0)])
    seen = []
    for turn in zip(*visits, strict=True):
        found = np.full(len(turn[0][2]), -1)
        for (x, first_row), first_step, order in turn:
            assert first_step == turn[0][1]
            mine = (order >= 0) & (order < len(x))
            assert (found[mine] == -1).all()
            found[mine] = first_row + order[mine]
            assert np.array_equal(x[order[mine]], X[found[mine]])
        assert (found >= 0).all()
        seen += found.tolist()
    assert sorted(seen) == list(range(700))
    assert len(visits[0]) > 1


def test_a_sample_is_spread_over_all_rows(monkeypatch):
    monkeypatch.setattr("dsmfast._rows.streamed.SAMPLE", 80)
    X = np.repeat(np.arange(1000.0)[:, None], 2, axis=1)
    sample = Reader(X, "X", np.dtype(np.float64), 1.0).some(blocks=4)
    first = np.linspace(0, 990, 4).astype(int)
    assert np.array_equal(sample[:, 0], (first[:, None] + np.arange(10)).ravel())
    assert np.array_equal(Reader(X[:30], "X", np.dtype(np.float64), 1.0).some(4), X[:30])
