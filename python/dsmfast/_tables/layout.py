"""How a text file is laid out: lines above the table, what separates cells, a header or none."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TextIO

from dsmfast._arguments.frames import shortened
from dsmfast._tables.table import BLANKS, Columns, TableOptions, told_apart

__all__ = ["Layout", "cells_of", "is_number", "layout_of"]

_CANDIDATES = (",", ";", "\t", BLANKS)
_WORDS = {";": "';'", "\t": "tabs", BLANKS: "blanks"}
# Not what float() takes: that has digits of other scripts, and 1_000.
_NUMBER = re.compile(
    r"\s*[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|inf|infinity)\s*",
    re.IGNORECASE,
)
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")
_CELL = re.compile(r'"([^"]*)"|(\S+)')

# A header, and what is below it, are looked for in so many lines.
_LINES = 1000


class Layout(NamedTuple):
    """How a text file is laid out."""

    separator: str
    above: int  # lines before the first row, comments and the header among them
    header: int | None  # the line of the header, counted from 1; None without
    columns: Columns
    notes: tuple[str, ...]


def is_number(cell: str) -> bool:
    """Whether a cell is a number, as files have them."""
    return _NUMBER.fullmatch(cell) is not None


def cells_of(lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of lines that are not blank, and where each ends: its line, from 1."""
    if separator != BLANKS:
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        yield from ((reader.line_num, cells) for cells in reader if cells)
        return
    for number, line in enumerate(lines, start=1):
        if cells := [quoted or plain for quoted, plain in _CELL.findall(line)]:
            yield number, cells


def layout_of(
    stream: TextIO,
    place: str,
    options: TableOptions,
    usual: str | None,
    features: tuple[str, ...] | None,
) -> Layout:
    """Look at the first lines of a file; ``usual`` is what its ending says of the separator.

    A header may be recognised by ``features``, the names of columns that a model knows.
    """
    above, comments, lines = _first_lines(stream)
    separator = options.separator or usual or _separator_of(lines)
    records = list(islice(cells_of(lines, separator), 2))
    if not records:
        raise ValueError(f"{place}: no rows of numbers")
    (end, cells), below = records[0], records[1][1] if len(records) > 1 else None
    cells = [cell.strip() for cell in cells]
    notes = []
    is_header = options.header == "yes"
    if options.header == "auto" and _is_header(cells, below, features):
        is_header = True
        notes.append(f"took line {above + end} for the header: {shortened(told_apart(cells))}")
    if is_header and below is None:
        raise ValueError(f"{place}: no rows of numbers")
    if options.separator is None and usual is None and separator in _WORDS:
        notes.append(f"took {_WORDS[separator]} for what separates cells")
    if comments:
        count = "a line that begins" if comments == 1 else f"{comments} lines that begin"
        notes.append(f"left out {count} with #")
    columns = Columns.called(cells) if is_header else Columns.numbered(len(cells))
    first = above + end if is_header else above
    return Layout(separator, first, first if is_header else None, columns, tuple(notes))


def _first_lines(stream: TextIO) -> tuple[int, int, list[str]]:
    """Return how many lines are above a table, how many of these begin with #, and what follows.

    Further down, # begins no comment: #N/A is what spreadsheets write into cells.
    """
    above = comments = 0
    for line in stream:
        if line.lstrip().startswith("#"):
            comments += 1
        elif line.strip():
            return above, comments, [line, *islice(stream, _LINES)]
        above += 1
    return above, comments, []


def _separator_of(lines: list[str]) -> str:
    """Return what cuts the first two rows into as many cells, most of them numbers; or commas."""
    best, most = ",", 0
    for separator in _CANDIDATES:
        try:
            records = [cells for _, cells in islice(cells_of(lines, separator), 2)]
        except csv.Error:
            continue
        widths = {len(cells) for cells in records}
        numbers = sum(map(is_number, records[-1])) if records else 0
        if len(widths) == 1 and widths != {1} and numbers > most:
            best, most = separator, numbers
    return best


def _is_header(cells: list[str], below: list[str] | None, features: tuple[str, ...] | None) -> bool:
    """Whether a first line is one of names."""
    if not any(cells):
        return False
    if not any(map(is_number, cells)):
        return True
    if features is not None and set(features) <= set(cells):
        return True
    unnamed = 0  # cells before those of names, above an index
    while not cells[unnamed]:
        unnamed += 1
    if cells[unnamed:] != [str(i) for i in range(len(cells) - unnamed)]:
        return False
    # A column of counts may begin with 0. What pandas writes below its 0 has a point.
    return len(cells) > 1 or not (below and _INTEGER.fullmatch(below[0]))
