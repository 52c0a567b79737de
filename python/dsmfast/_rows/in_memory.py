"""Rows in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import (
    Array,
    as_real,
    as_real_array,
    as_rows,
    check_finite,
    narrowed,
)
from dsmfast._rows.fingerprint import fingerprint
from dsmfast._rows.rows import OneWindow, Rows, Window, Windows
from dsmfast.data import split

__all__ = ["InMemory", "in_memory"]

T = TypeVar("T")


def in_memory(
    X: npt.ArrayLike,
    name: str,
    dtype: np.dtype[np.floating],
    columns: int | None,
    threads: int,
    scale: float,
) -> Array:
    """Return finite rows in the precision of training: where data in memory are converted."""
    rows = as_real_array(X, name)
    if rows.dtype != dtype:
        rows = narrowed(rows, dtype)
    rows = as_rows(rows, name, dtype, columns)
    if scale != 1:
        with np.errstate(over="ignore"):
            rows = rows * dtype.type(scale)
    check_finite(rows, name, threads)
    return rows


class InMemory(Rows):
    """All rows, as an array."""

    def __init__(self, x: Array) -> None:
        self.shape = (len(x), x.shape[1])
        self.dtype = x.dtype
        self._x = x

    def head(self) -> Array:
        """Return the rows."""
        return self._x

    def read(self, first: int, rows: int, out: Array | None = None) -> Array:
        """Return rows from ``first`` on, where they are."""
        return self._x[first : first + rows]

    def windows(self, make: Callable[[Window], T]) -> Windows[T]:
        """Return one window."""
        return OneWindow(make(Window(self._x)), len(self._x))

    def fingerprint(self) -> str:
        """Return what tells these rows from others."""
        return fingerprint(self._x)

    def split(self, fraction: object, seed: int) -> tuple[Rows, Array]:
        """Return rows to train on, and a fraction of them held out at random."""
        part = as_real(fraction, "validation", inclusive=True)
        if not 0 < part < 1 or len(self._x) < 2:
            raise ValueError(
                "validation: expected rows, or a fraction between 0 and 1 of at least two rows, "
                f"got {part:g} of {len(self._x)}"
            )
        rows, held_out = split(self._x, part, seed)
        return InMemory(rows), held_out
