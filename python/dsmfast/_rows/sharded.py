"""A rank's share of the rows, in memory or read by windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dsmfast._arguments.checks import Array
from dsmfast._rows.ahead import WindowsAhead
from dsmfast._rows.cut import Cut, Shard
from dsmfast._rows.rows import Digests, OneWindow, Rows, Window, Windows

__all__ = ["Sharded"]

T = TypeVar("T")


class Sharded(Rows):
    """Some of all rows, which are those of the ranks one after the other.

    If one rank has not all of its rows in memory, all go through theirs by windows.

    Parameters
    ----------
    own : Rows
        What this rank was given.
    cut : Cut
        The windows of all ranks.
    gather : callable, optional
        Returns what each rank has, on all.
    """

    absence = "each rank has a part of X"

    def __init__(
        self, own: Rows, cut: Cut, gather: Callable[[Any], list[Any]] | None = None
    ) -> None:
        self.shape = (cut.total, own.shape[1])
        self.dtype = own.dtype
        self._own = own
        self._cut = cut
        self._gather = gather
        if cut.windows > 1:
            self.window = int(cut.rows[0])
            self.digests = Digests()

    @classmethod
    def alone(cls, own: Rows, batch_size: int) -> Sharded:
        """Return the share of a rank that knows nothing of the others yet."""
        return cls(own, Cut.of([_shard(own)], batch_size))

    def placed(self, gather: Callable[[Any], list[Any]], rank: int) -> Sharded:
        """Return it in its place among those of the other ranks, which all call this."""
        cut = Cut.of(gather(_shard(self._own)), self._cut.batch_size, rank)
        return Sharded(self._own, cut, gather)

    @property
    def own_shape(self) -> tuple[int, int]:
        """The shape of those that this process was given."""
        return self._own.shape

    def head(self) -> Array:
        """Return all of the share that is in memory, or some rows from all over it."""
        return self._own.head()

    def read(self, first: int, rows: int, out: Array | None = None) -> Array:
        """Return rows of the share."""
        return self._own.read(first, rows, out)

    def windows(self, make: Callable[[Window], T]) -> Windows[T]:
        """Return windows of all ranks, of which ``make`` is given this rank's part."""
        cut = self._cut
        if self.digests is None:
            first = cut.first_row
            own = Window(self.read(0, self._own.shape[0]), first_row=first)
            return OneWindow(make(own), cut.total, first)
        return WindowsAhead(self._own, cut, self.digests, make, self._gather)

    def fingerprint(self) -> str:
        """Return what tells the share from others."""
        return self._own.fingerprint()


def _shard(own: Rows) -> Shard:
    return Shard(own.shape[0], own.window)
