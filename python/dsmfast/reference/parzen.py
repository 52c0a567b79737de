"""The Parzen density (1/N) sum_t N(x; x_t, sigma^2 I) of a sample."""

from __future__ import annotations

import numpy as np

from dsmfast.reference.table import Array


def exponents_of(x: Array, data: Array, sigma: float, weights: Array | None = None) -> Array:
    """E (n, N): ``-|x - x_t|^2 / (2 sigma^2)``, and the logarithm of row t's weight.

    Examples
    --------
    >>> import numpy as np
    >>> from dsmfast import reference
    >>> reference.exponents_of(np.array([[0.0]]), np.array([[1.0], [2.0]]), sigma=1.0).tolist()
    [[-0.5, -2.0]]
    """
    distance = ((x[:, None, :] - data[None, :, :]) ** 2).sum(axis=2)
    exponents: Array = -distance / (2 * sigma**2)
    if weights is None:
        return exponents
    with np.errstate(divide="ignore"):
        logs: Array = np.log(weights / weights.mean())
    return exponents + logs


def parzen_denoise(
    x: Array, data: Array, sigma: float, sample_weight: Array | None = None
) -> Array:
    """sum_t w_t x_t, w_t the softmax of the exponents.

    Examples
    --------
    Half way between two rows, the posterior mean is half way too:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> reference.parzen_denoise(np.array([[0.5]]), np.array([[0.0], [1.0]]), sigma=0.3).tolist()
    [[0.5]]
    """
    exponents = exponents_of(x, data, sigma, sample_weight)
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    mean: Array = weights @ data / weights.sum(axis=1, keepdims=True)
    return mean


def parzen_score(x: Array, data: Array, sigma: float, sample_weight: Array | None = None) -> Array:
    """(sum_t w_t x_t - x) / sigma^2.

    Examples
    --------
    Of one row it is the score of a Gaussian:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> reference.parzen_score(np.array([[1.0]]), np.array([[0.0]]), sigma=0.5).tolist()
    [[-4.0]]
    """
    return (parzen_denoise(x, data, sigma, sample_weight) - x) / sigma**2


def parzen_log_density(
    x: Array, data: Array, sigma: float, sample_weight: Array | None = None
) -> Array:
    """Log (1/N) sum_t N(x; x_t, sigma^2 I), or the mean weighted by ``sample_weight``.

    Examples
    --------
    Of one row it is the log-density of a Gaussian:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> row = np.zeros((1, 1))
    >>> reference.parzen_log_density(row, row, sigma=1.0).round(4).tolist()
    [-0.9189]
    """
    exponents = exponents_of(x, data, sigma, sample_weight)
    top = exponents.max(axis=1)
    log_sum = top + np.log(np.exp(exponents - top[:, None]).sum(axis=1))
    N, d = data.shape
    log_density: Array = log_sum - np.log(N) - d / 2 * np.log(2 * np.pi * sigma**2)
    return log_density
