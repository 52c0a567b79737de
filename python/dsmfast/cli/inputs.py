"""What the commands read: models, rows, and the score of the data where it is known."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dsmfast import data
from dsmfast._checks import Array, as_real_array, as_rows, check_finite, narrowed
from dsmfast.model import ScoreModel, load

__all__ = [
    "MODEL",
    "check_normalizer",
    "doubt_normalizer",
    "doubt_scales",
    "file_of",
    "read_model",
    "read_rows",
    "read_rows_for",
    "read_rows_with_gaps",
    "score_of",
]

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


def file_of(path: Path) -> Path:
    """Return the file of a model: itself, or that in the directory of a run."""
    if not path.is_dir():
        return path
    if not (path / MODEL).exists():
        raise ValueError(f"{path}: a directory without {MODEL}; is it one that train wrote?")
    return path / MODEL


def read_model(path: Path) -> ScoreModel:
    """Return the model of a file, or of the directory of a run."""
    return load(file_of(path))


def check_normalizer(model: ScoreModel, path: Path, what: str) -> None:
    """Refuse a model without the normaliser that something needs; say so where it is doubtful."""
    if model.log_normalizer is None:
        raise ValueError(
            f"{what}: {path} has no normaliser yet, without which log-densities are known up to a "
            f"constant only; dsmfast normalize --model {path} --data DATA finds it"
        )
    doubt_normalizer(model, path)


def doubt_scales(model: ScoreModel, path: Path) -> None:
    """Say so where a model was trained in a way that makes it draw what is unlike the data."""
    if model.training and "sigma_max" not in model.training:
        print(
            f"dsmfast: {path} was trained on noise of one scale: most of its probability, and so "
            "what it draws, may be elsewhere than the data",
            file=sys.stderr,
        )


def doubt_normalizer(model: ScoreModel, path: Path) -> None:
    """Say so where a normaliser is not reliable; printed, it says itself why."""
    if model.log_normalizer is not None and not model.log_normalizer.is_reliable:
        print(
            f"dsmfast: the normaliser of {path} is not reliable: log-densities may be wrong by far "
            "more than its error",
            file=sys.stderr,
        )


def read_rows_for(model: ScoreModel, name: str, key: str | None) -> Array:
    """Return finite rows in a model's precision, as wide as it takes them."""
    rows = read_rows(name, key, str(model.dtype))
    _check_width(rows, model, name)
    return rows


def read_rows_with_gaps(model: ScoreModel, name: str, key: str | None) -> Array:
    """Return rows as wide as a model takes them, in the precision of the file.

    NaN, or an empty cell, is a missing feature; what is known is finite in the model's precision.
    """
    X = as_real_array(data.load(name, key, missing=True), name)
    if X.ndim != 2:
        raise ValueError(f"{name}: expected rows of features, got an array of shape {X.shape}")
    known = narrowed(np.where(np.isnan(X), X.dtype.type(0), X), model.dtype)
    check_finite(as_rows(known, name, model.dtype), name)
    _check_width(X, model, name)
    return X


def _check_width(rows: Array, model: ScoreModel, name: str) -> None:
    if rows.shape[1] != model.n_features:
        raise ValueError(
            f"{name}: expected {model.n_features} features, as the model was trained on, "
            f"got {rows.shape[1]}"
        )


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
