"""Which kind of table a file is, standard input included."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from dsmfast._arguments.checks import Array
from dsmfast._tables.arrays import read_npy, read_npz
from dsmfast._tables.parquet import read_parquet
from dsmfast._tables.table import Columns, Table, TableOptions
from dsmfast._tables.text import read_text

__all__ = ["ENDINGS", "STDIN", "of_array", "read"]

ENDINGS = (".npy", ".npz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
STDIN = "-"

# How files begin that are no text.
_BEGINNINGS = {b"\x93NUMPY": ".npy", b"PK": ".npz", b"PAR1": ".parquet", b"\x1f\x8b": ".csv.gz"}


def read(
    path: str | os.PathLike[str],
    options: TableOptions,
    *,
    features: tuple[str, ...] | None = None,
    missing: bool = False,
) -> Table:
    """Read a table from a file, or where its name is ``-``, from standard input.

    The kind of a file is what its ending says; standard input is known by how it begins.
    """
    if os.fspath(path) == STDIN:
        content = sys.stdin.buffer.read()
        ending = next((e for b, e in _BEGINNINGS.items() if content.startswith(b)), "")
        place = "standard input"

        def opened() -> BinaryIO:
            return io.BytesIO(content)
    else:
        file = Path(path)
        if file.is_dir():
            raise IsADirectoryError(f"{file}: a directory, not a file")
        ending, place = _ending_of(file), str(file)

        def opened() -> BinaryIO:
            return file.open("rb")

    if ending != ".npz":
        options.check_no_key(place)
    if ending in (".npy", ".npz", ".parquet"):
        options.check_no_text(place)
        with opened() as stream:
            if ending == ".parquet":
                return read_parquet(stream, place, options, features)
            if ending == ".npy":
                return of_array(read_npy(stream, place), options, place, features)
            return of_array(read_npz(stream, place, options.key), options, place, features)
    if ending.endswith(".gz"):
        opened = _unpacked(opened)
    usual = "\t" if ending.startswith(".tsv") else None
    try:
        return read_text(
            lambda: _as_text(opened()),
            place,
            options,
            usual=usual,
            features=features,
            missing=missing,
        )
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{place}: not a readable .gz file: {error}") from None


def _ending_of(file: Path) -> str:
    name = file.name.lower()
    for ending in ENDINGS:
        if name.endswith(ending):
            return ending
    got = file.suffix or "no ending"
    raise ValueError(f"{file}: expected a file ending in {', '.join(ENDINGS)}, got {got}")


def _unpacked(opened: Callable[[], BinaryIO]) -> Callable[[], BinaryIO]:
    def unpacked() -> BinaryIO:
        packed = opened()
        return cast(BinaryIO, _Unpacked(fileobj=packed))

    return unpacked


class _Unpacked(gzip.GzipFile):
    """Closes what it reads from, too."""

    def close(self) -> None:
        packed: Any = self.fileobj
        super().close()
        if packed is not None:
            packed.close()


def _as_text(stream: BinaryIO) -> TextIO:
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def of_array(
    array: Array, options: TableOptions, place: str, features: tuple[str, ...] | None
) -> Table:
    """Return an array as a table of numbered columns, those that are asked for."""
    if options.columns is None and options.drop is None:
        return Table(array)
    if array.ndim != 2:
        raise ValueError(f"{place}: expected rows of features, got an array of shape {array.shape}")
    columns = Columns.numbered(array.shape[1])
    kept, notes = columns.chosen(options, features, place)
    return Table(array[:, kept], None, tuple(notes))
