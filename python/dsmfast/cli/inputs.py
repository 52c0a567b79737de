"""What the commands read: rows, and the score of the data where it is known."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dsmfast import data
from dsmfast._checks import Array, as_real_array, as_rows, check_finite, narrowed
from dsmfast.model import ScoreModel, load

__all__ = ["MODEL", "read_model", "read_rows", "read_rows_for", "score_of"]

MODEL = "model.safetensors"  # what a run calls it in its directory


def read_rows(name: str, key: str | None, dtype: str) -> Array:
    """Return finite rows in a precision; errors name the file."""
    X = as_real_array(data.load(name, key), name)
    if X.ndim != 2:
        raise ValueError(f"{name}: expected rows of features, got an array of shape {X.shape}")
    precision = np.dtype(dtype)
    rows = as_rows(narrowed(X, precision), name, precision)
    check_finite(rows, name)
    return rows


def read_model(path: Path) -> ScoreModel:
    """Return the model of a file, or of the directory of a run."""
    if not path.is_dir():
        return load(path)
    if not (path / MODEL).exists():
        raise ValueError(f"{path}: a directory without {MODEL}; is it one that train wrote?")
    return load(path / MODEL)


def read_rows_for(model: ScoreModel, name: str, key: str | None) -> Array:
    """Return finite rows in a model's precision, as wide as it takes them."""
    rows = read_rows(name, key, str(model.dtype))
    if rows.shape[1] != model.n_features:
        raise ValueError(
            f"{name}: expected {model.n_features} features, as the model was trained on, "
            f"got {rows.shape[1]}"
        )
    return rows


def score_of(
    args: argparse.Namespace, shape: tuple[int, ...]
) -> Array | Callable[..., Array] | None:
    """Return the score of the data: rows from a file, a function, or None where it is not known."""
    if args.score is None:
        name = args.data[0] if isinstance(args.data, list) else args.data
        return data.SCORES.get(name)
    scores = as_real_array(data.read_file(args.score), str(args.score))
    if scores.shape != shape:
        raise ValueError(f"{args.score}: expected shape {shape} like DATA, got {scores.shape}")
    return scores
