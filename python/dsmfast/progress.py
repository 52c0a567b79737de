"""A progress bar on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

__all__ = ["progress_bar"]


class _Bar:
    """One line for all epochs: where training is, the loss, and rows a second."""

    def __init__(self, bar: Any, rows: int) -> None:
        self._bar = bar
        self._rows = rows
        self._epochs = 0
        self._begin = time.perf_counter()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, loss: float, validation_loss: float | None) -> None:
        """Show that an epoch is done."""
        if self._bar is None:
            return
        spent = max(time.perf_counter() - self._begin, 1e-9)
        self._epochs += 1
        values = {"rows/s": f"{self._epochs * self._rows / spent:.3g}", "loss": f"{loss:.5g}"}
        if validation_loss is not None:
            values["validation"] = f"{validation_loss:.5g}"
        self._bar.set_postfix(values, refresh=False)
        self._bar.update()


def progress_bar(wanted: bool | None, epochs: int, rows: int) -> _Bar:
    """Return the bar to use: ``wanted`` None means on a terminal, if tqdm is there."""
    if wanted is None and not sys.stderr.isatty():
        return _Bar(None, rows)
    if wanted is not None and not wanted:
        return _Bar(None, rows)
    try:
        from tqdm import tqdm
    except ImportError:
        if wanted is None:
            return _Bar(None, rows)
        raise ImportError("progress=True needs tqdm: pip install 'dsmfast[progress]'") from None
    return _Bar(
        tqdm(total=epochs, unit="epoch", dynamic_ncols=True, leave=False),
        rows,
    )
