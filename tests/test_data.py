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
    assert np.allclose(patches.mean(axis=1), 0, atol=1e-5)
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
    for fraction, rows in ((0.0, 3), (1.0, 3), (0.5, 1)):
        with pytest.raises(ValueError, match="fraction: expected a number between 0 and 1"):
            data.split(X[:rows], fraction)


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
