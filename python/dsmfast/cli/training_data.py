"""The rows that ``dsmfast train`` reads: to train on, and held out; and what an objective needs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsmfast import data, images
from dsmfast._arguments.checks import Array, as_integer, as_real_array, as_seed, narrowed
from dsmfast._objective.options import ObjectiveOptions
from dsmfast._objective.table import OBJECTIVES, Target
from dsmfast._tables.files import STDIN
from dsmfast._tables.table import Table
from dsmfast.cli.arguments import options_of
from dsmfast.cli.directory import files_of_run
from dsmfast.cli.inputs import check_no_table, read_table, read_table_like, score_of
from dsmfast.cli.outputs import check_apart
from dsmfast.cli.pictures import expanded, read_pictures

__all__ = ["Read", "objective_of", "read"]


class Read(NamedTuple):
    """All rows, those to learn from and those held out, and the table that they are of."""

    shape: tuple[int, ...]
    rows: Array
    held_out: Array
    table: Table | None = None


def read(args: argparse.Namespace) -> Read:
    """Return the rows of files, sets or images, split for training."""
    as_seed(args.seed)
    as_integer(args.n_hidden, "--hidden", low=1, high=2**24)
    if not 0 < args.held_out < 1:
        raise ValueError(f"--held-out: expected a number between 0 and 1, got {args.held_out:g}")
    args.data = expanded(args.data)
    check_apart(args, *files_of_run(args.out))
    pictures = [name for name in args.data if images.is_image(name)]
    if len(pictures) < len(args.data) and len(args.data) > 1:
        raise ValueError(f"DATA: expected one set or file, or images, got {' '.join(args.data)}")
    for name in ("patch", "patches", "white"):
        if not pictures and getattr(args, name) is not None:
            raise ValueError(f"--{name}: expected only with images, got {args.data[0]}")
    if args.window is not None:
        return _mapped(args)
    table = None if pictures else _table(args)
    X = _patches(args) if table is None else table.values
    if len(X) < 2:
        raise ValueError(
            f"{args.data[0]}: expected at least two rows, one of them to hold out, got {len(X)}"
        )
    return Read(X.shape, *data.split(X, args.held_out, args.seed), table)


def _table(args: argparse.Namespace) -> Table:
    if args.mpi and args.data[0] == STDIN:
        raise ValueError("DATA: expected a file with --mpi; ranks cannot share standard input")
    return read_table(args.data[0], args, args.dtype)


def _patches(args: argparse.Namespace) -> Array:
    check_no_table(args)
    side = as_integer(8 if args.patch is None else args.patch, "--patch", low=2, high=4096)
    count = 50_000 if args.patches is None else args.patches
    as_integer(count, "--patches", low=2, high=10**9)
    photographs = read_pictures(args.data, args.white)
    rows = images.patches(photographs, side=side, count=count, seed=args.seed)
    return narrowed(rows, np.dtype(args.dtype))


def _mapped(args: argparse.Namespace) -> Read:
    """Map a file into memory; what is held out, the last of its rows, is read."""
    name = args.data[0]
    if Path(name).suffix.lower() != ".npy":
        raise ValueError(f"--window: expected a .npy file with it, got {name}")
    if args.score is not None:
        raise ValueError("--score: expected no --window with it, because all rows are read at once")
    check_no_table(args, " that are read at once, without --window")
    X = data.map_file(name)
    if X.ndim != 2 or len(X) < 2:
        raise ValueError(f"{name}: expected at least two rows of features, got shape {X.shape}")
    count = min(len(X) - 1, max(1, round(args.held_out * len(X))))
    held_out = narrowed(as_real_array(X[-count:], name), np.dtype(args.dtype))
    return Read(X.shape, X[:-count], held_out)


def objective_of(
    args: argparse.Namespace, shape: tuple[int, ...], names: tuple[str, ...] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the objective, for training and for judging by the rows held out."""
    objective = OBJECTIVES[args.objective]
    options = options_of(args, ObjectiveOptions)
    if args.parzen_data is not None:
        of_data = Table(np.empty((0, shape[1])), names)
        sample = read_table_like(args.parzen_data, None, args.dtype, of_data, args.data[0])
        options["data"] = sample.values
    judge = {**options, "threads": args.threads}
    if objective.noisy:
        judge["draws"] = 8
    if objective.target is Target.given or args.score is not None:
        score = score_of(args, shape, names)
        if score is None:
            raise ValueError(
                f"--score: objective {args.objective!r} needs the score of the data, a file of "
                f"shape {shape}; only {', '.join(data.SCORES)} needs none"
            )
        if isinstance(score, np.ndarray):
            score = score.astype(args.dtype)
            options["score"], judge["score"] = data.split(score, args.held_out, args.seed)
        else:
            options["score"] = judge["score"] = score
    return options, judge
