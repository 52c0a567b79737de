"""Windows: how the rows of one process, or of all ranks, are cut into parts to read one by one.

A window of the data of several ranks is a window of each rank's rows: it takes of each in
proportion to what that has, so that all come to their end in the last window. All windows but the
last are whole batches, so that an epoch has as many steps as if it were in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Cut", "Shard"]


class Shard(NamedTuple):
    """What a rank has."""

    rows: int
    window: int | None = None  # how many it can have in memory at a time; None: all are there


@dataclass(frozen=True, eq=False)
class Cut:
    """The windows of the rows of all ranks, as one of the ranks sees them."""

    begins: npt.NDArray[np.int64]  # (windows + 1, ranks): where they begin in the rows of each
    batch_size: int
    rank: int

    @classmethod
    def of(cls, shards: Sequence[Shard], batch_size: int, rank: int = 0) -> Cut:
        """Return windows as long as may be, of which each rank can have its part in memory."""
        lengths = [shard.rows for shard in shards]
        total = sum(lengths)
        # By this its part is right but for a row or so, which is for the shares to say.
        most = [shard.window * total // shard.rows for shard in shards if shard.window is not None]
        window = max(1, min(most) // batch_size) * batch_size if most else total
        begins = _begins(lengths, window)
        while not _fit(begins, shards) and window > batch_size:
            window -= batch_size
            begins = _begins(lengths, window)
        return cls(begins, batch_size, rank)

    @property
    def windows(self) -> int:
        """How many there are."""
        return len(self.begins) - 1

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """How many rows each window has, of all ranks."""
        rows: npt.NDArray[np.int64] = np.diff(self.begins.sum(axis=1))
        return rows

    @property
    def total(self) -> int:
        """How many rows there are, of all ranks."""
        return int(self.begins[-1].sum())

    @property
    def first_row(self) -> int:
        """Where the rows of this rank begin in those of all ranks, one after the other."""
        return int(self.begins[-1, : self.rank].sum())

    @property
    def most(self) -> int:
        """How many rows of this rank are in memory at a time."""
        return max(1, int(np.diff(self.begins[:, self.rank]).max()))

    def part_of(self, window: int, rank: int) -> tuple[int, int]:
        """Return where a rank's part of a window begins and ends in its rows."""
        begin, end = self.begins[window : window + 2, rank].tolist()
        return begin, end

    def before(self, window: int) -> int:
        """Return how many rows of other ranks come before this rank's in a window."""
        parts = self.begins[window + 1] - self.begins[window]
        # Of a rank that has none there, no place in the window is its own.
        return int(parts[: self.rank if parts[self.rank] > 0 else None].sum())


def _begins(lengths: Sequence[int], window: int) -> npt.NDArray[np.int64]:
    """Cut the rows of ranks into windows of so many rows of all ranks."""
    left, begins = list(lengths), [[0] * len(lengths)]
    while (total := sum(left)) > 0:
        rows = min(window, total)
        # Rounded sums of shares: their differences are shares rounded up or down, and sum to all.
        sums = accumulate(left, initial=0)
        ends = [(2 * rows * before + total) // (2 * total) for before in sums]
        parts = [end - begin for begin, end in pairwise(ends)]
        left = [rest - part for rest, part in zip(left, parts, strict=True)]
        begins.append([begin + part for begin, part in zip(begins[-1], parts, strict=True)])
    return np.array(begins, dtype=np.int64)


def _fit(begins: npt.NDArray[np.int64], shards: Sequence[Shard]) -> bool:
    """Whether no rank has more of a window than it can have in memory."""
    most = np.diff(begins, axis=0).max(axis=0).tolist()
    return all(
        shard.window is None or part <= shard.window
        for part, shard in zip(most, shards, strict=True)
    )
