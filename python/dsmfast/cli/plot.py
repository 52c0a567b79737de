"""``dsmfast plot``: pictures of a model and of its training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dsmfast import data, plot
from dsmfast._checks import Array, as_integer
from dsmfast._extras import needed
from dsmfast._files import written_aside
from dsmfast.cli.arguments import DATA_HELP, MODEL_HELP, add_command, add_key
from dsmfast.cli.inputs import MODEL, read_model, read_rows_for
from dsmfast.cli.outputs import check_output
from dsmfast.model import ScoreModel

__all__ = ["EXAMPLES", "add"]

EXAMPLES = """\
kinds:
  filters    the weights of hidden units as images
  history    losses over epochs
  energy     of a model of two features, with its score and DATA
  denoising  the first rows of DATA as images: clean, with noise of the model's sigma, denoised

examples:
  dsmfast plot filters digits-model --out filters.png
  dsmfast plot history digits-model --out history.svg --dark
  dsmfast plot energy spiral-model spiral --out energy.pdf
  dsmfast plot denoising digits-model digits --count 8 --out denoising.png
  dsmfast plot denoising rows-model rows.npz --key X --image-shape 28 20 --out denoising.png
"""

KINDS = ("filters", "history", "energy", "denoising")
HISTORY = "history.csv"  # what a run calls it in its directory

# What makes a file differ from one day to the next; PNG has nothing of the kind.
_UNDATED: dict[str, dict[str, Any]] = {
    ".png": {},
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
}


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "plot",
        _run,
        help="draw a model, its training, or what it does to data",
        description="Draw a picture of what train wrote.",
        examples=EXAMPLES,
    )
    option = parser.add_argument
    option("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    option(
        "model",
        type=Path,
        metavar="MODEL",
        help=f"{MODEL_HELP} (history: or a {HISTORY})",
    )
    option("data", nargs="?", metavar="DATA", help=f"of energy, denoising: {DATA_HELP}")
    add_key(parser)
    option("--out", type=Path, required=True, metavar="FILE", help=", ".join(_UNDATED))
    option(
        "--image-shape",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of a row, in pixels (default: square)",
    )
    option("--count", type=int, help="filters (default 100), images (10) or points (1000) at most")
    option("--dark", action="store_true", help="on a dark background")
    option("--dpi", type=int, default=150, help="pixels to the inch (default 150)")


def _run(args: argparse.Namespace) -> int:
    _check_options(args)
    check_output(args.out, tuple(_UNDATED))
    matplotlib = needed("matplotlib", "plotting", "plot")
    library = needed("matplotlib.style", "plotting", "plot").library
    figures = needed("matplotlib.figure", "plotting", "plot")
    agg = needed("matplotlib.backends.backend_agg", "plotting", "plot")
    # Identifiers in an SVG file are random without a salt.
    settings = {"svg.hashsalt": "dsmfast", **(library["dark_background"] if args.dark else {})}
    ending = args.out.suffix.lower()
    with matplotlib.rc_context(settings):
        figure = figures.Figure(figsize=(6, 4) if args.kind == "history" else (7, 7))
        agg.FigureCanvasAgg(figure)
        _draw(args, figure.subplots())
        with written_aside(args.out) as aside:
            figure.savefig(
                aside,
                format=ending[1:],
                dpi=args.dpi,
                bbox_inches="tight",  # images have a shape of their own, which leaves margins
                metadata=_UNDATED[ending],
            )
    return 0


def _check_options(args: argparse.Namespace) -> None:
    """Refuse what the kind has no use for, before the work."""
    of_data = args.kind in ("energy", "denoising")
    if of_data and args.data is None:
        raise ValueError(f"DATA: needed by {args.kind}: a named set or a file of rows")
    if not of_data and args.data is not None:
        raise ValueError(f"DATA: of energy and denoising, not of {args.kind}; got {args.data}")
    if args.key is not None and not of_data:
        raise ValueError("--key: of .npz files with DATA")
    if args.image_shape is not None and args.kind not in ("filters", "denoising"):
        raise ValueError(f"--image-shape: of filters and denoising, not of {args.kind}")
    if args.count is not None:
        if args.kind == "history":
            raise ValueError("--count: of filters, energy and denoising, not of history")
        as_integer(args.count, "--count", low=1, high=10**6)
    as_integer(args.dpi, "--dpi", low=10, high=2400)


def _draw(args: argparse.Namespace, ax: Any) -> None:
    if args.kind == "history":
        _draw_history(args.model, ax)
        return
    model = _read_model(args.model)
    options: dict[str, Any] = {"ax": ax} if args.count is None else {"ax": ax, "count": args.count}
    if args.kind == "energy":
        if model.n_features != 2:
            raise ValueError(
                f"{args.model}: expected a model of 2 features, got one of {model.n_features}"
            )
        plot.energy(model, read_rows_for(model, args.data, args.key), **options)
        return
    shape = args.image_shape
    options["image_shape"] = plot.as_image_shape(shape, model.n_features, "--image-shape")
    if args.kind == "filters":
        plot.filters(model, **options)
    else:
        plot.denoising(model, read_rows_for(model, args.data, args.key), **options)


def _read_model(path: Path) -> ScoreModel:
    if path.is_dir() and not (path / MODEL).exists():
        raise ValueError(f"MODEL: {path} is a directory without {MODEL}")
    return read_model(path)


def _draw_history(path: Path, ax: Any) -> None:
    """Draw the losses of a run; where its model is at hand, with the best epoch of patience."""
    if path.is_dir():
        if not (path / HISTORY).exists():
            raise ValueError(f"MODEL: no {HISTORY} in {path}")
        path = path / HISTORY
    losses = _read_history(path)
    beside = path.parent / MODEL
    record = read_model(beside).training if path.name == HISTORY and beside.exists() else {}
    best = record.get("epochs_done") if record.get("patience") is not None else None
    plot.history(losses, best_epoch=best or None, ax=ax)
    if "objective" in record:
        ax.set_ylabel(f"loss ({record['objective']})")


def _read_history(path: Path) -> dict[str, Array]:
    """Return the columns of a history that train wrote."""
    if path.suffix.lower() != ".csv":
        raise ValueError(f"MODEL: expected a directory that train wrote or a .csv, got {path}")
    with path.open(encoding="utf-8", errors="replace") as stream:
        names = [name.strip() for name in stream.readline().split(",")]
    if "epoch" not in names or "loss" not in names:
        raise ValueError(f"{path}: expected columns epoch and loss, as train writes them")
    table = data.read_file(path)
    if table.shape[1] != len(names):
        raise ValueError(f"{path}: expected {len(names)} columns, got {table.shape[1]}")
    return dict(zip(names, table.T, strict=True))
