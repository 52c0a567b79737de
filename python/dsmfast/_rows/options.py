"""How rows are read, and which kind of rows X becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import as_real, as_real_array, as_whole
from dsmfast._arguments.options import option, take
from dsmfast._rows.in_memory import InMemory, in_memory
from dsmfast._rows.rows import Rows
from dsmfast._rows.streamed import Reader, Streamed, is_larger, is_streamed

__all__ = ["RowOptions", "is_by_windows"]

VALUES = 2**25  # of a window, unless the user says: 128 MB of float32


def is_by_windows(X: Any) -> bool:
    """Whether X is read by windows where nobody says how large they are."""
    return is_larger(X, VALUES)


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """How rows are read; see :func:`dsmfast.train`."""

    window: int | None = option(
        None,
        "read a .npy file this many rows at a time; its last rows are then held out",
        type=int,
        metavar="ROWS",
    )
    scale: float = 1.0

    def __post_init__(self) -> None:
        take(
            self,
            window=None if self.window is None else as_whole(self.window, "window"),
            scale=as_real(self.scale, "scale"),
        )

    def rows(self, X: Any, dtype: np.dtype[Any], batch_size: int, threads: int) -> Rows:
        """Return X as rows of one kind or another."""
        if self.window is None and not is_streamed(X):
            return InMemory(in_memory(X, "X", dtype, None, threads, self.scale))
        reader = Reader(X if is_streamed(X) else as_real_array(X, "X"), "X", dtype, self.scale)
        window = self._window_rows(reader.shape, batch_size)
        if window >= reader.shape[0]:
            return InMemory(reader.read(0, reader.shape[0]))
        return Streamed(reader, window, batch_size)

    def validation(
        self, rows: Rows, held_out: npt.ArrayLike | float | None, seed: int, threads: int
    ) -> tuple[Rows, npt.NDArray[Any] | None]:
        """Return the rows to train on, and those held out: a fraction of them, or given ones."""
        if held_out is None:
            return rows, None
        if np.ndim(held_out) == 0:
            return rows.split(held_out, seed)
        columns = rows.shape[1]
        return rows, in_memory(held_out, "validation", rows.dtype, columns, threads, self.scale)

    def _window_rows(self, shape: tuple[int, int], batch_size: int) -> int:
        """Return the rows of a window, whole batches of them."""
        rows = VALUES // shape[1] if self.window is None else self.window
        if self.window is not None and rows < batch_size:
            raise ValueError(f"window: expected at least batch_size={batch_size} rows, got {rows}")
        return max(1, rows // batch_size) * batch_size
