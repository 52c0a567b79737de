"""The units in which rows are compared: linear maps, each fitted to the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["SCALINGS", "Scaling", "spread_of"]

FloatArray = npt.NDArray[np.float64]

SCALINGS = ("standard", "robust", "whitened", "none")

# Half of a normal's rows lie within this many standard deviations, from quartile to quartile.
QUARTILES = 1.349
# Where quartiles are closer than that share of the standard deviation, most values are alike, and
# their distance says nothing of the others.
LEAST_QUARTILES = 0.1
# Directions that vary less, among standardised features, are taken for constant: what is in them is
# rounding, and would be made large.
LEAST_VARIANCE = 1e-3
# Beyond it a value is as far away as any: squares of it, over those of sigma, are to be finite.
FARTHEST = 1e100


def spread_of(rows: FloatArray) -> FloatArray:
    """Return the standard deviation of each feature, or 1 where it is constant; shape (d,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread = rows.std(axis=0)
    if not np.isfinite(spread).all():
        raise ValueError(
            f"X: expected features whose squares float64 can hold, got {np.abs(rows).max():g}"
        )
    # The deviation of a constant may be rounding, and that of subnormal numbers 0.
    constant = (rows.min(axis=0) == rows.max(axis=0)) | (spread == 0)
    return np.where(constant, 1.0, spread)


@dataclass(frozen=True)
class Scaling:
    """Rows taken from a centre, over a unit of each feature, times a symmetric matrix if any."""

    center: FloatArray  # (d,)
    unit: FloatArray  # (d,)
    root: FloatArray | None = None  # (d, d)
    inverse: FloatArray | None = None  # (d, d)

    @classmethod
    def fitted(cls, kind: str, rows: FloatArray) -> Scaling:
        """Return the scaling of a kind that rows (n, d) have."""
        width = rows.shape[1]
        if kind == "none":
            return cls(np.zeros(width), np.ones(width))
        spread = spread_of(rows)
        if kind == "robust":
            low, middle, high = np.percentile(rows, [25, 50, 75], axis=0)
            unit = (high - low) / QUARTILES
            return cls(middle, np.where(unit < LEAST_QUARTILES * spread, spread, unit))
        standard = cls(rows.mean(axis=0), spread)
        if kind == "standard":
            return standard
        scaled = standard(rows)
        variances, directions = np.linalg.eigh(scaled.T @ scaled / len(rows))
        quarter = np.maximum(variances, LEAST_VARIANCE) ** 0.25
        root = directions / quarter @ directions.T
        return cls(standard.center, standard.unit, root, directions * quarter @ directions.T)

    def __call__(self, rows: FloatArray) -> FloatArray:
        """Return rows in the unit; shape (n, d)."""
        scaled = np.clip((rows - self.center) / self.unit, -FARTHEST, FARTHEST)
        return scaled if self.root is None else scaled @ self.root

    def back(self, differences: FloatArray) -> FloatArray:
        """Return differences of rows in the unit of the data; shape (n, d)."""
        straight = differences if self.inverse is None else differences @ self.inverse
        return straight * self.unit

    @property
    def log_volume(self) -> float:
        """Logarithm of what volumes are multiplied by."""
        root = 0.0 if self.root is None else float(np.linalg.slogdet(self.root)[1])
        return root - float(np.log(self.unit).sum())
