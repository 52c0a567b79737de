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
    "check_columns",
    "check_score_names",
    "from_table",
    "in_a_line",
    "is_table",
    "lacking_columns",
    "names_of",
    "shortened",
    "taken",
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
    return table.take(rows) if hasattr(table, "column_names") else table[rows]


def names_of(value: object) -> tuple[str, ...] | None:
    """Return the names of a table's columns; None where these are no text, or there is no table."""
    if not is_table(value) or not _is_frame(value):
        return None
    table: Any = value
    found = tuple(table.column_names if hasattr(table, "column_names") else table.columns)
    return tuple(map(str, found)) if all(isinstance(name, str) for name in found) else None


OF_A_MODEL = "which the model was trained on"


def check_columns(
    value: object, name: str, features: Sequence[str] | None, known: str = OF_A_MODEL
) -> None:
    """Refuse a table whose columns are not these features, as far as both have names."""
    held = names_of(value)
    if features is None or held is None or held == tuple(features):
        return
    if lacking := [feature for feature in features if feature not in held]:
        raise lacking_columns(name, lacking, held, known)
    raise ValueError(
        f"{name}: expected the columns {shortened(features)}, in this order, {known}; "
        f"got {shortened(held)}"
    )


def check_score_names(
    place: str, held: tuple[str, ...] | None, features: Sequence[str] | None
) -> None:
    """Refuse columns of scores that are the features in another order; "score_a" is that of "a".

    Names that are not those of the features say nothing of the order.
    """
    if features is None or held is None:
        return
    of_features = tuple(name.removeprefix("score_") for name in held)
    for names in (held, of_features):
        if sorted(names) == sorted(features) and names != tuple(features):
            raise ValueError(
                f"{place}: expected the columns in the order of the features, "
                f"{shortened(features)}; got {shortened(held)}"
            )


def lacking_columns(
    place: str, lacking: Sequence[str], held: Sequence[str], known: str = OF_A_MODEL
) -> ValueError:
    """Return the error for columns that are expected, and that are not there."""
    return ValueError(
        f"{place}: no column {shortened(lacking)}, {known}; it has {shortened(held) or 'none'}"
    )


def in_a_line(names: Sequence[str]) -> list[str]:
    """Return names as a line shows them: with quotes where they have commas, and no line breaks."""
    return [re.sub(r"\s+", " ", f'"{name}"' if "," in name else name) for name in names]


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


def _numbers(column: Any, where: str, gaps: bool) -> Array:
    """Return a column as numbers; ``where`` begins the errors."""
    kind = getattr(column, "dtype", getattr(column, "type", None))
    missing = _missing(column)
    # A value has to stand in each row, or numbers become objects.
    whole = _without(column, missing) if missing.any() else column
    values = np.asarray(whole, dtype=getattr(kind, "numpy_dtype", None))
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{where}expected real numbers, got dtype {kind}")
    if missing.any() and not gaps:
        rows = np.flatnonzero(missing)
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise ValueError(
            f"{where}expected a value in every row, got a missing one in row {rows[0]} "
            f"(counted from 0){more}"
        )
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
