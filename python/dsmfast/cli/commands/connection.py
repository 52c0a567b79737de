"""``dsmfast connection``: the identities between the objectives, on data."""

from __future__ import annotations

import argparse
from typing import Any

from dsmfast._arguments.checks import as_integer, as_real
from dsmfast.cli.arguments import (
    DATA_HELP,
    MODEL_HELP,
    add_command,
    add_score,
    add_table,
    add_threads,
)
from dsmfast.cli.inputs import read_model, read_rows_for, read_table, score_of, tell_of
from dsmfast.cli.operands import add_operands
from dsmfast.connection import connection
from dsmfast.training import train

__all__ = ["EXAMPLES", "add"]

EXAMPLES = """\
The objectives differ by constants that do not depend on the model. The table shows each objective,
each difference, its theoretical value, and the Monte-Carlo standard error of difference minus
theoretical value. The exit status is 1 if an identity fails by more than four standard errors
(somewhat more if there are few rows to estimate them from). An identity is "unclear" if the errors
are too large to test it; this is not a failure.

examples:
  dsmfast connection mixture --sigma 0.3
  dsmfast connection digits-model digits --draws 8
"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "connection",
        _run,
        help="evaluate all objectives and check the identities between them",
        description="Evaluate all objectives of a model on the same points and noise.",
        examples=EXAMPLES,
    )
    untrained = f"{MODEL_HELP} (default: an untrained model)"
    add_operands(parser, DATA_HELP, model_help=untrained, needs_model=False)
    add_table(parser)
    add_score(parser)
    option = parser.add_argument
    option("--hidden", type=int, help="number of hidden units, without MODEL (default 128)")
    option(
        "--sigma", type=float, help="standard deviation of the noise, without MODEL (default 0.3)"
    )
    option("--draws", type=int, default=4, help="noise draws per row (default 4)")
    option("--points", type=int, default=2000, help="maximum number of rows to use (default 2000)")
    option(
        "--seed",
        type=int,
        default=0,
        help="seed of the noise and of the choice of rows (default 0)",
    )
    add_threads(parser)


def _run(args: argparse.Namespace) -> int:
    if args.model is None:
        units = 128 if args.hidden is None else args.hidden
        hidden = as_integer(units, "--hidden", low=1, high=2**24)
        sigma = as_real(0.3 if args.sigma is None else args.sigma, "--sigma")
        table = read_table(args.data, args, "float64")
        tell_of(table, args.data)
        X, names = table.values, table.names
        options = {"epochs": 0, "dtype": "float64", "seed": args.seed}
        model = train(X, hidden, sigma, **options).model
        print(f"{args.data}, and a model of {hidden} hidden units that is not trained")
    else:
        for name in ("hidden", "sigma"):
            if getattr(args, name) is not None:
                raise ValueError(f"--{name}: expected only without MODEL; {args.model} has its own")
        model = read_model(args.model)
        names = model.feature_names
        X = read_rows_for(model, args.data, args, "float64")
        print(f"{args.data}, and {args.model}")
    found = connection(
        model,
        X,
        score=score_of(args, X.shape, names),
        draws=args.draws,
        points=args.points,
        seed=args.seed,
        threads=args.threads,
    )
    print(found)
    return 0 if found.holds else 1
