"""A table, and which of its columns are asked for."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dsmfast._arguments.checks import Array, as_choice, describe
from dsmfast._arguments.frames import (
    OF_A_MODEL,
    columns_called,
    lacking_columns,
    shortened,
    told_apart,
)
from dsmfast._arguments.options import option, take

__all__ = [
    "BLANKS",
    "HEADERS",
    "Columns",
    "Table",
    "TableOptions",
    "as_names",
    "leading_index",
]

HEADERS = ("auto", "yes", "no")
BLANKS = "blanks"  # spaces and tabs, any number of them between two cells
_UNNAMED = re.compile(r"(?:Unnamed: [0-9]+(?:\.[0-9]+)*)?")  # what pandas calls "" as it reads
_SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", " ": BLANKS}


class Table(NamedTuple):
    """Rows of numbers with the names of their columns.

    Attributes
    ----------
    values : ndarray
        The rows, shape (n, d), in the precision of the file. An array of a .npy or .npz file keeps
        its shape.
    names : tuple of str, or None
        Names of the d columns; None if the file has none.
    notes : tuple of str
        Decisions that were made while reading: which line was used as the header, which separator
        was detected, and which columns were left out because they are not features.

    Examples
    --------
    >>> from dsmfast import data
    >>> table = data.load_table("spiral")
    >>> table.values.shape, table.names
    ((5000, 2), None)
    """

    values: Array
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def as_names(value: str | Sequence[str] | None, name: str) -> tuple[str, ...] | None:
    """Return names of columns, of a sequence or of text in which commas are between them."""
    if value is None:
        return None
    if isinstance(value, str):
        value = next(csv.reader([value], skipinitialspace=True), [])
    names = tuple(value)
    for one in names:
        if not isinstance(one, str):
            raise TypeError(f"{name}: expected names of columns, got {describe(one)}")
        if names.count(one) > 1:
            raise ValueError(f"{name}: {one!r} is there twice")
    if not names:
        raise ValueError(f"{name}: expected names of columns, got none")
    return names


def _as_separator(value: str | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"separator: expected a character, got {describe(value)}")
    separator = _SEPARATORS.get(value, value)
    if separator == BLANKS:
        return separator
    if len(separator) != 1 or separator.isalnum() or separator in "\"'+-.#_\r\n":
        raise ValueError(
            f"separator: expected tab, {BLANKS} or one character that is no part of a number, "
            f"got {value!r}"
        )
    return separator


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How a table is read from a file; see :func:`dsmfast.data.load_table`."""

    key: str | None = option(None, "which array of a .npz file")
    columns: str | Sequence[str] | None = option(
        None,
        "columns to take, in this order: names, with commas between them; where there are none, "
        "numbers from 0",
        metavar="NAMES",
    )
    drop: str | Sequence[str] | None = option(
        None, "columns to leave out, such as an id or a label", metavar="NAMES"
    )
    separator: str | None = option(
        None,
        f"separator of the cells of a .csv file: a character, tab or {BLANKS} (default: what its "
        "first lines suggest)",
        metavar="CHARACTER",
    )
    header: str = option(
        "auto",
        "whether a .csv file begins with the names of its columns, yes or no; auto takes a line "
        "without numbers for names, and 0,1,2 and so on",
        choices=HEADERS,
    )

    like: str | None = None  # the name of another table, where its columns are to be taken

    def __post_init__(self) -> None:
        as_choice(self.header, "header", HEADERS)
        if self.columns is not None and self.drop is not None:
            raise ValueError("columns, drop: expected one of the two, got both")
        take(
            self,
            columns=as_names(self.columns, "columns"),
            drop=as_names(self.drop, "drop"),
            separator=_as_separator(self.separator),
        )

    def check_no_text(self, place: str) -> None:
        """Refuse what only text has, where there is none."""
        if self.separator is not None or self.header != "auto":
            raise ValueError(f"{place}: separator and header are for .csv and .tsv files")

    def check_no_key(self, place: str) -> None:
        """Refuse the name of an array, where there are no several."""
        if self.key is not None:
            raise ValueError(f"{place}: a key is for .npz files")


