"""Data sets by name, and tables of rows from files.

The named sets come with scikit-learn (extra ``sklearn``) or are generated here. Nothing is
downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from dsmfast._checks import Array, as_real, as_real_array
from dsmfast._extras import needed
from dsmfast._frames import is_table, taken
from dsmfast._tables.arrays import map_file
from dsmfast._tables.files import ENDINGS, STDIN, of_array, read
from dsmfast._tables.table import Table, TableOptions
from dsmfast.noise import Use, choice, normals, uniforms

__all__ = [
    "ENDINGS",
    "NAMED",
    "SCORES",
    "Table",
    "digits",
    "load",
    "load_table",
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
    """Return the handwritten digits of scikit-learn: 1797 rows of 8 x 8 pixels in [0, 1].

    Returns
    -------
    ndarray of float32, shape (1797, 64)

    Examples
    --------
    >>> from dsmfast import data
    >>> rows = data.digits()
    >>> rows.shape, rows.dtype.name, float(rows.min()), float(rows.max())
    ((1797, 64), 'float32', 0.0, 1.0)
    """
    pixels = _sklearn_datasets().load_digits().data
    return np.asarray(pixels / 16.0, dtype=np.float32)


def patches(side: int = 8, count: int = 20_000, seed: int = 0) -> FloatArray:
    """Return grey patches of scikit-learn's two photographs.

    The mean of each patch is subtracted. All patches are divided by the standard deviation of the
    whole set, so sigma is in units of the contrast of a pixel.

    Parameters
    ----------
    side : int
        Side of the square patches, in pixels.
    count : int
        Number of patches.
    seed : int
        Seed of the positions of the patches.

    Returns
    -------
    ndarray of float32, shape (count, side**2)

    Examples
    --------
    >>> from dsmfast import data
    >>> rows = data.patches(side=6, count=1000)
    >>> rows.shape, round(float(rows.std()), 4)
    ((1000, 36), 1.0)
    """
    images = [image.mean(axis=2) for image in _sklearn_datasets().load_sample_images().images]
    windows = np.stack([sliding_window_view(image, (side, side)) for image in images])
    places = uniforms(seed, Use.patches, count) * np.prod(windows.shape[:3])
    which = np.unravel_index(places.astype(np.int64), windows.shape[:3])
    rows = windows[which].reshape(count, -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / rows.std(), dtype=np.float32)


def spiral(count: int = 5_000, seed: int = 0) -> FloatArray:
    """Return points along one and a half turns of a spiral, with radius up to 3.

    Parameters
    ----------
    count : int
        Number of points.
    seed : int
        Seed of the points.

    Returns
    -------
    ndarray of float32, shape (count, 2)

    Examples
    --------
    >>> from dsmfast import data
    >>> data.spiral(1000).shape
    (1000, 2)
    """
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
    """Return points of a mixture of three Gaussians in the plane.

    Parameters
    ----------
    count : int
        Number of points.
    seed : int
        Seed of the points.

    Returns
    -------
    ndarray of float32, shape (count, 2)

    See Also
    --------
    dsmfast.data.mixture_score : The score of this mixture.

    Examples
    --------
    >>> from dsmfast import data
    >>> data.mixture(1000).shape
    (1000, 2)
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
    """Return the log-density of :func:`mixture`, smoothed by a Gaussian of width sigma.

    Parameters
    ----------
    x : array_like, shape (n, 2)
        Points.
    sigma : float
        Standard deviation of the noise added to the data; 0 gives the density of the data
        themselves.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> from dsmfast import data
    >>> beside, far = data.mixture_log_density([[1.5, 0.0], [9.0, 9.0]])
    >>> bool(beside > far)
    True
    """
    log_shares, _, _ = _mixture_terms(as_real_array(x, "x"), sigma)
    log_density: FloatArray64 = np.logaddexp.reduce(log_shares, axis=1)
    return log_density


