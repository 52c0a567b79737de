"""The command line ``dsmfast``, with one command per module."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from dsmfast._system.build import __version__
from dsmfast.cli.commands import (
    apply,
    bench,
    connection,
    info,
    normalize,
    outliers,
    plot,
    sample,
    train,
)
from dsmfast.cli.completion import add_completion
from dsmfast.cli.operands import settle
from dsmfast.cli.outputs import check_apart, one_line, stdout

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """Errors in one line, exit status 2; options in full."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "allow_abbrev": False})

    def error(self, message: str) -> Any:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    every = _Parser(
        prog="dsmfast",
        description="Train score models on rows of data, and use them: energies, scores, samples.",
        epilog="example: dsmfast train digits --epochs 1000 --out digits-model; "
        "more examples: dsmfast train --help",
    )
    every.add_argument("--version", action="version", version=f"dsmfast {__version__}")
    add_completion(every)
    commands = every.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (train, apply, sample, normalize, outliers, connection, plot, info, bench):
        command.add(commands)
    return every


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    args = parser().parse_args(argv)
    try:
        settle(args)
        if args.command not in ("train", "normalize") and getattr(args, "out", None):
            check_apart(args, args.out)
        with stdout():
            return int(args.run(args))
    except BrokenPipeError:  # the reader of a pipe has seen enough
        return 141
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        if args.traceback:
            traceback.print_exc()
        print(f"dsmfast: {one_line(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("dsmfast: interrupted", file=sys.stderr)
        return 130
    return 2
