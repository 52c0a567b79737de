"""Data by name or from a file, for the command line, the examples and the benchmarks.

The named sets come with scikit-learn (extra ``sklearn``) or are made here; nothing is downloaded.
"""

from __future__ import annotations

import csv
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from dsmfast._checks import Array, as_real, as_real_array
from dsmfast._extras import needed, pyarrow
from dsmfast._frames import is_table, taken
from dsmfast.noise import Use, choice, normals, uniforms

__all__ = [
    "ENDINGS",
    "NAMED",
    "SCORES",
    "digits",
    "load",
    "map_file",
    "mixture",
    "mixture_log_density",
    "mixture_score",
    "patches",
    "read_file",
    "spiral",
    "split",
]

FloatArray = npt.NDArray[np.float32]
FloatArray64 = npt.NDArray[np.float64]


def _sklearn_datasets() -> Any:
    return needed("sklearn.datasets", "this data", "sklearn")


def digits() -> FloatArray:
    """Handwritten digits of scikit-learn, shape (1797, 64): 8 x 8 pixels in [0, 1]."""
    pixels = _sklearn_datasets().load_digits().data
    return np.asarray(pixels / 16.0, dtype=np.float32)


def patches(side: int = 8, count: int = 20_000, seed: int = 0) -> FloatArray:
    """Grey patches of scikit-learn's two photographs, shape (count, side**2).

    The mean of each patch is taken off, and all are divided by the one standard deviation of the
    set, so that sigma is in units of a pixel's contrast.
    """
    images = [image.mean(axis=2) for image in _sklearn_datasets().load_sample_images().images]
    windows = np.stack([sliding_window_view(image, (side, side)) for image in images])
    places = uniforms(seed, Use.patches, count) * np.prod(windows.shape[:3])
    which = np.unravel_index(places.astype(np.int64), windows.shape[:3])
    rows = windows[which].reshape(count, -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / rows.std(), dtype=np.float32)


