"""How a text file is laid out: lines above the table, what separates cells, a header or none."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from typing import NamedTuple, TextIO

from dsmfast._arguments.frames import shortened, told_apart
from dsmfast._tables.table import BLANKS, Columns, TableOptions, leading_index

__all__ = [
    "GAPS",
    "TRUTH",
    "Layout",
    "cells_of",
    "is_no_value",
    "is_number",
    "layout_of",
    "with_gaps",
    "with_point",
]

_CANDIDATES = (",", ";", "\t", BLANKS)
_WORDS = {";": "';'", "\t": "tabs", BLANKS: "blanks"}
# Not what float() takes: that has digits of other scripts, and 1_000.
_NUMBER = re.compile(
    r"\s*[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|inf|infinity)\s*",
    re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*")
_WORD = re.compile(r"[^\s,;]+")
_BESIDE_A_QUOTE = re.compile(r'(?:^|\s)"[^"\n]*"[^\s"]')  # where it ends, blanks separate nothing
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")
_PLACE = re.compile(r"0|[1-9][0-9]{0,8}")  # of a column, where it has no other name
_CELL = re.compile(r'"([^"]*)"|(\S+)')

# What spreadsheets write into cells that have no value; it begins no comment.
_ERRORS = r"#(?:N/A N/A|N/A|NA|DIV/0!|REF!|VALUE!|NAME\?|NUM!|NULL!)"
_NO_VALUE = re.compile(_ERRORS)
_BEGINS_WITH_NO_VALUE = re.compile(rf" *{_ERRORS}(?=\s*(?:[,;\t|]|$)|\s+[-+.0-9])")
GAPS = ("", "#N/A")  # cells that lack a value

TRUTH = {
    word: value
    for value, words in ((1.0, ("TRUE", "True", "true")), (0.0, ("FALSE", "False", "false")))
    for word in words
}

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


def is_no_value(cell: str) -> bool:
    """Whether a cell is what spreadsheets write where there is no value."""
    return _NO_VALUE.fullmatch(cell.strip()) is not None


def with_point(cell: str) -> str | None:
    """Return a number that has a decimal comma with a point; None where it is none."""
    return cell.strip().replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else None


def cells_of(
    lines: Iterable[str], separator: str, *, one: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of lines that are not blank, and where each ends: its line, from 1.

    In a table of ``one`` column, a blank line above another is an empty cell.
    """
    if one:
        lines = with_gaps(lines, '""')
    if separator != BLANKS:
        reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        for cells in reader:
            if len(cells) > 1 or (cells and (one or cells[0].strip())):
                yield reader.line_num, cells
        return
    for number, line in enumerate(lines, start=1):
        if cells := [quoted or plain for quoted, plain in _CELL.findall(line)]:
            yield number, cells


def with_gaps(lines: Iterable[str], gap: str) -> Iterator[str]:
    """Write a cell into each blank line above another; the blank lines at the end are left out."""
    blank = 0
    for line in lines:
        if not line.strip():
            blank += 1
            continue
        if blank:
            yield from repeat(f"{gap}\n", blank)
            blank = 0
        yield line


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
    above, comments, last, lines = _first_lines(stream)
    separator = options.separator or usual or _separator_of(lines)
    records = _first_records(lines, separator)
    if not records:
        raise ValueError(f"{place}: no rows of numbers")
    end, cells = records[0]
    cells, below = [cell.strip() for cell in cells], [row for _, row in records[1:]]
    names, line, first = None, above + end, above
    notes = []
    if options.header == "yes":
        names, first = cells, line
    elif options.header == "auto":
        said = None if last is None else _names_in(last, separator, len(cells))
        if _is_header(cells, below, features):
            names, first = cells, line
        elif said is not None and _is_header(said, [cells], features):
            names, line, comments = said, above, comments - 1
        elif _has_places(cells, below):
            notes.append(
                f"read line {line} as a row; if it has the names of columns, say header yes"
            )
        if names is not None:
            called = shortened(told_apart(names))
            begins = "" if names is cells else ", which begins with #,"
            notes.append(f"used line {line}{begins} as the header: {called}")
    if names is cells and not below:
        raise ValueError(f"{place}: no rows of numbers")
    if options.separator is None and usual is None and separator in _WORDS:
        notes.append(f"used {_WORDS[separator]} as the separator")
    if comments:
        count = "a line that begins" if comments == 1 else f"{comments} lines that begin"
        notes.append(f"left out {count} with #")
    if names is None:
        return Layout(separator, above, None, Columns.numbered(len(cells)), tuple(notes))
    return Layout(separator, first, line, Columns.called(names), tuple(notes))


def _first_lines(stream: TextIO) -> tuple[int, int, str | None, list[str]]:
    """Return how many lines are above a table, and how many of these begin with #.

    Then the last of them if it begins so, and what follows. Further down, # begins no comment, and
    neither does a cell without a value: #N/A is what spreadsheets write.
    """
    above = comments = 0
    last = None
    for line in stream:
        if line.lstrip(" ").startswith("#") and not _BEGINS_WITH_NO_VALUE.match(line):
            comments += 1
            last = line
        elif line.strip():
            return above, comments, last, [line, *islice(stream, _LINES)]
        else:
            last = None
        above += 1
    return above, comments, None, []


