"""Tables of pandas, polars and Arrow as arrays, without importing any of the three.

``numpy.asarray`` makes objects of many of them: of nullable and Arrow columns, and of bool beside
numbers. Here each column becomes numbers on its own, so that an error can name it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "OF_A_MODEL",
    "booleans_of",
    "check_columns",
    "check_order",
    "columns_called",
    "from_table",
    "in_a_line",
    "index_columns",
    "is_table",
    "lacking_columns",
    "names_of",
    "shortened",
    "taken",
    "told_apart",
    "without_index",
]

Array = npt.NDArray[Any]


def is_table(value: object) -> bool:
    """Whether it is a DataFrame, a Series, or one of Arrow's kinds of either."""
    if isinstance(value, np.ndarray) or not hasattr(value, "__array__"):
        return False
    if _is_frame(value):
        return True
    # What else has a dtype of NumPy (xarray's arrays, say) is an array already.
    kind = getattr(value, "dtype", getattr(value, "type", None))
    return hasattr(value, "to_numpy") and kind is not None and not isinstance(kind, np.dtype)


def taken(table: Any, rows: npt.NDArray[np.int64]) -> Any:
    """Return rows of a table, in this order, as a table of its kind."""
    if hasattr(table, "iloc"):
        return table.iloc[rows]
    return table.take(rows) if hasattr(table, "take") else table[rows]  # Arrow, or polars


def index_columns(schema: Any) -> frozenset[int]:
    """Return the places of the columns of Arrow that pandas wrote as an index.

    The index of a frame that counts its rows is no column, and described in the metadata instead.
    """
    try:
        described = (schema.pandas_metadata or {}).get("index_columns", [])
        names = [one for one in described if isinstance(one, str)]
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"its pandas metadata are not readable: {error}") from None
    return frozenset(i for i, name in enumerate(schema.names) if name in names)


def without_index(value: Any, name: str) -> Any:
    """Return a table of Arrow without what was the index of a pandas frame; others as they are."""
    if not hasattr(value, "column_names") or not hasattr(value, "schema"):
        return value
    try:
        index = index_columns(value.schema)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not index:
        return value
    return value.select([i for i in range(len(value.column_names)) if i not in index])


def names_of(value: object, *, numbered: bool = False) -> tuple[str, ...] | None:
    """Return the names of a table's columns; None where there is no table.

    They are text, each another, as files have them. The labels 0, 1, 2 and so on that pandas gives
    to columns without names are none, but with ``numbered``. A single row of pandas is a Series,
    whose index may have the names.
    """
    index = getattr(value, "index", None) if hasattr(value, "iloc") else None
    if getattr(value, "ndim", None) == 1 and index is not None:
        return tuple(index) if all(isinstance(label, str) for label in index) else None
    if not is_table(value) or not _is_frame(value):
        return None
    table: Any = without_index(value, "a table")
    labels = list(table.column_names if hasattr(table, "column_names") else table.columns)
    if _are_positions(labels) and not numbered:
        return None
    return told_apart([_as_text(label) for label in labels])


def _are_positions(labels: Sequence[object]) -> bool:
    """Whether labels are those that pandas gives to columns without names."""
    return all(isinstance(label, (int, np.integer)) for label in labels) and (
        list(labels) == list(range(len(labels)))
    )


def _as_text(label: object) -> str:
    """Return the name that pandas writes for a label; of several levels, as of a tuple."""
    if isinstance(label, tuple):
        return str(tuple(map(str, label)))
    return str(label)


