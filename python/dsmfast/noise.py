"""The noise stream: standard normals as a pure function of a counter."""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import (
    Array,
    as_dtype,
    as_integer,
    as_real,
    as_seed,
    as_sigma,
    as_threads,
)

__all__ = ["Use", "choice", "noise_scales", "normals", "uniforms"]


class Use(IntEnum):
    """What else is drawn from a seed, each from a place of its own."""

    split = 0
    select_sigma = 1
    connection = 2
    patches = 3
    planes = 4
    points = 5
    modes = 6


def uniforms(seed: int, use: Use, count: int) -> npt.NDArray[np.float64]:
    """Draw numbers in [0, 1), from the words of NumPy's Philox.

    The words of its bit generators stay the same from version to version; what its ``Generator``
    makes of them need not.
    """
    words = np.random.Philox(key=as_seed(seed), counter=[0, 0, 0, int(use)]).random_raw(count)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choice(seed: int, use: Use, rows: int, count: int | None = None) -> npt.NDArray[np.int64]:
    """Draw some of so many rows in a random order, all of them by default, each once."""
    # Epochs count from 1.
    return _core.shuffled_rows(as_seed(seed), 0, rows, int(use))[:count]


def as_row_numbers(rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the global row numbers of a noise request."""
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise TypeError(
            "rows: expected a 1-D array of integers, "
            f"got shape {numbers.shape} and dtype {numbers.dtype}"
        )
    if numbers.size == 0 or numbers.min() < 0 or numbers.max() >= 2**44:
        raise ValueError("rows: expected at least one row number, each in [0, 2**44)")
    return np.ascontiguousarray(numbers, dtype=np.int64)


def normals(
    seed: int,
    step: int,
    draw: int,
    rows: npt.ArrayLike,
    columns: int,
    dtype: npt.DTypeLike = "float32",
    *,
    threads: int | None = None,
) -> Array:
    """Draw standard normals that depend only on their position in the noise stream.

    Entry (i, j) is a function of ``(seed, step, draw, rows[i], j)`` alone: Philox4x32-10 on that
    counter, then the Box-Muller transform of 32-bit uniforms. The same rows therefore get the same
    noise in any batch, in any order and on any number of threads. ``float32`` and ``float64``
    values agree up to a few roundings of ``float32``. The largest possible magnitude is 6.76.

    ``train`` and ``loss`` take their noise from this stream. To generate data from it, use another
    seed than for training; otherwise the noise equals the data.

    Parameters
    ----------
    seed : int
        Seed, from 0 to 2**64 - 1.
    step : int
        Training step, from 0 to 2**32 - 1.
    draw : int
        Number of the draw if a row has several, from 0 to 2**16 - 1.
    rows : array_like of int, shape (n,)
        Global row numbers, from 0 to 2**44 - 1.
    columns : int
        Number of features.
    dtype : {"float32", "float64"}
        Precision of the result.
    threads : int, optional
        Number of threads. The default is that of OpenMP. The result is bit-identical for any
        number.

    Returns
    -------
    ndarray, shape (n, columns)

    Examples
    --------
    >>> import dsmfast
    >>> dsmfast.normals(seed=1, step=0, draw=0, rows=[7, 8], columns=3).shape
    (2, 3)
    """
    numbers = as_row_numbers(rows)
    single = as_dtype(dtype) == np.float32
    draw_normals = _core.normals_float32 if single else _core.normals_float64
    return draw_normals(
        as_seed(seed),
        as_integer(step, "step", low=0, high=2**32 - 1),
        as_integer(draw, "draw", low=0, high=2**16 - 1),
        numbers,
        as_integer(columns, "columns", low=1, high=2**34),
        _core.Stream.noise,
        as_threads(threads),
    )


def noise_scales(
    seed: int,
    step: int,
    draw: int,
    rows: npt.ArrayLike,
    sigma: float,
    sigma_max: float,
    coarse: float = 0.5,
    dtype: npt.DTypeLike = "float32",
    *,
    threads: int | None = None,
) -> Array:
    r"""Draw the noise scales of rows, which depend only on their position in the stream.

    A randomly chosen fraction ``coarse`` of the rows has a scale :math:`s` whose logarithm is
    uniform between those of ``sigma`` and ``sigma_max``. The others have scale ``sigma``. Entry i
    is a function of ``(seed, step, draw, rows[i])`` alone, in a stream that is separate from that
    of :func:`normals`. With words :math:`x_0, x_1` of its counter and :math:`u = (x_1 +
    \tfrac12)/2^{32}`,

    .. math:: s = \sigma (\sigma_{max}/\sigma)^u \quad\text{where}\quad
              x_0 < 2^{32} \cdot \text{coarse}

    Both draws of an antithetic pair have the scale of the first.

    Parameters
    ----------
    seed, step, draw, rows
        As for :func:`normals`.
    sigma, sigma_max : float
        Smallest and largest scale.
    coarse : float
        Fraction of the rows with a larger scale than ``sigma``, in [0, 1].
    dtype : {"float32", "float64"}
        Precision of the result.
    threads : int, optional
        Number of threads. The default is that of OpenMP. The result is bit-identical for any
        number.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> import dsmfast
    >>> scales = dsmfast.noise_scales(1, 0, 0, rows=range(1000), sigma=0.1, sigma_max=10)
    >>> bool(0.45 < (scales > 0.1).mean() < 0.55)
    True
    """
    numbers = as_row_numbers(rows)
    kind = as_dtype(dtype)
    least, largest = as_sigma(sigma, kind), as_sigma(sigma_max, kind, "sigma_max")
    share = as_real(coarse, "coarse", inclusive=True)
    if largest < least:
        raise ValueError(f"sigma_max: expected at least sigma={least:g}, got {largest:g}")
    if share > 1:
        raise ValueError(f"coarse: expected a number in [0, 1], got {share:g}")
    draw_scales = _core.scales_float32 if kind == np.float32 else _core.scales_float64
    return draw_scales(
        as_seed(seed),
        as_integer(step, "step", low=0, high=2**32 - 1),
        as_integer(draw, "draw", low=0, high=2**16 - 1),
        numbers,
        least,
        round(share * 2**32),
        math.log(largest / least),
        as_threads(threads),
    )
