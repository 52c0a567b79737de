"""Tab completion: the scripts that shells read for it, written by shtab."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from dsmfast._system.extras import needed
from dsmfast.cli.outputs import one_line, stdout

__all__ = ["add_completion"]

SHELLS = ("bash", "zsh", "tcsh")
FILES = ("DATA", "FILE", "MODEL", "TEST", "TRAIN")  # what metavars call them
DIRECTORIES = ("DIR",)


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the option that prints such a script."""
    parser.add_argument(
        "--print-completion",
        action=_Print,
        choices=SHELLS,
        metavar="SHELL",
        help=f"print a script for tab completion in a shell: {', '.join(SHELLS)}",
    )


class _Print(argparse.Action):
    """Print the script of the whole parser, and be done."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        try:
            shtab = needed("shtab", "--print-completion", "completion")
        except ImportError as error:
            parser.error(str(error))
        for action in _actions(parser):
            name = str(action.metavar).strip("[]")
            if name in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif name in DIRECTORIES:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        try:
            with stdout() as stream:
                stream.write(f"{shtab.complete(parser, values)}\n".encode())
        except BrokenPipeError:  # the reader of a pipe has seen enough
            parser.exit(141)
        except OSError as error:
            parser.error(one_line(error))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
