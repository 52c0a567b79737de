"""``dsmfast train``: from rows to a saved model."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast import data, images, training
from dsmfast.arrays import Array, as_integer, as_real, as_seed, narrowed
from dsmfast.cli.inputs import MODEL, add_rows, read_rows, score_of
from dsmfast.cli.outputs import one_line
from dsmfast.corruption import KINDS
from dsmfast.losses import loss
from dsmfast.model import ScoreModel
from dsmfast.objectives import OBJECTIVES, Target
from dsmfast.paths import PATHS
from dsmfast.results import DivergenceError, TrainingResult
from dsmfast.storage import written_aside

__all__ = ["EXAMPLES", "add"]

EXAMPLES = """\
writes to DIR: model.safetensors (read it with dsmfast.load), history.csv, and filters.png where
rows are square images of at least 3 x 3 pixels. Ctrl-C writes the state so far and exits with 130.

examples:
  dsmfast train digits --epochs 1000 --out digits-model
  dsmfast train spiral --hidden 64 --sigma 0.2 --epochs 50 --out spiral-model
  dsmfast train rows.npz --key X --objective dae --out rows-model
  dsmfast train patches --objective ism --curvature-penalty 0.01 --out ism-model
  dsmfast train spiral --sigma 1 --sigma-end 0.1 --epochs 100 --out fine-model
  dsmfast train digits --epochs 5000 --patience 20 --out best-model
  dsmfast train photo.png --patch 8 --sigma 0.1 --hidden 256 --out photo-model
"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a model and save it",
        description="Train a score model on rows of data, and judge it by rows held out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_rows(parser, images=True)
    option = parser.add_argument
    option("--out", type=Path, required=True, metavar="DIR", help="directory to write to")
    option("--hidden", type=int, default=128, help="hidden units (default 128)")
    option(
        "--sigma",
        type=_number_or_auto,
        default=0.3,
        help="noise, in units of the data, or auto (0.3)",
    )
    option("--sigma-end", type=float, help="noise of the last epoch: falls there geometrically")
    option("--objective", choices=tuple(OBJECTIVES), default="dsm", help="(default dsm)")
    option(
        "--curvature-penalty", type=float, default=0.0, help="of ism and ism_smoothed (default 0)"
    )
    option(
        "--parzen-data",
        metavar="DATA",
        help="rows under the density of esm_smoothed (default: those to train on, or to judge by)",
    )
    option("--corruption", choices=KINDS, default="gaussian", help="of dae (default gaussian)")
    option("--corruption-level", type=float, help="fraction of features overwritten")
    option("--corruption-range", type=float, nargs=2, metavar=("LOW", "HIGH"), help="by what (0 1)")
    option("--epochs", type=int, default=20, help="passes over the rows (default 20)")
    option("--batch-size", type=int, default=256, help="rows of a step (default 256)")
    option("--optimizer", choices=("adam", "sgd"), default="adam", help="(default adam)")
    option("--learning-rate", type=float, help="of the first step (default: the optimizer's)")
    option(
        "--schedule",
        choices=("linear", "cosine", "constant"),
        default="linear",
        help="how the learning rate falls (default linear)",
    )
    option(
        "--hidden-bias",
        type=float,
        default=-3.0,
        help="pre-activation of hidden units at the mean of the data at the start (default -3)",
    )
    option("--draws", type=int, default=1, help="noise draws for each row of a step (default 1)")
    option(
        "--antithetic",
        action="store_true",
        help="draws in pairs of opposite sign: less noise in the gradient",
    )
    option("--path", choices=PATHS, default="auto", help="where steps are worked out (auto)")
    option("--dtype", choices=("float32", "float64"), default="float32", help="(default float32)")
    option("--patch", type=int, help="side of the squares that images are cut into (default 8)")
    option("--patches", type=int, help="how many squares of all images (default 50000)")
    option(
        "--patience",
        type=int,
        help="stop after so many epochs without a lower held-out loss, and keep the best model",
    )
    option(
        "--tolerance", type=float, default=0.0, help="by how much it has to be lower (default 0)"
    )
    option("--held-out", type=float, default=0.2, help="fraction of rows to judge by (default 0.2)")
    option("--seed", type=int, default=0, help="of the split, weights, order and noise (default 0)")
    option("--threads", type=int, help="(default: what OpenMP says)")
    option("--verbose", action="store_true", help="a line a second where there is no terminal")
    parser.set_defaults(run=_run)


def _number_or_auto(text: str) -> float | str:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or auto, got {text!r}") from None


def _sigmas(args: argparse.Namespace, first: float) -> float | Array:
    """Return sigma, or that of each epoch."""
    if args.sigma_end is None:
        return first
    last = as_real(args.sigma_end, "--sigma-end")
    return np.geomspace(first, last, as_integer(args.epochs, "--epochs", low=2, high=10**8))


