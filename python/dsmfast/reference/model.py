"""The model: energy, score, denoiser, curvature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsmfast.reference.table import Array


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)).

    Examples
    --------
    >>> import dsmfast
    >>> float(dsmfast.reference.sigmoid(0.0))
    0.5
    """
    with np.errstate(over="ignore"):  # exp(-a) = inf is the right limit
        return 1 / (1 + np.exp(-a))


def softplus(a: Array) -> Array:
    """log(1 + exp(a)), for any a.

    Examples
    --------
    >>> import numpy as np
    >>> from dsmfast import reference
    >>> reference.softplus(np.array([-1000.0, 0.0, 1000.0])).round(3).tolist()
    [0.0, 0.693, 1000.0]
    """
    values: Array = np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))
    return values


@dataclass
class ScoreModel:
    """Energy, score and denoiser with parameters W (h, d), b (h,) and c (d,).

    Examples
    --------
    The score is minus the derivative of the energy:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> model = reference.ScoreModel(np.ones((2, 1)), np.zeros(2), np.zeros(1), sigma=0.5)
    >>> x, step = np.array([[0.3]]), 1e-5
    >>> slope = (model.energy(x + step) - model.energy(x - step)) / (2 * step)
    >>> bool(np.isclose(model.score(x)[0, 0], -slope[0]))
    True
    """

    W: Array
    b: Array
    c: Array
    sigma: float

    def activations(self, x: Array) -> Array:
        """X W' + b, computed as (X - c) W' + (b + W c) so that X may be far from 0."""
        bias = self.b.astype(np.float64) + self.W.astype(np.float64) @ self.c.astype(np.float64)
        activations: Array = (x - self.c) @ self.W.T + bias.astype(self.b.dtype)
        return activations

    def hidden(self, x: Array) -> Array:
        """H = sigmoid(X W' + b)."""
        return sigmoid(self.activations(x))

    def decode(self, h: Array) -> Array:
        """D = H W + c."""
        return h @ self.W + self.c

    def denoise(self, x: Array) -> Array:
        """D(x) = W' sigmoid(W x + b) + c."""
        return self.decode(self.hidden(x))

    def energy(self, x: Array) -> Array:
        """``E(x) = -(<c, x> - |x|^2 / 2 + sum softplus(W x + b)) / sigma^2``, in double precision.

        It is computed as ``(|x - c|^2 / 2 - |c|^2 / 2 - sum softplus(W x + b)) / sigma^2``.
        """
        free = softplus(self.activations(x)).sum(axis=1, dtype=np.float64)
        gaussian = 0.5 * ((x - self.c) ** 2).sum(axis=1, dtype=np.float64)
        fixed = 0.5 * (self.c.astype(np.float64) ** 2).sum()
        energy: Array = (gaussian - fixed - free) / self.sigma**2
        return energy

    def score(self, x: Array) -> Array:
        """-dE/dx = (D(x) - x) / sigma^2, where D(x) and x are both measured from c."""
        score: Array = (self.hidden(x) @ self.W - (x - self.c)) / self.sigma**2
        return score

    def curvature(self, x: Array) -> Array:
        """V (B, d) = sigma^2 d score_i / dx_i = sum_j W_ji^2 s_j (1 - s_j) - 1."""
        s = self.hidden(x)
        curvature: Array = (s * (1 - s)) @ self.W**2 - 1
        return curvature
