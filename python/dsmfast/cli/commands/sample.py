"""``dsmfast sample`` and ``impute``: what a model draws, and what it fills in."""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

import numpy as np

from dsmfast import images, sampling
from dsmfast._arguments.checks import Array, as_integer, narrowed
from dsmfast._system.extras import pillow
from dsmfast.cli.arguments import (
    DATA_HELP,
    add_command,
    add_image_shape,
    add_table,
    add_threads,
    add_verbose,
    progress_of,
)
from dsmfast.cli.inputs import check_no_table, doubt_scales, read_model, read_rows_with_gaps
from dsmfast.cli.operands import add_operands
from dsmfast.cli.outputs import ENDINGS, add_output, check_output, write_array
from dsmfast.model import ScoreModel
from dsmfast.plot.images import as_image_shape, black_and_white, tiled

__all__ = ["EXAMPLES", "add"]

EXAMPLES = {
    "sample": """\
Each point is the last state of its own Markov chain, which is annealed from a Gaussian to the
model. Points are therefore independent. They contain noise of the model's sigma, which --denoise
removes. If FILE is an image, points are shown side by side as images; black and white are the
smallest and the largest value.

With DATA, missing features (empty cells or NaN) are drawn from their density given the rest of the
row, once for each of --count completions. Known features stay as they are. The completions of a row
follow one another in the output. dsmfast impute gives the mean instead of draws.

examples:
  dsmfast sample digits-model --count 100 --seed 1 --out points.npy
  dsmfast sample digits-model --denoise --out sheet.png
  dsmfast sample rows-model --denoise --image-shape 28 20 --count 6 --out sheet.png
  dsmfast sample mixture-model gaps.csv --count 5
""",
    "impute": """\
Missing features (empty cells or NaN) are replaced by their mean given the rest of the row, which is
the estimate of least mean squared error. Known features stay as they are. Means vary less than data
do. For completions that vary like the data, use dsmfast sample MODEL DATA.

examples:
  dsmfast impute mixture-model gaps.csv --out filled.csv
""",
}

GAPS_HELP = f"{DATA_HELP}; empty cells of .csv files, and NaN, are missing values"


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    _add_sample(commands)
    _add_impute(commands)


def _add_sample(commands: Any) -> None:
    parser = add_command(
        commands,
        "sample",
        _sample,
        help="draw points from a model, or complete rows",
        description="Draw points from the density of a model.",
        examples=EXAMPLES["sample"],
    )
    completed = f"rows to complete: {GAPS_HELP}"
    add_operands(parser, completed, needs_data=False, data_option="--given")
    add_table(parser)
    option = parser.add_argument
    option(
        "--count",
        type=int,
        help="number of points (default 64), or with DATA, of completions per row (default 1)",
    )
    option("--denoise", action="store_true", help="remove the noise from the samples")
    _add_chains(parser)
    add_output(parser, images=True)
    add_image_shape(parser)
    add_verbose(parser)
    add_threads(parser)


def _add_impute(commands: Any) -> None:
    parser = add_command(
        commands,
        "impute",
        _impute,
        help="fill in the missing features of rows",
        description="Fill in the missing features of rows by their means.",
        examples=EXAMPLES["impute"],
    )
    add_operands(parser, f"rows: {GAPS_HELP}")
    add_table(parser)
    parser.add_argument(
        "--draws",
        type=int,
        default=100,
        help="number of draws that are averaged per row (default 100)",
    )
    _add_chains(parser)
    add_output(parser)
    add_verbose(parser)
    add_threads(parser)


def _add_chains(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option(
        "--burn-in",
        type=int,
        default=100,
        help="steps of each chain before the first draw (default 100)",
    )
    option("--seed", type=int, default=0, help="seed of the chains (default 0)")


def _sample(args: argparse.Namespace) -> int:
    is_sheet = args.out is not None and images.is_image(args.out)
    _check_options(args, is_sheet)
    model = read_model(args.model)
    shape = None
    if is_sheet:
        pillow()  # before the work
        shape = as_image_shape(args.image_shape, model.n_features, "--image-shape")
    if args.data is None:
        x = _drawn(args, model, 64 if args.count is None else args.count)
        across = None
    else:
        across = 1 if args.count is None else args.count  # of a row, in a line of their own
        x = _completed(args, model, across)
    if shape is None:
        write_array(args.out, x, "x", model.feature_names)
    else:
        images.write(args.out, _sheet(x, shape, None if across == 1 else across))
    return 0


def _check_options(args: argparse.Namespace, is_sheet: bool) -> None:
    """Refuse what has no use, before the work."""
    if args.data is None:
        check_no_table(args, " with DATA")
    if args.image_shape is not None and not is_sheet:
        got = "stdout" if args.out is None else args.out
        raise ValueError(f"--image-shape: expected only with images as --out, got {got}")
    if args.count is not None:
        as_integer(args.count, "--count", low=1, high=10**9)
    check_output(args.out, (*ENDINGS, *images.ENDINGS))


def _options(args: argparse.Namespace) -> dict[str, Any]:
    options = {name: getattr(args, name) for name in ("burn_in", "seed", "threads")}
    return {**options, "progress": progress_of(args)}


def _drawn(args: argparse.Namespace, model: ScoreModel, count: int) -> Array:
    """Return independent points."""
    doubt_scales(model, args.model)
    x = model.sample(count, **_options(args))
    return model.denoise(x, threads=args.threads) if args.denoise else x


def _completed(args: argparse.Namespace, model: ScoreModel, count: int) -> Array:
    """Return so many completions of each row; what is known, in the precision of the file."""
    rows = np.repeat(read_rows_with_gaps(model, args.data, args), count, axis=0)
    given = narrowed(rows, model.dtype)
    x = sampling.sample(model, len(rows), 1, given=given, **_options(args)).rows
    x = model.denoise(x, threads=args.threads) if args.denoise else x
    return np.where(np.isnan(rows), x, rows)


def _sheet(x: Array, shape: tuple[int, int], columns: int | None) -> Array:
    """Return images side by side as one, white between them; small ones enlarged, to be seen."""
    low, high = black_and_white(x)
    across = math.ceil(math.sqrt(len(x))) if columns is None else columns
    shades = np.clip((x.astype(np.float64) - low) / ((high - low) or 1), 0, 1)
    grid = tiled(shades, shape, across)
    factor = max(1, 64 // max(shape))
    return np.where(np.isnan(grid), 1, grid).repeat(factor, axis=0).repeat(factor, axis=1)


def _impute(args: argparse.Namespace) -> int:
    check_output(args.out)
    as_integer(args.draws, "--draws", low=1, high=10**9)
    model = read_model(args.model)
    rows = read_rows_with_gaps(model, args.data, args)
    gaps = np.isnan(rows)
    if not gaps.any():
        print(
            f"dsmfast: nothing is missing in {args.data}: no cell is empty or NaN", file=sys.stderr
        )
    given = narrowed(rows, model.dtype)
    filled = sampling.impute(model, given, draws=args.draws, **_options(args))
    whole = np.where(gaps, filled, rows)  # in the precision of the file
    write_array(args.out, whole, "x", model.feature_names)
    return 0
