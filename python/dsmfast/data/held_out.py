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
        At least two rows. A table of pandas, polars or Arrow is split into tables of the same kind,
        and anything else into arrays.
    fraction : float
        Fraction of the rows to hold out, between 0 and 1.
    seed : int
        Seed of the choice of rows.

    Returns
    -------
    tuple
        The training rows and the held-out rows.

    Examples
    --------
    >>> import dsmfast
    >>> train, test = dsmfast.data.split([[0.0], [1.0], [2.0], [3.0]], 0.25)
    >>> train.shape, test.shape
    ((3, 1), (1, 1))
    """
    part = as_real(fraction, "fraction", inclusive=True)
    rows = X if isinstance(X, np.ndarray) or is_table(X) else as_real_array(X, "X")
    count = len(rows) if np.ndim(rows) else 0
    if not part < 1 or part == 0 or count < 2:
        raise ValueError(
            "fraction: expected a number between 0 and 1 of at least two rows, "
            f"got {part:g} of {count}"
        )
    order = choice(seed, Use.split, count)
    held_out = min(count - 1, max(1, round(part * count)))
    those = (order[held_out:], order[:held_out])
    if is_table(rows):
        return taken(rows, those[0]), taken(rows, those[1])
    return rows[those[0]], rows[those[1]]
