"""Where rows come from: an array in memory, or anything with row slices, a window at a time.

An epoch visits the windows of a source in an order drawn from the seed, and the rows of each window
in an order of their own: rows that are more than a window apart never meet in a batch. An array in
memory is one window, so there the shuffle is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast.arrays import (
    Array,
    as_real,
    as_real_array,
    as_rows,
    bad_row_error,
    check_finite,
    describe,
    narrowed,
)
from dsmfast.objectives import Task, as_task

__all__ = [
    "InMemory",
    "Reader",
    "Source",
    "Streamed",
    "Window",
    "as_reader",
    "tasks_of",
    "training_rows",
]

SAMPLE = 2**23  # values that the start and sigma="auto" go by where not all are in memory

VALUES = 2**25  # of a window, unless the user says: 128 MB of float32
ALL_WINDOWS = 2**32 - 1  # the number under which the order of the windows is drawn


@dataclass(frozen=True)
class Window:
    """Rows that are in memory together, as a task, and the order in which an epoch takes them."""

    task: Task
    order: npt.NDArray[np.int64]


class Source(Protocol):
    """What an epoch runs over."""

    shape: tuple[int, int]

    def windows(self, seed: int, epoch: int, steps_done: int) -> Iterator[tuple[int, Window]]:
        """Yield the windows of an epoch that are not done, each with its first step."""


class InMemory:
    """All rows at once."""

    def __init__(self, task: Task) -> None:
        self.shape: tuple[int, int] = (len(task.x), task.x.shape[1])
        self._task = task

    def windows(self, seed: int, epoch: int, steps_done: int) -> Iterator[tuple[int, Window]]:
        """Yield the one window."""
        yield 0, Window(self._task, _core.shuffled_rows(seed, epoch, self.shape[0]))


class Reader:
    """Rows of an array-like, converted and multiplied by ``scale``.

    Parameters
    ----------
    X : array-like
        With ``shape`` (n, n_features), ``dtype`` and slices of rows.
    name : str
        Of the argument, for errors.
    dtype : dtype
        What rows are converted to.
    scale : float
        What they are multiplied by.
    """

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
        self._X = X
        self._name = name
        self._scale = scale

    def read(self, first: int, rows: int, out: Array | None = None) -> Array:
        """Return finite rows from ``first`` on, written to the begin of ``out`` if it is given."""
        shape = (rows, self.shape[1])
        target = np.empty(shape, self.dtype) if out is None else out[:rows]
        raw = np.asarray(self._X[first : first + rows])
        if raw.shape != shape:
            raise ValueError(
                f"{self._name}: expected shape {shape} of rows {first} to {first + rows}, "
                f"got {raw.shape}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            if self._scale == 1:
                np.copyto(target, raw, casting="unsafe")
            else:
                np.multiply(raw, self._scale, out=target, dtype=self.dtype, casting="unsafe")
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


class Streamed:
    """Windows read ahead: while one is trained on, a thread reads the next."""

    def __init__(
        self, reader: Reader, window: int, batch_size: int, as_task: Callable[[Array, int], Task]
    ) -> None:
        self.shape = reader.shape
        self._reader = reader
        self._window = window
        self._batch_size = batch_size
        self._as_task = as_task  # of rows, and the place of the first
        size = (min(window, reader.shape[0]), reader.shape[1])
        self._buffers = [np.empty(size, reader.dtype) for _ in range(2)]

    def windows(self, seed: int, epoch: int, steps_done: int) -> Iterator[tuple[int, Window]]:
        """Yield the windows that are not done, in an order drawn from the seed."""
        n = self.shape[0]
        count = -(-n // self._window)
        order = _core.shuffled_rows(seed, epoch, count, ALL_WINDOWS)
        lengths = np.minimum(n - order * self._window, self._window)
        steps = -(-lengths // self._batch_size)
        first_steps = np.cumsum(steps) - steps
        todo = np.flatnonzero(first_steps + steps > steps_done)
        buffers = self._buffers
        with _ReadingAhead() as ahead:
            for turn, i in enumerate(todo):
                if turn == 0:
                    ahead.start(self._load, int(order[i]), buffers[0])
                task = ahead.result()
                if turn + 1 < len(todo):
                    following = int(order[todo[turn + 1]])
                    ahead.start(self._load, following, buffers[(turn + 1) % 2])
                rows = _core.shuffled_rows(seed, epoch, len(task.x), int(order[i]) + 1)
                yield int(first_steps[i]), Window(task, rows)

    def _load(self, window: int, buffer: Array) -> Task:
        first = window * self._window
        rows = min(self._window, self.shape[0] - first)
        return self._as_task(self._reader.read(first, rows, buffer), first)


class _ReadingAhead:
    """A thread with one thing to do at a time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "dsmfast-reader")
        self._pending: Future[Task] | None = None

    def __enter__(self) -> _ReadingAhead:
        return self

    def __exit__(self, *_: object) -> None:
        # Not waiting: Ctrl-C is not to take as long as the disk does.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def start(self, load: Callable[[int, Array], Task], window: int, buffer: Array) -> None:
        self._pending = self._pool.submit(load, window, buffer)

    def result(self) -> Task:
        assert self._pending is not None
        return self._pending.result()


