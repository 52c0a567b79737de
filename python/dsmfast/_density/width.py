"""The width of a Parzen density, by the likelihood of each row under that of the others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._density.repeats import NOTHING, first_of_repeats, is_rounded
from dsmfast.noise import Use, choice

__all__ = ["best_width"]

FloatArray = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# Pairs of rows that one evaluation of `select_sigma` looks at, if that leaves it enough rows.
PAIRS = 2**26
FEWEST_POINTS = 256


class _LeaveOneOut:
    """Mean log-density of rows under the Parzen density of all others, and its slope."""

    def __init__(
        self,
        sample: FloatArray,
        weights: FloatArray | None,
        rows: Indices,
        threads: int,
    ) -> None:
        self._sample = sample
        self._weights = weights
        self._rows = rows
        self._points = np.ascontiguousarray(sample[rows])
        self._threads = threads

    @classmethod
    def of(
        cls, sample: FloatArray, weights: FloatArray | None, seed: int, threads: int
    ) -> _LeaveOneOut:
        """Take all rows, or some that are drawn where pairs would be too many."""
        N = len(sample)
        count = min(N, max(FEWEST_POINTS, PAIRS // N))
        rows = np.arange(N, dtype=np.int64)
        if count < N:
            rows = choice(seed, Use.select_sigma, N, count)
        return cls(sample, weights, rows, threads)

    def first(self, count: int) -> _LeaveOneOut:
        return _LeaveOneOut(self._sample, self._weights, self._rows[:count], self._threads)

    def mean(self, values: FloatArray) -> float:
        """Return the mean over the rows, by their weights."""
        if self._weights is None:
            return float(values.mean())
        return float(np.average(values, weights=self._weights[self._rows]))

    def exponents(self, sigma: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return log-sum, mean and largest of -|x - x_t|^2 / (2 sigma^2) over the others."""
        _, log_sum, mean, largest = _core.parzen(
            self._points, self._sample, self._weights, sigma, "", self._rows, self._threads
        )
        return log_sum, mean, largest

    def log_likelihood(self, sigma: float) -> float:
        """Return it without the terms that do not depend on sigma."""
        d = float(self._sample.shape[1])
        return self.mean(self.exponents(sigma)[0]) - d * math.log(sigma)

    def slope(self, sigma: float) -> float:
        """Return the derivative by log sigma."""
        d = float(self._sample.shape[1])
        return -2 * self.mean(self.exponents(sigma)[1]) - d

    def bounds(self) -> tuple[float, float]:
        """Return where the slope is positive, and where it is negative.

        At a maximum, sigma^2 d is a mean over rows of a weighted mean of the squared distances to
        the others. It lies between that to the nearest and, because the weights fall with
        distance, the plain mean.
        """
        N, d = self._sample.shape
        points, sample = self._points, self._sample  # centred
        squares = np.einsum("ij,ij->i", points, points)
        if self._weights is None:
            plain = squares + np.einsum("ij,ij->", sample, sample) / N
            spread = float(plain.mean()) * N / (N - 1)
        else:
            # A row's own distance, 0, is in the mean with its weight.
            plain = squares + np.einsum("i,ij,ij->", self._weights, sample, sample) / N
            spread = self.mean(plain / (1 - self._weights[self._rows] / N))
        high = math.sqrt(spread / d)
        if high == 0:
            return 0.0, 0.0
        nearest = -2 * high**2 * self.exponents(high)[2]
        return math.sqrt(max(self.mean(nearest), 0.0) / d), high


def best_width(
    sample: FloatArray, centre: FloatArray, weights: FloatArray | None, seed: int, threads: int
) -> float | None:
    """Return the width at which the rows of a centred sample are most likely, each by the others.

    None where there is none, as rows are alike but for rounding. Rows that repeat have no other way
    to be likely than a width of 0. Copies of a row are one row of their weights together, and so
    are those that were rounded to float32 around ``centre``. Where all features are rounded,
    repeats are no copies, and to leave them out would thin the sample out where it is dense: there
    the maximum is looked for above the least width that distinct rows can give alone. Where there
    is none, each of these counts once.
    """
    first, owner = first_of_repeats(sample, centre)
    if len(first) == len(sample):
        return _search(_LeaveOneOut.of(sample, weights, seed, threads))
    total = np.bincount(owner, weights, len(first))
    distinct = np.ascontiguousarray(sample[first])
    if len(distinct) < 2:
        return None
    if not is_rounded(distinct):
        return _search(_LeaveOneOut.of(distinct, total / total.mean(), seed, threads))
    once = None if weights is None else total / np.bincount(owner)
    if once is not None:
        once /= once.mean()
    alone = _LeaveOneOut.of(distinct, once, seed, threads)
    low, high = alone.bounds()
    if low <= NOTHING * high:
        return None
    every = _LeaveOneOut.of(sample, weights, seed, threads)
    if every.slope(low) > 0:
        return _maximum(every, low, max(high, every.bounds()[1]))
    return _maximum(alone, low, high)


def _search(every: _LeaveOneOut) -> float | None:
    low, high = every.bounds()
    return None if low <= NOTHING * high else _maximum(every, low, high)


def _maximum(every: _LeaveOneOut, low: float, high: float) -> float:
    """Return the best width between two: a scan by a few rows, then the root of the slope."""
    steps = max(2, min(24, 2 + math.ceil(math.log(high / low) / math.log(1.5))))
    widths = np.geomspace(low, high, steps)
    few = every.first(512)
    best = int(np.argmax([few.log_likelihood(width) for width in widths]))
    return _root(every.slope, widths[max(best - 1, 0)], widths[min(best + 1, steps - 1)], low, high)


def _root(
    slope: Callable[[float], float], left: float, right: float, low: float, high: float
) -> float:
    """Return the root between widths where a slope falls from positive to negative.

    False position on log sigma, halving the value at an end that stays (Illinois): half a dozen
    evaluations. Where the scan's neighbours do not enclose the root, the bounds do.
    """
    ends = [math.log(left), math.log(right)]
    values = [slope(left), slope(right)]
    if values[0] < 0:
        ends[0], values[0] = math.log(low), slope(low)
    if values[1] > 0:
        ends[1], values[1] = math.log(high), slope(high)
    middle, kept = ends[0], -1
    while ends[1] - ends[0] > 1e-4:
        before = middle
        middle = ends[0] + (ends[1] - ends[0]) * values[0] / (values[0] - values[1])
        value = slope(math.exp(middle))
        side = 0 if value > 0 else 1
        ends[side], values[side] = middle, value
        if value == 0 or abs(middle - before) < 1e-5:
            break
        if side == kept:
            values[1 - side] /= 2
        kept = side
    return math.exp(middle)