def told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Return names that differ, where some are empty or repeated, as pandas reads them."""
    found: dict[str, None] = {}
    counts: dict[str, int] = {}
    given = set(names)
    for i, name in enumerate(names):
        unique = own = name or f"Unnamed: {i}"
        count = counts.get(own, 0)
        while unique in found or (count and unique in given):
            count += 1
            unique = f"{own}.{count}"
        counts[own] = count
        found[unique] = None
    return tuple(found)


OF_A_MODEL = "which the model was trained on"


def check_columns(
    value: object, name: str, features: Sequence[str] | None, known: str = OF_A_MODEL
) -> None:
    """Refuse a table whose columns are not these features, as far as both have names.

    Columns called by numbers are in their places: 0, 1, 2 and so on if there are no features.
    """
    held = names_of(value, numbered=True)
    if held is None or (features is not None and held == tuple(features)):
        return
    if features is None:
        if _are_numbers(held) and held != _counted(len(held)):
            raise ValueError(
                f"{name}: expected columns without names, or called 0, 1, 2 and so on in this "
                f"order, like those {known}; got {shortened(held)}; {name}.to_numpy() has no names"
            )
        return
    if names_of(value) is None and not _are_numbers(features):
        return
    if lacking := [feature for feature in features if feature not in held]:
        raise lacking_columns(name, lacking, held, known)
    raise ValueError(
        f"{name}: expected the columns {shortened(features)}, in this order, {known}; "
        f"got {shortened(held)}"
    )


def _are_numbers(names: Sequence[str]) -> bool:
    return all(name.isdecimal() for name in names)


def _counted(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def check_order(place: str, held: tuple[str, ...] | None, features: Sequence[str] | None) -> None:
    """Refuse columns that are the features in another order; "score_a" is that of "a".

    Names that are not those of the features say nothing of the order.
    """
    if held is None:
        return
    of_features = tuple(name.removeprefix("score_") for name in held)
    for expected in (features, _counted(len(held))):
        for names in (held, of_features):
            if expected and sorted(names) == sorted(expected) and names != tuple(expected):
                raise ValueError(
                    f"{place}: expected the columns in the order of the features, "
                    f"{shortened(expected)}; got {shortened(held)}"
                )


def lacking_columns(
    place: str, lacking: Sequence[str], held: Sequence[str], known: str = OF_A_MODEL
) -> ValueError:
    """Return the error for columns that are expected, and that are not there."""
    return ValueError(
        f"{place}: no {columns_called(lacking)}, {known}; it has {shortened(held) or 'none'}"
    )


def columns_called(names: Sequence[str]) -> str:
    """Return names in a line, as those of a column or of several."""
    return f"column{'s' * (len(names) > 1)} {shortened(names)}"


def in_a_line(names: Sequence[str]) -> list[str]:
    """Return names as a line shows them, without line breaks.

    They are quoted where they have commas, or blanks that could be missed, or nothing at all.
    """
    quoted = (f'"{n}"' if not n or "," in n or n != n.strip() else n for n in names)
    return [re.sub(r"\s+", " ", name) for name in quoted]


def shortened(names: Sequence[str]) -> str:
    """Return names in a line, the middle of many left out."""
    shown = in_a_line(names)
    if len(shown) > 8:
        shown = [*shown[:4], "…", *shown[-2:]]
    return ", ".join(shown)


def from_table(table: Any, name: str, *, gaps: bool = False) -> Array:
    """Return a table, or one column, as real numbers of the type that holds all of them.

    Missing values are NaN with ``gaps``, and an error without; so is NaN itself, because that is
    how a column without a mask says that a value is missing.
    """
    table = without_index(table, name)
    if not _is_frame(table):
        return _numbers(table, f"{name}: ", gaps)
    if len(plain := set(getattr(table, "dtypes", ()))) == 1 and _is_plain(plain.pop()):
        rows = np.asarray(table)  # one block of memory, which is not copied
        for i, label in enumerate(table.columns):
            if not gaps:
                _check_finite(rows[:, i], _place(name, label))
        return rows
    columns = [_numbers(column, _place(name, label), gaps) for label, column in _columns(table)]
    if not columns:
        raise ValueError(f"{name}: expected at least one column, got a table without any")
    # One copy, and features of a row side by side.
    rows = np.empty((len(columns[0]), len(columns)), np.result_type(*columns))
    for i, column in enumerate(columns):
        rows[:, i] = column
    return rows


def booleans_of(table: Any, name: str) -> npt.NDArray[np.bool_]:
    """Return a table, or one column, of truth values alone."""
    table = without_index(table, name)
    if not _is_frame(table):
        return _values(table, f"{name}: ", "b")[0]
    columns = [_values(c, _place(name, label), "b")[0] for label, c in _columns(table)]
    return np.column_stack(columns) if columns else np.zeros((len(table), 0), bool)


def _is_frame(value: object) -> bool:
    return hasattr(value, "columns") and (hasattr(value, "dtypes") or hasattr(value, "schema"))


def _is_plain(dtype: object) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "fiu"


def _place(name: str, label: object) -> str:
    return f"{name}: column {label!r}: "


def _columns(table: Any) -> Iterator[tuple[Any, Any]]:
    if hasattr(table, "iloc"):  # pandas, where two columns may have one name
        return ((label, table.iloc[:, i]) for i, label in enumerate(table.columns))
    if hasattr(table, "column_names"):  # Arrow
        return zip(table.column_names, table.columns, strict=True)
    return zip(table.columns, table.get_columns(), strict=True)  # polars


_EXPECTED = {"fiub": "real numbers", "b": "booleans"}  # by the kinds of their types


def _values(
    column: Any, where: str, kinds: str, gaps: bool = False
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return the values of a column, and where it has none; ``where`` begins the errors."""
    kind = getattr(column, "dtype", getattr(column, "type", None))
    missing = _missing(column)
    # A value has to stand in each row, or numbers become objects.
    whole = _without(column, missing) if missing.any() else column
    values = np.asarray(whole, dtype=getattr(kind, "numpy_dtype", None))
    if values.dtype.kind not in kinds or values.ndim != 1:
        raise TypeError(f"{where}expected {_EXPECTED[kinds]}, got dtype {kind}")
    if missing.any() and not gaps:
        rows = np.flatnonzero(missing)
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise ValueError(
            f"{where}expected a value in every row, got a missing one in row {rows[0]} "
            f"(counted from 0){more}"
        )
    return values, missing


def _numbers(column: Any, where: str, gaps: bool) -> Array:
    """Return a column as numbers; of truth values, 0 and 1."""
    values, missing = _values(column, where, "fiub", gaps)
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    if not missing.any():
        if values.dtype.kind == "f" and not gaps:
            _check_finite(values, where)
        return values
    wide = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    found = np.full(len(missing), np.nan, wide)
    found[~missing] = values
    return found


def _missing(column: Any) -> npt.NDArray[np.bool_]:
    """Return where a column has no value."""
    for name in ("isna", "is_null"):  # of pandas, and of polars and Arrow
        if hasattr(column, name):
            return np.asarray(getattr(column, name)(), dtype=bool)
    return np.zeros(len(column), bool)


def _without(column: Any, missing: npt.NDArray[np.bool_]) -> Any:
    """Return a column without the rows where it has no value."""
    return column[~missing] if hasattr(column, "iloc") else column.filter(~missing)


def _check_finite(values: Array, where: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"{where}expected finite values, got {values[bad[0]]} in row {bad[0]} (counted from 0)"
        )
