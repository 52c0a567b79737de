"""Sets of points in the plane that are generated here; of one, density and score are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array, as_real_array
from dsmfast.noise import Use, normals, uniforms

__all__ = ["mixture", "mixture_log_density", "mixture_score", "spiral"]

FloatArray = npt.NDArray[np.float32]
FloatArray64 = npt.NDArray[np.float64]


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
