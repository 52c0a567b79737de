r"""The Parzen density of a sample: the mean of Gaussians of width sigma at its rows.

.. math:: q_\sigma(x) = \frac1N \sum_t \mathcal N(x; x_t, \sigma^2 I), \qquad
          w_t(x) = \frac{\exp(-\|x - x_t\|^2 / 2\sigma^2)}{\sum_s \exp(-\|x - x_s\|^2 / 2\sigma^2)}

Its posterior mean is the best denoiser of the sample. Its score is the regression target of
"esm_smoothed" and of points with more noise than sigma (``sigma_max``). If the rows of the sample
have weights, each Gaussian is multiplied by the weight of its row divided by the mean weight.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import (
    Array,
    as_real_array,
    as_rows,
    as_seed,
    as_sigma,
    as_threads,
    as_weights,
    check_finite,
)
from dsmfast._arguments.frames import check_columns, names_of
from dsmfast._density.width import best_width

__all__ = ["parzen_denoise", "parzen_log_density", "parzen_score", "select_sigma"]

FloatArray = npt.NDArray[np.float64]


class _Found(NamedTuple):
    """Sums over the sample at n points; (n, d) and (n,)."""

    rows: Array | None  # what was wanted: posterior means, or scores
    log_sum: FloatArray  # log sum_t exp(-|x - x_t|^2 / 2 sigma^2)
    square: FloatArray  # sum_t w_t |x - x_t|^2
    sample: Array


def _evaluate(
    x: npt.ArrayLike,
    data: npt.ArrayLike,
    sigma: float,
    wanted: Literal["mean", "score", ""],
    sample_weight: npt.ArrayLike | None,
    threads: int | None,
    own: npt.NDArray[np.int64] | None = None,
) -> _Found:
    """Return what the kernel finds; ``own`` is the row that is left out for each point, or -1."""
    check_columns(x, "x", names_of(data), "which data has")
    x, data = as_real_array(x, "x"), as_real_array(data, "data")
    dtype = np.result_type(x.dtype, data.dtype, np.float32)
    if dtype != np.float32:  # two precisions meet in the wider one
        dtype = np.dtype(np.float64)
    sample = as_rows(data, "data", dtype)
    points = as_rows(x, "x", dtype, sample.shape[1])
    workers = as_threads(threads)
    weights = as_weights(sample_weight, len(sample), dtype)
    width = as_sigma(sigma, dtype)
    check_finite(points, "x", workers)
    check_finite(sample, "data", workers)
    rows, log_sum, mean, _ = _core.parzen(points, sample, weights, width, wanted, own, workers)
    if not np.isfinite(log_sum).all():
        raise ValueError(
            f"x, data: expected squared distances over sigma**2 that {dtype} can hold; "
            "scale the data and sigma"
        )
    return _Found(rows, log_sum, -2 * width**2 * mean, sample)


def parzen_denoise(
    x: npt.ArrayLike,
    data: npt.ArrayLike,
    sigma: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Array:
    r"""Return the posterior mean :math:`\sum_t w_t(x)\,x_t` of clean rows given noisy points.

    Among all denoisers, it has the least mean squared error for rows of ``data`` with Gaussian
    noise.

    Parameters
    ----------
    x : array_like, shape (n, n_features)
        Noisy points.
    data : array_like, shape (N, n_features)
        The sample. It is read in tiles, so memory use does not grow with N.
    sigma : float
        Standard deviation of the noise.
    sample_weight : array_like, shape (N,), optional
        Non-negative weights of the rows of the sample. A row of weight 2 counts like two copies of
        it, and a row of weight 0 is ignored.
    threads : int, optional
        Number of threads. The default is that of OpenMP. The result is bit-identical for any
        number, and that of a point does not depend on the other points.

    Returns
    -------
    ndarray, shape (n, n_features)
        ``float32`` if both inputs can be represented in it, otherwise ``float64``.

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid or not finite.

    Notes
    -----
    The result is exact in the tails: the largest weight is always of order 1, so a point far from
    all data gets the nearest row, and not 0 / 0. Coordinates are measured from the centre of the
    sample, in units of sigma. The relative error of a weight is about the rounding error of the
    precision times the squared length of the point in these coordinates (or its squared distance to
    the nearest row, if that is larger). For points where this would exceed 0.02 (410 sigma in
    ``float32``, 1e7 in ``float64``), the distances to all rows are summed one by one in
    ``float64``, which takes about four times as long.

    Examples
    --------
    >>> import dsmfast
    >>> dsmfast.parzen_denoise([[50.0]], [[-1.0], [1.0]], sigma=1.0)
    array([[1.]])
    """
    rows = _evaluate(x, data, sigma, "mean", sample_weight, threads).rows
    assert rows is not None
    return rows


def posterior_by_others(
    x: npt.ArrayLike,
    data: npt.ArrayLike,
    own: npt.NDArray[np.int64],
    sigma: float,
    *,
    threads: int | None = None,
) -> tuple[Array, FloatArray]:
    """Return moments of the posterior of each point over all rows of the sample but its own.

    They are its mean, shape (n, d), and the mean of the squared distance from the point, (n,).
    ``own``, shape (n,), is the index of that row, or -1 for a point that has none.
    """
    found = _evaluate(x, data, sigma, "mean", None, threads, own)
    assert found.rows is not None
    return found.rows, found.square


def parzen_score(
    x: npt.ArrayLike,
    data: npt.ArrayLike,
    sigma: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Array:
    r"""Return the score of the Parzen density, :math:`(\sum_t w_t(x)\,x_t - x)/\sigma^2`.

    The parameters are those of :func:`parzen_denoise`, and its notes on rounding apply.

    Returns
    -------
    ndarray, shape (n, n_features)

    Examples
    --------
    >>> import dsmfast
    >>> dsmfast.parzen_score([[0.0], [3.0]], [[-1.0], [1.0]], sigma=2.0).shape
    (2, 1)
    """
    rows = _evaluate(x, data, sigma, "score", sample_weight, threads).rows
    assert rows is not None
    return rows


def parzen_log_density(
    x: npt.ArrayLike,
    data: npt.ArrayLike,
    sigma: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> FloatArray:
    r"""Return the normalised log-density :math:`\log q_\sigma(x)` of the Parzen density.

    The parameters are those of :func:`parzen_denoise`.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> import dsmfast
    >>> dsmfast.parzen_log_density([[0.0]], [[0.0]], sigma=1.0).round(4)
    array([-0.9189])
    """
    _, log_sum, _, sample = _evaluate(x, data, sigma, "", sample_weight, threads)
    N, d = sample.shape
    log_density: FloatArray = log_sum - (math.log(N) + d / 2 * math.log(2 * math.pi * sigma**2))
    return log_density


def select_sigma(
    X: npt.ArrayLike,
    *,
    sample_weight: npt.ArrayLike | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> float:
    r"""Return the width of the Parzen density with the highest leave-one-out likelihood.

    The width maximises the mean over i of :math:`\log \frac{1}{N-1}\sum_{t \ne i} \mathcal N(x_i;
    x_t, \sigma^2 I)`, the log-density of each row under the Parzen density of the other rows.
    Widths that can be a maximum are first scanned with at most 512 rows. The root of the derivative
    near the best of them is then computed to a relative accuracy of 1e-4.

    Repeated rows make each other likely, the more so the smaller sigma is, and carry no information
    on sigma. Copies of a row therefore count as one row with the sum of their weights. Rows that
    differ by no more than the rounding of ``float32`` are copies too. If all features are rounded,
    many rows may repeat without being copies. The maximum is then searched above every width that
    the distances between repeated rows could produce. If there is none, because the rounding steps
    are about as long as sigma, each distinct row counts once.

    Parameters
    ----------
    X : array_like, shape (N, n_features)
        Data with at least two distinct rows. Computations are in ``float64``.
    sample_weight : array_like, shape (N,), optional
        Non-negative weights of the rows, both in the mean and in the density of the other rows. A
        row is left out of that density with its whole weight. Rows of weight 0, or of less than
        2**-52 of the largest, are ignored.
    seed : int, default=0
        Seed of the choice of rows for large N. The density always uses all N rows, but the mean is
        taken over at most 2**26 / N randomly chosen rows (at least 256). Up to N = 8192 these are
        all rows.
    threads : int, optional
        Number of threads. The default is that of OpenMP. The result is bit-identical for any
        number.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid or not finite. Also if all rows are equal, or equal up to
        rounding: the likelihood then increases without bound as sigma decreases to 0.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> 0.1 < dsmfast.select_sigma(X) < 0.5
    True
    """
    sample = as_real_array(X, "X")
    workers, start = as_threads(threads), as_seed(seed)
    # In the order of the rows: sums over columns are then the same bits however X lies in memory.
    sample = as_rows(sample.astype(np.float64, order="C"), "X", np.dtype(np.float64))
    check_finite(sample, "X", workers)
    weights = as_weights(sample_weight, len(sample), np.dtype(np.float64))
    if weights is not None:
        # Beside smaller weights, the largest would leave the other rows a share of exactly 0.
        counted = weights > np.finfo(np.float64).eps * weights.max()
        sample, weights = sample[counted], weights[counted]
        weights /= weights.mean()
    N = len(sample)
    if N < 2:
        counting = "" if weights is None else " whose weights count"
        raise ValueError(f"X: expected at least two rows{counting}, got {N}")
    # In units of their spread around the mean, so that squares are of the order of 1.
    unit = float(np.abs(sample).max()) or 1.0
    sample /= unit
    centre = np.average(sample, axis=0, weights=weights)
    sample -= centre
    is_one = (np.abs(sample) <= 8 * np.finfo(np.float64).eps * np.abs(centre)).all()
    width = None if is_one else best_width(sample, centre, weights, start, workers)
    if width is None:
        raise ValueError("X: expected rows that differ, got rows that are equal up to rounding")
    return unit * width
