"""Writing of image files."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array, as_choice
from dsmfast._system.extras import pillow
from dsmfast._system.files import written_aside
from dsmfast.images import jp2, png, pnm, tiff
from dsmfast.images.metadata import kept, told
from dsmfast.images.picture import (
    ENDINGS,
    FORMATS,
    Format,
    Picture,
    Stored,
    is_image,
    opaque,
    say,
)
from dsmfast.images.squares import as_image
from dsmfast.images.white import doubt_unit

__all__ = ["check_room", "write"]

_DTYPES = ("uint8", "uint16", "float32")


def write(
    path: str | os.PathLike[str], image: npt.ArrayLike | Picture, *, dtype: str | None = None
) -> None:
    """Write an image or a picture to a file, in the depth of the picture.

    Integers are clipped to black and white; floats are not. Anything that the format cannot
    represent is omitted with an :class:`ImageWarning`: more than 8 bits in most formats, floats in
    all but TIFF, metadata, and transparency, which is replaced by white. If most values are above
    2, an :class:`ImageWarning` says that they are probably not in [0, 1].

    The image is written to a temporary file, which then replaces ``path``. An interrupted call
    therefore leaves the old file intact.

    Parameters
    ----------
    path : path-like
        File to write. Its ending, one of :data:`ENDINGS`, selects the format. JPEG and WebP are
        written at quality 95.
    image : Picture, or array_like, shape (height, width), (height, width, 1) or (height, width, 3)
        Grey or RGB image in [0, 1].
    dtype : {"uint8", "uint16", "float32"}, optional
        Data type to write. The default is that of the picture, and ``uint8`` for an array.

    Raises
    ------
    ValueError
        If the ending or the shape is unknown, values are not finite, the image is too large for the
        format, or several images are written to a format that holds one.
    OSError
        If the file cannot be written.
    ImportError
        If Pillow, tifffile or imagecodecs is not installed (extra ``images``).

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from dsmfast import images
    >>> ramp = np.linspace(0, 1, 1000).reshape(10, 100)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "ramp.png"
    ...     images.write(path, ramp)
    ...     len(np.unique(images.read(path)))
    256
    """
    image_module = pillow()
    if not is_image(path):
        raise ValueError(f"path: expected a file ending in {', '.join(ENDINGS)}, got {path}")
    picture = image if isinstance(image, Picture) else Picture((as_image(image),))
    wanted = str(picture.dtype) if dtype is None else as_choice(dtype, "dtype", _DTYPES)
    to = FORMATS[Path(path).suffix.lower()]
    if to.name not in image_module.registered_extensions().values():
        raise ValueError(f"path: this Pillow was built without {Path(path).suffix}")
    check_room(path, picture)
    lost: list[str] = []
    stored = _stored(picture, to, np.dtype(wanted), lost)
    if to.name == "GIF" and any(_colours(frame) > 256 for frame in stored.frames):
        lost.append("all colours but 256 of a frame")
    lost += told(picture.metadata, to)
    try:
        encoded = _encoded(stored, to)
    except (OSError, ValueError) as error:
        height, width = stored.frames[0].shape[:2]
        raise ValueError(
            f"image: {height} x {width} pixels cannot be written as {to.name}: {error}"
        ) from None
    if len(picture) > 1 and to.timed and (equal := len(picture) - _count(encoded)):
        lost.append(f"{equal} of {len(picture)} frames, which equal the one before")
    with written_aside(path) as aside:
        aside.write_bytes(encoded)
    if lost:
        say(f"{os.fspath(path)}: not kept in {to.name}: {'; '.join(lost)}")


def check_room(path: str | os.PathLike[str], picture: Picture) -> None:
    """Refuse several images in a format of one."""
    to = FORMATS[Path(path).suffix.lower()]
    if len(picture) > 1 and not to.frames:
        several = ", ".join(ending for ending in ENDINGS if FORMATS[ending].frames)
        raise ValueError(
            f"path: {to.name} files hold one image, and {picture.name} holds {len(picture)}; "
            f"write to one of {several}"
        )
    if not to.timed or len(picture) == 1:
        return
    if len({frame.shape[:2] for frame in picture.frames}) > 1:
        raise ValueError(
            f"path: all frames of a {to.name} file have one size, but those of {picture.name} have "
            "several; write to .tif"
        )


def _stored(picture: Picture, to: Format, dtype: np.dtype[Any], lost: list[str]) -> Stored:
    """Return the numbers that a format has room for, and tell what it has not."""
    target = dtype
    if dtype.name not in to.dtypes:
        target = np.dtype(to.dtypes[-1])
        lost.append(f"{dtype}, for which there is {target}")
    same = target == picture.dtype
    white, most = (picture.white, picture.most) if same else (opaque(target), opaque(target))
    frames: list[Array] = []
    alphas: list[Array | None] = []
    for given, alpha in zip(picture.frames, picture.alpha, strict=True):
        frame = as_image(given, name=picture.name)
        if frame.ndim == 3 and frame.shape[2] == 1:
            frame = frame[:, :, 0]
        if frame.ndim == 3 and frame.shape[2] != 3:
            raise ValueError(
                f"{picture.name}: expected 1 or 3 channels to write, got {frame.shape[2]}"
            )
        if target.kind != "f":  # which are not cut off
            doubt_unit(frame, picture.name, min(most, opaque(target)) / white)
        if alpha is not None:
            frame, alpha = _seen(frame, alpha, to, picture, lost)
        frames.append(_numbers(frame, target, white, most))
        alphas.append(None if alpha is None else _numbers(alpha, target, opaque(target), None))
    premultiplied = picture.premultiplied and to.name == "TIFF"
    return Stored(frames, alphas, picture.metadata, premultiplied, white)


def _seen(
    frame: Array, alpha: Array, to: Format, picture: Picture, lost: list[str]
) -> tuple[Array, Array | None]:
    """Return colours and alpha as the format has them: over white, if it has none."""
    shares = alpha if frame.ndim == 2 else alpha[:, :, None]
    if to.alpha == "none":
        if (alpha < 1).any() and (what := "transparency, for which there is white") not in lost:
            lost.append(what)
        return frame * shares + (1 - shares), None
    if to.alpha == "on or off":
        if ((alpha > 0) & (alpha < 1)).any() and (what := "what is half transparent") not in lost:
            lost.append(what)
        return frame, (alpha >= 0.5).astype(alpha.dtype)
    if picture.premultiplied and to.name == "TIFF":
        return frame * shares, alpha
    return frame, alpha


def _numbers(values: Array, dtype: np.dtype[Any], white: float, most: float | None) -> Array:
    """Return floats as what is stored."""
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return (values * white).clip(limits.min, limits.max).astype(dtype)
    largest = opaque(dtype) if most is None else min(most, opaque(dtype))
    scaled: Array = np.round((values.astype(np.float64) * white).clip(0, largest))
    return scaled.astype(dtype)


def _count(encoded: bytes) -> int:
    """Return how many frames a file has, of which Pillow makes one where they are equal."""
    with pillow().open(io.BytesIO(encoded)) as opened:
        return int(getattr(opened, "n_frames", 1))


def _colours(frame: Array) -> int:
    """Return how many colours an image of 8 bits has."""
    if frame.ndim == 2:
        return 256
    return len(np.unique(frame.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)))


def _encoded(stored: Stored, to: Format) -> bytes:
    """Return a file. In memory first: Pillow's own errors about a full disk do not say so."""
    if to.name == "TIFF":
        return tiff.encoded(stored)
    options = kept(stored.metadata, to)
    whole = [
        frame if alpha is None else np.dstack([frame, alpha])
        for frame, alpha in zip(stored.frames, stored.alpha, strict=True)
    ]
    if whole[0].dtype == np.uint16:
        if len(whole) > 1:
            raise ValueError("expected a .tif file for several images of 16 bits")
        if to.name in ("PPM", "JPEG2000"):
            write_deep = pnm.encoded if to.name == "PPM" else jp2.encoded
            return write_deep(whole[0], stored.white or opaque(whole[0].dtype))
        return png.encoded(whole[0], options)
    pictures = [pillow().fromarray(values) for values in whole]
    if len(pictures) > 1:
        metadata = stored.metadata
        options.update(save_all=True, append_images=pictures[1:])
        if metadata.seconds is None or metadata.loop is not None:
            options["loop"] = metadata.loop or 0
        elif to.name != "GIF":  # which plays once where nothing is said
            options["loop"] = 1
        options["duration"] = [round(1000 * second) for second in metadata.seconds or ()] or 100
        options |= {"disposal": 2} if to.name == "GIF" and stored.alpha[0] is not None else {}
    content = io.BytesIO()
    pictures[0].save(content, to.name, quality=95, **options)
    return content.getvalue()
