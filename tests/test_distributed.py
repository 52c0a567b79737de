"""Training on several ranks, as mpiexec starts them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import dsmfast
from dsmfast import _core, reference
from problems import relative_error

pytest.importorskip("mpi4py")
# Beside this Python, where the environment has it but is not activated.
MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
if MPIEXEC is None:
    pytest.skip("no mpiexec", allow_module_level=True)

SETUP = """
import numpy as np, dsmfast
from mpi4py import MPI
comm = MPI.COMM_WORLD
X = np.random.default_rng(0).random((700, 12))
cuts = {2: [0, 300, 700], 3: [0, 20, 500, 700]}[comm.size]  # uneven
X = X[cuts[comm.rank] : cuts[comm.rank + 1]]
weights = np.random.default_rng(1).random(700)
"""


def run(*command):
    """Run it to its end, or with all that it has started for two minutes; return what happened."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        # Ranks hold the pipes, and would outlive the launcher.
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"not over after two minutes:\n{out}\n{err}")
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def mpiexec(ranks, code, *arguments, check=True):
    """Run a program on so many ranks; return what happened."""
    done = run(MPIEXEC, "-n", str(ranks), sys.executable, "-c", SETUP + code, *arguments)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def rows():
    return np.random.default_rng(0).random((700, 12))


EQUAL = """
import sys
options = eval(sys.argv[1])
if "validation" in options:
    options["validation"] = X[:30]
if "sample_weight" in options:
    options["sample_weight"] = weights[cuts[comm.rank] : cuts[comm.rank + 1]]
result = dsmfast.train(X, 16, comm=comm, **options)
W = comm.allgather(result.model.W)
assert all(np.array_equal(W[0], other) for other in W)  # on every rank
if comm.rank == 0:
    arrays = {name: getattr(result.model, name) for name in "Wbc"}
    np.savez(sys.argv[2], **arrays, **result.history)
"""

CASES = {
    "explicit": {"path": "explicit"},
    "adam": {"optimizer": "adam"},
    "gram": {"path": "gram"},
    "draws": {"path": "gram", "draws": 4, "antithetic": True},
    "sgd": {"batch_size": 50, "schedule": "cosine"},
    "ism": {"objective": "ism", "curvature_penalty": 0.001},
    "validation": {"validation": True, "patience": 2, "epochs": 3},
    "schedule": {"sigma": [0.4, 0.3], "epochs": 2},
    "scales": {"sigma_max": 3.0, "coarse_target": "row", "path": "gram"},
    "weights": {"sample_weight": True, "sigma_max": 3.0, "coarse_target": "row"},
}


RUNS = [(case, 2, "float64") for case in CASES]
RUNS += [("explicit", 3, "float32"), ("gram", 3, "float32"), ("adam", 2, "float32")]
MORE = [(case, 2, "float32") for case in CASES if case != "adam"]
MORE += [("explicit", 3, "float64"), ("gram", 3, "float64")]


@pytest.mark.parametrize(
    ("case", "ranks", "dtype"), RUNS + [pytest.param(*run, marks=pytest.mark.slow) for run in MORE]
)
def test_ranks_follow_one_process(case, ranks, dtype, tmp_path):
    """Up to the order of sums: roundings of 6e-8 and 1e-16, and what training makes of them.

    Adam steps as far along a gradient that is all rounding as along others, and so makes more.
    """
    options = {"sigma": 0.3, "epochs": 1, "batch_size": 64, "dtype": dtype, "optimizer": "sgd"}
    options |= CASES[case]
    mpiexec(ranks, EQUAL, repr({**options, "threads": 1}), str(tmp_path / "result.npz"))
    if "validation" in options:
        options["validation"] = np.concatenate([rows()[:30], rows()[300:330]])
    if "sample_weight" in options:
        options["sample_weight"] = np.random.default_rng(1).random(700)
    expected = dsmfast.train(rows(), 16, **options)
    found = np.load(tmp_path / "result.npz")
    limit = (1e-5 if dtype == "float32" else 1e-12) * (20 if case == "adam" else 1)
    for name in ("W", "b", "c"):
        value = getattr(expected.model, name)
        error = np.abs(found[name] - value).max() / np.abs(value).max()
        assert error < limit
    for name in set(expected.history) - {"seconds"}:
        np.testing.assert_allclose(found[name], expected.history[name], rtol=limit)


