"""``dsmfast normalize``: the normaliser of a model, kept with it."""

from __future__ import annotations

import argparse
import textwrap
import warnings
from pathlib import Path
from typing import Any

from dsmfast._system.files import written_aside
from dsmfast.cli.arguments import (
    DATA_HELP,
    add_command,
    add_table,
    add_threads,
    add_verbose,
    progress_of,
)
from dsmfast.cli.directory import undisturbed
from dsmfast.cli.inputs import check_no_table, doubt_normalizer, file_of, read_model, read_rows_for
from dsmfast.cli.operands import add_operands
from dsmfast.cli.outputs import check_output
from dsmfast.likelihood import METHODS
from dsmfast.model import ScoreModel
from dsmfast.modes import DensityWarning

__all__ = ["EXAMPLES", "add", "in_lines", "normalized"]

EXAMPLES = """\
The log-density is minus the energy minus log Z. This command computes log Z and saves it with the
model. The result is exact for small models; for others it is an estimate by annealed importance
sampling, with a standard error. If DATA are given, which should be the training rows, chains also
start from these rows. If the two estimates disagree, the model's probability is not where the data
are, and the output says that the normaliser is not reliable.

examples:
  dsmfast normalize mixture-model
  dsmfast normalize digits-model digits
  dsmfast normalize digits-model digits --temperatures 3000 --out better.safetensors
"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "normalize",
        _run,
        help="compute the normaliser of a model, for log-densities",
        description="Compute the normaliser of a model, print it, and save the model with it.",
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
        help=f"{', '.join(METHODS)}; ais is annealed importance sampling (default auto: the first "
        "of the others that is applicable)",
    )
    option("--chains", type=int, default=256, help="number of chains of ais (default 256)")
    option(
        "--temperatures",
        type=int,
        help="annealing steps of ais (default 1000, and more if few chains are effective)",
    )
    option("--seed", type=int, default=0, help="seed of the chains (default 0)")
    option(
        "--out",
        type=Path,
        metavar="FILE",
        help=".safetensors file to save the model to (default: the file it was read from)",
    )
    add_verbose(parser)
    add_threads(parser)


def _run(args: argparse.Namespace) -> int:
    if args.data is None:
        check_no_table(args, " with DATA")
    model = read_model(args.model)
    target = _target(args)
    rows = None if args.data is None else read_rows_for(model, args.data, args)
    names = ("method", "chains", "temperatures", "seed", "threads")
    options = {name: getattr(args, name) for name in names}
    found = normalized(model, data=rows, progress=progress_of(args), **options)
    with undisturbed():
        found.save(target)
    print(in_lines(found.log_normalizer))
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


def in_lines(normalizer: object) -> str:
    """Return what is known of a normaliser in lines that a terminal holds."""
    return textwrap.fill(str(normalizer), 79, subsequent_indent="  ", break_on_hyphens=False)


def normalized(model: ScoreModel, **options: Any) -> ScoreModel:
    """Return a model with its normaliser; without a warning, for commands say it in a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DensityWarning)
        return model.normalized(**options)
