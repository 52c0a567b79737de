"""What everything that needs rows asks them for.

An epoch visits the windows of rows in an order drawn from the seed, and the rows of each window in
an order of their own: rows that are more than a window apart never meet in a batch. Rows in memory
are one window, so there the shuffle is whole.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._checks import Array

__all__ = ["Digests", "OneWindow", "Rows", "Visit", "Window", "Windows"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Window:
    """Rows that are in memory together, finite, in the precision of training."""

    rows: Array  # (m, d)
    begin: int = 0  # where the first of them stands in the X that this process was given
    first_row: int = 0  # where it stands in all of the data, which noise goes by


@dataclass(frozen=True)
class Visit(Generic[T_co]):
    """A window's turn in an epoch."""

    made: T_co  # of the window
    first_step: int
    order: npt.NDArray[np.int64]  # of its rows


class Windows(Protocol[T_co]):
    """What an epoch runs over: windows, each made into something when it comes to memory."""

    @property
    def first(self) -> T_co:
        """What is made of the first window, or, where windows are read, of a row."""

    def epoch(self, seed: int, epoch: int, steps_done: int) -> Generator[Visit[T_co], None, None]:
        """Yield the windows of an epoch that are not done."""


class OneWindow(Generic[T]):
    """All rows at once."""

    def __init__(self, made: T, rows: int) -> None:
        self.first = made
        self._rows = rows

    def epoch(self, seed: int, epoch: int, steps_done: int) -> Generator[Visit[T], None, None]:
        """Yield the one window."""
        yield Visit(self.first, 0, _core.shuffled_rows(seed, epoch, self._rows))


class Digests:
    """Digests of the windows that a run has read, so that it goes on with the same."""

    def __init__(self) -> None:
        self.wanted = False  # whether anybody asks for them
        self.seen: dict[str, str] = {}
        self.expected: dict[str, str] = {}

    def see(self, window: int, rows: Array) -> bool:
        """Take a window's digest; return whether it is what was expected, if anything was."""
        if not self.wanted:
            return True
        digest = hashlib.blake2b(rows.data, digest_size=16).hexdigest()
        self.seen[str(window)] = digest
        return self.expected.pop(str(window), digest) == digest


class Rows(ABC):
    """Rows to train on, finite, in the precision of training."""

    shape: tuple[int, int]  # of all of them, those of other ranks included
    dtype: np.dtype[Any]
    window: int | None = None  # how many are in memory at a time, where that is not all
    absence: str | None = None  # where the rest is, if this process does not have all in memory
    digests: Digests | None = None  # of the windows, where these are read

    @property
    def is_whole(self) -> bool:
        """Whether all are in the memory of this process."""
        return self.absence is None

    @abstractmethod
    def head(self) -> Array:
        """Return all that this process has in memory, or some from all over the rest."""

    @abstractmethod
    def windows(self, make: Callable[[Window], T]) -> Windows[T]:
        """Return what an epoch runs over; ``make`` says what becomes of a window."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what tells these rows from others."""

    @abstractmethod
    def sharded(self) -> Rows:
        """Return them as one rank's share of all rows; see :meth:`placed`."""

    def split(self, fraction: object, seed: int) -> tuple[Rows, Array]:
        """Return rows to train on, and a fraction of them held out at random."""
        raise TypeError(
            "validation: expected rows; a fraction is for data that one process has in memory"
        )

    def placed(self, lengths: list[int], rank: int) -> Rows:
        """Return the share of a rank, where the ranks have so many rows each."""
        return self
