r"""The normaliser where it can be known.

With :math:`n = 1/\sigma^2` an integer, :math:`(1 + e^a)^n = \sum_k \binom nk e^{ka}` makes the
density a mixture of Gaussians, one for each vector k of counts:

.. math:: Z = (2\pi\sigma^2)^{d/2} \sum_k \prod_j \binom{n}{k_j} \,
          e^{\langle k, b\rangle + \frac n2 \|c + W^T k/n\|^2}

And a model of one feature or two, or of as many hidden units, can be summed up over a grid.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._density.reduced import Reduced, trials_of

__all__ = ["STATES", "can_enumerate", "enumerated", "integrated"]

FloatArray = npt.NDArray[np.float64]

STATES = 2**22  # that are summed up, at most
CORNERS = 2**29  # of squares of the plane, times hidden units, that are looked at, at most
BLOCK = 2**20  # terms that are held at a time


def can_enumerate(model: Reduced) -> bool:
    """Whether vectors of counts are few enough."""
    n = trials_of(model.sigma)
    return n is not None and len(model.b) * math.log(n + 1) <= math.log(STATES)


def _log_sum(values: FloatArray) -> float:
    largest = float(values.max())
    if largest == -math.inf:
        return -math.inf
    return largest + math.log(float(np.exp(values - largest).sum()))


def enumerated(model: Reduced, threads: int = 0) -> float:
    """Return log Z over y by all counts: those of half of the units by those of the others."""
    n = trials_of(model.sigma)
    if n is None:
        raise ValueError(f"method: 'enumeration' needs an integer 1 / sigma**2, got {model.sigma}")
    W, b, c = (part.astype(np.float64) for part in (model.W, model.b, model.c))
    half = len(b) // 2
    log_choices = np.array([math.log(math.comb(n, k)) for k in range(n + 1)])

    def terms(units: slice, start: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return means (states, r), and what of the exponent does not need the other half."""
        count = len(b[units])
        k = np.array(list(itertools.product(range(n + 1), repeat=count)), dtype=np.intp)
        k = k.reshape((n + 1) ** count, count)
        means = start + np.einsum("sj,jr->sr", k / n, W[units])
        square = n / 2 * np.einsum("sr,sr->s", means, means)
        return means, log_choices[k].sum(axis=1) + np.einsum("sj,j->s", k * 1.0, b[units]) + square

    ours, log_ours = terms(slice(0, half), c)
    theirs, log_theirs = terms(slice(half, len(b)), np.zeros_like(c))
    rows, right = max(1, BLOCK // len(theirs)), np.ascontiguousarray(theirs.T)
    sums = []
    for begin in range(0, len(ours), rows):
        cross = _core.product(ours[begin : begin + rows], right, threads)
        sums.append(_log_sum(n * cross + log_ours[begin : begin + rows, None] + log_theirs))
    return _log_sum(np.array(sums)) + len(c) / 2 * math.log(2 * math.pi / n)


class _Grid:
    """Squares (in one dimension, intervals) that hold all of the probability, and few more.

    exp(-energy) is as smooth as a sum of Gaussians of width sigma: the midpoint rule's error is far
    below rounding at a spacing of sigma / 4. D(x) lies in the box c + sum of [0, 1] W_j, and beyond
    it the density falls at least like such a Gaussian, so the box with a margin holds all of it.

    Most of the box is empty, and that can be known. On a square of side a the softplus terms, being
    convex, stay below what is interpolated from its corners, and -|x|^2 / 2 sigma^2 is at most
    a^2 / 4 sigma^2 above: where the corners are low enough, the square is left out.
    """

    SIDE = 8  # of a square, in sigma
    MARGIN = 9.0  # of the box, in sigma
    DEPTH = 40.0  # squares that are so many nats below the highest corner are left out
    POINTS = 32  # along a side

    def __init__(self, model: Reduced, threads: int) -> None:
        self._model = model
        self._threads = threads
        margin = self.MARGIN * model.sigma
        low = model.c + np.minimum(model.W, 0).sum(axis=0) - margin
        high = model.c + np.maximum(model.W, 0).sum(axis=0) + margin
        self._side = self.SIDE * model.sigma
        count = np.ceil((high - low) / self._side).astype(np.int64) + 1
        self.corners = int(count.prod())
        self._lines = [
            start + self._side * np.arange(n) for start, n in zip(low, count, strict=True)
        ]

    def _log_density(self, x: FloatArray) -> FloatArray:
        m = self._model
        energy, _ = _core.evaluate(_core.Quantity.energy, m.W, m.b, m.c, m.sigma, x, self._threads)
        if energy is None:
            raise ValueError("method: 'quadrature' found an energy that is not finite")
        return -energy

    def _squares(self) -> FloatArray:
        """Return the low corners (n, r) of the squares that are not left out."""
        places = np.stack(np.meshgrid(*self._lines, indexing="ij"), axis=-1)
        shape, r = places.shape[:-1], places.shape[-1]
        values = self._log_density(np.ascontiguousarray(places.reshape(-1, r))).reshape(shape)
        highest = values
        for axis in range(r):
            first = [slice(None)] * r
            second = [slice(None)] * r
            first[axis], second[axis] = slice(None, -1), slice(1, None)
            highest = np.maximum(highest[tuple(first)], highest[tuple(second)])
        kept = highest + self.SIDE**2 / 4 > values.max() - self.DEPTH
        inner = places[tuple(slice(None, -1) for _ in range(r))]
        squares: FloatArray = inner[kept]
        return squares

    def log_integral(self) -> float:
        """Return the logarithm of the integral, by the midpoint rule."""
        r = len(self._lines)
        inside = (np.arange(self.POINTS) + 0.5) * self._side / self.POINTS
        offsets = np.stack(np.meshgrid(*[inside] * r, indexing="ij"), axis=-1).reshape(1, -1, r)
        squares = self._squares()
        step = max(1, BLOCK // (offsets.shape[1] * len(self._model.b)))
        sums = [
            _log_sum(self._log_density((squares[i : i + step, None, :] + offsets).reshape(-1, r)))
            for i in range(0, len(squares), step)
        ]
        return _log_sum(np.array(sums)) + r * math.log(self._side / self.POINTS)


def integrated(model: Reduced, threads: int = 0) -> float | None:
    """Return log Z over y, of one feature or two; None where that would take long."""
    if model.features > 2:
        return None
    W, b, c = (part.astype(np.float64) for part in (model.W, model.b, model.c))
    grid = _Grid(Reduced(W, b, c, model.sigma, None, c), threads)
    if grid.corners * len(b) > CORNERS:
        return None
    return grid.log_integral()
