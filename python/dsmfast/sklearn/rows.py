"""X as the estimator takes it: arrays, tables, and what is read by slices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array, as_real_array, check_kind, describe, narrowed
from dsmfast._arguments.frames import check_columns, is_table, names_of, without_index
from dsmfast._rows.options import RowOptions, is_by_windows
from dsmfast.sklearn.needed import check_array, validate_data

__all__ = ["Given", "as_table_free", "checked", "given"]


@dataclass(frozen=True)
class Given:
    """Rows to train on, and their weights."""

    X: Any  # as train takes them
    head: Array  # those in memory: all, or some from all over X
    dtype: np.dtype[Any]  # to train in
    weights: Array | None = None

    @property
    def weights_of_head(self) -> Array | None:
        """Weights of the rows in memory, where these are all."""
        whole = self.weights is not None and len(self.weights) == len(self.head)
        return self.weights if whole else None

    def in_precision(self, dtype: np.dtype[Any]) -> Given:
        """Return them to be trained on in another precision."""
        head = narrowed(self.head, dtype)
        return Given(head if self.X is self.head else self.X, head, dtype, self.weights)


def checked(
    estimator: Any, X: Any, *, reset: bool = False, least: int = 1, gaps: bool = False
) -> Array:
    """Return rows as scikit-learn checks them, in a precision of the estimator's.

    NumPy drops the mask of a masked array, and scikit-learn names no column of a value and sees to
    names of columns only where all are text of a DataFrame: all this is looked after here.
    """
    X = without_index(X, "X")
    array = as_table_free(X, "X", gaps=gaps)
    options: dict[str, Any] = {
        "dtype": [np.float64, np.float32],
        "ensure_all_finite": "allow-nan" if gaps else True,
        "ensure_min_samples": least,
    }
    if array is X:
        rows: Array = validate_data(estimator, X, reset=reset, **options)
    else:
        validate_data(estimator, X, reset=reset, skip_check_array=True)  # the names of its columns
        rows = check_array(array, estimator=estimator, input_name="X", **options)
    see_columns(estimator, X, reset=reset)
    return rows


def see_columns(estimator: Any, X: Any, *, reset: bool) -> None:
    """Keep what columns are called where ``fit`` sees them; refuse others later."""
    if reset:
        estimator._columns = names_of(X)
    else:
        check_columns(X, "X", getattr(estimator, "_columns", None))


def as_table_free(value: Any, name: str, *, gaps: bool = False) -> Any:
    """Return a value, or the numbers of a table; refuse what would become something else."""
    check_kind(value, name)
    if is_table(value):
        return as_real_array(value, name, gaps=gaps)
    kind = getattr(value, "dtype", None)
    if isinstance(value, (list, tuple)) or (isinstance(kind, np.dtype) and kind.kind == "O"):
        _check_objects(value, name)
    elif isinstance(kind, np.dtype) and kind.kind in "mMSU":
        raise TypeError(f"{name}: expected real numbers, got dtype {kind}")
    return value


def _check_objects(value: Any, name: str) -> None:
    """Refuse dates and text among objects, of which scikit-learn makes numbers."""
    try:
        array = np.asarray(value)
    except ValueError:  # ragged: scikit-learn says so
        return
    others = (str, bytes, date, timedelta, np.datetime64, np.timedelta64)
    if array.dtype.kind in "mMSU":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.dtype.kind == "O":
        for each in array.flat:
            if isinstance(each, others):
                raise TypeError(f"{name}: expected real numbers, got {describe(each)}")


def given(estimator: Any, X: Any, *, reset: bool, least: int, whole: bool) -> Given:
    """Return rows to train on; ``whole``: all in memory, whatever they come from."""
    if whole or not is_by_windows(X):
        rows = checked(estimator, X, reset=reset, least=least)
        return Given(rows, rows, rows.dtype)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    see_columns(estimator, X, reset=reset)
    dtype = np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
    return Given(X, RowOptions().rows(X, dtype, 1, 0).head(), dtype)
