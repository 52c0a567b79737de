"""``dsmfast train``: from rows to a saved model."""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast import images, training
from dsmfast._arguments.checks import Array, as_integer, as_real, narrowed
from dsmfast._density.modes import affordable_starts
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions
from dsmfast._objective.scales import ScaleOptions, takes_scales
from dsmfast._objective.table import OBJECTIVES
from dsmfast._rows.options import RowOptions
from dsmfast._run.checkpoints import check_resumed_names
from dsmfast._run.distributed import World, as_world
from dsmfast._run.options import CheckpointOptions, StepOptions, StoppingOptions
from dsmfast._run.verdict import is_through, remedy, verdict
from dsmfast._system.extras import needed
from dsmfast.cli.arguments import (
    add_command,
    add_data,
    add_options,
    add_score,
    add_verbose,
    number_or_auto,
    options_of,
    progress_of,
)
from dsmfast.cli.commands.normalize import in_lines, normalized
from dsmfast.cli.directory import (
    CHECKPOINT,
    ended_by_sigterm,
    make_writeable,
    undisturbed,
    write_run,
)
from dsmfast.cli.inputs import MODEL, doubt_normalizer, tell_of
from dsmfast.cli.pictures import OF_IMAGES, add_white
from dsmfast.cli.training_data import Read, objective_of, read
from dsmfast.images.white import check_level
from dsmfast.model import ScoreModel, load
from dsmfast.modes import DensityWarning, spurious_modes
from dsmfast.objectives import loss
from dsmfast.results import DivergenceError, TrainingResult

__all__ = ["EXAMPLES", "add"]

