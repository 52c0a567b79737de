"""How points are corrupted before the model sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dsmfast._arguments.checks import as_choice, as_real, as_real_of, describe

__all__ = ["GAUSSIAN", "Corruption", "as_corruption"]

KINDS = ("gaussian", "masking", "salt_and_pepper")


@dataclass(frozen=True)
class Corruption:
    """Gaussian noise of the model's sigma, or features that are overwritten."""

    kind: str = "gaussian"
    chance: int = 0  # of a feature to be overwritten, in units of 2**-32; 0 for Gaussian noise
    low: float = 0.0  # what overwrites it, with even odds
    high: float = 0.0


GAUSSIAN = Corruption()


def as_corruption(kind: object, level: object, between: object, dtype: np.dtype[Any]) -> Corruption:
    """Check ``corruption``, ``corruption_level`` and ``corruption_range``."""
    name = as_choice(kind, "corruption", KINDS)
    if name == "gaussian":
        for option, value in (("corruption_level", level), ("corruption_range", between)):
            if value is not None:
                raise ValueError(
                    f"{option}: corruption 'gaussian' does not take it; it only depends on sigma"
                )
        return GAUSSIAN
    if level is None:
        raise ValueError(
            f"corruption_level: corruption {name!r} needs it: the fraction of features that are "
            "overwritten, in (0, 1]"
        )
    fraction = as_real(level, "corruption_level", inclusive=True)
    if not 0 < fraction <= 1:
        raise ValueError(f"corruption_level: expected a number in (0, 1], got {fraction:g}")
    chance = max(1, round(fraction * 2**32))
    if name == "masking":
        if between is not None:
            raise ValueError(
                "corruption_range: corruption 'masking' does not take it; it writes zeros"
            )
        return Corruption(name, chance)
    low, high = _as_range((0.0, 1.0) if between is None else between, dtype)
    return Corruption(name, chance, low, high)


def _as_range(between: object, dtype: np.dtype[Any]) -> tuple[float, float]:
    if not isinstance(between, (tuple, list, np.ndarray)) or len(between) != 2:
        raise TypeError(f"corruption_range: expected a pair (low, high), got {describe(between)}")
    low, high = (
        as_real_of(value, f"corruption_range[{i}]", dtype, low=-np.inf)
        for i, value in enumerate(between)
    )
    if low >= high:
        raise ValueError(f"corruption_range: expected low < high, got {low:g} and {high:g}")
    return low, high
