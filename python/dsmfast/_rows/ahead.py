"""Windows that are read ahead: while one is trained on, a thread reads the next."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np

from dsmfast import _core
from dsmfast._arguments.checks import Array
from dsmfast._rows.cut import Cut
from dsmfast._rows.rows import Digests, Rows, Visit, Window

__all__ = ["WindowsAhead"]

T = TypeVar("T")

ALL_WINDOWS = 2**32 - 1  # the number under which the order of the windows is drawn


class WindowsAhead(Generic[T]):
    """The windows of a cut, of which this process reads its part.

    Parameters
    ----------
    rows : Rows
        What this process was given.
    cut : Cut
        How it is cut into windows, together with that of other ranks.
    digests : Digests
        What is known of the windows.
    make : callable
        What becomes of a window.
    gather : callable, optional
        Of several ranks: returns what each of them has, on all.
    """

    def __init__(
        self,
        rows: Rows,
        cut: Cut,
        digests: Digests,
        make: Callable[[Window], T],
        gather: Callable[[Any], list[Any]] | None = None,
    ) -> None:
        self._rows = rows
        self._cut = cut
        self._digests = digests
        self._make = make
        self._gather = gather
        self.first = make(Window(rows.read(0, 1), 0, cut.first_row))
        size = (cut.most, rows.shape[1])
        is_read = rows.window is not None
        self._buffers = [np.empty(size, rows.dtype) if is_read else None for _ in range(2)]

    def epoch(self, seed: int, epoch: int, steps_done: int) -> Generator[Visit[T], None, None]:
        """Yield the windows that are not done, in an order drawn from the seed."""
        cut = self._cut
        order = _core.shuffled_rows(seed, epoch, cut.windows, ALL_WINDOWS)
        lengths = cut.rows[order]
        steps = -(-lengths // cut.batch_size)
        first_steps = np.cumsum(steps) - steps
        todo = np.flatnonzero(first_steps + steps > steps_done)
        with _ReadingAhead[tuple[T, str]]() as ahead:
            for turn, i in enumerate(todo):
                window = int(order[i])
                if turn == 0:
                    ahead.start(self._load, window, self._buffers[0])
                made, digest = ahead.result()
                if turn + 1 < len(todo):
                    following = int(order[todo[turn + 1]])
                    ahead.start(self._load, following, self._buffers[(turn + 1) % 2])
                self._see(window, digest)
                rows = _core.shuffled_rows(seed, epoch, int(lengths[i]), window + 1)
                rows -= cut.before(window)
                yield Visit(made, int(first_steps[i]), rows)

    def _load(self, window: int, buffer: Array | None) -> tuple[T, str]:
        begin, end = self._cut.part_of(window, self._cut.rank)
        # A rank that has no rows there takes one for a task, whose place nothing asks for.
        first = min(begin, self._rows.shape[0] - 1)
        read = self._rows.read(first, max(1, end - begin), buffer)
        made = self._make(Window(read, first, self._cut.first_row + first))
        return made, self._digests.of(read)

    def _see(self, window: int, digest: str) -> None:
        """See whether a window is what it was when the run was kept."""
        if not self._digests.wanted:
            return
        # Of all ranks, for what is kept is the first one's to write. Not in the thread that reads:
        # MPI may have to be called by the one that started it.
        found = [digest] if self._gather is None else self._gather(digest)
        other = self._digests.see(window, found)
        if other is not None:
            begin, end = self._cut.part_of(window, other)
            whose = "" if self._gather is None else f" of rank {other}"
            raise ValueError(
                f"X: expected the rows that the run was on before, but rows {begin} to {end}"
                f"{whose} differ; resume=False starts anew"
            )


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

    def start(
        self, load: Callable[[int, Array | None], T], window: int, buffer: Array | None
    ) -> None:
        self._pending = self._pool.submit(load, window, buffer)

    def result(self) -> T:
        assert self._pending is not None
        return self._pending.result()