EXAMPLES = """\
The command writes to DIR: model.safetensors (which dsmfast.load reads), history.csv, and, if rows
are square images of at least 3 x 3 pixels, filters.png. Ctrl-C writes the state so far and exits
with status 130, SIGTERM with 143.

examples:
  dsmfast train digits --epochs 1000 --out digits-model
  dsmfast train mixture --hidden 256 --epochs 300 --normalize --out mixture-model
  dsmfast train rows.npz --key X --objective dae --out rows-model
  dsmfast train patches --objective ism --curvature-penalty 0.01 --out ism-model
  dsmfast train mixture --sigma-max none --out one-scale-model
  dsmfast train spiral --sigma 1 --sigma-end 0.1 --epochs 100 --out fine-model
  dsmfast train digits --epochs 5000 --patience 20 --out best-model
  dsmfast train patches --sigma 0.5 --epochs 50 --resume --out patches-model
  dsmfast train photo.png --patch 8 --sigma 0.1 --hidden 256 --out photo-model
"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "train",
        _run,
        help="train a model and save it",
        description="Train a score model on rows of data, and evaluate it on held-out rows.",
        examples=EXAMPLES,
    )
    add_data(parser, images=True)
    add_score(parser, note=" (with a file, training has no held-out loss after each epoch)")
    option = parser.add_argument
    option("--out", type=Path, required=True, metavar="DIR", help="directory to write to")
    option(
        "--sigma",
        type=number_or_auto,
        help="standard deviation of the noise, in units of the data (default 0.3), or of white for "
        "images (default 0.1), as for --sigma-end and --sigma-max; auto selects it from the data",
    )
    option(
        "--sigma-end",
        type=float,
        help="sigma of the last epoch, to which sigma decreases geometrically",
    )
    add_options(parser, StepOptions, ObjectiveOptions)
    option(
        "--parzen-data",
        metavar="DATA",
        help="sample of the Parzen density of esm_smoothed (default: the training rows, and for "
        "the held-out loss the held-out rows)",
    )
    add_options(parser, NoiseOptions, ScaleOptions, RowOptions)
    option("--patch", type=int, help="side, in pixels, of the patches of images (default 8)")
    option("--patches", type=int, help="number of patches from all images (default 50000)")
    add_white(parser)
    option("--held-out", type=float, default=0.2, help="fraction of rows to hold out (default 0.2)")
    add_options(parser, StoppingOptions)
    option(
        "--normalize",
        action="store_true",
        help="compute the normaliser at the end, as dsmfast normalize does, for log-densities",
    )
    option(
        "--checkpoint",
        type=float,
        metavar="SECONDS",
        help=f"seconds between checkpoints in DIR/{CHECKPOINT} (default: none are written; "
        "with --resume 30)",
    )
    add_options(parser, CheckpointOptions)
    option(
        "--mpi",
        action="store_true",
        help="train on all ranks of mpiexec, each on its share of the rows",
    )
    add_verbose(parser)


def _sigmas(args: argparse.Namespace, first: float, unit: float) -> float | Array:
    """Return sigma, or that of each epoch."""
    if args.sigma_end is None:
        return first
    last = as_real(args.sigma_end, "--sigma-end") / unit
    if unit != 1:
        check_level(args.sigma_end, "--sigma-end")
    return np.geomspace(first, last, as_integer(args.epochs, "--epochs", low=2, high=10**8))


def _run(args: argparse.Namespace) -> int:
    if not args.mpi:
        return _train(args, None, read(args))
    world = as_world(needed("mpi4py.MPI", "--mpi", "mpi").COMM_WORLD)
    if world is None:
        return _train(args, None, read(args))
    with world.speaking_for_all():
        return _train(args, world, world.together(lambda: read(args)))


def _train(args: argparse.Namespace, world: World | None, found: Read) -> int:
    shape, rows, held_out, table = found
    names = None if table is None else table.names
    if table is not None and (world is None or world.rank == 0):
        tell_of(table, args.data[0])
    objective, judge = objective_of(args, shape, names)
    options = {**objective, **options_of(args, NoiseOptions, RowOptions, StepOptions)}
    options.update(_scales(args, world))
    unit = images.UNIT if images.is_image(args.data[0]) else 1.0  # of sigma, in that of the rows
    first: float | str = (0.3 if unit == 1 else 0.1) if args.sigma is None else args.sigma
    if not isinstance(first, str):
        first = as_real(first, "sigma") / unit
        if unit != 1:
            check_level(first * unit, "--sigma")
    untrained = {**options, "epochs": 0, "progress": False}
    start = training.train(rows, sigma=first, **untrained).model
    options["sigma"] = _sigmas(args, start.sigma, unit)
    make_writeable(args.out)  # before the work: it may not be allowed
    if args.resume:
        _check_names(args.out / MODEL, names)

    print(
        f"{', '.join(args.data)}: {len(rows)} rows to train on, {len(held_out)} held out, "
        f"{shape[1]} features{'' if world is None else f', {world.size} ranks'}",
        flush=True,
    )
    if first == "auto":
        print(
            f"sigma: {start.sigma * unit:.5g}, at which the rows' Parzen density is most likely",
            flush=True,
        )
    if options["sigma_max"] == "auto":
        widest = (start.training or {})["sigma_max"]
        print(f"sigma_max: {widest * unit:.5g}, four times the spread of the rows", flush=True)
    # A score from a file is known at the rows alone, not as the function that validation asks for.
    validation = None if isinstance(judge.get("score"), np.ndarray) else held_out
    diverged = None
    try:
        with ended_by_sigterm() as terminated:
            result = _run_of(args, options, rows, validation, world)
    except DivergenceError as error:
        diverged, result = error, error.result
    if world is not None and world.rank > 0:
        return 0
    result = replace(result, model=_recorded(args, result.model, names))
    _write(args, result)
    # At the sigma of the end: losses at another say nothing of each other.
    start = ScoreModel(start.W, start.b, start.c, result.model.sigma)
    before, after = (loss(model, held_out, **judge) for model in (start, result.model))
    _report(args, result, len(rows), before, after)
    _tell_of_modes(args, result, rows)
    if args.normalize and result.stop_reason not in ("interrupted", "diverged"):
        _normalize(args, result.model, rows, held_out)
    if diverged is not None:
        reason = str(diverged).partition(". The last")[0]
        print(f"dsmfast: {reason}; the last finite state is saved", file=sys.stderr)
        return 2
    _tell_of_no_score(args, result, rows, held_out, made_worse=not after < before)
    if result.stop_reason == "interrupted":
        return 143 if terminated else 130
    return 0


def _check_names(path: Path, names: tuple[str, ...] | None) -> None:
    """Refuse to go on with a run that wrote a model with other names of its features."""
    try:
        found = load(path).feature_names
    except (OSError, ValueError):  # none is there, or it is damaged, and the checkpoint decides
        return
    check_resumed_names(str(path), found, names)


def _recorded(
    args: argparse.Namespace, model: ScoreModel, names: tuple[str, ...] | None
) -> ScoreModel:
    """Return a model with the names of its features, and with a record of what they are."""
    of_images = images.is_image(args.data[0]) or args.data[0] == "patches"
    record = {**model.training, "data": OF_IMAGES if of_images else "rows"}
    parameters = (model.W, model.b, model.c, model.sigma)
    return ScoreModel(*parameters, training=record, feature_names=names)


def _scales(args: argparse.Namespace, world: World | None) -> dict[str, Any]:
    """Return the scales of the noise: many, where the objective takes them and nobody objects.

    Models of images are for denoising at sigma, and ranks know a part of the rows each.
    """
    options = options_of(args, ScaleOptions)
    if options["sigma_max"] == "none":
        options["sigma_max"] = None
    elif options["sigma_max"] is None:
        takes = takes_scales(OBJECTIVES[args.objective]) and args.corruption == "gaussian"
        plain = args.path == "gram" or world is not None or images.is_image(args.data[0])
        options["sigma_max"] = "auto" if takes and not plain else None
    elif isinstance(options["sigma_max"], float) and images.is_image(args.data[0]):
        check_level(options["sigma_max"], "--sigma-max")
        options["sigma_max"] /= images.UNIT
    return options


def _tell_of_no_score(
    args: argparse.Namespace,
    result: TrainingResult,
    rows: Array,
    held_out: Array,
    *,
    made_worse: bool,
) -> None:
    """Say so where training was of no use on the rows held out, which may be a single one."""
    model, found = result.model, ""
    some = narrowed(_some(rows), model.dtype)
    if is_through(result):
        objective = ObjectiveOptions(**options_of(args, ObjectiveOptions))
        found = verdict(model, held_out, objective, args.seed, args.threads, trained_on=some)
    if made_worse and not found and args.epochs > 0:
        found = f"training increased the held-out loss. {remedy(model.sigma, some)}"
    if found:
        print(f"dsmfast: {found}", file=sys.stderr)


def _tell_of_modes(args: argparse.Namespace, result: TrainingResult, rows: Array) -> None:
    """Say so where the energy is lower elsewhere than beside the rows."""
    if result.steps == 0 or result.stop_reason == "diverged":
        return
    several = "sigma_max" in result.model.training
    if images.is_image(args.data[0]) and not several:
        return  # for denoising, which only looks near the rows
    some, starts = _some(rows), affordable_starts(result.model)
    found = spurious_modes(result.model, some, starts=starts, seed=args.seed, threads=args.threads)
    if found:
        cure = "a larger --sigma-max" if several else "--objective dsm with --sigma-max auto"
        print(f"dsmfast: {found}; try {cure}", file=sys.stderr)


def _normalize(args: argparse.Namespace, model: ScoreModel, rows: Array, held_out: Array) -> None:
    """Find the normaliser, save the model with it, and judge it by the rows held out."""
    found = normalized(
        model,
        data=_some(rows),
        seed=args.seed,
        progress=progress_of(args),
        threads=args.threads,
    )
    with undisturbed():
        found.save(args.out / MODEL)
    print(in_lines(found.log_normalizer))
    mean = found.log_density(held_out, threads=args.threads).mean(dtype=np.float64)
    print(f"held-out log-density: {mean:.5g} nats a row, on average")
    doubt_normalizer(found, args.out)


def _some(rows: Array) -> Array:
    """Return some thousand of many rows, which may be a file mapped into memory."""
    return np.asarray(rows[:: max(1, len(rows) // 4096)])


def _run_of(
    args: argparse.Namespace,
    options: dict[str, Any],
    rows: Array,
    validation: Array | None,
    world: World | None,
) -> TrainingResult:
    """Train, on this rank's share of the rows where there are several."""
    options = {**options, **options_of(args, StoppingOptions), **_kept(args)}
    shares = {"X": rows, "validation": validation, "score": options.pop("score", None)}
    if world is not None:
        shares = {name: world.share_of(value) for name, value in shares.items()}
        options["comm"] = world.comm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DensityWarning)  # of which it tells itself
        return training.train(**shares, progress=progress_of(args), **options)


def _write(args: argparse.Namespace, result: TrainingResult) -> None:
    """Write the files of a run, and say how it ended."""
    with undisturbed():
        files = write_run(args.out, result)
        print(f"{args.out}: {', '.join(files)}")
        if result.stop_reason == "patience":
            print(f"the model is that of epoch {result.best_epoch}, of the lowest held-out loss")
        elif result.stop_reason != "finished":
            print(f"{result.stop_reason} after {result.steps} steps; this is the state so far")
        sys.stdout.flush()


def _kept(args: argparse.Namespace) -> dict[str, Any]:
    """Return where and how often the run is kept."""
    if args.checkpoint is None and not args.resume:
        return {}
    seconds = 30.0 if args.checkpoint is None else as_real(args.checkpoint, "--checkpoint")
    return {
        "checkpoint": args.out / CHECKPOINT,
        "checkpoint_seconds": seconds,
        "resume": args.resume,
    }


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
