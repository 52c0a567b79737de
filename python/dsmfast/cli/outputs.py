"""What the commands write: arrays, to a file or as CSV to stdout."""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._system.extras import pyarrow
from dsmfast._system.files import written_aside

__all__ = ["add_output", "check_apart", "check_output", "one_line", "stdout", "write_array"]

ENDINGS = (".npy", ".npz", ".csv", ".parquet")


def add_output(parser: argparse.ArgumentParser, *, images: bool = False) -> None:
    """Add the argument that says where results go."""
    known = f"{', '.join(ENDINGS)}{', or an image' if images else ''}"
    parser.add_argument(
        "--out",
        action=_Output,
        metavar="FILE",
        help=f"file to write to: {known} (default: CSV on stdout)",
    )
    parser.set_defaults(out_is_directory=False)


class _Output(argparse.Action):
    """Keeps of a name that it ends in a slash, so that it is a directory, which paths drop."""

    def __call__(
        self, parser: object, args: argparse.Namespace, value: Any, option: str | None = None
    ) -> None:
        args.out_is_directory = value.endswith(("/", os.sep))
        args.out = Path(value)


# The arguments that name what a command reads.
_INPUTS = ("model", "data", "train", "test", "score", "parzen_data")


def check_apart(args: argparse.Namespace, *targets: Path) -> None:
    """Refuse to write over what is read, by whatever names."""
    values = [getattr(args, name, None) for name in _INPUTS]
    names = [name for v in values for name in (v if isinstance(v, list) else [v]) if name]
    inputs = {_identity(path): path for path in map(Path, names) if path.is_file()}
    for target in targets:
        path = inputs.get(_identity(target)) if target.is_file() else None
        if path is not None:
            same = "" if target == path else f", which is {target},"
            raise ValueError(f"--out: {path}{same} would be overwritten; choose another name")


def _identity(path: Path) -> tuple[int, int]:
    """Return what two names of a file have in common; links are followed."""
    status = path.stat()
    return status.st_dev, status.st_ino


def check_output(path: Path | None, endings: tuple[str, ...] = ENDINGS) -> None:
    """Refuse a file that cannot be written, before the work."""
    if path is None:
        return
    if path.suffix.lower() not in endings:
        raise ValueError(
            f"--out: expected a file ending in {', '.join(endings)}, "
            f"got {path.suffix or 'no ending'} in {path}"
        )
    if path.suffix.lower() == ".parquet":
        pyarrow()
    if path.is_dir():
        raise ValueError(f"--out: {path} is a directory")
    try:
        with written_aside(path, rename=False):
            pass
    except OSError as error:
        raise ValueError(f"--out: cannot write to {path}: {error.strerror}") from None


def write_array(
    path: Path | None, values: Array, name: str, columns: tuple[str, ...] | None = None
) -> None:
    """Write an array by the file's ending; columns have names of their own, or the array's."""
    table = values[:, None] if values.ndim == 1 else values
    width = table.shape[1]
    names = [name] if values.ndim == 1 else [f"{name}_{i}" for i in range(width)]
    if columns is not None:
        names = list(columns)
    if path is None:
        with stdout() as stream:
            _write_csv(stream, table, names)
        return
    with written_aside(path) as aside, aside.open("wb") as stream:
        ending = path.suffix.lower()
        if ending == ".npy":
            np.save(_Stream(stream), values)
        elif ending == ".npz":
            np.savez(stream, **{name: values})  # type: ignore[arg-type]
        elif ending == ".csv":
            _write_csv(stream, table, names)
        else:
            arrow = pyarrow()
            arrays = {n: np.ascontiguousarray(table[:, i]) for i, n in enumerate(names)}
            arrow.parquet.write_table(arrow.table(arrays), stream)


class _Stream:
    """A file that NumPy does not know for one, and writes to by calls whose errors say what is."""

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write


@contextmanager
def stdout() -> Iterator[BinaryIO]:
    """Yield stdout for bytes, and write what it holds; where it cannot, say so and give it up."""
    try:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise type(error)(error.errno, error.strerror, "stdout") from None


def _write_csv(stream: BinaryIO, table: Array, names: list[str]) -> None:
    header = io.StringIO()
    csv.writer(header).writerow(names)  # with quotes where names have commas
    stream.write(header.getvalue().rstrip("\r\n").encode() + b"\n")
    for begin in range(0, len(table), 4096):
        stream.write(_lines(table[begin : begin + 4096]).encode())


def _lines(table: Array) -> str:
    """Return rows as text: the shortest numbers that read back as the same."""
    if table.dtype == np.float32:  # the only one that is narrower than what Python prints
        cells = [map(str, row) for row in table]
    else:
        cells = [map(repr, row) for row in table.astype(np.float64, copy=False).tolist()]
    text = "".join([f"{','.join(row)}\n" for row in cells])
    return text.replace(".0,", ",").replace(".0\n", "\n")


def one_line(error: BaseException) -> str:
    """Return an error as people read it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__
