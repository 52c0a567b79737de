"""Files and narrow types, used and fitted a block at a time: the same bits, and little memory."""

import subprocess
import sys

import numpy as np
import pytest

import dsmfast
from dsmfast._rows import blocks, options

QUANTITIES = ("energy", "score", "hidden", "denoise")


def rows(dtype="float32", n=700, d=5):
    X = np.random.default_rng(0).standard_normal((n, d))
    return (X.astype(np.float16) if np.dtype(dtype).itemsize == 2 else X).astype(dtype)


@pytest.fixture
def mapped(tmp_path):
    def write(X):
        np.save(tmp_path / "X.npy", X)
        return np.load(tmp_path / "X.npy", mmap_mode="r")

    return write


@pytest.fixture
def small(monkeypatch):
    """Blocks and windows of few values."""
    monkeypatch.setattr(blocks, "BLOCK", 64)
    monkeypatch.setattr(options, "VALUES", 2048)


class Slices:
    """The least that is asked of data, and how many rows were asked for at a time."""

    def __init__(self, X):
        self.X, self.shape, self.dtype, self.most = X, X.shape, X.dtype, 0

    def __getitem__(self, key):
        assert isinstance(key, slice)
        self.most = max(self.most, key.stop - key.start)
        return self.X[key]


@pytest.mark.usefixtures("small")
class TestTheModel:
    model = dsmfast.ScoreModel.initialize(5, 3, 0.5, dtype="float64")

    @pytest.mark.parametrize("quantity", QUANTITIES)
    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
    def test_blocks_are_the_whole(self, dtype, quantity, mapped):
        X, of = rows(dtype), getattr(self.model, quantity)
        expected = of(X.astype(np.float64))
        slices = Slices(X)
        for each in (mapped(X), slices, X):
            assert np.array_equal(of(each), expected)
        assert slices.most == 64 // 5

    def test_decode(self, mapped):
        H = np.random.default_rng(0).random((300, 3))
        assert np.array_equal(self.model.decode(mapped(H)), self.model.decode(H))

    def test_errors_are_those_of_arrays(self, mapped):
        single = dsmfast.ScoreModel.initialize(5, 3, 0.5)
        with pytest.raises(TypeError, match="x: expected dtype float32, got float64; convert"):
            single.energy(mapped(rows("float64")))
        with pytest.raises(ValueError, match=r"x: expected shape \(n, 5\), got \(700, 4\)"):
            single.energy(mapped(rows(d=4)))
        bad = rows()
        bad[321, 2] = np.nan
        with pytest.raises(ValueError, match=r"x: expected finite .* got nan in row 321, column 2"):
            single.energy(mapped(bad))


@pytest.mark.usefixtures("small")
class TestTheEstimator:
    @staticmethod
    def estimator(**changes):
        sklearn = pytest.importorskip("dsmfast.sklearn")
        fixed = {"n_components": 3, "max_iter": 3, "batch_size": 64, "random_state": 1}
        return sklearn.DenoisingAutoencoder(**{**fixed, **changes})

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_fit_is_train_by_windows(self, dtype, mapped):
        X = rows(dtype)
        fitted, scale = self.estimator().fit(mapped(X)), 1 / 0.3
        precision = "float32" if dtype == "float32" else "float64"
        expected = dsmfast.train(
            mapped(X),
            *(3, 1.0),
            **{"sigma_max": "auto", "scale": scale, "epochs": 3, "batch_size": 64, "seed": 1},
            dtype=precision,
        )
        assert expected.model.training["window"] == 384
        assert fitted.model_ == expected.model
        assert fitted.n_features_in_ == 5
        again = self.estimator().partial_fit(Slices(X))
        assert again.model_.training["window"] == 384

    def test_slices_are_all_that_is_asked_for(self):
        X = Slices(rows())
        fitted = self.estimator(sigma="auto", normalize=True, max_iter=20).fit(X)
        assert 0.1 < fitted.sigma_ < 2
        weights = np.linspace(0, 1, 700)
        self.estimator(sigma="auto").fit(X, sample_weight=weights)
        assert np.isfinite(fitted.score(X))

    def test_rows_held_out_at_random_need_all_in_memory(self, mapped):
        expected = self.estimator(n_iter_no_change=2).fit(rows())
        assert self.estimator(n_iter_no_change=2).fit(mapped(rows())).model_ == expected.model_

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    @pytest.mark.parametrize("fitted_on", ["float32", "float64"])
    def test_blocks_are_the_whole(self, fitted_on, dtype, mapped):
        fitted, X = self.estimator().fit(rows(fitted_on, n=300)), rows(dtype)
        for name in ("transform", "denoise", "score_samples"):
            expected = getattr(fitted, name)(X.astype(np.float64))
            slices = Slices(X)
            assert np.array_equal(getattr(fitted, name)(mapped(X)), expected)
            assert np.array_equal(getattr(fitted, name)(slices), expected)
            assert slices.most == 64 // 5
        with pytest.raises(ValueError, match="X has 4 features, but DenoisingAutoencoder is expec"):
            fitted.transform(mapped(rows(dtype, d=4)))


MEMORY = """
import re, sys
from pathlib import Path
import numpy as np, dsmfast
from dsmfast.sklearn import DenoisingAutoencoder
def anonymous():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status).group(1))
X = np.load(sys.argv[1], mmap_mode="r")
model = dsmfast.ScoreModel.initialize(X.shape[1], 8, 0.5)
small = DenoisingAutoencoder(8, max_iter=1, random_state=0, sigma_max=None).fit(X[:2000])
model.energy(X[:2000])
before = anonymous()
CALL
print(anonymous() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read as Linux counts it")
@pytest.mark.parametrize(
    ("call", "values"),
    [
        ("model.energy(X)", 2**22 * 4),
        ("small.score_samples(X)", 2**22 * 8),
        ("small.fit(X)", (2**23 * 2 + 2 * 2**25) * 8),
    ],
)
def test_a_file_is_not_copied_whole(call, values, tmp_path):
    n, d = 2**20, 128
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float16, (n, d))
    X[::5] = 1
    X.flush()
    program = [sys.executable, "-c", MEMORY.replace("CALL", call), str(tmp_path / "X.npy")]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    taken = float(done.stdout)
    # A copy in double is 1 GiB; results are 8 MB.
    assert taken < values + 16 * n + 60 * 2**20
