"""Tables of text: numbers with something between them, names above them.

NumPy's parser, which is written in C, reads what is right. What it refuses is gone through line by
line, to read what is merely unusual, and to say where else a table is none.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import TextIO

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._tables.layout import (
    GAPS,
    TRUTH,
    Layout,
    cells_of,
    is_no_value,
    is_number,
    layout_of,
    with_gaps,
    with_point,
)
from dsmfast._tables.table import BLANKS, Table, TableOptions

__all__ = ["read_text"]


def read_text(
    opened: Callable[[], TextIO],
    place: str,
    options: TableOptions,
    *,
    usual: str | None = None,
    features: tuple[str, ...] | None = None,
    missing: bool = False,
) -> Table:
    """Read a table from text that can be opened again and again.

    ``usual`` is the separator that the file's ending speaks of, ``features`` the columns that a
    model knows. With ``missing``, an empty cell is NaN.
    """
    try:
        with opened() as stream:
            layout = layout_of(stream, place, options, usual, features)
        kept, notes = layout.columns.chosen(options, features, place)
        try:
            with opened() as stream:
                values = _by_numpy(islice(stream, layout.above, None), layout, kept, missing)
        except ValueError as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            with opened() as stream:
                values = _by_lines(stream, place, layout, kept, missing)
    except UnicodeDecodeError:
        raise ValueError(f"{place}: not UTF-8 text") from None
    except csv.Error as error:
        raise ValueError(f"{place}: {error}") from None
    names = tuple(layout.columns.names[i] for i in kept) if layout.columns.named else None
    return Table(values, names, (*layout.notes, *notes))


def _by_numpy(lines: Iterable[str], layout: Layout, kept: list[int], missing: bool) -> Array:
    """Read rows by NumPy's parser; raise ValueError where it does not."""
    width = len(layout.columns.names)
    if width == 1:
        lines = with_gaps(lines, "nan" if missing else '""')
    if layout.separator == BLANKS:
        lines = map(_closed, lines)
    elif missing:
        lines = _filled(lines, layout.separator)
    takes = [i in set(kept) for i in range(width)]
    # The width of rows is part of the type, so that NumPy checks it. Of a column that is left out,
    # whatever it holds, it keeps a letter.
    runs = [(taken, len(list(run))) for taken, run in groupby(takes)]
    kinds = [(f"{i}", "f8" if taken else "U1", (n,)) for i, (taken, n) in enumerate(runs)]
    rows = np.loadtxt(
        lines,
        dtype=np.dtype(kinds),
        delimiter=None if layout.separator == BLANKS else layout.separator,
        comments=None,
        quotechar='"',
        ndmin=1,
    )
    parts = [rows[f"{i}"] for i, (taken, _) in enumerate(runs) if taken]
    values: Array = parts[0] if len(runs) == 1 else np.concatenate(parts, axis=1)
    order = np.searchsorted(np.flatnonzero(takes), kept)
    return values if (np.diff(order) > 0).all() else values[:, order]


def _closed(line: str) -> str:
    """Return a line whose quotes it closes itself: a row of cells between blanks is one line."""
    if line.count('"') % 2:
        raise ValueError("a quote is open at the end of a line")
    return line


def _filled(lines: Iterable[str], separator: str) -> Iterator[str]:
    """Write NaN into empty cells."""
    gap = re.compile(rf"(?:^|(?<={re.escape(separator)})) *(?={re.escape(separator)}|\r?\n?$)")
    ends = (separator, separator + "\n", separator + "\r\n")
    for line in lines:
        has_gaps = separator * 2 in line or line.startswith(separator) or line.endswith(ends)
        yield gap.sub("nan", line) if has_gaps else line


def _by_lines(stream: TextIO, place: str, layout: Layout, kept: list[int], missing: bool) -> Array:
    """Read what NumPy's parser does not, or say where a table is none."""
    names = layout.columns.names
    rows: list[list[float]] = []
    are_truths: dict[int, bool] = {}  # by column: whether it has truth values rather than numbers
    below = islice(stream, layout.above, None)
    for line, cells in cells_of(below, layout.separator, one=len(names) == 1):
        where = f"{place}: line {layout.above + line}"
        if len(cells) != len(names):
            raise ValueError(f"{where}: {_other_width(cells, line, layout)}")
        row = []
        for i in kept:
            cell = cells[i].strip()
            if missing and cell in GAPS:
                row.append(np.nan)
                continue
            is_truth = cell in TRUTH
            if not (is_truth or is_number(cell)) or are_truths.setdefault(i, is_truth) != is_truth:
                called = f" under {names[i]!r}" if layout.columns.named else ""
                expected = "TRUE or FALSE, as above" if are_truths.get(i) else "a number"
                raise ValueError(
                    f"{where}, column {i + 1}: expected {expected}, got {cells[i]!r}{called}"
                    f"{_hint(cells[i], line, layout, missing)}"
                )
            row.append(TRUTH[cell] if is_truth else float(cell))
        rows.append(row)
    if not rows:
        raise ValueError(f"{place}: no rows of numbers")
    return np.array(rows)


def _other_width(cells: list[str], line: int, layout: Layout) -> str:
    count = len(layout.columns.names)
    expected = f"expected {count} column{'' if count == 1 else 's'}, got {len(cells)}"
    if layout.header is not None:
        expected += f": the header in line {layout.header} has {count}"
        if layout.separator == "," and len(cells) == 2 * count:
            expected += "; if commas are in numbers, write them with points"
        elif len(cells) == count + 1 and line == 1:
            expected += (
                "; if rows begin with their names, as R writes them, add a first cell to the "
                "header, which may be empty (col.names=NA in R)"
            )
    return expected + (_other_separator(cells[0], layout) if len(cells) == 1 else "")


def _other_separator(cell: str, layout: Layout) -> str:
    """Return what may help where a cell is several."""
    for separator, words in (
        (";", "';'"),
        ("\t", "tab"),
        ("|", "'|'"),
        (None, BLANKS),
        (",", "','"),
    ):
        parts = cell.split(separator)
        other = layout.separator != (separator or BLANKS)
        if other and len(parts) > 1 and all(map(is_number, parts)):
            return f"; if cells are separated so, say separator {words}"
    return ""


def _hint(cell: str, line: int, layout: Layout, missing: bool) -> str:
    """Return what may help where a cell is no number."""
    if "_" in cell and is_number(cell.replace("_", "")):
        return "; write it without underscores"
    if point := with_point(cell):
        words = {";": "';'", "\t": "tabs"}.get(layout.separator)
        between = "" if words is None else f" (cells are separated by {words})"
        return f"; write numbers with points, not decimal commas: {point}{between}"
    if hint := _other_separator(cell, layout):
        return hint
    if cell.strip() in GAPS:
        return "; drop the row, or fill it in with impute"
    if line == 1 and layout.header is None and not is_no_value(cell):
        return "; if this line has the names of columns, say header yes"
    if missing and not is_number(cell):
        return "; leave what is missing empty"
    if layout.columns.named:
        return "; drop the column if it is no feature"
    return ""
