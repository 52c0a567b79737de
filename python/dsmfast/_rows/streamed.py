"""Rows that are not all in memory: anything with row slices, read a window at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from dsmfast import _core
from dsmfast._arguments.checks import Array, bad_row_error, is_sparse
from dsmfast._arguments.frames import is_table
from dsmfast._rows.ahead import WindowsAhead
from dsmfast._rows.cut import Cut, Shard
from dsmfast._rows.fingerprint import sketch
from dsmfast._rows.mapped import by_plain_reads
from dsmfast._rows.rows import Digests, Rows, Window, Windows

__all__ = ["Reader", "Streamed", "is_larger", "is_streamed"]

T = TypeVar("T")

SAMPLE = 2**23  # values that the start and sigma="auto" go by where not all are in memory


def is_streamed(X: object) -> bool:
    """Whether rows are read by slices rather than all at once.

    That is what is not an array in memory but looks like one (h5py, zarr), files that are mapped
    into memory, and arrays of types narrower than those of training.
    """
    if isinstance(X, np.ma.MaskedArray) or is_sparse(X) or is_table(X):
        return False  # which are refused, with what to do, or are columns rather than rows
    if isinstance(X, np.ndarray):
        narrow = X.dtype.kind in "fiu" and X.dtype.itemsize < 4
        return X.ndim == 2 and (isinstance(X, np.memmap) or narrow)
    dtype, shape = getattr(X, "dtype", None), getattr(X, "shape", None)
    return isinstance(dtype, np.dtype) and isinstance(shape, tuple) and hasattr(X, "__getitem__")


def is_larger(X: Any, values: int) -> bool:
    """Whether X is a matrix that is read by slices, and of more than so many values."""
    return is_streamed(X) and len(X.shape) == 2 and math.prod(X.shape) > values


class Reader:
    """Rows of what has ``shape``, ``dtype`` and slices; converted, and multiplied by ``scale``."""

    def __init__(self, X: Any, name: str, dtype: np.dtype[Any], scale: float) -> None:
        shape = tuple(X.shape)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(
                f"{name}: expected shape (n, n_features) with n, n_features > 0, got {shape}"
            )
        if X.dtype.kind not in "fiu":
            raise TypeError(f"{name}: expected real numbers, got dtype {X.dtype}")
        self.shape: tuple[int, int] = shape
        self.dtype = dtype
        self.X = by_plain_reads(X)
        self._name = name
        self._scale = scale

    def read(self, first: int, rows: int, out: Array | None = None) -> Array:
        """Return finite rows from ``first`` on, written to the begin of ``out`` if it is given."""
        shape = (rows, self.shape[1])
        target = np.empty(shape, self.dtype) if out is None else out[:rows]
        at_once = getattr(self.X, "at_once", rows)
        for begin in range(0, rows, at_once):
            part = target[begin : begin + at_once]
            raw = np.asarray(self.X[first + begin : first + begin + len(part)])
            if raw.shape != part.shape:
                raise ValueError(
                    f"{self._name}: expected shape {part.shape} of rows {first + begin} to "
                    f"{first + begin + len(part)}, got {raw.shape}"
                )
            with np.errstate(over="ignore", invalid="ignore"):
                if self._scale == 1:
                    np.copyto(part, raw, casting="unsafe")
                else:
                    np.multiply(raw, self._scale, out=part, dtype=self.dtype, casting="unsafe")
        bad = _core.first_bad_row(target, 1)
        if bad >= 0:
            raise bad_row_error(target, self._name, bad, first)
        return target

    def some(self, blocks: int = 64) -> Array:
        """Return some rows, in blocks spread evenly over all of them."""
        n, d = self.shape
        rows = max(blocks, SAMPLE // d)
        if rows >= n:
            return self.read(0, n)
        each = rows // blocks
        sample = np.empty((blocks * each, d), self.dtype)
        for i, begin in enumerate(np.linspace(0, n - each, blocks).astype(np.int64)):
            self.read(int(begin), each, sample[i * each :])
        return sample


class Streamed(Rows):
    """Rows of a reader, so many of them in memory at a time."""

    absence = "X is not all in memory"
    digests: Digests

    def __init__(self, reader: Reader, window: int, batch_size: int) -> None:
        self.shape = reader.shape
        self.dtype = reader.dtype
        self.window = window
        self.digests = Digests()
        self._reader = reader
        self._batch_size = batch_size

    def head(self) -> Array:
        """Return some rows from all over."""
        return self._reader.some()

    def read(self, first: int, rows: int, out: Array | None = None) -> Array:
        """Return rows from ``first`` on, written to the begin of ``out`` if it is given."""
        return self._reader.read(first, rows, out)

    def windows(self, make: Callable[[Window], T]) -> Windows[T]:
        """Return windows that are read ahead."""
        cut = Cut.of([Shard(self.shape[0], self.window)], self._batch_size)
        return WindowsAhead(self, cut, self.digests, make)

    def fingerprint(self) -> str:
        """Return what tells these rows from others."""
        return sketch(self._reader.X)
