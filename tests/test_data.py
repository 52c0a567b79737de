"""Named data and files."""

import numpy as np
import pytest

from dsmfast import data

pytest.importorskip("sklearn")


@pytest.mark.parametrize(
    ("name", "shape"), [("digits", (1797, 64)), ("patches", (20_000, 64)), ("spiral", (5000, 2))]
)
def test_named_data(name, shape):
    if name == "patches":
        pytest.importorskip("PIL")
    X = data.load(name)
    assert X.shape == shape
    assert X.dtype == np.float32
    assert np.isfinite(X).all()
    assert np.array_equal(X, data.load(name))


def test_units():
    digits = data.digits()
    assert (digits.min(), digits.max()) == (0, 1)
    pytest.importorskip("PIL")
    patches = data.patches(side=6, count=1000)
    assert patches.shape == (1000, 36)
    assert np.allclose(patches.mean(axis=1), 0, rtol=0, atol=1e-5)
    assert patches.std() == pytest.approx(1, rel=1e-5)


def test_split_is_a_partition():
    X = np.arange(10)[:, None]
    rows, held_out = data.split(X, 0.3, seed=1)
    assert len(held_out) == 3
    assert np.array_equal(np.sort(np.concatenate([rows, held_out]), axis=0), X)


def test_split_leaves_rows_on_both_sides():
    X = np.arange(3)[:, None]
    assert [len(part) for part in data.split(X, 0.999)] == [1, 2]
    assert [len(part) for part in data.split(X, 0.001)] == [2, 1]
    for fraction in (0.0, 1.0):
        with pytest.raises(ValueError, match="fraction: expected a number between 0 and 1"):
            data.split(X, fraction)
    with pytest.raises(ValueError, match="X: expected at least two rows to split, got 1"):
        data.split(X[:1], 0.5)


def test_csv_quotes_and_a_hole_in_the_first_row(tmp_path):
    path = tmp_path / "rows.CSV"
    path.write_text('"a","b"\n"1","2"\n')
    assert data.read_file(path).tolist() == [[1, 2]]
    path.write_text("1.0,,3.0\n4,5,6\n")
    with pytest.raises(ValueError, match="line 1, column 2: expected a number, got ''"):
        data.read_file(path)


def test_csv_with_blank_lines_and_windows_ends(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("\ufeffa,b\r\n1,2\r\n\r\n-3e2, 4\r\n".encode())
    assert data.read_file(path).tolist() == [[1, 2], [-300, 4]]


def test_the_score_of_the_mixture_is_the_slope_of_its_log_density():
    x = np.random.default_rng(0).standard_normal((50, 2))
    for sigma in (0.0, 0.5):
        slopes = [
            (data.mixture_log_density(x + step, sigma) - data.mixture_log_density(x - step, sigma))
            / 2e-6
            for step in 1e-6 * np.eye(2)
        ]
        assert np.allclose(data.mixture_score(x, sigma), np.transpose(slopes), rtol=1e-6, atol=1e-7)


def test_the_mixture_has_the_density_that_it_says():
    """It integrates to 1, and its points have its mean log-density, to 5 standard errors."""
    side = np.arange(-6, 6, 0.05)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    density = np.exp(data.mixture_log_density(grid))
    assert density.sum() * 0.05**2 == pytest.approx(1, abs=1e-6)
    at_points = data.mixture_log_density(data.mixture(20_000))
    entropy = -(density * np.log(density)).sum() * 0.05**2
    assert abs(at_points.mean() + entropy) < 5 * at_points.std() / 20_000**0.5


def _npy(header):
    """A file with this text as its header."""
    text = header.encode().ljust(53) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        _npy("((("),
        _npy("{'descr': ',', 'fortran_order': False, 'shape': (2,)}"),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (10**25, 10)}"),
        _npy("{'descr': '<f8', 'fortran_order':"),
        b"\x93NUMPY\x01\x00",
        b"",
    ],
)
def test_damaged_npy_files_are_named(content, tmp_path):
    path = tmp_path / "rows.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"rows\.npy: not a readable \.npy file"):
        data.read_file(path)


def test_a_zip_of_the_future_is_named(tmp_path):
    path = tmp_path / "rows.npz"
    np.savez(path, X=np.ones((2, 2)))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 6] = 90
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"rows\.npz: not a readable \.npz file"):
        data.read_file(path)
