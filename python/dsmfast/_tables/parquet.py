"""Tables of .parquet files, read as pandas reads them."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._system.extras import pyarrow
from dsmfast._tables.table import Columns, Table, TableOptions

__all__ = ["read_parquet"]


def read_parquet(
    stream: BinaryIO, place: str, options: TableOptions, features: tuple[str, ...] | None
) -> Table:
    """Read the columns of a table, but for what its pandas metadata call an index.

    A missing value is NaN.
    """
    arrow = pyarrow()
    try:
        file = arrow.parquet.ParquetFile(stream)
        schema = file.schema_arrow
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{place}: not a readable .parquet file: {error}") from None
    if file.metadata.num_rows == 0 or len(schema) == 0:
        raise ValueError(f"{place}: no rows of numbers")
    columns = Columns.called(schema.names, _index_of(schema, place))
    kept, notes = columns.chosen(options, features, place)
    types = arrow.types
    for i in kept:
        kind = schema.field(i).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            raise ValueError(
                f"{place}: column {columns.names[i]!r}: expected numbers, got {kind}; "
                "drop the column if it is no feature"
            )
    try:
        values = [_values_of(column) for column in _read(file, schema, kept)]
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{place}: not a readable .parquet file: {error}") from None
    names = tuple(columns.names[i] for i in kept)
    return Table(np.column_stack(values), names, tuple(notes))


def _read(file: Any, schema: Any, kept: list[int]) -> list[Any]:
    """Return some columns of a file, which it finds by name where no two share one."""
    by_name = len(set(schema.names)) == len(schema.names) and not any(
        "." in name for name in schema.names
    )  # a.b would be b within a
    if not by_name:
        table = file.read()
        return [table.column(i) for i in kept]
    table = file.read(columns=[schema.names[i] for i in kept])
    return [table.column(schema.names[i]) for i in kept]


def _values_of(column: Any) -> Array:
    """Return a column of numbers; of truth values, 0 and 1."""
    if str(column.type) == "bool":
        column = column.cast("int8")
    values: Array = column.to_numpy()
    return values


def _index_of(schema: Any, place: str) -> frozenset[int]:
    """Return the places of the columns that pandas wrote as an index.

    The index of a frame that counts its rows is no column, and described there instead.
    """
    try:
        described = (schema.pandas_metadata or {}).get("index_columns", [])
        names = [one for one in described if isinstance(one, str)]
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{place}: its pandas metadata are not readable: {error}") from None
    return frozenset(i for i, name in enumerate(schema.names) if name in names)
