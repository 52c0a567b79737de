"""``dsmfast outliers``: which rows are unlike those of a sample."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dsmfast import data
from dsmfast._arguments.checks import Array, as_integer
from dsmfast.cli.arguments import add_command, add_table, add_threads, number_or_auto
from dsmfast.cli.inputs import read_table, read_table_like, tell_of
from dsmfast.cli.outputs import add_output, check_output, write_array
from dsmfast.modes import DensityWarning

if TYPE_CHECKING:
    from dsmfast.sklearn import OutlierDetector

__all__ = ["EXAMPLES", "add"]

# As dsmfast.sklearn.OutlierDetector has them, which is not imported before it is asked for.
RANKINGS = ("displacement", "model_displacement", "energy", "log_density")

EXAMPLES = """\
The output has one line per row of TEST. It contains the score, which is negative for outliers; 1
for an outlier and 0 for another row; and the p-value, which is the probability that a row like
those of TRAIN is at least as abnormal. Without TEST, each row of TRAIN is compared with the others,
and there are no p-values. Rows are compared in units of the spreads of the features, so they need
no scaling.

By default a row is ranked by the distance between it and its denoised value under the Parzen
density of the rows of TRAIN; nothing is trained. --explain adds one column per feature: the number
of standard deviations by which it is too high (or too low, if negative), given the others.

examples:
  dsmfast outliers digits --out scores.csv
  dsmfast outliers train.csv test.csv
  dsmfast outliers train.csv test.csv --explain --contamination 0.01
  dsmfast outliers train.csv test.csv --ranking energy --seed 1
"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "outliers",
        _run,
        help="find rows that differ from those of a sample",
        description="Rank rows by how much they differ from those of a sample.",
        examples=EXAMPLES,
    )
    option = parser.add_argument
    places = f"{', '.join(data.NAMED)}, or a file ({', '.join(data.ENDINGS)})"
    option("train", metavar="TRAIN", help=f"rows, most of which are normal: {places}")
    option("test", metavar="TEST", nargs="?", help="rows to rank (default: those of TRAIN)")
    add_table(parser, "TRAIN and TEST are")
    add_output(parser)
    option(
        "--ranking",
        choices=RANKINGS,
        default="displacement",
        metavar="RANKING",
        help=f"{', '.join(RANKINGS)}; all but the first train a model (default displacement)",
    )
    option(
        "--sigma",
        type=float,
        nargs="+",
        help="widths of the density of displacement, in spreads of the features (default 0.3 0.5)",
    )
    option(
        "--contamination",
        type=number_or_auto,
        help="fraction of the rows of TRAIN that are outliers (default auto, which is 0.05)",
    )
    option(
        "--explain",
        action="store_true",
        help="add one column per feature: its deviation, given the others",
    )
    option(
        "--seed", type=int, default=0, help="seed of training and of the rows held out for p-values"
    )
    add_threads(parser)


def _run(args: argparse.Namespace) -> int:
    check_output(args.out)
    as_integer(args.seed, "--seed", low=0, high=2**32 - 1)
    if args.sigma is not None and args.ranking != RANKINGS[0]:
        raise ValueError(f"--sigma: expected only with {RANKINGS[0]}, got {args.ranking}")
    train = read_table(args.train, args, "float64")
    if len(train.values) < 2:
        raise ValueError(f"{args.train}: expected at least two rows, got 1")
    tell_of(train, args.train)
    test = train
    if args.test is not None:
        test = read_table_like(args.test, args, "float64", train, args.train)
    detector = _fitted(_detector(args), train.values)
    columns = _judged(detector, test.values, train.names, args)
    write_array(args.out, np.column_stack(list(columns.values())), "outliers", tuple(columns))
    return 0


def _detector(args: argparse.Namespace) -> OutlierDetector:
    """Return the detector that is asked for, not fitted yet."""
    from dsmfast.sklearn import OutlierDetector

    options: dict[str, Any] = {} if args.test is not None else {"calibration_fraction": None}
    if args.contamination is not None:
        options["contamination"] = args.contamination
    return OutlierDetector(
        args.ranking,
        sigma=args.sigma,
        random_state=args.seed,
        threads=args.threads,
        **options,
    )


def _fitted(detector: OutlierDetector, rows: Array) -> OutlierDetector:
    """Return the detector fitted; what it warns of is said in a line."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", DensityWarning)
        detector.fit(rows)
    for warning in told:
        print(f"dsmfast: {' '.join(str(warning.message).split())}", file=sys.stderr)
    return detector


def _judged(
    detector: OutlierDetector,
    rows: Array,
    features: Sequence[str] | None,
    args: argparse.Namespace,
) -> dict[str, Array]:
    """Return columns by their names, with those of the features where they have names."""
    scores = detector.decision_function(rows)
    columns: dict[str, Array] = {"score": scores, "outlier": (scores < 0).astype(np.float64)}
    if args.test is not None:
        columns["p_value"] = detector.p_values(rows)
    if args.explain:
        deviations = detector.explain(rows)
        names = features or tuple(map(str, range(deviations.shape[1])))
        columns |= {f"displacement_{name}": deviations[:, i] for i, name in enumerate(names)}
    return columns
