"""Tab completion: the scripts that shells read for it, written by shtab."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from typing import Any

from dsmfast import data
from dsmfast._system.extras import needed
from dsmfast.cli.outputs import one_line, stdout

__all__ = ["add_completion"]

SHELLS = ("bash", "zsh", "tcsh")

# What arguments are completed with, by what metavars call them; a name in brackets may be left out,
# and the next one take its place.
FILES = ("FILE",)
DIRECTORIES = ("DIR",)
ROWS = ("DATA", "[DATA]", "TEST", "TRAIN", "[MODEL]")
MODELS = ("MODEL",)

# Names of data sets beside files. Where a model came as --model, what follows are rows.
_PREAMBLE = {
    "bash": """\
_dsmfast_rows_files() {
  compgen -W "{names}" -- "$1"
  _shtab_compgen_files "$1"
}

_dsmfast_model_files() {
  if [[ " ${COMP_WORDS[*]} " == *" --model "* && "${COMP_WORDS[COMP_CWORD-1]}" != --model ]]; then
    _dsmfast_rows_files "$1"
  else
    _shtab_compgen_files "$1"
  fi
}
""",
    "zsh": """\
_dsmfast_rows_files() {
  _alternative 'sets:data set:({names})' 'files:file:_files'
}

_dsmfast_model_files() {
  if (( ${words[(I)--model]} )) && [[ ${words[CURRENT-1]} != --model ]]; then
    _dsmfast_rows_files
  else
    _files
  fi
}
""",
}


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
            if action.option_strings and action.help == argparse.SUPPRESS:
                action.help = f"{action.metavar}, as it was given before"  # or shtab skips it
            found = _completer(shtab, str(action.metavar))
            if found is not None:
                action.complete = found  # type: ignore[attr-defined]
        names = " ".join(data.NAMED)
        preamble = {shell: text.replace("{names}", names) for shell, text in _PREAMBLE.items()}
        script = shtab.complete(parser, values, preamble=preamble)
        if values == "zsh":  # of several operands, shtab has it complete the first
            script = re.sub(r'^(\s*)"\(\*\):', r'\1"*:', script, flags=re.MULTILINE)
        try:
            with stdout() as stream:
                stream.write(f"{script}\n".encode())
        except BrokenPipeError:  # the reader of a pipe has seen enough
            parser.exit(141)
        except OSError as error:
            parser.error(one_line(error))
        parser.exit()


def _completer(shtab: Any, metavar: str) -> dict[str, str] | None:
    """Return how each shell completes an argument of that name, if it does."""
    if metavar in FILES:
        return dict(shtab.FILE)
    if metavar in DIRECTORIES:
        return dict(shtab.DIRECTORY)
    function = "_dsmfast_rows_files" if metavar in ROWS else "_dsmfast_model_files"
    if metavar in (*ROWS, *MODELS):
        return {**shtab.FILE, "bash": function, "zsh": function}
    return None


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
