"""What ``dsmfast train`` leaves in its directory, and that signals do not cost it."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast._system.files import written_aside
from dsmfast.cli.inputs import MODEL
from dsmfast.cli.outputs import one_line
from dsmfast.model import ScoreModel
from dsmfast.results import TrainingResult

__all__ = [
    "CHECKPOINT",
    "ended_by_sigterm",
    "files_of_run",
    "make_writeable",
    "undisturbed",
    "write_run",
]

CHECKPOINT = "checkpoint.safetensors"
_HISTORY, _FILTERS = "history.csv", "filters.png"


def files_of_run(out: Path) -> list[Path]:
    """Return all files that a run may write."""
    return [out / name for name in (MODEL, _HISTORY, _FILTERS, CHECKPOINT)]


def make_writeable(out: Path) -> None:
    """Make the directory, and see whether one may write there."""
    if not out.name:
        raise ValueError("--out: expected the name of a directory")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: {out} exists and is not a directory")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"--out: cannot write to {out}: {error.strerror}") from None


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM: an impatient second one must not cost the files."""
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def ended_by_sigterm() -> Iterator[list[int]]:
    """End training at SIGTERM as at Ctrl-C; yield a list that then has the signal's number."""
    seen: list[int] = []

    def end(number: int, _: object) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    with _handling(end, signal.SIGTERM):
        yield seen


@contextmanager
def _handling(handler: Any, *numbers: int) -> Iterator[None]:
    before = []
    try:
        for number in numbers or (signal.SIGINT, signal.SIGTERM):
            before.append((number, signal.signal(number, handler)))
    except ValueError:  # not in the main thread, where they do not arrive
        yield
        return
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)


def write_run(out: Path, result: TrainingResult) -> list[str]:
    """Write the files of a run; return their names."""
    result.save(out / MODEL)
    columns = list(result.history)
    table = np.column_stack([result.history[name] for name in columns])
    epochs = np.arange(1, len(table) + 1)[:, None]
    with written_aside(out / _HISTORY) as aside:
        np.savetxt(
            aside,
            np.hstack([epochs, table]),
            delimiter=",",
            header=",".join(["epoch", *columns]),
            comments="",
            fmt=["%d"] + ["%.9g"] * len(columns),
        )
    files = [MODEL, _HISTORY]
    picture = out / _FILTERS
    try:
        picture.unlink(missing_ok=True)  # of an earlier run
        if _picture(picture, result.model):
            files.append(picture.name)
    except OSError as error:
        print(f"dsmfast: no picture: {one_line(error)}", file=sys.stderr)
    return files


def _picture(path: Path, model: ScoreModel) -> bool:
    """Draw the filters, where rows are square images and matplotlib is there."""
    side = round(model.n_features**0.5)
    if side < 3 or side * side != model.n_features:
        return False
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print("no picture of the filters: pip install 'dsmfast[plot]'", file=sys.stderr)
        return False
    from dsmfast import plot

    figure = Figure(figsize=(6, 6.3), layout="tight")
    FigureCanvasAgg(figure)
    plot.filters(model, ax=figure.subplots())
    with written_aside(path) as aside:
        figure.savefig(aside, dpi=150)
    return True
