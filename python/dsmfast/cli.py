"""The command line: ``dsmfast train`` and ``dsmfast info``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast import data, training
from dsmfast.arrays import (
    Array,
    as_integer,
    as_real_array,
    as_rows,
    as_seed,
    check_finite,
    narrowed,
)
from dsmfast.build import __version__, build_info
from dsmfast.losses import loss
from dsmfast.model import ScoreModel
from dsmfast.objectives import OBJECTIVES
from dsmfast.results import DivergenceError, TrainingResult
from dsmfast.storage import written_aside

__all__ = ["main"]

EXAMPLES = """\
writes to DIR: model.safetensors (read it with dsmfast.load), history.csv, and filters.png where
rows are square images of at least 3 x 3 pixels. Ctrl-C writes the state so far and exits with 130.

examples:
  dsmfast train digits --epochs 1000 --out digits-model
  dsmfast train spiral --hidden 64 --sigma 0.2 --epochs 50 --out spiral-model
  dsmfast train rows.npz --key X --objective dae --out model
"""


class _Parser(argparse.ArgumentParser):
    """Errors in one line, exit status 2; options in full."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "allow_abbrev": False})

    def error(self, message: str) -> Any:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dsmfast",
        description="Train score models: energies, scores and denoising from rows of data.",
        epilog="example: dsmfast train digits --epochs 1000 --out digits-model; "
        "more with: dsmfast train --help",
    )
    parser.add_argument("--version", action="version", version=f"dsmfast {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train a model and save it",
        description="Train a score model on rows of data, and judge it by rows held out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    named = ", ".join(data.NAMED)
    add = train.add_argument
    add("data", metavar="DATA", help=f"{named}, or a .npy, .npz or .csv file of rows")
    add("--out", type=Path, required=True, metavar="DIR", help="directory to write to")
    add("--key", help="which array of a .npz file")
    add("--hidden", type=int, default=128, help="hidden units (default 128)")
    add("--sigma", type=float, default=0.3, help="noise, in units of the data (default 0.3)")
    add("--objective", choices=tuple(OBJECTIVES), default="dsm", help="to report (default dsm)")
    add("--epochs", type=int, default=20, help="passes over the rows (default 20)")
    add("--batch-size", type=int, default=256, help="rows of a step (default 256)")
    add("--optimizer", choices=("adam", "sgd"), default="adam", help="(default adam)")
    add("--learning-rate", type=float, help="of the first step (default: the optimizer's)")
    add(
        "--schedule",
        choices=("linear", "cosine", "constant"),
        default="linear",
        help="how the learning rate falls (default linear)",
    )
    add(
        "--hidden-bias",
        type=float,
        default=-3.0,
        help="pre-activation of hidden units at the mean of the data at the start (default -3)",
    )
    add("--draws", type=int, default=1, help="noise draws for each row of a step (default 1)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="(default float32)")
    add("--held-out", type=float, default=0.2, help="fraction of rows to judge by (default 0.2)")
    add("--seed", type=int, default=0, help="of the split, weights, order and noise (default 0)")
    add("--threads", type=int, help="(default: what OpenMP says)")
    train.set_defaults(run=_train)

    info = commands.add_parser("info", help="how this copy was built and what it runs on")
    info.set_defaults(run=_info)
    return parser


def _info(_: argparse.Namespace) -> int:
    for name, value in build_info().items():
        shown = ", ".join(value) if isinstance(value, list) else value
        print(f"{name}: {shown}")
    return 0


def _train(args: argparse.Namespace) -> int:
    as_seed(args.seed)
    as_integer(args.hidden, "--hidden", low=1, high=2**24)
    X = _rows(args)
    rows, held_out = data.split(X, args.held_out, args.seed)
    options = {
        "objective": args.objective,
        "batch_size": args.batch_size,
        "optimizer": args.optimizer,
        "learning_rate": args.learning_rate,
        "schedule": args.schedule,
        "hidden_bias": args.hidden_bias,
        "draws": args.draws,
        "dtype": args.dtype,
        "seed": args.seed,
        "threads": args.threads,
    }
    judge = {"objective": args.objective, "draws": 8, "threads": args.threads}
    start = training.train(rows, args.hidden, args.sigma, epochs=0, progress=False, **options).model
    before = loss(start, held_out, **judge)
    _make_writeable(args.out)  # before the work: it may not be allowed

    print(
        f"{args.data}: {len(rows)} rows to train on, {len(held_out)} held out, "
        f"{X.shape[1]} features",
        flush=True,
    )
    diverged = None
    try:
        result = training.train(
            rows, args.hidden, args.sigma, epochs=args.epochs, validation=held_out, **options
        )
    except DivergenceError as error:
        diverged, result = error, error.result
    with _undisturbed():
        files = _write(args.out, result)
        after = loss(result.model, held_out, **judge)
        _report(args, result, len(rows), before, after)
        print(f"{args.out}: {', '.join(files)}")
    if diverged is not None:
        reason = str(diverged).partition(". The last")[0]
        print(f"dsmfast: {reason}; the last finite state is saved", file=sys.stderr)
        return 2
    if not after < before and args.epochs > 0:
        print("dsmfast: training made it worse: is sigma in units of the data?", file=sys.stderr)
    return 0 if result.stop_reason == "finished" else 130


def _rows(args: argparse.Namespace) -> Array:
    """Return the data in the precision of training; errors name the file."""
    X = as_real_array(data.load(args.data, args.key), args.data)
    if X.ndim != 2:
        raise ValueError(f"{args.data}: expected rows of features, got an array of shape {X.shape}")
    dtype = np.dtype(args.dtype)
    rows = as_rows(narrowed(X, dtype), args.data, dtype)
    check_finite(rows, args.data)
    return rows


def _make_writeable(out: Path) -> None:
    if not out.name:
        raise ValueError("--out: expected the name of a directory")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: {out} exists and is not a directory")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"--out: cannot write to {out}: {error.strerror}") from None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put off Ctrl-C: an impatient second one must not cost the files."""
    try:
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not in the main thread, where it does not arrive
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _write(out: Path, result: TrainingResult) -> list[str]:
    """Write the files of a run; return their names."""
    result.model.save(out / "model.safetensors")
    columns = list(result.history)
    table = np.column_stack([result.history[name] for name in columns])
    epochs = np.arange(1, len(table) + 1)[:, None]
    with written_aside(out / "history.csv") as aside:
        np.savetxt(
            aside,
            np.hstack([epochs, table]),
            delimiter=",",
            header=",".join(["epoch", *columns]),
            comments="",
            fmt=["%d"] + ["%.9g"] * len(columns),
        )
    files = ["model.safetensors", "history.csv"]
    picture = out / "filters.png"
    picture.unlink(missing_ok=True)  # of an earlier run
    try:
        if _picture(picture, result.model):
            files.append(picture.name)
    except OSError as error:
        print(f"dsmfast: no picture: {_one_line(error)}", file=sys.stderr)
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


def _report(
    args: argparse.Namespace,
    result: TrainingResult,
    rows: int,
    before: float,
    after: float,
) -> None:
    epochs = len(result.history["loss"])
    spent = float(result.history["seconds"].sum())
    rate = f" ({rows * epochs / spent:,.0f} rows/s)" if epochs else ""
    if result.stop_reason != "finished":
        print(f"{result.stop_reason} after {result.steps} steps; this is the state so far")
    print(
        f"held-out {args.objective}: {before:.5g} before, {after:.5g} after "
        f"{epochs} epoch{'' if epochs == 1 else 's'} in {spent:.2f} s{rate}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    args = _parser().parse_args(argv)
    try:
        status = int(args.run(args))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader of a pipe has seen enough; nothing is left to say on stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        print(f"dsmfast: {_one_line(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("dsmfast: interrupted", file=sys.stderr)
        return 130
    return 2


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__