class Columns(NamedTuple):
    """The columns of a table, by name or number, and those that are an index."""

    names: tuple[str, ...]  # each another
    named: bool  # by the file, not by their numbers
    labels: frozenset[int] = frozenset()  # places of an index, which says which row it is

    @classmethod
    def numbered(cls, count: int) -> Columns:
        """Return columns that have no names."""
        return cls(tuple(map(str, range(count))), named=False)

    @classmethod
    def called(cls, names: Sequence[str], labels: frozenset[int] = frozenset()) -> Columns:
        """Return columns by their names; the first ones without are an index, as pandas writes."""
        unnamed = range(leading_index(names))
        return cls(told_apart(names), named=True, labels=labels | set(unnamed))

    def chosen(
        self, options: TableOptions, features: tuple[str, ...] | None, place: str
    ) -> tuple[list[int], list[str]]:
        """Return the places of the columns to read, in order, and what to say of them.

        ``features`` are the names that a model knows, or another table (``options.like``): these
        are taken, in its order.
        """
        may_lack = options.like is not None or features is not None  # what is taken is known
        dropped = self._places(options.drop or (), "drop", place, may_lack=may_lack)
        if options.columns is not None:
            kept = self._places(options.columns, "columns", place)
        else:
            kept = [i for i in range(len(self.names)) if i not in (*self.labels, *dropped)]
        notes: list[str] = []
        if features is not None and self.named:
            known = list(kept)
            if options.columns is None:  # a model may know an index by its name
                known += [i for i in sorted(self.labels) if i not in dropped]
            kept, notes = self._matched(kept, known, features, place, options.like)
        unread = sorted(self.labels.difference(kept, dropped))
        if index := [self.names[i] for i in unread]:
            notes.append(f"left out {shortened(index)}, an index")
        if not kept:
            raise ValueError(f"{place}: no column is left; it has {shortened(self.names)}")
        return kept, notes

    def _places(
        self, names: Sequence[str], argument: str, place: str, *, may_lack: bool = False
    ) -> list[int]:
        """Return where columns are that are asked for; blanks around a name may be too many."""
        at = {name: i for i, name in enumerate(self.names)}
        found = [name if name in at else name.strip() for name in names]
        unknown = [name for name in found if name not in at]
        if unknown and not may_lack:
            known = f"{'' if self.named else 'columns without names, '}{shortened(self.names)}"
            raise ValueError(f"{place}: no {columns_called(unknown)}; it has {known}")
        places = [at[name] for name in found if name in at]
        for i in places:
            if places.count(i) > 1:
                raise ValueError(f"{argument}: {self.names[i]!r} is there twice")
        return places

    def _matched(
        self,
        kept: list[int],
        known: list[int],
        features: tuple[str, ...],
        place: str,
        like: str | None,
    ) -> tuple[list[int], list[str]]:
        """Return the columns that features are, in their order, and what is said of others."""
        at = {self.names[i]: i for i in known}
        lacking = [name for name in features if name not in at]
        if lacking:
            expected = OF_A_MODEL if like is None else f"which {like} has"
            raise lacking_columns(place, lacking, list(at), expected)
        notes = []
        if others := [self.names[i] for i in kept if self.names[i] not in features]:
            why = "which the model was not trained on" if like is None else f"which {like} lacks"
            notes.append(f"left out {shortened(others)}, {why}")
        places = [at[name] for name in features]
        if places != sorted(places):
            notes.append(f"took the columns by their names, in the order of {like or 'the model'}")
        return places, notes


def leading_index(names: Sequence[str]) -> int:
    """Return how many columns, the first ones, are an index: they have no names.

    pandas writes them so, and calls them "Unnamed: 0" when it reads them; when it writes and reads
    that again, "Unnamed: 0.1" and so on.
    """
    unnamed = [_UNNAMED.fullmatch(name) is not None for name in names]
    return 0 if all(unnamed) else unnamed.index(False)
