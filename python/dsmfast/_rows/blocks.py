"""Functions of rows that are not all in memory, worked out a block at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._rows.streamed import Reader, is_larger

__all__ = ["in_blocks", "is_by_blocks"]

BLOCK = 2**22  # values of a block: 16 MB of float32


def is_by_blocks(X: Any) -> bool:
    """Whether functions of X are worked out a block at a time."""
    return is_larger(X, BLOCK)


def in_blocks(reader: Reader, function: Callable[[Array], Array]) -> Array:
    """Return a function of each row, of blocks of the rows that a reader reads."""
    n, d = reader.shape
    step = max(1, BLOCK // d)
    found: Array | None = None
    for first in range(0, n, step):
        part = function(reader.read(first, min(step, n - first)))
        if found is None:
            found = np.empty((n, *part.shape[1:]), part.dtype)
        found[first : first + len(part)] = part
    assert found is not None
    return found
