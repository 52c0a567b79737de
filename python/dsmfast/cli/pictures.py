"""Image files among what the commands are given, and ``dsmfast denoise`` of them."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dsmfast import data, images
from dsmfast._system.extras import pillow
from dsmfast._system.progress import progress
from dsmfast._tables.files import STDIN
from dsmfast.cli.arguments import progress_of
from dsmfast.cli.inputs import check_no_table, read_model
from dsmfast.cli.outputs import check_apart, check_output, one_line, write_array
from dsmfast.images.white import check_level
from dsmfast.images.writing import check_room
from dsmfast.model import ScoreModel

__all__ = ["OF_IMAGES", "add_white", "denoise_files", "expanded", "read_pictures", "told"]


OF_IMAGES = "patches of images"  # what train records of its data, where they are that


def add_white(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says what is white."""
    parser.add_argument(
        "--white",
        type=float,
        metavar="NUMBER",
        help="number that is white in image files (default: the largest of their depth)",
    )


def expanded(names: Sequence[str]) -> list[str]:
    """Return names with directories as the images in them."""
    found: list[str] = []
    for name in names:
        path = Path(name)
        ending = path.name.lower()
        if name in data.NAMED or name == STDIN or ending.endswith(data.ENDINGS):
            found.append(name)
        elif path.is_dir():
            found += _inside(path)
        elif path.suffix and not ending.endswith(_KNOWN):
            raise ValueError(
                f"{name}: expected a file ending in {', '.join(data.ENDINGS)}, or of an image "
                f"({', '.join(images.ENDINGS)}), got {path.suffix}"
            )
        else:
            found.append(name)
    return found


# What is known by its ending beside rows: images, and models, of which others say what is wrong.
_KNOWN = (*images.ENDINGS, ".safetensors")


def _inside(path: Path) -> list[str]:
    """Return the images in a directory; say what else is there, but for hidden files."""
    files = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
    found = [file for file in files if images.is_image(file) and not file.is_dir()]
    if not found:
        raise ValueError(
            f"{path}: expected a file or a directory of images ({', '.join(images.ENDINGS)}), "
            "got a directory without images"
        )
    others = [f"{file.name}{'/' * file.is_dir()}" for file in files if file not in found]
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        skipped = ", ".join(others[:5])
        print(f"dsmfast: {path}: skipped, as no images: {skipped}{more}", file=sys.stderr)
    return [str(file) for file in found]


@contextmanager
def told() -> Iterator[None]:
    """Say on stderr what the package warns of images, a line each."""
    with warnings.catch_warnings(), _of_any_size():
        ordinary = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: object) -> None:
            if issubclass(category, images.ImageWarning):
                print(f"dsmfast: {message}", file=sys.stderr, flush=True)
            else:
                ordinary(message, category, *rest)  # type: ignore[arg-type]

        warnings.simplefilter("always", images.ImageWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


@contextmanager
def _of_any_size() -> Iterator[None]:
    """Let Pillow open images of any size: they are files that the caller of the command named."""
    image_module = pillow()
    before = image_module.MAX_IMAGE_PIXELS
    image_module.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        image_module.MAX_IMAGE_PIXELS = before


def read_pictures(names: Sequence[str], white: float | None) -> list[images.Picture]:
    """Return what image files hold."""
    with told():
        return [images.open(name, white=white) for name in names]


def denoise_files(args: argparse.Namespace) -> int:
    """Denoise images, each to a file; where there are several, one that fails stops no other."""
    check_no_table(args)
    if args.out is None:
        raise ValueError(
            "--out: needed for images; expected a file to write, or a directory for several"
        )
    others = [name for name in args.data if not images.is_image(name)]
    if others:
        raise ValueError(f"DATA: expected one set or file, or images, got {' '.join(args.data)}")
    if args.noise is not None:
        check_level(args.noise, "--noise")
    pairs = _targets(args)
    model = read_model(args.model)
    _doubt_data(model, args.model)
    if args.noise is not None and 0 < args.noise <= 0.5 * model.sigma * images.UNIT:
        print(
            f"dsmfast: noise of {args.noise:g} is far from the {model.sigma * images.UNIT:g} that "
            "the model was trained on; a model trained on this noise is better",
            file=sys.stderr,
        )
    if len(pairs) == 1:
        with told():
            _denoise_file(args, model, *pairs[0])
        return 0
    failed = 0
    with told(), progress(progress_of(args), len(pairs), 1, names=("image", "images")) as shown:
        for done, (source, target) in enumerate(pairs, start=1):
            try:
                _denoise_file(args, model, source, target)
            except (ValueError, OSError) as error:
                failed += 1
                print(f"dsmfast: {_named(source, error)}", file=sys.stderr, flush=True)
            shown.rows(done)
    if failed:
        print(f"dsmfast: {failed} of {len(pairs)} images were not denoised", file=sys.stderr)
    return 2 if failed else 0


def _doubt_data(model: ScoreModel, path: Path) -> None:
    """Say so where a model may not be one of patches of images, though it has as many features."""
    kind = model.training.get("data")
    if not model.training or kind == OF_IMAGES:  # without any record, it was not trained here
        return
    known = "was trained on rows, not on images" if kind else "has no record of its training data"
    what = "these rows" if kind else "they"
    print(
        f"dsmfast: {path} {known}; if {what} are not patches of images, the result is of no use",
        file=sys.stderr,
    )


def _named(source: Path, error: Exception) -> str:
    """Return an error as people read it, with the file that it is of."""
    line = one_line(error)
    return line if str(source) in line else f"{source}: {line}"


def _targets(args: argparse.Namespace) -> list[tuple[Path, Path]]:
    """Return files with those to write; that these can be written is checked before the work."""
    sources = [Path(name) for name in args.data]
    out: Path = args.out
    if len(sources) == 1 and not (args.many or args.out_is_directory or out.is_dir()):
        check_output(out, (*images.ENDINGS, ".npy"))
        return [(sources[0], out)]
    if images.is_image(out) or (out.exists() and not out.is_dir()):
        raise ValueError(f"--out: expected a directory for several images, got {out}")
    pairs: dict[Path, Path] = {}
    for source in sources:
        target = out / source.name
        if target in pairs:
            raise ValueError(
                f"--out: {pairs[target]} and {source} would both be written to {target}"
            )
        pairs[target] = source
    check_apart(args, *pairs)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out: cannot write to {out}: {error.strerror}") from None
    check_output(next(iter(pairs)), images.ENDINGS)
    return [(source, target) for target, source in pairs.items()]


def _denoise_file(args: argparse.Namespace, model: ScoreModel, source: Path, target: Path) -> None:
    """Denoise all frames of a file, and write them."""
    noisy = images.open(source, white=args.white)
    as_array = target.suffix.lower() == ".npy"
    if as_array and len({frame.shape for frame in noisy.frames}) > 1:
        raise ValueError(f"{source}: expected pages of one shape for an array, got several shapes")
    if not as_array:
        check_room(target, noisy)
    options = {"noise": args.noise, "stride": args.stride, "threads": args.threads}
    clean = images.denoise(model, noisy, **options)
    if not as_array:
        images.write(target, clean)
        return
    if any(alpha is not None for alpha in clean.alpha):
        print(f"dsmfast: {target}: transparency is not kept in an array", file=sys.stderr)
    frames = clean.frames
    write_array(target, frames[0] if len(frames) == 1 else np.stack(frames), "x")
