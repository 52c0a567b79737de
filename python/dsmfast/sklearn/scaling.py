"""The units in which rows are compared: linear maps, each fitted to the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsmfast.model import ScoreModel
from dsmfast.sklearn.needed import isotonic_regression

__all__ = ["SCALINGS", "Scaling", "inner_spread_of"]

FloatArray = npt.NDArray[np.float64]

SCALINGS = ("standard", "robust", "whitened", "none")

# Half of a normal's rows lie within this many standard deviations, from quartile to quartile.
QUARTILES = 1.349
# Where quartiles are closer than that share of the standard deviation, most values are alike, and
# their distance says nothing of the others.
LEAST_QUARTILES = 0.1
# A few errors in the data, such as -999 for a missing value, must not determine a unit. If clipping
# a feature to the percentiles ENDS divides its standard deviation by more than ERRORS, the mean and
# the standard deviation of the clipped values are used.
ERRORS = 5.0
ENDS = (2, 98)
FARTHEST_UNITS = 8.0  # to which standardised values are clipped before their covariance is taken
# Directions that vary less, among standardised features, are taken for constant: what is in them is
# rounding, and would be made large.
LEAST_VARIANCE = 1e-3
FOLDS = 5  # of the cross-validated variances
ROUNDING = 1e-10  # of the largest eigenvalue: smaller ones may be rounding errors of 0
TINY = 1e-140  # values whose squares are not normal numbers
# Beyond it a value is as far away as any: squares of it, over those of sigma, are to be finite.
FARTHEST = 1e100


def spread_of(rows: FloatArray) -> FloatArray:
    """Return the standard deviation of each feature, or 1 where it is constant; shape (d,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread = rows.std(axis=0)
        # Squares of tiny numbers are 0, which multiplication by a power of two avoids.
        tiny = np.abs(rows).max(axis=0) < TINY
        spread[tiny] = np.ldexp(np.ldexp(rows[:, tiny], 600).std(axis=0), -600)
    if not np.isfinite(spread).all():
        raise ValueError(
            f"X: expected features whose squares float64 can hold, got {np.abs(rows).max():g}"
        )
    # The deviation of a constant may be rounding, and that of subnormal numbers 0.
    constant = (rows.min(axis=0) == rows.max(axis=0)) | (spread == 0)
    return np.where(constant, 1.0, spread)


def inner_spread_of(rows: FloatArray) -> FloatArray:
    """Return standard deviations, shape (d,), which a few errors in the data do not change."""
    return _inner_mean_and_spread(rows)[1]


def _inner_mean_and_spread(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return means and standard deviations, (d,); of clipped values where errors dominate."""
    spread, ends = spread_of(rows), np.percentile(rows, ENDS, axis=0)
    inner = np.clip(rows, *ends)
    inner_spread = spread_of(inner)
    # If most values of a feature are the same, the others are rare events rather than errors.
    varies = (rows == np.median(rows, axis=0)).mean(axis=0) < 0.5
    has_errors = varies & (ends[0] < ends[1]) & (spread > ERRORS * inner_spread)
    mean = np.where(has_errors, inner.mean(axis=0), rows.mean(axis=0))
    return mean, np.where(has_errors, inner_spread, spread)


def _quartile_spread_of(rows: FloatArray) -> FloatArray:
    """Return the standard deviations of normals that have the quartiles of the features; (d,)."""
    low, high = np.percentile(rows, [25, 75], axis=0)
    unit, spread = (high - low) / QUARTILES, inner_spread_of(rows)
    return np.where(unit < LEAST_QUARTILES * spread, spread, unit)


def _variances_of_new_rows(rows: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return variances (r,) in directions (d, r), and that in all directions beside these.

    The directions are the eigenvectors of the covariance of rows. Its eigenvalues are too unequal
    for new rows, and 0 in all other directions. The variances are therefore cross-validated: each
    fifth of the rows is measured in the eigenvectors of the others (Bartz 2016).
    """
    directions = _principal(rows)
    n, d = rows.shape
    count = directions.shape[1]
    order = np.random.default_rng(0).permutation(n)
    folds = np.array_split(order, min(FOLDS, n))
    variances, others = np.zeros(count), 0.0
    for held_out in folds:
        found = _principal(np.delete(rows, held_out, axis=0))[:, :count]
        within = ((rows[held_out] @ found) ** 2).mean(axis=0)
        beside = (rows[held_out] ** 2).sum(axis=1).mean() - within.sum()
        beside = max(beside, 0.0) / max(d - len(within), 1)
        variances += np.concatenate([within, np.full(count - len(within), beside)]) / len(folds)
        others += beside / len(folds)
    if count > 0:
        variances = isotonic_regression(variances, increasing=False)
    return variances, directions, others


def _principal(rows: FloatArray) -> FloatArray:
    """Return the directions (d, r) in which rows vary about 0, from most to least."""
    n, d = rows.shape
    if n >= d:
        _, directions = np.linalg.eigh(rows.T @ rows)
    else:
        squares, turns = np.linalg.eigh(rows @ rows.T)
        some = squares > ROUNDING * squares[-1]
        directions = rows.T @ (turns[:, some] / np.sqrt(squares[some]))
    return directions[:, ::-1]


def _product(rows: FloatArray, matrix: FloatArray, threads: int | None) -> FloatArray:
    """Return rows times a symmetric matrix; the result of a row does not depend on the others.

    With NumPy's product it would, by a rounding, and equal rows must have equal scores.
    """
    zeros = np.zeros(len(matrix))
    return np.asarray(
        ScoreModel(matrix, zeros, zeros, 1.0).decode(rows, threads=threads), np.float64
    )


@dataclass(frozen=True)
class Scaling:
    """Rows taken from a centre, over a unit of each feature, times a symmetric matrix if any."""

    center: FloatArray  # (d,)
    unit: FloatArray  # (d,)
    root: FloatArray | None = None  # (d, d)
    inverse: FloatArray | None = None  # (d, d)
    threads: int | None = None  # of products with either

    @classmethod
    def fitted(cls, kind: str, rows: FloatArray, threads: int | None = None) -> Scaling:
        """Return the scaling of a kind that rows (n, d) have."""
        width = rows.shape[1]
        if kind == "none":
            return cls(np.zeros(width), np.ones(width))
        if kind == "robust":
            return cls(np.median(rows, axis=0), _quartile_spread_of(rows))
        standard = cls(*_inner_mean_and_spread(rows))
        if kind == "standard":
            return standard
        variances, directions, others = _variances_of_new_rows(
            np.clip(standard(rows), -FARTHEST_UNITS, FARTHEST_UNITS)
        )
        quarter, rest = (np.maximum(v, LEAST_VARIANCE) ** 0.25 for v in (variances, others))
        root, inverse = (
            rest**sign * np.eye(width) + directions * (quarter**sign - rest**sign) @ directions.T
            for sign in (-1, 1)
        )
        return cls(standard.center, standard.unit, root, inverse, threads)

    def __call__(self, rows: FloatArray) -> FloatArray:
        """Return rows in the unit; shape (n, d)."""
        with np.errstate(over="ignore"):
            scaled = np.clip((rows - self.center) / self.unit, -FARTHEST, FARTHEST)
        return scaled if self.root is None else _product(scaled, self.root, self.threads)

    def back(self, differences: FloatArray) -> FloatArray:
        """Return differences of rows in the unit of the data; shape (n, d)."""
        straight = (
            differences
            if self.inverse is None
            else _product(differences, self.inverse, self.threads)
        )
        return straight * self.unit

    @property
    def log_volume(self) -> float:
        """Logarithm of what volumes are multiplied by."""
        root = 0.0 if self.root is None else float(np.linalg.slogdet(self.root)[1])
        return root - float(np.log(self.unit).sum())