POSTERIOR = """
import sys
options = {"sigma": 0.3, "sigma_max": 3.0, "epochs": 2, "batch_size": 64, "dtype": "float64"}
results = [dsmfast.train(X, 16, comm=comm, reference=r, **options) for r in ("batch", 100, "all")]
for result in results:
    W = comm.allgather(result.model.W)
    assert all(np.array_equal(W[0], other) for other in W)
assert not np.array_equal(results[0].model.W, results[2].model.W)
try:
    dsmfast.train(X, 16, comm=comm, **{**options, "sigma_max": "auto"})
except ValueError as error:
    assert str(error).startswith("sigma_max: expected a number because each rank"), error
else:
    raise AssertionError
"""


def test_a_posterior_is_over_the_rows_of_a_rank():
    """All ranks have one model; it is another than that of one process, which has all rows."""
    mpiexec(2, POSTERIOR)


def test_going_on_from_a_checkpoint(tmp_path):
    code = """
import sys
options = {"sigma": 0.3, "epochs": 4, "batch_size": 64, "checkpoint": sys.argv[1]}
def stop(state):
    if state.epoch == 2 and sys.argv[2] == "stop":
        state.stop()
    assert comm.rank == 0
result = dsmfast.train(X, 16, comm=comm, resume=True, callbacks=[stop], **options)
if comm.rank == 0:
    print(result.stop_reason, result.steps, result.model.W.sum())
"""
    # Validation rows and weights are of a rank, and their digests in a file of all.
    code = code.replace("comm=comm,", "comm=comm, validation=X[:9], sample_weight=X[:, 0],")
    whole = mpiexec(2, code, str(tmp_path / "whole"), "-").stdout
    assert mpiexec(2, code, str(tmp_path / "kept"), "stop").stdout.startswith("callback 22 ")
    # What a callback ended is at an end; as if it had been killed instead:
    from dsmfast._system.files import read, write

    tensors, record = read(tmp_path / "kept", "dsmfast-checkpoint-1")
    write(tmp_path / "kept", tensors, {**record, "stop_reason": None})
    assert mpiexec(2, code, str(tmp_path / "kept"), "-").stdout == whole
    other = mpiexec(3, code, str(tmp_path / "kept"), "-", check=False)
    assert other.returncode != 0
    assert "is of another run: ranks was" in other.stderr


# Rows of ranks, `window`, and where the windows of each begin. Batches are of 32 rows, so that 130
# are 128, which is what the second of two ranks has of a window. The first of three has all of its
# rows in memory, and so has the first of the last two, which has none in some of the windows.
WINDOWS = {
    "two": ([300, 400], 130, [[0, 96, 192, 288, 300], [0, 128, 256, 384, 400]]),
    "three": (
        [20, 480, 200],
        128,
        [[0, 5, 9, 14, 18, 20], [0, 109, 219, 329, 439, 480], [0, 46, 92, 137, 183, 200]],
    ),
    "few": (
        [3, 697],
        64,
        [
            [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3],
            [0, 64, 128, 192, 256, 320, 383, 447, 510, 574, 637, 697],
        ],
    ),
}
READ = """
import sys
path, lengths, options = sys.argv[1], eval(sys.argv[2]), eval(sys.argv[3])
ends = np.cumsum(lengths)
here = slice(ends[comm.rank] - lengths[comm.rank], ends[comm.rank])
X = np.load(path, mmap_mode="r")[here]
if "sample_weight" in options:
    options["sample_weight"] = weights[here]
"""
BY_WINDOWS = {"epochs": 2, "batch_size": 32, "dtype": "float64", "seed": 9, "threads": 1}


def read_by_windows(tmp_path, lengths, options, code, *arguments, **checks):
    """Run a program on ranks that read their parts of a file by windows."""
    np.save(tmp_path / "X.npy", rows())
    told = (str(tmp_path / "X.npy"), repr(lengths), repr({**BY_WINDOWS, **options}))
    return mpiexec(len(lengths), READ + code, *told, *map(str, arguments), **checks)


def followed(start, begins, weights):
    """Train by the reference, on the windows that begin there; return the losses of epochs too."""
    X, begins = rows(), np.array(begins)
    firsts = np.concatenate([[0], np.cumsum(begins[:-1, -1])])[:, None]
    model = reference.ScoreModel(start.W.copy(), start.b.copy(), start.c.copy(), 0.5)
    step, losses = 0, []
    weights = np.ones(700) if weights is None else weights / weights.mean()
    for epoch in (1, 2):
        total = 0.0
        for window in _core.shuffled_rows(9, epoch, len(begins[0]) - 1, 2**32 - 1):
            parts = zip(firsts[:, 0], begins[:, window : window + 2], strict=True)
            together = np.concatenate([first + np.arange(*part) for first, part in parts])
            order = together[_core.shuffled_rows(9, epoch, len(together), window + 1)]
            for begin in range(0, len(order), 32):
                batch = order[begin : begin + 32]
                noise = reference.normals(9, step, 0, batch, 12, "float64")
                loss, gradient = reference.loss_and_grad(
                    model, X[batch], "dsm", noise=noise, sample_weight=weights[batch]
                )
                share = weights[batch].mean()  # by which the reference has divided
                total += share * loss * len(batch)
                for p, g in zip((model.W, model.b, model.c), gradient, strict=True):
                    p -= 0.1 * 2 * 0.5**4 * share * g
                step += 1
        losses.append(total / 700)
    assert step == 44  # windows are whole batches: as many as without them
    return model, losses