def spiral(count: int = 5_000, seed: int = 0) -> FloatArray:
    """Points along one and a half turns of a spiral, shape (count, 2), radius up to 3."""
    t = np.sqrt(uniforms(seed, Use.points, count))
    angle = 3 * np.pi * t
    arm = 3 * t[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return np.asarray(arm + 0.05 * _jitter(count, seed), dtype=np.float32)


def _jitter(count: int, seed: int) -> FloatArray64:
    """Return normals (count, 2), of a draw that training with the same seed does not come to."""
    return normals(seed, 0, 2**16 - 1, range(count), 2, "float64")


# A mixture of Gaussians in the plane: weights, means, standard deviations.
_MIXTURE = (
    np.array([0.5, 0.3, 0.2]),
    np.array([[1.5, 0.0], [-0.75, 1.3], [-0.75, -1.3]]),
    np.array([0.4, 0.3, 0.5]),
)


def mixture(count: int = 5_000, seed: int = 0) -> FloatArray:
    """Points from a mixture of three Gaussians in the plane, shape (count, 2).

    Its score is known: :func:`mixture_score`.
    """
    weights, means, widths = _MIXTURE
    which = np.searchsorted(np.cumsum(weights)[:-1], uniforms(seed, Use.points, count), "right")
    points = means[which] + widths[which, None] * _jitter(count, seed)
    return np.asarray(points, dtype=np.float32)


def _mixture_terms(x: Array, sigma: float) -> tuple[Array, Array, Array]:
    """Return log of each part's density (n, 3), its mean minus x (n, 3, 2), variances (3,)."""
    weights, means, widths = _MIXTURE
    variances = widths**2 + sigma**2
    away = means - x.astype(np.float64)[:, None, :]
    log_shares = np.log(weights / (2 * np.pi * variances)) - (away**2).sum(axis=2) / (2 * variances)
    return log_shares, away, variances


def mixture_log_density(x: npt.ArrayLike, sigma: float = 0.0) -> FloatArray64:
    """Log-density that :func:`mixture` draws from, with noise of width sigma; shape (n,)."""
    log_shares, _, _ = _mixture_terms(as_real_array(x, "x"), sigma)
    log_density: FloatArray64 = np.logaddexp.reduce(log_shares, axis=1)
    return log_density


def mixture_score(x: npt.ArrayLike, sigma: float = 0.0) -> Array:
    """Score of the density that :func:`mixture` draws from, smoothed by a Gaussian of width sigma.

    Parameters
    ----------
    x : array_like, shape (n, 2)
        Points.
    sigma : float
        Of the noise added to the data; 0 for the data's own score.

    Returns
    -------
    ndarray, shape (n, 2), of the precision of x (of integers, ``float64``)
    """
    points = as_real_array(x, "x")
    log_shares, away, variances = _mixture_terms(points, sigma)
    posterior = np.exp(log_shares - np.logaddexp.reduce(log_shares, axis=1)[:, None])
    score: Array = ((posterior / variances)[:, :, None] * away).sum(axis=1)
    return score.astype(np.result_type(points.dtype, np.float32))


# The score of a named set, where it is known.
SCORES: dict[str, Callable[[Array], Array]] = {"mixture": mixture_score}

NAMED: dict[str, Callable[[], FloatArray]] = {
    "digits": digits,
    "mixture": mixture,
    "patches": patches,
    "spiral": spiral,
}


def read_file(
    path: str | os.PathLike[str], key: str | None = None, *, missing: bool = False
) -> Array:
    """Read rows from a .npy, .npz (``key`` names the array), .csv or .parquet file.

    An empty cell of a .csv file is an error, or with ``missing`` NaN, as it is in .parquet files.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        As usual.
    ValueError
        With what is wrong with the file, and where.
    """
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError(f"{file}: a directory, not a file")
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise ValueError(
            f"{file}: expected a file ending in {known}, got {file.suffix or 'no ending'}"
        )
    if key is not None and ending != ".npz":
        raise ValueError(f"{file}: a key is for .npz files")
    if ending == ".csv":
        return _read_csv(file, missing)
    return _READERS[ending](file, key)


# What NumPy and zipfile raise for files that are damaged or made up.
_UNREADABLE = (
    ValueError,
    TypeError,
    EOFError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def _read_npy(file: Path, _: str | None) -> Array:
    with file.open("rb") as stream:
        try:
            return np.lib.format.read_array(stream, allow_pickle=False)
        except _UNREADABLE as error:
            raise ValueError(f"{file}: not a readable .npy file: {error}") from None


def map_file(path: str | os.PathLike[str]) -> Array:
    """Map a .npy file into memory, read-only, without reading it.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        As for :func:`read_file`.
    """
    file = Path(path)
    with file.open("rb"):
        pass
    try:
        return np.lib.format.open_memmap(file, mode="r")
    except _UNREADABLE as error:
        raise ValueError(f"{file}: not a readable .npy file: {error}") from None


def _read_npz(file: Path, key: str | None) -> Array:
    with file.open("rb") as stream:
        try:
            archive = np.load(stream, allow_pickle=False)
            names = list(archive.files)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # zipfile's decompressors have errors of their own
            raise ValueError(f"{file}: not a readable .npz file: {error}") from None
        if key is None and len(names) == 1:
            key = names[0]
        if key is None or key not in names:
            asked = "which array? give its key" if key is None else f"no array {key!r}"
            raise ValueError(f"{file}: {asked}; it holds {', '.join(names) or 'nothing'}")
        try:
            return np.asarray(archive[key])
        except (OSError, MemoryError):
            raise
        except Exception as error:
            raise ValueError(f"{file}: array {key!r} is not readable: {error}") from None


def _read_csv(file: Path, missing: bool) -> Array:
    """Read numbers separated by commas; a first line without a number is a header."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        try:
            header = _is_header(next(csv.reader(stream), []), missing)
            if any(line.strip() for line in stream):
                stream.seek(0)
                return np.loadtxt(
                    stream,
                    delimiter=",",
                    comments=None,
                    quotechar='"',
                    skiprows=int(header),
                    ndmin=2,
                )
        except (ValueError, csv.Error):  # what is wrong, or unusual, is found line by line
            pass
    return _read_csv_by_lines(file, missing)


def _read_csv_by_lines(file: Path, missing: bool) -> Array:
    """Read what NumPy's parser does not, or say where a table is none."""
    rows: list[list[float]] = []
    with file.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream, skipinitialspace=True)
        try:
            for cells in lines:
                if not cells or (lines.line_num == 1 and _is_header(cells, missing)):
                    continue
                if missing:
                    cells = [cell if cell.strip() else "nan" for cell in cells]
                place = f"{file}: line {lines.line_num}"
                if rows and len(cells) != len(rows[0]):
                    raise ValueError(f"{place}: expected {len(rows[0])} columns, got {len(cells)}")
                for column, cell in enumerate(cells, start=1):
                    if not _is_number(cell):
                        hint = "; leave what is missing empty" if missing else ""
                        hint = "; separate numbers by commas" if ";" in cell else hint
                        raise ValueError(
                            f"{place}, column {column}: expected a number, got {cell!r}{hint}"
                        )
                rows.append([float(cell) for cell in cells])
        except UnicodeDecodeError:
            raise ValueError(f"{file}: not UTF-8 text") from None
        except csv.Error as error:
            raise ValueError(f"{file}: line {lines.line_num}: {error}") from None
    if not rows:
        raise ValueError(f"{file}: no rows of numbers")
    return np.array(rows)


def _read_parquet(file: Path, _: str | None) -> Array:
    """Read the columns of a table; a missing value is NaN."""
    arrow = pyarrow()
    with file.open("rb") as stream:
        try:
            table = arrow.parquet.read_table(stream)
        except (arrow.ArrowException, OSError) as error:
            raise ValueError(f"{file}: not a readable .parquet file: {error}") from None
    types = arrow.types
    for field in table.schema:
        if not (types.is_integer(field.type) or types.is_floating(field.type)):
            raise ValueError(f"{file}: column {field.name!r}: expected numbers, got {field.type}")
    if table.num_rows == 0 or table.num_columns == 0:
        raise ValueError(f"{file}: no rows of numbers")
    return np.column_stack([column.to_numpy() for column in table.columns])


def _is_header(cells: list[str], missing: bool) -> bool:
    """Whether a first line is one of names; where cells may be missing, all of a row's may be."""
    return not any(map(_is_number, cells)) and not (missing and not any(map(str.strip, cells)))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


_READERS = {".npy": _read_npy, ".npz": _read_npz, ".parquet": _read_parquet}
ENDINGS = (".npy", ".npz", ".csv", ".parquet")


def load(name: str, key: str | None = None, *, missing: bool = False) -> Array:
    """Return a named set, or the rows of a file, as :func:`read_file` does."""
    if name in NAMED:
        if key is not None:
            raise ValueError(f"{name}: a key is for .npz files")
        return NAMED[name]()
    if not Path(name).suffix and not Path(name).exists():
        known = ", ".join(NAMED)
        raise ValueError(f"{name}: neither one of {known} nor a file")
    return read_file(name, key, missing=missing)


def split(X: Any, fraction: float, seed: int = 0) -> tuple[Any, Any]:
    """Split rows at random into those to train on and a held-out fraction; neither is empty.

    Parameters
    ----------
    X : array_like or DataFrame, n rows
        Rows, at least two. Tables of pandas, polars and Arrow are split into tables of their kind;
        all else into arrays.
    fraction : float
        Of the rows to hold out, between 0 and 1.
    seed : int
        Of the choice.

    Returns
    -------
    tuple
        The rows to train on, and those held out.

    Examples
    --------
    >>> import dsmfast
    >>> train, test = dsmfast.data.split([[0.0], [1.0], [2.0], [3.0]], 0.25)
    >>> train.shape, test.shape
    ((3, 1), (1, 1))
    """
    part = as_real(fraction, "fraction", inclusive=True)
    rows = X if isinstance(X, np.ndarray) or is_table(X) else as_real_array(X, "X")
    count = len(rows) if np.ndim(rows) else 0
    if not part < 1 or part == 0 or count < 2:
        raise ValueError(
            "fraction: expected a number between 0 and 1 of at least two rows, "
            f"got {part:g} of {count}"
        )
    order = choice(seed, Use.split, count)
    held_out = min(count - 1, max(1, round(part * count)))
    those = (order[held_out:], order[:held_out])
    if is_table(rows):
        return taken(rows, those[0]), taken(rows, those[1])
    return rows[those[0]], rows[those[1]]
