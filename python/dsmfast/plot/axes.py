"""What pictures have in common: the Axes that they are on, and the rows that they show."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import (
    Array,
    as_real_array,
    as_rows,
    check_finite,
    describe,
    narrowed,
    not_a_model,
    place_of_model,
)
from dsmfast._system.extras import matplotlib_pyplot
from dsmfast.model import ScoreModel

__all__ = ["axes_of", "check_model", "finite_rows", "some_of"]


def check_model(model: object) -> None:
    """Refuse what is no model."""
    if not isinstance(model, ScoreModel):
        raise not_a_model(model)


def finite_rows(X: object, name: str, dtype: npt.DTypeLike, columns: int | None = None) -> Array:
    """Return rows in a precision; unlike a result, a picture may be of rounded ones."""
    if place_of_model(X) is not None:
        raise not_a_model(X, name)
    rows = narrowed(as_real_array(X, name), np.dtype(dtype))
    rows = as_rows(rows, name, rows.dtype, columns)
    check_finite(rows, name)
    return rows


def some_of(rows: Array, most: int) -> Array:
    """Return so many rows at most, evenly spaced in their order."""
    chosen = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.intp)
    some: Array = rows[chosen]
    return some


def axes_of(ax: Any, width: float, height: float) -> Any:
    """Return the Axes to draw on: those given, or those of a new figure of so many inches."""
    if ax is None:
        return matplotlib_pyplot().subplots(figsize=(width, height), layout="constrained")[1]
    if not hasattr(ax, "imshow"):
        raise TypeError(f"ax: expected Axes of matplotlib, got {describe(ax)}")
    return ax