@pytest.mark.parametrize(("case", "weighted"), [*((c, False) for c in WINDOWS), ("two", True)])
def test_ranks_that_read_windows_follow_the_reference(case, weighted, tmp_path):
    """A window is one of each rank's, in an order of all of its rows; noise goes by the row."""
    lengths, window, begins = WINDOWS[case]
    options = {"window": window, "path": "explicit", **({"sample_weight": 0} if weighted else {})}
    code = """
options.update(optimizer=dsmfast.SGD(learning_rate=0.1, momentum=0.0), schedule="constant")
start = dsmfast.train(X, 16, 0.5, comm=comm, **{**options, "epochs": 0}).model
result = dsmfast.train(X, 16, 0.5, comm=comm, **options)
assert result.model.training["window"] == int(sys.argv[5]), result.model.training
models = comm.allgather(result.model)
assert all(np.array_equal(getattr(models[0], n), getattr(m, n)) for m in models for n in "Wbc")
if comm.rank == 0:
    arrays = {name: getattr(result.model, name) for name in "Wbc"}
    starts = {"start" + name: getattr(start, name) for name in "Wbc"}
    np.savez(sys.argv[4], **arrays, **starts, loss=result.history["loss"])
"""
    whole = sum(begin[1] for begin in begins)
    read_by_windows(tmp_path, lengths, options, code, tmp_path / "result.npz", whole)
    found = np.load(tmp_path / "result.npz")
    weights = np.random.default_rng(1).random(700) if weighted else None
    start = dsmfast.ScoreModel(found["startW"], found["startb"], found["startc"], 0.5)
    alone = dsmfast.train(rows(), 16, 0.5, sample_weight=weights, **{**BY_WINDOWS, "epochs": 0})
    if not weighted:  # rows that are read by windows are not weighed in the start
        assert relative_error(start.b, alone.model.b) < 1e-12
    expected, losses = followed(start, begins, weights)
    for name in ("W", "b", "c"):
        assert relative_error(found[name], getattr(expected, name)) < 1e-12
    np.testing.assert_allclose(found["loss"], losses, rtol=1e-12)


def test_windows_of_ranks_and_what_goes_by_them(tmp_path):
    """One window is all rows, to the bit; scores are read by windows like the rows."""
    code = """
def same(first, second):
    return all(np.array_equal(getattr(first.model, n), getattr(second.model, n)) for n in "Wbc")

class Slices:
    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
    def __getitem__(self, some):
        assert isinstance(some, slice)
        return self.values[some]

def train(X, **more):
    return dsmfast.train(X, 16, 0.5, comm=comm, **{**options, **more})

assert same(train(X, window=416), train(np.array(X), window=None))
assert same(train(X), train(Slices(np.array(X))))
by_function = train(X, objective="esm", score=lambda x: -0.3 * x)
assert same(by_function, train(X, objective="esm", score=Slices(-0.3 * np.array(X))))
# Posterior means over the rows of a rank in a window; where pieces end is all the same.
scales = {"sigma_max": 3.0, "scale_exponent": 1.0}
for reference in ("batch", 100, "all"):
    whole = train(X, reference=reference, **scales)
    import dsmfast._run.stepper as stepper
    piece, stepper.PIECE = stepper.PIECE, [1e-9, 1e-4][comm.rank]
    pieces = train(X, reference=reference, **scales)
    stepper.PIECE = piece
    assert same(whole, pieces), reference
"""
    read_by_windows(tmp_path, [300, 400], {"window": 130}, code)


