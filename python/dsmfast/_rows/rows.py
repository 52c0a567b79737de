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
from dsmfast._arguments.checks import Array

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
    # Of its rows. Where ranks share them, counted from this rank's first; those that are not among
    # this rank's are another's.
    order: npt.NDArray[np.int64]


class Windows(Protocol[T_co]):
    """What an epoch runs over: windows, each made into something when it comes to memory."""

    @property
    def first(self) -> T_co:
        """What is made of the first window, or, where windows are read, of a row."""

    def epoch(self, seed: int, epoch: int, steps_done: int) -> Generator[Visit[T_co], None, None]:
        """Yield the windows of an epoch that are not done."""


class OneWindow(Generic[T]):
    """All rows at once, of which those of this process begin at ``first``."""

    def __init__(self, made: T, rows: int, first: int = 0) -> None:
        self.first = made
        self._rows = rows
        self._first = first

    def epoch(self, seed: int, epoch: int, steps_done: int) -> Generator[Visit[T], None, None]:
        """Yield the one window."""
        order = _core.shuffled_rows(seed, epoch, self._rows)
        order -= self._first
        yield Visit(self.first, 0, order)


class Digests:
    """Digests of the windows that a run has read, so that it goes on with the same."""

    def __init__(self) -> None:
        self.wanted = False  # whether anybody asks for them
        self.seen: dict[str, str] = {}
        self.expected: dict[str, str] = {}

    def of(self, rows: Array) -> str:
        """Return the digest of rows, if anybody asks for it."""
        if not self.wanted:
            return ""
        return hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).hexdigest()

    def see(self, window: int, digests: list[str]) -> int | None:
        """Take a window's digests, one of each rank; return the first rank whose is unexpected."""
        found = " ".join(digests)
        self.seen[str(window)] = found
        expected = self.expected.pop(str(window), found)
        if expected == found:
            return None
        before = str(expected).split()
        return next((i for i, digest in enumerate(digests) if before[i : i + 1] != [digest]), 0)


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

    @property
    def own_shape(self) -> tuple[int, int]:
        """The shape of those that this process was given."""
        return self.shape

    @abstractmethod
    def head(self) -> Array:
        """Return all that this process has in memory, or some from all over the rest."""

    @abstractmethod
    def read(self, first: int, rows: int, out: Array | None = None) -> Array:
        """Return rows that this process was given, by way of ``out`` if they are not in memory."""

    @abstractmethod
    def windows(self, make: Callable[[Window], T]) -> Windows[T]:
        """Return what an epoch runs over; ``make`` says what becomes of a window."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what tells these rows from others."""

    def split(self, fraction: object, seed: int) -> tuple[Rows, Array]:
        """Return rows to train on, and a fraction of them held out at random."""
        raise TypeError(
            "validation: expected rows; a fraction requires all data in the memory of one process"
        )
