"""Files that are mapped into memory, read by plain reads: what the file lacks is an error then.

Through a mapping, a row that another process has cut off ends the process by a signal (SIGBUS).
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array

__all__ = ["by_plain_reads"]


def by_plain_reads(X: Any) -> Any:
    """Return something to slice rows of, which reads the file of a mapping where it can."""
    if not isinstance(X, np.memmap) or X.ndim != 2 or X.mode == "c" or not X.flags.c_contiguous:
        return X
    base: Any = X
    while isinstance(base, np.ndarray):
        base = base.base
    if X.filename is None or not isinstance(base, mmap.mmap):
        return X
    begin = np.frombuffer(base, np.uint8).ctypes.data
    offset = X.offset - X.offset % mmap.ALLOCATIONGRANULARITY + X.ctypes.data - begin
    try:
        rows = _FileRows(X.filename, offset, X.shape, X.dtype)
    except OSError:  # moved away since
        return X
    # The name may be another file's by now, or the last rows gone.
    return rows if np.array_equal(rows[:1].view(np.uint8), X[:1].view(np.uint8)) else X


class _FileRows:
    """Rows (n, d) of a file, which stays open as long as this is there."""

    def __init__(
        self, path: str | os.PathLike[str], offset: int, shape: tuple[int, ...], dtype: Any
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.at_once = max(1, 2**20 // shape[1])  # rows of a read: some megabytes
        self._offset = offset
        self._handle = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._handle)

    def __getitem__(self, rows: slice) -> Array:
        """Return rows, fewer where the file ends before."""
        first, last, _ = rows.indices(self.shape[0])
        found = np.empty((last - first, *self.shape[1:]), self.dtype)
        view, done = found.reshape(-1).view(np.uint8).data, 0
        row_bytes = found.nbytes // max(1, last - first)
        while done < found.nbytes:
            position = self._offset + first * row_bytes + done
            count = os.preadv(self._handle, [view[done:]], position)
            if count == 0:
                return found[: done // row_bytes]
            done += count
        return found