def test_a_run_by_windows_goes_on_from_a_checkpoint(tmp_path):
    code = """
import dsmfast._run.stepper
from dsmfast._rows.streamed import Streamed
from dsmfast._run.distributed import World
kept, what = sys.argv[4:]
dsmfast._run.stepper.PIECE = 1e-9  # a step
Streamed.fingerprint = lambda rows: "a sketch, which does not tell"
if what == "changed" and comm.rank == 1:
    X = np.array(X)
    X[7] += 1
add_up, calls = World.sum, []
def failing(*arguments):
    calls.append(1)
    if what == "failing" and len(calls) == 32 and comm.rank == 0:
        raise RuntimeError("the memory is on fire")
    return add_up(*arguments)
World.sum = failing
keeping = {"checkpoint": kept, "checkpoint_seconds": 1e-9, "resume": True}
result = dsmfast.train(X, 16, 0.5, comm=comm, **options, **keeping)
whole = dsmfast.train(X, 16, 0.5, comm=comm, **options)
assert all(np.array_equal(getattr(result.model, n), getattr(whole.model, n)) for n in "Wbc")
assert np.array_equal(result.history["loss"], whole.history["loss"])
if comm.rank == 0:
    print(calls.count(1), result.steps)
"""

    def go(kept, what, **checks):
        options = {"window": 130, "sample_weight": 0}
        return read_by_windows(tmp_path, [300, 400], options, code, tmp_path / kept, what, **checks)

    assert "the memory is on fire" in go("kept", "failing", check=False).stderr
    shutil.copy(tmp_path / "kept", tmp_path / "copy")
    sums, steps = map(int, go("kept", "-").stdout.split())
    assert steps == 44
    assert sums < 2 * steps  # some were done
    changed = go("copy", "changed", check=False)
    assert changed.returncode != 0
    assert "rows 0 to 128 of rank 1 differ; resume=False starts anew" in changed.stderr


