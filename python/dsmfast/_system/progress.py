"""How far a run is: a bar on a terminal, lines elsewhere if asked, or silence."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from dsmfast._system.extras import needed

__all__ = ["Progress", "progress"]


BETWEEN_LINES = 1.0  # seconds

Names = tuple[str, str]  # of what is counted: epochs, and rows in them


class Progress:
    """What a run tells on its way; this one keeps it to itself.

    Epochs of rows are what training counts; chains count steps, each of so many rows.
    """

    def __init__(self, epochs: int, rows: int, done: int, names: Names) -> None:
        self._epoch_name, self._row_name = names
        self._total = epochs
        self._rows_an_epoch = rows
        self._begin = time.perf_counter()
        self._begin_row = done
        self._loss = ""
        self._digits = ".4g" if epochs < 1000 else ".0f"  # of epochs, which are halves of one too

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def rows(self, done: int) -> None:
        """Hear that so many rows are done, over all epochs."""
        self.show(done)

    def epoch(self, number: int, loss: float, validation_loss: float | None) -> None:
        """Hear that an epoch is done."""
        self._loss = f"loss {loss:.5g}"
        if validation_loss is not None:
            self._loss += f", validation {validation_loss:.5g}"
        self.rows(number * self._rows_an_epoch)

    def rate(self, done: int) -> str:
        """Return rows a second since the begin."""
        spent = max(time.perf_counter() - self._begin, 1e-9)
        return f"{(done - self._begin_row) / spent:.3g} {self._row_name}/s"

    def left(self, done: int) -> str:
        """Return how long the rest may take, in words; nothing at either end."""
        rest, seen = self._total * self._rows_an_epoch - done, done - self._begin_row
        if rest <= 0 or seen <= 0:
            return ""
        seconds = (time.perf_counter() - self._begin) * rest / seen
        if seconds < 120:
            return f", {seconds:.0f} s left"
        minutes = seconds / 60
        return f", {minutes:.0f} min left" if minutes < 120 else f", {minutes / 60:.0f} h left"

    def show(self, done: int) -> None:
        """Show it."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class _Bar(Progress):
    """One line for all epochs."""

    def __init__(self, epochs: int, rows: int, done: int, names: Names, tqdm: Any) -> None:
        super().__init__(epochs, rows, done, names)
        self._bar = tqdm(
            total=epochs,
            dynamic_ncols=True,
            leave=False,
            bar_format="{percentage:3.0f}%|{bar}| "
            f"{self._epoch_name} {{n:{self._digits}}}/{{total_fmt}} "
            "[{elapsed}<{remaining}{postfix}]",
        )

    def show(self, done: int) -> None:
        words = self.rate(done) if not self._loss else f"{self.rate(done)}, {self._loss}"
        self._bar.set_postfix_str(words, refresh=False)
        self._bar.update(done / self._rows_an_epoch - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class _Lines(Progress):
    """A line a second at most, and one for the end."""

    def __init__(self, epochs: int, rows: int, done: int, names: Names) -> None:
        super().__init__(epochs, rows, done, names)
        self._last_time = -1.0
        self._last_row = self._shown_row = done

    def show(self, done: int) -> None:
        self._last_row = done
        if time.perf_counter() - self._last_time >= BETWEEN_LINES:
            self._print()

    def close(self) -> None:
        if self._shown_row < self._last_row:
            self._print()

    def _print(self) -> None:
        done = self._last_row
        loss = f", {self._loss}" if self._loss else ""
        epoch = f"{done / self._rows_an_epoch:{self._digits}}"
        print(
            f"dsmfast: {self._epoch_name} {epoch} of {self._total}{loss}, {self.rate(done)}"
            f"{self.left(done)}",
            file=sys.stderr,
            flush=True,
        )
        self._last_time, self._shown_row = time.perf_counter(), done


def progress(
    wanted: bool | None, epochs: int, rows: int, done: int = 0, names: Names = ("epoch", "rows")
) -> Progress:
    """Return how to show a run of epochs of so many rows, of which some may be done.

    ``wanted`` None means a bar on a terminal, if tqdm is there.
    """
    silent = Progress(epochs, rows, done, names)
    if wanted is not None and not wanted:
        return silent
    if not sys.stderr.isatty():
        return silent if wanted is None else _Lines(epochs, rows, done, names)
    try:
        tqdm = needed("tqdm", "a progress bar", "progress").tqdm
    except ImportError:
        if wanted is None:
            return silent
        raise
    return _Bar(epochs, rows, done, names, tqdm)
