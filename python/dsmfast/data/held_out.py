"""Rows that are kept out of training, to judge it by."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsmfast._arguments.checks import as_real, as_real_array
from dsmfast._arguments.frames import is_table, taken
from dsmfast.noise import Use, choice

__all__ = ["split"]


def split(X: Any, fraction: float, seed: int = 0) -> tuple[Any, Any]:
    """Split rows at random into training rows and held-out rows, at least one of each.

    Parameters
    ----------
    X : array_like or DataFrame, n rows
        At least two rows. A table or a column of pandas, polars or Arrow is split into tables or
        columns of the same kind, and anything else into arrays.
    fraction : float
        Fraction of the rows to hold out, between 0 and 1.
    seed : int, default=0
        Seed of the choice of rows.

    Returns
    -------
    tuple
        The training rows and the held-out rows.

    Raises
    ------
    ValueError, TypeError
        If there are fewer than two rows, if the fraction is not between 0 and 1, or if X is neither
        numbers nor a table.

    Examples
    --------
    >>> import dsmfast
    >>> train, test = dsmfast.data.split([[0.0], [1.0], [2.0], [3.0]], 0.25)
    >>> train.shape, test.shape
    ((3, 1), (1, 1))
    """
    part = as_real(fraction, "fraction", inclusive=True)
    is_kept = isinstance(X, np.ndarray) or is_table(X) or hasattr(X, "iloc")
    rows = X if is_kept else as_real_array(X, "X")
    count = len(rows) if np.ndim(rows) else 0
    if not 0 < part < 1:
        raise ValueError(f"fraction: expected a number between 0 and 1, got {part:g}")
    if count < 2:
        raise ValueError(f"X: expected at least two rows to split, got {count}")
    order = choice(seed, Use.split, count)
    held_out = min(count - 1, max(1, round(part * count)))
    those = (order[held_out:], order[:held_out])
    if not isinstance(rows, np.ndarray):
        return taken(rows, those[0]), taken(rows, those[1])
    return rows[those[0]], rows[those[1]]
