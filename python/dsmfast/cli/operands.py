"""The operands of a command, MODEL and then DATA, and the options that these have been before.

Scripts still say ``--model MODEL DATA``. An option takes the place of an operand, so argparse does
not know how many are missing: it requires none, and what it found is put in order here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from dsmfast.cli.arguments import MODEL_HELP

__all__ = ["add_model_option", "add_operands", "settle"]


class _Operands(NamedTuple):
    """What a command takes."""

    needs_model: bool
    needs_data: bool
    many: bool  # whether DATA are several
    data_option: str | None  # which DATA have been before


def add_operands(
    parser: argparse.ArgumentParser,
    data_help: str,
    *,
    model_help: str = MODEL_HELP,
    needs_model: bool = True,
    needs_data: bool = True,
    many: bool = False,
    data_option: str | None = None,
) -> None:
    """Add MODEL and DATA; a command that needs no model takes a single operand for DATA."""
    for name, needed, text in (
        ("model", needs_model, model_help),
        ("data", needs_data, data_help),
    ):
        metavar = name.upper() if needed else f"[{name.upper()}]"
        nargs = "+" if many and name == "data" else None  # which, unlike "?", may follow options
        action = parser.add_argument(name, nargs=nargs, metavar=metavar, help=text)
        action.required = False
    add_model_option(parser)
    if data_option is not None:
        parser.add_argument(data_option, dest="data_option", metavar="DATA", help=argparse.SUPPRESS)
    parser.set_defaults(operands=_Operands(needs_model, needs_data, many, data_option))


def add_model_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``, which MODEL was before."""
    parser.add_argument("--model", dest="model_option", metavar="MODEL", help=argparse.SUPPRESS)


def settle(args: argparse.Namespace) -> None:
    """Put MODEL and DATA where a command looks for them, however they were given."""
    if "operands" not in args:
        return
    takes: _Operands = args.operands
    found = [] if args.model is None else [args.model]
    found += args.data or [] if takes.many else [args.data] * (args.data is not None)
    by_option = {"--model": args.model_option}
    if takes.data_option is not None:
        by_option[takes.data_option] = args.data_option
    by_option = {option: value for option, value in by_option.items() if value is not None}

    model, data = by_option.pop("--model", None), list(found)
    if model is None and len(data) > (0 if takes.needs_model else 1):
        model = data.pop(0)
    data += by_option.values()
    if (
        "" in (model, *data)  # a variable of a shell that is not set, which would be this directory
        or (takes.needs_model and model is None)
        or (takes.needs_data and not data)
        or (len(data) > 1 and not takes.many)
    ):
        raise ValueError(_expected(takes, found, args))
    args.model = None if model is None else Path(model)
    args.data = data if takes.many else next(iter(data), None)


def _expected(takes: _Operands, found: list[str], args: argparse.Namespace) -> str:
    """Return what a command takes, and what came."""
    words = ["MODEL" if takes.needs_model else "[MODEL]"]
    words.append(("DATA ..." if takes.many else "DATA") if takes.needs_data else "[DATA]")
    got = list(found)
    for option, name in (("--model", "model_option"), (takes.data_option, "data_option")):
        if option is not None and getattr(args, name) is not None:
            got += [option, getattr(args, name)]
    named = sum(not word.startswith("--") for word in got)
    alone = "only " if named == 1 and takes.needs_model else ""
    got = [word or "''" for word in got]
    return f"MODEL, DATA: expected {' '.join(words)}, got {alone}{' '.join(got) or 'neither'}"
