"""``dsmfast info``: how this copy was built, or what is known of a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dsmfast._arguments.frames import in_a_line
from dsmfast._system.build import build_info
from dsmfast.cli.arguments import MODEL_HELP, add_command
from dsmfast.cli.inputs import read_model
from dsmfast.cli.operands import add_model_option

__all__ = ["EXAMPLES", "add"]

EXAMPLES = """\
examples:
  dsmfast info
  dsmfast info digits-model
"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "info",
        _run,
        help="show how dsmfast was built, or how a model was trained",
        description="Show how dsmfast was built and what it runs on, or how a model was trained.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help=f"{MODEL_HELP} (default: show how dsmfast was built)",
    )
    add_model_option(parser)


def _run(args: argparse.Namespace) -> int:
    path = args.model
    if args.model_option is not None:
        if path is not None:
            raise ValueError(f"MODEL: expected one, got {path} --model {args.model_option}")
        path = Path(args.model_option)
    if path is None:
        found = build_info()
        _print({**found, "compiler": _compiler(found["compiler"])})
        return 0
    model = read_model(path)
    names = model.feature_names
    _print(
        {
            "features": model.n_features,
            "names of features": None if names is None else in_a_line(names),
            "hidden units": model.n_hidden,
            "sigma": f"{model.sigma:g}",
            "dtype": model.dtype,
            "normaliser": model.log_normalizer,
            **{f"training, {name}": value for name, value in model.training.items()},
        }
    )
    return 0


def _compiler(version: str) -> str:
    """Return the version of a compiler with its name, which all but GCC put into it themselves."""
    return f"GCC {version}" if version[:1].isdigit() else version


def _print(values: dict[str, Any]) -> None:
    for name, value in values.items():
        if value is None:
            continue
        if isinstance(value, dict):
            parts = [f"{k} {v}" for k, v in value.items() if k != "name" and v is not None]
            value = f"{value.get('name', '')} ({', '.join(parts)})".strip()
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        print(f"{name}: {shown}")
