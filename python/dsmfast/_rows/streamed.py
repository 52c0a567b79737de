"""Rows that are not all in memory: anything with row slices, read a window at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np

from dsmfast import _core
from dsmfast._checks import Array, bad_row_error
from dsmfast._rows.fingerprint import sketch
from dsmfast._rows.mapped import by_plain_reads
from dsmfast._rows.rows import Digests, Rows, Visit, Window, Windows

__all__ = ["Reader", "Streamed"]

T = TypeVar("T")

SAMPLE = 2**23  # values that the start and sigma="auto" go by where not all are in memory
ALL_WINDOWS = 2**32 - 1  # the number under which the order of the windows is drawn


class Reader:
    """Rows of what has ``shape``, ``dtype`` and slices; converted, and multiplied by ``scale``."""

    def __init__(self, X: Any, name: str, dtype: np.dtype[Any], scale: float) -> None:
        shape = tuple(X.shape)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(
                f"{name}: expected shape (n, n_features), neither of them 0, got {shape}"
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

    def windows(self, make: Callable[[Window], T]) -> Windows[T]:
        """Return windows that are read ahead."""
        return _WindowsAhead(self, self._reader, self._batch_size, make)

    def fingerprint(self) -> str:
        """Return what tells these rows from others."""
        return sketch(self._reader.X)

    def sharded(self) -> Rows:
        """Refuse it."""
        raise ValueError("comm: expected X in memory on each rank, not read by windows")


class _WindowsAhead(Generic[T]):
    """Windows read ahead: while one is trained on, a thread reads the next."""

    def __init__(
        self, rows: Streamed, reader: Reader, batch_size: int, make: Callable[[Window], T]
    ) -> None:
        assert rows.window is not None
        assert rows.digests is not None
        self.first = make(Window(reader.read(0, 1)))
        self._digests = rows.digests
        self._reader = reader
        self._window = window = rows.window
        self._batch_size = batch_size
        self._make = make
        size = (min(window, reader.shape[0]), reader.shape[1])
        self._buffers = [np.empty(size, reader.dtype) for _ in range(2)]

    def epoch(self, seed: int, epoch: int, steps_done: int) -> Generator[Visit[T], None, None]:
        """Yield the windows that are not done, in an order drawn from the seed."""
        n = self._reader.shape[0]
        count = -(-n // self._window)
        order = _core.shuffled_rows(seed, epoch, count, ALL_WINDOWS)
        lengths = np.minimum(n - order * self._window, self._window)
        steps = -(-lengths // self._batch_size)
        first_steps = np.cumsum(steps) - steps
        todo = np.flatnonzero(first_steps + steps > steps_done)
        with _ReadingAhead[T]() as ahead:
            for turn, i in enumerate(todo):
                if turn == 0:
                    ahead.start(self._load, int(order[i]), self._buffers[0])
                made = ahead.result()
                if turn + 1 < len(todo):
                    following = int(order[todo[turn + 1]])
                    ahead.start(self._load, following, self._buffers[(turn + 1) % 2])
                rows = _core.shuffled_rows(seed, epoch, int(lengths[i]), int(order[i]) + 1)
                yield Visit(made, int(first_steps[i]), rows)

    def _load(self, window: int, buffer: Array) -> T:
        first = window * self._window
        rows = min(self._window, self._reader.shape[0] - first)
        read = self._reader.read(first, rows, buffer)
        if not self._digests.see(window, read):
            raise ValueError(
                f"X: expected the rows that the run was on before, and rows {first} to "
                f"{first + rows} are others; resume=False starts anew"
            )
        return self._make(Window(read, first, first))


class _ReadingAhead(Generic[T]):
    """A thread with one thing to do at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "dsmfast-reader")
        self._pending: Future[T] | None = None

    def __enter__(self) -> _ReadingAhead[T]:
        return self

    def __exit__(self, *_: object) -> None:
        # Not waiting: Ctrl-C is not to take as long as the disk does.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def start(self, load: Callable[[int, Array], T], window: int, buffer: Array) -> None:
        self._pending = self._pool.submit(load, window, buffer)

    def result(self) -> T:
        assert self._pending is not None
        return self._pending.result()