def test_ranks_read_windows_from_the_command_line(tmp_path):
    np.save(tmp_path / "X.npy", rows())
    train = [sys.executable, "-m", "dsmfast", "train", str(tmp_path / "X.npy"), "--hidden", "8"]
    options = ["--window", "100", "--batch-size", "50", "--epochs", "2"]
    done = run(MPIEXEC, "-n", "2", *train, *options, "--mpi", "--out", str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    record = dsmfast.load(tmp_path / "two" / "model.safetensors").training
    assert (record["rows"], record["window"], record["steps"]) == (560, 200, 24)


DIVERGING = """
import dsmfast._run.stepper
dsmfast._run.stepper.PIECE = [0.2, 1e-9][comm.rank]
options = {"optimizer": "sgd", "schedule": lambda done: 1.0 if done < 0.35 else 1e300}
try:
    dsmfast.train(X, 16, 0.3, epochs=2, batch_size=64, comm=comm, **options)
except dsmfast.DivergenceError as error:
    steps = comm.gather(error.result.steps)
    if comm.rank == 0:
        print(steps)
"""


def test_ranks_of_different_speeds_diverge_together():
    """The steps before are taken again, with sums over ranks in them: as many on each."""
    assert mpiexec(2, DIVERGING).stdout == "[8, 8]\n"


FAILURES = {
    "data": ("X[0, 0] = np.nan if comm.rank == 1 else 1", "nan in row 0, column 0"),
    "options": ("options['batch_size'] = 32 + comm.rank", "batch_size: expected the same on all"),
    "features": ("X = X[:, : 12 - comm.rank]", "features: expected the same on all ranks"),
    "names of columns": (
        "import pandas\n"
        "X = pandas.DataFrame(X, columns=[f'{i}, rank {comm.rank}' for i in range(12)])",
        "feature_names: expected the same on all ranks",
    ),
    "sigma": ("options['sigma'] = 'auto'", "sigma: expected a number because each"),
    "fraction": ("options['validation'] = 0.2", "validation: expected rows; a fraction requires"),
    "sigma, windows": (
        "options.update(window=64, sigma='auto')",
        "sigma: expected a number because each rank has a part of X, got 'auto'",
    ),
    "fraction, windows": (
        "options.update(window=64, validation=0.2)",
        "validation: expected rows; a fraction requires all data in the memory of one process",
    ),
    "score, windows": (
        "options.update(window=64, objective='esm', score=np.zeros((700, 12)))",
        "score: expected a function of x, or an array of shape (300, 12), got",
    ),
    "window": ("options['window'] = 63 + comm.rank", "window: expected at least batch_size=64"),
    "windows": (
        "import dsmfast._rows.streamed as s; s.SAMPLE = 12; X[77, 3] = np.inf * comm.rank or 1\n"
        "options['window'] = 64",
        "X: expected finite float32 values, got inf in row 77, column 3",
    ),
    "divergence": (
        "options.update(optimizer='sgd', learning_rate=1e30)",
        "DivergenceError: training diverged at step",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_rank_that_fails_ends_the_job_with_its_error(failure):
    spoil, message = FAILURES[failure]
    if "import pandas" in spoil:
        pytest.importorskip("pandas")
    code = f"""
options = {{"sigma": 0.3, "epochs": 3, "batch_size": 64}}
{spoil}
dsmfast.train(X, 16, comm=comm, **options)
print("not reached")
"""
    begin = time.perf_counter()
    done = mpiexec(2, code, check=False)
    assert time.perf_counter() - begin < 60
    assert done.returncode != 0
    assert message in done.stderr
    assert "not reached" not in done.stdout


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_fails_on_the_way_ends_the_job(rank):
    """In the midst of an epoch, while the other waits in a sum."""
    code = f"""
from dsmfast._run.distributed import World
add_up, calls = World.sum, []
def failing(*arguments):
    calls.append(1)
    if len(calls) == 9 and comm.rank == {rank}:
        raise RuntimeError("the memory is on fire")
    return add_up(*arguments)
World.sum = failing
dsmfast.train(X, 16, 0.3, batch_size=64, comm=comm)
print("not reached")
"""
    done = mpiexec(2, code, check=False)
    assert done.returncode != 0
    assert f"dsmfast: rank {rank} of 2 failed:" in done.stderr
    assert "RuntimeError: the memory is on fire" in done.stderr
    assert "not reached" not in done.stdout


def test_an_interrupted_rank_ends_the_job():
    code = """
import signal, threading
if comm.rank == 1:
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
dsmfast.train(X, 16, 0.3, epochs=10**8, batch_size=64, comm=comm)
print("not reached")
"""
    done = mpiexec(2, code, check=False)
    assert done.returncode != 0
    assert "dsmfast: rank 1 of 2 failed:" in done.stderr
    assert "interrupted" in done.stderr


def test_one_rank_is_one_process():
    from mpi4py import MPI

    options = {"n_hidden": 8, "sigma": 0.3, "epochs": 2}
    alone = dsmfast.train(rows(), comm=MPI.COMM_SELF, **options)
    assert np.array_equal(alone.model.W, dsmfast.train(rows(), **options).model.W)
    with pytest.raises(TypeError, match="comm: expected a communicator of mpi4py, got 3"):
        dsmfast.train(rows(), comm=3, **options)


def test_command_line(tmp_path):
    train = [sys.executable, "-m", "dsmfast", "train", "spiral", "--hidden", "20"]
    together = [MPIEXEC, "-n", "2", *train, "--mpi", "--out", str(tmp_path / "two")]
    done = run(*together)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("spiral: 4000 rows to train on, 1000 held out, 2 features, 2 ra")
    assert done.stdout.count("\n") == 3
    # Of several ranks none has the rows to choose scales by.
    alone = [*train, "--sigma-max", "none", "--out", str(tmp_path / "one")]
    subprocess.run(alone, capture_output=True, check=True)
    models = [dsmfast.load(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    assert np.abs(models[0].W - models[1].W).max() < 1e-5 * np.abs(models[0].W).max()
    wrong = [MPIEXEC, "-n", "2", *train[:-3], "nothing", "--mpi", "--out", str(tmp_path / "x")]
    done = run(*wrong)
    assert done.returncode == 2
    assert done.stderr.count("dsmfast: nothing: neither one of") == 1


def test_ctrl_c_on_one_rank_at_the_end_keeps_the_result():
    """While rank 0 looks at the result. The others have given it their rows, and do not wait."""
    code = """
import dsmfast.training
def interrupt(*args):
    raise KeyboardInterrupt
dsmfast.training.verdict = interrupt
result = dsmfast.train(X, 16, 0.3, comm=comm, epochs=2, sigma_max=2.0)
print(result.stop_reason + "\\n", end="", flush=True)  # in one piece, or ranks mix their lines
"""
    done = mpiexec(2, code)
    assert done.stdout.split() == ["finished"] * 2


@pytest.mark.parametrize("place", ["check", "step"])
def test_ctrl_c_on_one_rank_ends_the_job(place):
    """Before training, while data are checked, the others would wait for it; and in training."""
    code = """
import sys, time
def score(x):
    if comm.rank == 1:
        raise KeyboardInterrupt
    return -x
def interrupt(state):
    raise KeyboardInterrupt
options = {"check": {"objective": "esm", "score": score}, "step": {"callbacks": [interrupt]}}
dsmfast.train(X, 16, 0.3, comm=comm, epochs=3, **options[sys.argv[1]])
"""
    begin = time.perf_counter()
    done = mpiexec(2, code, place, check=False)
    assert done.returncode != 0
    assert "interrupted" in done.stderr
    assert time.perf_counter() - begin < 60
