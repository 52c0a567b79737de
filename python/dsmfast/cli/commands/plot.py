"""``dsmfast plot``: pictures of a model and of its training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dsmfast import data, plot, sampling
from dsmfast._arguments.checks import Array, as_integer
from dsmfast._system.extras import needed
from dsmfast._system.files import written_aside
from dsmfast.cli.arguments import DATA_HELP, MODEL_HELP, add_command, add_image_shape, add_table
from dsmfast.cli.inputs import (
    MODEL,
    check_no_table,
    check_normalizer,
    doubt_scales,
    read_model,
    read_rows_for,
)
from dsmfast.cli.operands import add_operands
from dsmfast.cli.outputs import check_output
from dsmfast.model import ScoreModel

__all__ = ["EXAMPLES", "add"]

EXAMPLES = """\
kinds:
  filters    the weights of hidden units as images
  history    losses over epochs
  energy     the energy of a model of two features, with its score and DATA
  denoising  the first rows of DATA as images: clean, with noise of the model's sigma, denoised
  samples    denoised samples of the model as images
  density    the log-density of a model of two features, with DATA, after dsmfast normalize
  chains     energies of chains over their draws; if the chains have mixed, the lines look alike

examples:
  dsmfast plot filters digits-model --out filters.png
  dsmfast plot history digits-model --out history.svg --dark
  dsmfast plot energy mixture-model mixture --out energy.pdf
  dsmfast plot denoising digits-model digits --count 8 --out denoising.png
  dsmfast plot denoising rows-model rows.npz --key X --image-shape 28 20 --out denoising.png
  dsmfast plot samples digits-model --count 36 --seed 1 --out samples.png
  dsmfast plot density mixture-model mixture --out density.pdf
  dsmfast plot chains digits-model --draws 500 --out chains.png
"""

# What each has a use for.
KINDS: dict[str, frozenset[str]] = {
    "filters": frozenset({"--image-shape", "--count"}),
    "history": frozenset(),
    "energy": frozenset({"DATA", "--count"}),
    "denoising": frozenset({"DATA", "--image-shape", "--count"}),
    "samples": frozenset({"--image-shape", "--count", "--seed"}),
    "density": frozenset({"DATA", "--count"}),
    "chains": frozenset({"--count", "--draws", "--seed"}),
}
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
        help="plot a model, its training, or its effect on data",
        description="Plot a model or a history that train wrote.",
        examples=EXAMPLES,
    )
    option = parser.add_argument
    option("kind", choices=tuple(KINDS), metavar="KIND", help=", ".join(KINDS))
    add_operands(
        parser,
        f"data for {_kinds_of('DATA')}: {DATA_HELP}",
        model_help=f"{MODEL_HELP}; for history also a {HISTORY}",
        needs_data=False,
    )
    add_table(parser)
    option(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"file to write to: {', '.join(_UNDATED)}",
    )
    add_image_shape(parser)
    option(
        "--count",
        type=int,
        help="maximum number of filters (default 100), of rows to denoise (10), samples (64), "
        "points (1000) or chains (4)",
    )
    option("--draws", type=int, help="number of draws per chain (default 1000)")
    option("--seed", type=int, help="seed of samples and chains (default 0)")
    option("--dark", action="store_true", help="use a dark background")
    option("--dpi", type=int, default=150, help="pixels per inch (default 150)")


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
        size = (6, 4) if args.kind in ("history", "chains") else (7, 7)
        figure = figures.Figure(figsize=size)
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


def _kinds_of(option: str) -> str:
    """Return the kinds that have a use for an option, in words."""
    *kinds, last = (kind for kind, options in KINDS.items() if option in options)
    return f"{', '.join(kinds)} and {last}" if kinds else last


def _check_options(args: argparse.Namespace) -> None:
    """Refuse what the kind has no use for, before the work."""
    if args.data is None and "DATA" in KINDS[args.kind]:
        raise ValueError(f"DATA: needed for {args.kind}; expected a named set or a file of rows")
    for option in ("DATA", "--image-shape", "--count", "--draws", "--seed"):
        value = getattr(args, option.strip("-").replace("-", "_").lower())
        if value is not None and option not in KINDS[args.kind]:
            raise ValueError(f"{option}: expected only with {_kinds_of(option)}, got {args.kind}")
    if args.data is None:
        check_no_table(args, " with DATA")
    for option, value in (("--count", args.count), ("--draws", args.draws)):
        if value is not None:
            as_integer(value, option, low=1, high=10**6)
    as_integer(args.dpi, "--dpi", low=10, high=2400)


def _draw(args: argparse.Namespace, ax: Any) -> None:
    if args.kind == "history":
        _draw_history(args.model, ax)
        return
    model = _read_model(args.model)
    options = {"count": args.count, "seed": args.seed}
    options = {name: value for name, value in options.items() if value is not None}
    if args.kind in ("samples", "chains"):
        doubt_scales(model, args.model)
    if args.kind == "chains":
        _draw_chains(args, model, ax)
    elif args.kind in ("energy", "density"):
        _draw_plane(args, model, {**options, "ax": ax})
    else:
        shape = plot.as_image_shape(args.image_shape, model.n_features, "--image-shape")
        options |= {"image_shape": shape, "ax": ax}
        if args.kind == "denoising":
            plot.denoising(model, read_rows_for(model, args.data, args), **options)
        elif args.kind == "filters":
            plot.filters(model, **options)
        else:
            plot.samples(model, **options)


def _draw_plane(args: argparse.Namespace, model: ScoreModel, options: dict[str, Any]) -> None:
    if model.n_features != 2:
        raise ValueError(
            f"{args.model}: expected a model of 2 features, got one of {model.n_features}"
        )
    if args.kind == "density":
        check_normalizer(model, args.model, "density")
    rows = read_rows_for(model, args.data, args)
    draw = plot.energy if args.kind == "energy" else plot.density
    draw(model, rows, **options)


def _draw_chains(args: argparse.Namespace, model: ScoreModel, ax: Any) -> None:
    count = 4 if args.count is None else args.count
    draws = 1000 if args.draws is None else args.draws
    seed = 0 if args.seed is None else args.seed
    plot.chains(sampling.sample(model, count, draws, seed=seed), count=count, ax=ax)


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
    plot.history(losses, best_epoch=best or None, training=record, ax=ax)


def _read_history(path: Path) -> dict[str, Array]:
    """Return the columns of a history that train wrote."""
    if path.suffix.lower() != ".csv":
        raise ValueError(f"MODEL: expected a directory that train wrote or a .csv, got {path}")
    table = data.load_table(path)
    names = table.names or ()
    if "epoch" not in names or "loss" not in names:
        raise ValueError(f"{path}: expected columns epoch and loss, as train writes them")
    return dict(zip(names, table.values.T, strict=True))