def _first_records(lines: list[str], separator: str) -> list[tuple[int, list[str]]]:
    """Return the cells of lines as far as they can be told."""
    records: list[tuple[int, list[str]]] = []
    try:
        records.extend(cells_of(lines, separator))
    except csv.Error:
        if not records:
            raise
    return records


def _names_in(line: str, separator: str, count: int) -> list[str] | None:
    """Return the names of so many columns in a line that begins with #, or None.

    Words between the separator of the rows may be names. So may single words of one column, or
    between another separator, but not a sentence.
    """
    text = line.strip().lstrip("#").strip()
    for other in (separator, *_CANDIDATES):
        try:
            _, cells = next(cells_of([text], other), (0, []))
        except csv.Error:
            continue
        cells = [cell.strip() for cell in cells]
        may_have_blanks = other == separator and count > 1
        if len(cells) == count and all(
            cell if may_have_blanks else _WORD.fullmatch(cell) for cell in cells
        ):
            return cells
    return None


def _separator_of(lines: list[str]) -> str:
    """Return what cuts the first two rows best, or commas where nothing does."""
    fits = {separator: _fit_of(separator, lines) for separator in _CANDIDATES}
    best = max(fits, key=fits.__getitem__)  # the first of equals
    return best if any(fits[best]) else ","


def _fit_of(separator: str, lines: list[str]) -> tuple[bool, bool, bool, int]:
    """Return how well a separator cuts the first two rows, what matters most first.

    Best are two rows of as many cells, the last all numbers or gaps, or with many numbers. Next is
    a header one cell short of its row, as R writes it.
    """
    none = (False, False, False, 0)
    if separator == BLANKS and any(map(_BESIDE_A_QUOTE.search, lines[:2])):
        return none
    try:
        records = [cells for _, cells in islice(cells_of(lines, separator), 2)]
    except csv.Error:
        return none
    if not records:
        return none
    names, last = records[0], records[-1]
    are_numbers = [_may_be_number(cell, separator) for cell in last]
    count = sum(are_numbers)
    if len(last) == len(names) > 1 and count:
        gaps = sum(cell.strip() in GAPS for cell in last)
        return True, True, count + gaps == len(last), count
    is_cut = len(names) > 1 or not re.search(r"[,;\t]", names[0])  # by another, perhaps
    is_short = len(last) == len(names) + 1 and all(are_numbers[1:])
    return False, is_short and is_cut and not any(map(is_number, names)), False, 0


def _may_be_number(cell: str, separator: str) -> bool:
    """Whether a cell is a number, or is refused for a decimal comma."""
    has_comma = separator in (";", "\t") and with_point(cell) is not None
    return is_number(cell) or cell.strip() in TRUTH or has_comma


def _is_header(cells: list[str], below: list[list[str]], features: tuple[str, ...] | None) -> bool:
    """Whether a first line is one of names."""
    if not any(cells):
        return False
    first = below[0] if below and len(below[0]) == len(cells) else [""] * len(cells)
    if not any(_is_value(cell, under) for cell, under in zip(cells, first, strict=True)):
        return True
    if features is not None and set(features) <= set(cells):
        return True
    unnamed = leading_index(cells)
    if cells[unnamed:] != [str(i) for i in range(len(cells) - unnamed)]:
        # With a corner above an index, other places are no row either.
        return unnamed > 0 and _has_places(cells, below)
    # A column of counts may begin with 0. What pandas writes below its 0 has a point.
    return len(cells) > 1 or not (below and _INTEGER.fullmatch(below[0][0]))


def _is_value(cell: str, below: str) -> bool:
    """Whether a cell of a first line is no name."""
    if cell in TRUTH:  # which may be the name of what is true
        return below.strip() in TRUTH
    return is_number(cell) or with_point(cell) is not None or is_no_value(cell)


def _has_places(cells: list[str], below: list[list[str]]) -> bool:
    """Whether a first line may have places of columns, as pandas writes where it has no names.

    These are whole numbers, each larger than the last, and there is a column that has decimal
    points in all rows below: its first value would have one as well.
    """
    unnamed = leading_index(cells)
    places = cells[unnamed:]
    if not all(map(_PLACE.fullmatch, places)):
        return False
    numbers = [int(cell) for cell in places]
    if numbers != sorted(set(numbers)):
        return False
    rows = [row for row in below if len(row) == len(cells)]
    have = [_have_points([row[i] for row in rows]) for i in range(len(cells))]
    return any(map(all, filter(None, have[unnamed:]))) and not any(map(any, have[:unnamed]))


def _have_points(cells: list[str]) -> list[bool]:
    """Return whether cells have decimal points, of those that have a value."""
    values = [cell for cell in cells if cell.strip() and cell.strip().lower() != "nan"]
    return [is_number(cell) and not _INTEGER.fullmatch(cell) for cell in values]
