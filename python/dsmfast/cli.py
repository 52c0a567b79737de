"""The command line: ``dsmfast train`` and ``dsmfast info``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast import data, training
from dsmfast.arrays import Array, as_real_array, as_rows, check_finite
from dsmfast.build import __version__, build_info
from dsmfast.model import ScoreModel
from dsmfast.objectives import OBJECTIVES, loss
from dsmfast.storage import written_aside

__all__ = ["main"]

EXAMPLES = """\
examples:
  dsmfast train digits --out digits-model
  dsmfast train spiral --hidden 64 --sigma 0.2 --epochs 50 --out spiral-model
  dsmfast train rows.npz --key X --objective dae --out model
"""


class _Parser(argparse.ArgumentParser):
    """Errors in one line, exit status 2."""

    def error(self, message: str) -> Any:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dsmfast", description="Score matching on CPUs.")
    parser.add_argument("--version", action="version", version=f"dsmfast {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train a model and save it",
        description="Train a score model; write model, history and a picture to a directory.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    named = ", ".join(data.NAMED)
    train.add_argument("data", metavar="DATA", help=f"{named}, or a .npy, .npz or .csv file")
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="where files go")
    train.add_argument("--key", help="which array of a .npz file")
    train.add_argument("--hidden", type=int, default=128, help="hidden units (%(default)s)")
    train.add_argument("--sigma", type=float, default=0.3, help="noise (%(default)s)")
    train.add_argument("--objective", choices=tuple(OBJECTIVES), default="dsm")
    train.add_argument("--epochs", type=int, default=20, help="(%(default)s)")
    train.add_argument("--batch-size", type=int, default=256, help="(%(default)s)")
    train.add_argument("--optimizer", choices=("adam", "sgd"), default="adam")
    train.add_argument("--learning-rate", type=float, help="(the optimizer's own)")
    train.add_argument("--schedule", choices=("linear", "cosine", "constant"), default="linear")
    train.add_argument("--hidden-bias", type=float, help="start of b")
    train.add_argument("--draws", type=int, default=1, help="noise draws a row (%(default)s)")
    train.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    train.add_argument(
        "--held-out", type=float, default=0.2, help="fraction of rows to judge by (%(default)s)"
    )
    train.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    train.add_argument("--threads", type=int, help="(what OpenMP says)")
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
    X = _rows(args)
    if not 0 < args.held_out < 1 or len(X) < 2:
        raise ValueError(
            "--held-out: expected a fraction between 0 and 1 of at least two rows, "
            f"got {args.held_out:g} of {len(X)}"
        )
    rows, held_out = data.split(X, args.held_out, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)  # before the work: it may not be allowed

    judge = {"objective": args.objective, "draws": 8, "threads": args.threads}
    options = {} if args.hidden_bias is None else {"hidden_bias": args.hidden_bias}
    options |= {
        "objective": args.objective,
        "batch_size": args.batch_size,
        "optimizer": args.optimizer,
        "learning_rate": args.learning_rate,
        "schedule": args.schedule,
        "draws": args.draws,
        "dtype": args.dtype,
        "seed": args.seed,
        "threads": args.threads,
    }
    print(
        f"{args.data}: {len(rows)} rows to train on, {len(held_out)} held out, "
        f"{X.shape[1]} features"
    )
    start = training.train(rows, args.hidden, args.sigma, epochs=0, progress=False, **options).model
    before = loss(start, held_out, **judge)
    result = training.train(
        rows, args.hidden, args.sigma, epochs=args.epochs, validation=held_out, **options
    )
    after = loss(result.model, held_out, **judge)
    _write(args.out, result, X.shape[1])
    _report(args, result, len(rows), before, after)
    return 0 if result.stop_reason == "finished" else 130


def _rows(args: argparse.Namespace) -> Array:
    """Return the data in the precision of training; errors name the file."""
    X = as_real_array(data.load(args.data, args.key), args.data)
    if X.ndim != 2:
        raise ValueError(f"{args.data}: expected rows of features, got an array of shape {X.shape}")
    dtype = np.dtype(args.dtype)
    with np.errstate(over="ignore"):  # found as an infinity below
        rows = as_rows(X.astype(dtype), args.data, dtype)
    check_finite(rows, args.data)
    return rows


def _write(out: Path, result: training.TrainingResult, features: int) -> None:
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
    _picture(out / "filters.png", result.model, features)


def _picture(path: Path, model: ScoreModel, features: int) -> None:
    """Draw the filters, where rows are square images and matplotlib is there."""
    if features < 9 or round(features**0.5) ** 2 != features:
        return
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print("no picture of the filters: pip install 'dsmfast[plot]'", file=sys.stderr)
        return
    from dsmfast import plot

    figure = Figure(figsize=(6, 6), layout="tight")
    FigureCanvasAgg(figure)
    plot.filters(model, ax=figure.subplots())
    with written_aside(path) as aside:
        figure.savefig(aside, dpi=150)


def _report(
    args: argparse.Namespace,
    result: training.TrainingResult,
    rows: int,
    before: float,
    after: float,
) -> None:
    epochs = len(result.history["loss"])
    spent = float(result.history["seconds"].sum())
    rate = rows * epochs / spent if spent > 0 else 0.0
    if result.stop_reason != "finished":
        print(f"{result.stop_reason} after {epochs} epochs; this is the state so far")
    print(
        f"held-out {args.objective}: {before:.5g} before, {after:.5g} after "
        f"{epochs} epochs in {spent:.2f} s ({rate:,.0f} rows/s)"
    )
    files = ", ".join(sorted(file.name for file in args.out.iterdir()))
    print(f"{args.out}: {files}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except training.DivergenceError as error:
        print(f"dsmfast: {error.args[0].split('. The last')[0]}", file=sys.stderr)
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
