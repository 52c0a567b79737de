"""What the commands read: rows, and the score of the data where it is known."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dsmfast import data
from dsmfast.arrays import Array, as_real_array, as_rows, check_finite, narrowed

__all__ = ["add_rows", "read_rows", "score_of"]


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where rows come from."""
    named = ", ".join(data.NAMED)
    parser.add_argument("data", metavar="DATA", help=f"{named}, or a .npy, .npz or .csv file")
    parser.add_argument("--key", help="which array of a .npz file")
    known = ", ".join(data.SCORES)
    parser.add_argument(
        "--score",
        type=Path,
        metavar="FILE",
        help=f"score of the data at its rows, a file like DATA; known for {known} "
        "(with a file, training has no validation loss)",
    )


def read_rows(name: str, key: str | None, dtype: str) -> Array:
    """Return finite rows in a precision; errors name the file."""
    X = as_real_array(data.load(name, key), name)
    if X.ndim != 2:
        raise ValueError(f"{name}: expected rows of features, got an array of shape {X.shape}")
    precision = np.dtype(dtype)
    rows = as_rows(narrowed(X, precision), name, precision)
    check_finite(rows, name)
    return rows


def score_of(
    args: argparse.Namespace, shape: tuple[int, ...]
) -> Array | Callable[..., Array] | None:
    """Return the score of the data: rows from a file, a function, or None where it is not known."""
    if args.score is None:
        return data.SCORES.get(args.data)
    scores = as_real_array(data.read_file(args.score), str(args.score))
    if scores.shape != shape:
        raise ValueError(f"{args.score}: expected shape {shape} like DATA, got {scores.shape}")
    return scores
