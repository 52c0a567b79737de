"""``dsmfast normalize``: the normaliser of a model, kept with it."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

from dsmfast._files import written_aside
from dsmfast.cli.arguments import DATA_HELP, add_command, add_table, add_threads
from dsmfast.cli.directory import undisturbed
from dsmfast.cli.inputs import check_no_table, doubt_normalizer, file_of, read_model, read_rows_for
from dsmfast.cli.operands import add_operands
from dsmfast.cli.outputs import check_output
from dsmfast.likelihood import METHODS
from dsmfast.model import ScoreModel
from dsmfast.modes import DensityWarning

__all__ = ["EXAMPLES", "add", "normalized"]

EXAMPLES = """\
The log-density is minus the energy minus log Z. This finds log Z and keeps it with the model:
exactly where the model is small, otherwise by annealed importance sampling, with a standard error.
Give the rows that the model was trained on: chains then also start from them, and where the two
ways disagree, the model's probability is not where the data are. What is printed says so.

examples:
  dsmfast normalize spiral-model
  dsmfast normalize digits-model digits
  dsmfast normalize digits-model digits --temperatures 3000 --out better.safetensors
"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "normalize",
        _run,
        help="find the normaliser of a model, for log-densities",
        description="Find the normaliser of a model, print it, and save the model with it.",
        examples=EXAMPLES,
    )
    trained = f"rows that the model was trained on: {DATA_HELP}"
    add_operands(parser, trained, needs_data=False, data_option="--data")
    add_table(parser)
    option = parser.add_argument
    option(
        "--method",
        choices=METHODS,
        default="auto",
        metavar="METHOD",
        help=f"{', '.join(METHODS)}, annealed importance sampling (default auto: the first of the "
        "others that can be had)",
    )
    option("--chains", type=int, default=256, help="of ais (default 256)")
    option(
        "--temperatures",
        type=int,
        help="of ais: steps from a Gaussian to the model (default 1000, more if few chains count)",
    )
    option("--seed", type=int, default=0, help="of the chains (default 0)")
    option(
        "--out",
        type=Path,
        metavar="FILE",
        help=".safetensors file to save the model to (default: where it came from)",
    )
    add_threads(parser)


def _run(args: argparse.Namespace) -> int:
    if args.data is None:
        check_no_table(args, " with DATA")
    model = read_model(args.model)
    target = _target(args)
    rows = None if args.data is None else read_rows_for(model, args.data, args)
    names = ("method", "chains", "temperatures", "seed", "threads")
    found = normalized(model, data=rows, **{name: getattr(args, name) for name in names})
    with undisturbed():
        found.save(target)
    print(found.log_normalizer)
    print(f"{target}: the model, with its normaliser")
    doubt_normalizer(found, target)
    return 0


def _target(args: argparse.Namespace) -> Path:
    """Return the file to save to, once it is known that one may write there."""
    if args.out is not None:
        check_output(args.out, (".safetensors",))
        return Path(args.out)
    target = file_of(args.model)
    with written_aside(target, rename=False):
        pass
    return target


def normalized(model: ScoreModel, **options: Any) -> ScoreModel:
    """Return a model with its normaliser; without a warning, for commands say it in a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DensityWarning)
        return model.normalized(**options)