def mixture_score(x: npt.ArrayLike, sigma: float = 0.0) -> Array:
    """Return the score of :func:`mixture`, smoothed by a Gaussian of width sigma.

    Parameters
    ----------
    x : array_like, shape (n, 2)
        Points.
    sigma : float
        Standard deviation of the noise added to the data; 0 gives the score of the data themselves.

    Returns
    -------
    ndarray, shape (n, 2)
        In the precision of x; ``float64`` if x holds integers.

    Examples
    --------
    >>> from dsmfast import data
    >>> score = data.mixture_score([[1.0, 0.0]], sigma=0.3)  # to the left of a mean at (1.5, 0)
    >>> score.shape, bool(score[0, 0] > 0)
    ((1, 2), True)
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


def load_table(
    name: str | os.PathLike[str],
    key: str | None = None,
    *,
    columns: Sequence[str] | str | None = None,
    drop: Sequence[str] | str | None = None,
    separator: str | None = None,
    header: str = "auto",
    missing: bool = False,
    features: Sequence[str] | None = None,
) -> Table:
    r"""Return a named set, or the table of a file, with the names of its columns.

    Parameters
    ----------
    name : str or path-like
        One of ``NAMED``, a file with one of ``ENDINGS``, or ``-`` for standard input.
    key : str, optional
        Name of the array to read from a .npz file.
    columns, drop : sequence of str, optional
        Columns to read, in this order, or columns to leave out. A single string is split at commas.
        The columns of a table without names are called "0", "1" and so on.
    separator : str, optional
        Separator of the cells of a text file: a character, ``"tab"``, or ``"blanks"`` for any
        number of spaces and tabs. By default .tsv files have tabs, and for other files the
        separator is inferred from the first two rows.
    header : {"auto", "yes", "no"}
        Whether a text file begins with the names of the columns. With "auto", the first line is a
        header if it contains no number, if it is exactly 0, 1, 2 and so on (which pandas writes for
        a frame without names), or if it contains all of ``features``.
    missing : bool
        Whether empty cells of a text file, and missing values of a .parquet file, become NaN. By
        default they are an error.
    features : sequence of str, optional
        Names of the features of a model (:attr:`ScoreModel.feature_names`). If the table has names,
        these columns are read in this order, and a missing one is an error.

    Returns
    -------
    Table
        Named tuple of ``values``, ``names`` and ``notes``.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file, or it is a directory.
    ValueError, TypeError
        If the file is invalid. The message says what is wrong, and where.

    Notes
    -----
    The index of a pandas frame is not read. In a .parquet file it is found by the pandas metadata,
    and in other tables it consists of the first columns without a name, which is how pandas writes
    an index as text. Such columns can be read by giving their names, such as "Unnamed: 0", as
    ``columns``.

    Examples
    --------
    >>> import os, tempfile
    >>> from dsmfast import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("id;height;width\n7;1.5;2\n8;3;4.5\n")
    ...     table = data.load_table(path, drop="id")
    >>> table.names
    ('height', 'width')
    >>> table.values.tolist()
    [[1.5, 2.0], [3.0, 4.5]]
    """
    options = TableOptions(key=key, columns=columns, drop=drop, separator=separator, header=header)
    known = None if features is None else tuple(features)
    return table_of(name, options, features=known, missing=missing)


def table_of(
    name: str | os.PathLike[str],
    options: TableOptions,
    *,
    features: tuple[str, ...] | None = None,
    missing: bool = False,
) -> Table:
    """Return a table by options that are checked, as :func:`load_table` does by arguments."""
    if isinstance(name, str) and name in NAMED:
        options.check_no_key(name)
        options.check_no_text(name)
        return of_array(NAMED[name](), options, name)
    if name != STDIN and not Path(name).suffix and not Path(name).exists():
        raise ValueError(f"{name}: neither one of {', '.join(NAMED)} nor a file")
    return read(name, options, features=features, missing=missing)


def read_file(
    path: str | os.PathLike[str], key: str | None = None, *, missing: bool = False
) -> Array:
    r"""Read the rows of a file, as :func:`load_table` does, without the column names.

    Parameters
    ----------
    path : str or path-like
        File with one of ``ENDINGS``.
    key, missing
        As for :func:`load_table`.

    Returns
    -------
    ndarray
        The rows, in the precision of the file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file, or it is a directory.
    ValueError
        If the file is invalid. The message says what is wrong, and where.

    Examples
    --------
    >>> import os, tempfile
    >>> from dsmfast import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("1,2\n3,4\n")
    ...     data.read_file(path).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return read(path, TableOptions(key=key), missing=missing).values


def load(name: str, key: str | None = None, *, missing: bool = False) -> Array:
    """Return the rows of a named set or of a file, as :func:`load_table` does.

    Parameters
    ----------
    name, key, missing
        As for :func:`load_table`.

    Returns
    -------
    ndarray
        The rows, in the precision of the file.

    Examples
    --------
    >>> from dsmfast import data
    >>> data.load("mixture").shape
    (5000, 2)
    """
    return table_of(name, TableOptions(key=key), missing=missing).values


def split(X: Any, fraction: float, seed: int = 0) -> tuple[Any, Any]:
    """Split rows at random into training rows and held-out rows, at least one of each.

    Parameters
    ----------
    X : array_like or DataFrame, n rows
        At least two rows. A table of pandas, polars or Arrow is split into tables of the same kind,
        and anything else into arrays.
    fraction : float
        Fraction of the rows to hold out, between 0 and 1.
    seed : int
        Seed of the choice of rows.

    Returns
    -------
    tuple
        The training rows and the held-out rows.

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
