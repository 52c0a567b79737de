"""``dsmfast energy``, ``score``, ``transform`` and ``denoise``: what a model says of rows."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from dsmfast import images
from dsmfast._arguments.checks import Array
from dsmfast.cli.arguments import DATA_HELP, add_command, add_table, add_threads, add_verbose
from dsmfast.cli.inputs import check_normalizer, read_model, read_rows_for
from dsmfast.cli.operands import add_operands
from dsmfast.cli.outputs import add_output, check_output, write_array
from dsmfast.cli.pictures import add_white, denoise_files, expanded
from dsmfast.model import ScoreModel

__all__ = ["EXAMPLES", "add"]

EXAMPLES = {
    "energy": """\
The output is one number per row; likely rows have low energies. Sort by it to find anomalies. By
default dsmfast train uses noise up to --sigma-max, and the model then gives high energies far from
its data too. The energies of a model that was trained at sigma alone are meaningful near its data
only: rows farther away may have any energy.

Energies of two models cannot be compared, but log-densities of the same rows can. They need the
normaliser, which dsmfast train --normalize or dsmfast normalize computes.

examples:
  dsmfast energy digits-model digits
  dsmfast energy rows-model rows.npz --key X --out energy.csv
  dsmfast energy mixture-model mixture --log-density
""",
    "score": """\
The score is the gradient of the log-density, which is minus the gradient of the energy. The output
has one row per row of DATA, with as many columns.

examples:
  dsmfast score digits-model digits --out score.npy
""",
    "transform": """\
The hidden units of a row are numbers between 0 and 1. They can be the features of another model.

examples:
  dsmfast transform digits-model digits --out features.npy
""",
    "denoise": """\
This removes noise of the model's sigma from rows, or noise from images. An image is cut into
overlapping square patches, which are denoised and averaged. It needs a model that was trained on
images (dsmfast train PHOTO --patch 8). If the noise of the image is not that of the model, give its
standard deviation as --noise, in units where white is 1.

An image keeps its depth, transparency, pages or frames, and metadata, as far as the format of the
output file supports them. A message names whatever is not kept. Several images, or the images of
directories, are written to a directory under their own names.

examples:
  dsmfast denoise rows-model rows.npz --key X --out clean.npy
  dsmfast denoise photo-model noisy.png --out clean.png
  dsmfast denoise photo-model noisy.png --noise 0.08 --stride 2 --out clean.png
  dsmfast denoise photo-model noisy.png photo.png --out clean-photos
""",
}

_WHAT: dict[str, tuple[str, str, Callable[[ScoreModel, Array, int | None], Array]]] = {
    "energy": ("energy", "energy of each row", lambda m, x, t: m.energy(x, threads=t)),
    "score": ("score", "score of each row", lambda m, x, t: m.score(x, threads=t)),
    "transform": ("hidden", "hidden units of each row", lambda m, x, t: m.hidden(x, threads=t)),
    "denoise": ("x", "rows or an image without noise", lambda m, x, t: m.denoise(x, threads=t)),
}


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    for command, (_, what, _) in _WHAT.items():
        parser = add_command(
            commands,
            command,
            partial(_run, command=command),
            help=what,
            description=f"Write the {what}.",
            examples=EXAMPLES[command],
        )
        kinds = f"rows: {DATA_HELP}"
        if command == "denoise":
            kinds += ", or images and directories of them"
        add_operands(parser, kinds, many=command == "denoise")
        add_table(parser)
        add_output(parser, images=command == "denoise")
        if command == "energy":
            parser.add_argument(
                "--log-density",
                action="store_true",
                help="write log-densities, in nats: higher where data are more likely",
            )
        if command == "denoise":
            parser.add_argument(
                "--noise",
                type=float,
                help="standard deviation of the noise of an image (default: that of the model)",
            )
            parser.add_argument(
                "--stride",
                type=int,
                default=1,
                help="distance between patches, in pixels; more is faster but a little worse "
                "(default 1)",
            )
            add_white(parser)
            add_verbose(parser)
        add_threads(parser)


def _run(args: argparse.Namespace, command: str) -> int:
    if command == "denoise":
        names = expanded(args.data)
        if any(map(images.is_image, names)):
            args.many = names != args.data
            args.data = names
            return denoise_files(args)
        _check_rows(args)
    model = read_model(args.model)
    name, _, values = _WHAT[command]
    if command == "energy" and args.log_density:
        check_normalizer(model, args.model, "--log-density")
        name, values = "log_density", lambda m, x, t: m.log_density(x, threads=t)
    # First, so that what is wrong with it is not blamed on --out: of an image, that is for rows.
    rows = read_rows_for(model, args.data, args)
    check_output(args.out)
    columns = model.feature_names
    if command == "score" and columns is not None:
        columns = tuple(f"score_{feature}" for feature in columns)
    write_array(
        args.out,
        values(model, rows, args.threads),
        name,
        columns if command in ("denoise", "score") else None,
    )
    return 0


def _check_rows(args: argparse.Namespace) -> None:
    """Refuse what is of images where rows are denoised."""
    if len(args.data) > 1:
        raise ValueError(f"DATA: expected one set or file, or images, got {' '.join(args.data)}")
    (args.data,) = args.data
    if args.noise is not None:
        raise ValueError("--noise: expected only with images; rows have noise of the model's sigma")
    for name, default in (("stride", 1), ("white", None), ("verbose", False)):
        if getattr(args, name) != default:
            raise ValueError(f"--{name}: expected only with images, got {args.data}")