def _is_streamed(X: object) -> bool:
    """Whether rows are read by slices rather than all at once.

    That is what is not an array in memory but looks like one (h5py, zarr), files that are mapped
    into memory, and arrays of types narrower than those of training.
    """
    if isinstance(X, np.ma.MaskedArray):
        return False
    if isinstance(X, np.ndarray):
        narrow = X.dtype.kind in "fiu" and X.dtype.itemsize < 4
        return X.ndim == 2 and (isinstance(X, np.memmap) or narrow)
    dtype, shape = getattr(X, "dtype", None), getattr(X, "shape", None)
    return isinstance(dtype, np.dtype) and isinstance(shape, tuple) and hasattr(X, "__getitem__")


def _window_rows(window: object, shape: tuple[int, int], batch_size: int) -> int:
    """Return the rows of a window, whole batches of them."""
    if window is None:
        rows = VALUES // shape[1]
    else:
        rows = int(as_real(window, "window"))
        if rows != window or isinstance(window, bool):
            raise TypeError(f"window: expected an integer, got {describe(window)}")
        if rows < batch_size:
            raise ValueError(f"window: expected at least batch_size={batch_size} rows, got {rows}")
    return max(1, rows // batch_size) * batch_size


def training_rows(
    X: npt.ArrayLike,
    name: str,
    dtype: np.dtype[Any],
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


def as_reader(
    X: Any, dtype: np.dtype[Any], scale: float, window: object, batch_size: int
) -> tuple[Reader | None, int]:
    """Return how to read data that do not come all at once, and the rows of a window."""
    if window is None and not _is_streamed(X):
        return None, 0
    rows = X if _is_streamed(X) else as_real_array(X, "X")
    reader = Reader(rows, "X", dtype, scale)
    return reader, _window_rows(window, reader.shape, batch_size)


def tasks_of(
    objective: str, shape: tuple[int, int], threads: int, options: dict[str, Any]
) -> Callable[[Array, int], Task]:
    """Return how a window of the data, and the place of its first row, become a task."""
    score = options["score"]
    given = score is not None and not callable(score)
    if given and tuple(getattr(score, "shape", ())) != shape:
        raise ValueError(
            f"score: expected a function of x, or an array of shape {shape}, got {describe(score)}"
        )

    def as_window(rows: Array, first: int) -> Task:
        own = dict(options)
        if given:
            own["score"] = np.asarray(score[first : first + len(rows)])
        return replace(as_task(objective, rows, threads, **own), first_row=first)

    return as_window