def _run(args: argparse.Namespace) -> int:
    as_seed(args.seed)
    as_integer(args.hidden, "--hidden", low=1, high=2**24)
    if not 0 < args.held_out < 1:
        raise ValueError(f"--held-out: expected a number between 0 and 1, got {args.held_out:g}")
    X = _read(args)
    rows, held_out = data.split(X, args.held_out, args.seed)
    objective, judge = _objective(args, X.shape)
    options = {
        **objective,
        "batch_size": args.batch_size,
        "optimizer": args.optimizer,
        "learning_rate": args.learning_rate,
        "schedule": args.schedule,
        "hidden_bias": args.hidden_bias,
        "draws": args.draws,
        "antithetic": args.antithetic,
        "path": args.path,
        "dtype": args.dtype,
        "seed": args.seed,
        "threads": args.threads,
    }
    start = training.train(rows, args.hidden, args.sigma, epochs=0, progress=False, **options).model
    sigma = _sigmas(args, start.sigma)
    _make_writeable(args.out)  # before the work: it may not be allowed

    print(
        f"{', '.join(args.data)}: {len(rows)} rows to train on, {len(held_out)} held out, "
        f"{X.shape[1]} features",
        flush=True,
    )
    if args.sigma == "auto":
        print(
            f"sigma: {start.sigma:.5g}, at which the rows' Parzen density is most likely",
            flush=True,
        )
    diverged = None
    # A score from a file is known at the rows alone, not as the function that validation asks for.
    validation = None if isinstance(judge.get("score"), np.ndarray) else held_out
    try:
        result = training.train(
            rows,
            args.hidden,
            sigma,
            epochs=args.epochs,
            validation=validation,
            patience=args.patience,
            tolerance=args.tolerance,
            progress=True if args.verbose else None,
            **options,
        )
    except DivergenceError as error:
        diverged, result = error, error.result
    # At the sigma of the end: losses at another say nothing of each other.
    start = ScoreModel(start.W, start.b, start.c, result.model.sigma)
    with _undisturbed():
        files = _write(args.out, result)
        print(f"{args.out}: {', '.join(files)}")
        if result.stop_reason == "patience":
            print(f"no lower held-out loss since epoch {result.best_epoch}, whose model this is")
        elif result.stop_reason != "finished":
            print(f"{result.stop_reason} after {result.steps} steps; this is the state so far")
        sys.stdout.flush()
    before, after = (loss(model, held_out, **judge) for model in (start, result.model))
    _report(args, result, len(rows), before, after)
    if diverged is not None:
        reason = str(diverged).partition(". The last")[0]
        print(f"dsmfast: {reason}; the last finite state is saved", file=sys.stderr)
        return 2
    if not after < before and args.epochs > 0:
        print("dsmfast: training made it worse: is sigma in units of the data?", file=sys.stderr)
    return 130 if result.stop_reason == "interrupted" else 0


def _read(args: argparse.Namespace) -> Array:
    """Return the rows to learn from: of a set, a file, or patches of images."""
    pictures = [name for name in args.data if images.is_image(name)]
    if not pictures:
        for name in ("patch", "patches"):
            if getattr(args, name) is not None:
                raise ValueError(f"--{name}: of images, and {args.data[0]} is none")
    if len(pictures) < len(args.data) and len(args.data) > 1:
        raise ValueError(f"DATA: expected one set or file, or images, got {' '.join(args.data)}")
    if not pictures:
        return read_rows(args.data[0], args.key, args.dtype)
    if args.key is not None:
        raise ValueError("--key: of .npz files")
    side = as_integer(8 if args.patch is None else args.patch, "--patch", low=2, high=4096)
    count = 50_000 if args.patches is None else args.patches
    as_integer(count, "--patches", low=2, high=10**9)
    photographs = [images.read(name) for name in pictures]
    return narrowed(
        images.patches(photographs, side=side, count=count, seed=args.seed), np.dtype(args.dtype)
    )


def _objective(
    args: argparse.Namespace, shape: tuple[int, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the objective, for training and for judging by the rows held out."""
    objective = OBJECTIVES[args.objective]
    options: dict[str, Any] = {
        "objective": args.objective,
        "curvature_penalty": args.curvature_penalty,
        "corruption": args.corruption,
        "corruption_level": args.corruption_level,
        "corruption_range": args.corruption_range,
    }
    if args.parzen_data is not None:
        sample = read_rows(args.parzen_data, None, args.dtype)
        if sample.shape[1] != shape[1]:
            raise ValueError(
                f"{args.parzen_data}: expected {shape[1]} features like DATA, got {sample.shape[1]}"
            )
        options["data"] = sample
    judge = {**options, "threads": args.threads}
    if objective.noisy:
        judge["draws"] = 8
    if objective.target is Target.given or args.score is not None:
        score = score_of(args, shape)
        if score is None:
            raise ValueError(
                f"--score: objective {args.objective!r} needs the score of the data, a file of "
                f"{shape[0]} rows of {shape[1]} like DATA; known for {', '.join(data.SCORES)}"
            )
        if isinstance(score, np.ndarray):
            score = score.astype(args.dtype)
            options["score"], judge["score"] = data.split(score, args.held_out, args.seed)
        else:
            options["score"] = judge["score"] = score
    return options, judge


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
    result.save(out / MODEL)
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
    files = [MODEL, "history.csv"]
    picture = out / "filters.png"
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
    print(
        f"held-out {args.objective}: {before:.5g} before, {after:.5g} after "
        f"{epochs} epoch{'' if epochs == 1 else 's'} in {spent:.2f} s{rate}, {result.path} path"
    )
