r"""The Parzen density of a sample: a Gaussian of width sigma on each of its rows.

.. math:: q_\sigma(x) = \frac1N \sum_t \mathcal N(x; x_t, \sigma^2 I), \qquad
          w_t(x) = \frac{\exp(-\|x - x_t\|^2 / 2\sigma^2)}{\sum_s \exp(-\|x - x_s\|^2 / 2\sigma^2)}

Its posterior mean is the best denoiser of that sample, and its score is what "esm_smoothed", and
points with more noise than sigma (``sigma_max``), are regressed on. Where rows of the sample have
weights, each Gaussian counts by the weight of its row over the mean of all weights.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._checks import (
    Array,
    as_real_array,
    as_rows,
    as_seed,
    as_sigma,
    as_threads,
    as_weights,
    check_finite,
)
from dsmfast._width import best_width

__all__ = ["parzen_denoise", "parzen_log_density", "parzen_score", "select_sigma"]

FloatArray = npt.NDArray[np.float64]


def _evaluate(
    x: npt.ArrayLike,
    data: npt.ArrayLike,
    sigma: float,
    wanted: Literal["mean", "score", ""],
    sample_weight: npt.ArrayLike | None,
    threads: int | None,
    own: npt.NDArray[np.int64] | None = None,
) -> tuple[Array | None, FloatArray, Array]:
    """Return the rows that are wanted, log sum_t exp(-|x - x_t|^2 / 2 sigma^2), and the sample.

    ``own`` is the row of the sample that is left out for each point, or -1.
    """
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
    rows, log_sum, _, _ = _core.parzen(points, sample, weights, width, wanted, own, workers)
    if not np.isfinite(log_sum).all():
        raise ValueError(
            f"x, data: expected squared distances over sigma**2 that {dtype} can hold; "
            "scale the data and sigma"
        )
    return rows, log_sum, sample


def parzen_denoise(
    x: npt.ArrayLike,
    data: npt.ArrayLike,
    sigma: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Array:
    r"""Posterior mean :math:`\sum_t w_t(x)\,x_t` of clean rows given noisy points.

    Of all denoisers, the one of least mean square error for rows of ``data`` with Gaussian noise.

    Parameters
    ----------
    x : array_like, shape (n, n_features)
        Noisy points.
    data : array_like, shape (N, n_features)
        The sample. It is read in tiles: the memory needed does not grow with N.
    sigma : float
        Standard deviation of the noise.
    sample_weight : array_like, shape (N,), optional
        How much each row of the sample counts, at least 0; a row of weight 2 is one that is there
        twice, and one of weight 0 is not there.
    threads : int, optional
        By default what OpenMP says. The bits do not depend on it, nor on the other points.

    Returns
    -------
    ndarray, shape (n, n_features)
        ``float32`` if both inputs fit it, else ``float64``.

    Raises
    ------
    ValueError, TypeError
        For input that does not fit or is not finite.

    Notes
    -----
    Exact in the tails: the largest weight is always of the order of 1, so a point far from all data
    gets the nearest row, not 0 / 0. Coordinates are taken from the centre of the sample and in
    units of sigma; a weight's relative error is about the rounding of the precision times the
    square of the point's length in them, or of the distance to the nearest row if that is more. Of
    points so far out that this would be above 0.02 (410 sigma in ``float32``, 1e7 in ``float64``),
    distances to all rows are summed up in ``float64`` one by one, in about four times the time.

    Examples
    --------
    >>> import dsmfast
    >>> dsmfast.parzen_denoise([[50.0]], [[-1.0], [1.0]], sigma=1.0)
    array([[1.]])
    """
    rows, _, _ = _evaluate(x, data, sigma, "mean", sample_weight, threads)
    assert rows is not None
    return rows


def denoise_by_others(
    x: npt.ArrayLike,
    data: npt.ArrayLike,
    own: npt.NDArray[np.int64],
    sigma: float,
    *,
    threads: int | None = None,
) -> Array:
    """Return the posterior mean of each point by all rows of the sample but its own.

    ``own``, shape (n,), is the index of that row, or -1 for a point that has none.
    """
    rows, _, _ = _evaluate(x, data, sigma, "mean", None, threads, own)
    assert rows is not None
    return rows


def parzen_score(
    x: npt.ArrayLike,
    data: npt.ArrayLike,
    sigma: float,
    *,
    sample_weight: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Array:
    r"""Score of the Parzen density, :math:`(\sum_t w_t(x)\,x_t - x)/\sigma^2`.

    Takes what :func:`parzen_denoise` takes, weights of rows too; its notes on rounding hold here.

    Returns
    -------
    ndarray, shape (n, n_features)

    Examples
    --------
    >>> import dsmfast
    >>> dsmfast.parzen_score([[0.0], [3.0]], [[-1.0], [1.0]], sigma=2.0).shape
    (2, 1)
    """
    rows, _, _ = _evaluate(x, data, sigma, "score", sample_weight, threads)
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
    r"""Logarithm of the Parzen density, normalised: :math:`\log q_\sigma(x)`.

    Takes what :func:`parzen_denoise` takes, weights of rows too.

    Returns
    -------
    ndarray, shape (n,)
        ``float64``: it is summed in it.

    Examples
    --------
    >>> import dsmfast
    >>> dsmfast.parzen_log_density([[0.0]], [[0.0]], sigma=1.0).round(4)
    array([-0.9189])
    """
    _, log_sum, sample = _evaluate(x, data, sigma, "", sample_weight, threads)
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
    r"""Width at which the Parzen density of the other rows is most likely to give each row.

    Maximises the mean over i of :math:`\log \frac{1}{N-1}\sum_{t \ne i} \mathcal N(x_i; x_t,
    \sigma^2 I)`: a scan of the widths that can be a maximum, by at most 512 of the rows, then the
    root of the slope beside the best of them, to a relative 1e-4.

    Rows that repeat are likely by each other, the more so the smaller sigma is, and say nothing of
    it. Copies of a row count as one row of their weights together. In data whose features are all
    rounded, most rows may repeat without being copies; there the maximum is taken that is above
    every width which distances between repeats could give, and where there is none, as the steps of
    rounding are about as long as sigma, each distinct row counts once.

    Parameters
    ----------
    X : array_like, shape (N, n_features)
        Data, at least two rows that differ. Worked on in ``float64``.
    sample_weight : array_like, shape (N,), optional
        How much each row counts, at least 0: in the mean, and under the density of the others, of
        which a row is left out whole. Rows of weight 0 are left out of both.
    seed : int
        Of the choice of rows where there are too many: the density is always that of all N rows,
        but the mean is taken over at most 2**26 / N of them chosen at random (at least 256), which
        is all rows up to N = 8192.
    threads : int, optional
        By default what OpenMP says. The bits do not depend on it.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Where all rows are alike, or as near to another as rounding: the likelihood then grows
        without bound as sigma -> 0.

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
        counted = weights > 0
        sample, weights = sample[counted], weights[counted]
        weights /= weights.mean()
    N = len(sample)
    if N < 2:
        raise ValueError(f"X: expected at least two rows, got {N}")
    # In units of their spread around the mean, so that squares are of the order of 1.
    unit = float(np.abs(sample).max()) or 1.0
    sample /= unit
    sample -= np.average(sample, axis=0, weights=weights)
    width = best_width(sample, weights, start, workers)
    if width is None:
        raise ValueError("X: expected rows that differ, got rows that are alike but for rounding")
    return unit * width
