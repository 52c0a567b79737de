"""What the commands read: models, rows, and the score of the data where it is known."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dsmfast import data, images
from dsmfast._arguments.checks import Array, as_real_array, as_rows, check_finite, narrowed
from dsmfast._arguments.frames import check_order, shortened
from dsmfast._parameters import FILE as MODEL
from dsmfast._parameters import file_of as model_file
from dsmfast._tables.files import STDIN
from dsmfast._tables.table import Table, TableOptions
from dsmfast.cli.arguments import options_of
from dsmfast.data.reading import table_of
from dsmfast.model import ScoreModel, load

__all__ = [
    "MODEL",
    "check_no_table",
    "check_normalizer",
    "doubt_normalizer",
    "doubt_scales",
    "file_of",
    "read_model",
    "read_rows_for",
    "read_rows_with_gaps",
    "read_table",
    "read_table_like",
    "score_of",
    "tell_of",
]


def read_table(
    name: str,
    args: argparse.Namespace | None,
    dtype: npt.DTypeLike,
    features: tuple[str, ...] | None = None,
    *,
    like: str | None = None,
) -> Table:
    """Return finite rows in a precision, and the names of their columns; errors name the file.

    How the file is read is what the arguments say; without any, by itself. What is known of its
    columns by ``features``, those of a model, or of another table that is called ``like``, is taken
    in their order.
    """
    table = _read(name, args, features, like=like)
    precision = np.dtype(dtype)
    rows = as_rows(narrowed(table.values, precision), name, precision)
    _check_finite(rows, name, table.names)
    return table._replace(values=rows)


def read_table_like(
    name: str,
    args: argparse.Namespace | None,
    dtype: npt.DTypeLike,
    other: Table,
    place: str,
) -> Table:
    """Return a table with the columns of another, which is at ``place``; say what was decided."""
    table = read_table(name, args, dtype, other.names, like=place)
    expected, got = other.values.shape[1], table.values.shape[1]
    if got != expected:
        raise ValueError(f"{name}: expected {expected} features, as {place} has, got {got}")
    tell_of(table._replace(notes=(*table.notes, *_assumed(table, other.names, place))), name)
    return table


def _assumed(table: Table, names: tuple[str, ...] | None, place: str) -> tuple[str, ...]:
    """Return what to say of a table without names, where others have some."""
    numbers = tuple(map(str, range(table.values.shape[1])))
    if table.names is not None or names is None or names == numbers:
        return ()
    return (f"columns without names; assumed to be those of {place}: {shortened(names)}",)


def _read(
    name: str,
    args: argparse.Namespace | None,
    features: tuple[str, ...] | None,
    *,
    missing: bool = False,
    like: str | None = None,
) -> Table:
    """Return rows of real numbers as they are in a file."""
    given = {} if args is None else options_of(args, TableOptions)
    options = TableOptions(**given, like=like)
    table = table_of(name, options, features=features, missing=missing)
    X = as_real_array(table.values, name)
    if X.ndim != 2:
        raise ValueError(f"{name}: expected rows of features, got an array of shape {X.shape}")
    return table._replace(values=X)


def _check_finite(rows: Array, name: str, names: tuple[str, ...] | None) -> None:
    try:
        check_finite(rows, name)
    except ValueError as error:
        if names is None:
            raise
        row = rows[~np.isfinite(rows).all(axis=1)][0]
        column = int(np.flatnonzero(~np.isfinite(row))[0])
        raise ValueError(f"{error}, {names[column]!r}") from None


def tell_of(table: Table, name: str) -> None:
    """Say in a line what was decided in reading a table."""
    if table.notes:
        print(f"dsmfast: {name}: {'; '.join(table.notes)}", file=sys.stderr)


def check_no_table(args: argparse.Namespace, where: str = "") -> None:
    """Refuse arguments that say how a file is read, where none is; ``where`` one would be."""
    for field in fields(TableOptions):
        if field.metadata and getattr(args, field.name) != field.default:
            what = ".npz files" if field.name == "key" else "tables"
            raise ValueError(f"--{field.name}: expected only with {what}{where}")


def file_of(path: Path) -> Path:
    """Return the file of a model: itself, or that in the directory of a run."""
    named = str(path) in (*data.NAMED, STDIN) and not path.exists()
    if named or str(path).lower().endswith((*data.ENDINGS, *images.ENDINGS)):
        raise ValueError(
            "MODEL: expected a directory that train wrote, or a .safetensors file, "
            f"got {path}; MODEL comes before DATA"
        )
    return model_file(path)


def read_model(path: Path) -> ScoreModel:
    """Return the model of a file, or of the directory of a run."""
    return load(file_of(path))


def check_normalizer(model: ScoreModel, path: Path, what: str) -> None:
    """Refuse a model without the normaliser that something needs; say so where it is doubtful."""
    if model.log_normalizer is None:
        raise ValueError(
            f"{what}: {path} has no normaliser, so its log-densities are known only up to a "
            f"constant; dsmfast normalize {path} DATA computes it"
        )
    doubt_normalizer(model, path)


def doubt_scales(model: ScoreModel, path: Path) -> None:
    """Say so where a model was trained in a way that makes it draw what is unlike the data."""
    if model.training and "sigma_max" not in model.training:
        print(
            f"dsmfast: {path} was trained at one noise scale; its samples may be far from the "
            "data, because most of its probability may be",
            file=sys.stderr,
        )


def doubt_normalizer(model: ScoreModel, path: Path) -> None:
    """Say so where a normaliser is not reliable; printed, it says itself why."""
    if model.log_normalizer is not None and not model.log_normalizer.is_reliable:
        print(
            f"dsmfast: the normaliser of {path} is not reliable; the error of log-densities may be "
            "far larger than its standard error",
            file=sys.stderr,
        )


def read_rows_for(
    model: ScoreModel, name: str, args: argparse.Namespace, dtype: npt.DTypeLike | None = None
) -> Array:
    """Return finite rows of the features of a model, in its precision or another."""
    table = read_table(name, args, model.dtype if dtype is None else dtype, model.feature_names)
    _check_width(table, model, name)
    return table.values


def read_rows_with_gaps(model: ScoreModel, name: str, args: argparse.Namespace) -> Array:
    """Return rows of the features of a model, in the precision of the file.

    NaN, or an empty cell, is a missing feature; what is known is finite in the model's precision.
    """
    table = _read(name, args, model.feature_names, missing=True)
    X = table.values
    known = narrowed(np.where(np.isnan(X), X.dtype.type(0), X), model.dtype)
    _check_finite(as_rows(known, name, model.dtype), name, table.names)
    _check_width(table, model, name)
    return X


def _check_width(table: Table, model: ScoreModel, name: str) -> None:
    """Refuse rows that are not as wide as those of a model; then say what there is to say."""
    width = table.values.shape[1]
    if width != model.n_features:
        raise ValueError(
            f"{name}: expected {model.n_features} features, as the model was trained on, "
            f"got {width}"
        )
    notes = _assumed(table, model.feature_names, "the model")
    tell_of(table._replace(notes=(*table.notes, *notes)), name)


def score_of(
    args: argparse.Namespace, shape: tuple[int, ...], features: tuple[str, ...] | None
) -> Array | Callable[..., Array] | None:
    """Return the score of the data: rows from a file, a function, or None where it is not known."""
    if args.score is None:
        name = args.data[0] if isinstance(args.data, list) else args.data
        return data.SCORES.get(name)
    table = _read(str(args.score), None, None)
    scores = table.values
    if scores.shape != shape:
        raise ValueError(f"{args.score}: expected shape {shape}, as of DATA, got {scores.shape}")
    check_order(str(args.score), table.names, features)
    return scores
