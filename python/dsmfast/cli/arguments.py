"""The arguments that commands have in common, and those that are options of the package."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from dsmfast import data
from dsmfast._tables.table import TableOptions

__all__ = [
    "add_command",
    "add_data",
    "add_image_shape",
    "add_options",
    "add_score",
    "add_table",
    "add_threads",
    "add_verbose",
    "number_or_auto",
    "options_of",
    "progress_of",
]

MODEL_HELP = "a directory that train wrote, or a .safetensors file"
DATA_HELP = (
    f"a named set ({', '.join(data.NAMED)}), a file ({', '.join(data.ENDINGS)}), or - for standard "
    "input"
)


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    help: str,
    description: str,
    examples: str,
) -> argparse.ArgumentParser:
    """Add a command: what it is called, what it does, and its examples under the help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    return parser


def _known(*classes: type[Any]) -> Iterator[Field[Any]]:
    """Yield the fields that are arguments."""
    return (field for options in classes for field in fields(options) if field.metadata)


def add_options(parser: argparse._ActionsContainer, *classes: type[Any]) -> None:
    """Add an argument for each field of options that the command line is to know."""
    for one in _known(*classes):
        argument = dict(one.metadata)
        flag = argument.pop("flag", f"--{one.name.replace('_', '-')}")
        if not (one.default is None or isinstance(one.default, bool) or "(" in argument["help"]):
            argument["help"] += f" (default {one.default})"
        parser.add_argument(flag, dest=one.name, default=one.default, **argument)


def options_of(args: argparse.Namespace, *classes: type[Any]) -> dict[str, Any]:
    """Return the values of such arguments, by the names of the fields."""
    return {field.name: getattr(args, field.name) for field in _known(*classes)}


def add_data(parser: argparse.ArgumentParser, *, images: bool = False) -> None:
    """Add the argument that says where rows come from, one place or several images."""
    if images:
        what = f"{DATA_HELP}, or images and directories of them"
        parser.add_argument("data", metavar="DATA", nargs="+", help=what)
    else:
        parser.add_argument("data", metavar="DATA", help=DATA_HELP)
    add_table(parser)


def add_table(parser: argparse.ArgumentParser, what: str = "DATA is") -> None:
    """Add the arguments that say how rows are read from a file."""
    add_options(parser.add_argument_group(f"how {what} read"), TableOptions)


def add_score(parser: argparse.ArgumentParser, *, note: str = "") -> None:
    """Add the argument that says where the score of the data comes from."""
    parser.add_argument(
        "--score",
        type=Path,
        metavar="FILE",
        help=f"file, like DATA, with the score of the data at its rows; {', '.join(data.SCORES)} "
        f"needs none{note}",
    )


def add_image_shape(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says what images rows are."""
    parser.add_argument(
        "--image-shape",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="shape of the image of a row, in pixels (default: square)",
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add the argument that asks for progress where there is no terminal."""
    parser.add_argument(
        "--verbose",
        action="store_true",
        help="print progress and the time left once per second if stderr is not a terminal",
    )


def progress_of(args: argparse.Namespace) -> bool | None:
    """Return whether to show progress: by default, on a terminal."""
    return True if args.verbose else None


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says how many threads."""
    parser.add_argument("--threads", type=int, help="number of threads (default: that of OpenMP)")


def number_or_auto(text: str) -> float | str:
    """Return a number, or the word that leaves it to the data."""
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or auto, got {text!r}") from None
