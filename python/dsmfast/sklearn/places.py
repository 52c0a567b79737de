"""Which row of a sample a row is: the same values, but for rounding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dsmfast.sklearn.scaling import Scaling

__all__ = ["Places"]

FloatArray = npt.NDArray[np.float64]

# Of a value: twice a rounding to float32, and a few roundings to float64.
SINGLE, DOUBLE = 2.0**-23, 2.0**-48
MOST_ROUNDING = 0.05  # of the spread; float32 has too few digits for a feature that it rounds more


class Places:
    """The rows of a sample, in the order of a projection, by which rows are looked up."""

    def __init__(self, sample: FloatArray) -> None:
        self._sample = sample
        self._scaling = Scaling.fitted("robust", sample)
        # A random direction: distinct rows have distinct projections.
        self._direction = np.random.default_rng(0).standard_normal(sample.shape[1])
        along = self._along(sample)
        self._order = np.argsort(along, kind="stable")
        self._sorted = along[self._order]

    def of(self, rows: FloatArray) -> npt.NDArray[np.int64]:
        """Return the index in the sample of each row, or -1 for rows that are not in it; (n,)."""
        allowed = self._allowed(rows)
        along = self._along(rows)
        reach = (allowed / self._scaling.unit) @ np.abs(self._direction)
        reach += 1e-12 * (1 + np.abs(along))  # rounding errors of the projection
        next_ = np.searchsorted(self._sorted, along - reach, "left")
        last = np.searchsorted(self._sorted, along + reach, "right")
        found = np.full(len(rows), -1, np.int64)
        open_ = np.flatnonzero(next_ < last)
        while len(open_):
            place = self._order[next_[open_]]
            off = np.abs(rows[open_] - self._sample[place])
            same = (off <= allowed[open_]).all(axis=1)
            found[open_[same]] = place[same]
            next_[open_] += 1
            open_ = open_[~same & (next_[open_] < last[open_])]
        return found

    def _along(self, rows: FloatArray) -> FloatArray:
        return self._scaling(rows) @ self._direction

    def _allowed(self, rows: FloatArray) -> FloatArray:
        """Return how far the values of one row may be apart; shape (n, d).

        That is a few roundings to float32, unless it has too few digits for the feature.
        """
        unit = self._scaling.unit
        single = SINGLE * (np.abs(rows) + unit)
        allowed: FloatArray = np.where(
            single <= MOST_ROUNDING * unit, single, DOUBLE * (np.abs(rows) + unit)
        )
        return allowed
