"""Reading of image files."""

from __future__ import annotations

import io
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array, as_real
from dsmfast._system.extras import pillow
from dsmfast.images import jp2, png, pnm, tiff
from dsmfast.images.metadata import ORIENTATION, of_opened, upright
from dsmfast.images.picture import Metadata, Picture, Stored, opaque, say
from dsmfast.images.white import white_of

__all__ = ["open", "read"]

_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")


def open(path: str | os.PathLike[str], *, white: float | None = None) -> Picture:
    """Read an image file with everything that is needed to write it again.

    Images are turned upright according to their EXIF orientation.

    Parameters
    ----------
    path : path-like
        Any image that Pillow reads, and PNG, TIFF, JPEG 2000, PGM and PPM files of 16 bits, and
        TIFF files of floats.
    white : float, optional
        Number that stands for white in the file. The default is the largest number of its depth,
        and 1 for floats. If all numbers of a deeper file fit in 8, 10, 12 or 14 bits, or most
        floats exceed 2, white is assumed to be the largest number of the fewest bits that hold
        them, with an :class:`ImageWarning`. A number beyond the integers of the file is not used,
        with an :class:`ImageWarning`.

    Returns
    -------
    Picture
        Picture of one or more frames.

    Raises
    ------
    ValueError
        If the file is not an image, is damaged, or has values of an unknown scale.
    OSError
        If the file cannot be opened.
    ImportError
        If Pillow, tifffile or imagecodecs is not installed (extra ``images``).

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from dsmfast import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "grey.png")
    ...     images.write(path, np.full((4, 6), 0.5))
    ...     picture = images.open(path)
    >>> len(picture), picture.frames[0].shape
    (1, (4, 6))
    """
    image_module = pillow()  # before the file is opened: what is missing is the package
    level = None if white is None else as_real(white, "white")
    content = Path(path).read_bytes()
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            # Of half as many pixels as are an error: the file is one that the caller chose.
            warnings.simplefilter("ignore", image_module.DecompressionBombWarning)
            stored = _decoded(content)
    except (MemoryError, ImportError):
        raise
    except image_module.DecompressionBombError:
        raise ValueError(
            f"{path}: more than {2 * image_module.MAX_IMAGE_PIXELS} pixels; if it is a file that "
            "you trust, set PIL.Image.MAX_IMAGE_PIXELS = None before"
        ) from None
    # Of a damaged file the libraries make nearly any error: struct's, zlib's, KeyError.
    except Exception as error:
        reason = "of no known format" if " object at 0x" in str(error) else error
        raise ValueError(f"{path}: not a readable image: {reason}") from None
    for note in dict.fromkeys([*_of_pillow(told), *stored.notes]):
        say(f"{path}: {note}")
    return _scaled(stored, os.fspath(path), level)


def read(path: str | os.PathLike[str], *, white: float | None = None) -> Array:
    """Read a file of a single image as an array.

    :func:`open` also reads files of several images, transparency and metadata.

    Parameters
    ----------
    path, white
        As for :func:`open`.

    Returns
    -------
    ndarray of float32 (float64 for more than 16 bits), shape (height, width[, 3])
        Image in [0, 1]; a file of floats may exceed this range. Transparency is dropped. Invisible
        regions continue the colours of their surroundings.

    Raises
    ------
    ValueError
        As for :func:`open`, and if the file has several images.
    OSError, ImportError
        As for :func:`open`.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from dsmfast import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "grey.png")
    ...     images.write(path, np.full((4, 6), 0.5))
    ...     image = images.read(path)
    >>> image.shape, image.dtype.name
    ((4, 6), 'float32')
    """
    picture = open(path, white=white)
    if len(picture) > 1:
        raise ValueError(
            f"{path}: expected one image, got {len(picture)}; images.open(path).frames has them all"
        )
    return picture.frames[0]


def _of_pillow(told: list[warnings.WarningMessage]) -> list[str]:
    """Return what Pillow said of a file; warnings of other threads, say, go on as they were."""
    found = []
    for warning in told:
        if "PIL" in Path(warning.filename).parts:
            found.append(str(warning.message).strip())
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return found


def _decoded(content: bytes) -> Stored:
    """Return the numbers of an image file."""
    if tiff.is_tiff(content) and not tiff.is_for_pillow(content):
        return tiff.decoded(content)
    if pnm.is_deep(content):
        pixels, most = pnm.decoded(content)
        return Stored([pixels], [None], Metadata(), white=float(most))
    deep = next((kind for kind in (png, jp2) if kind.is_deep(content)), None)
    with pillow().open(io.BytesIO(content)) as opened:
        # A second image in a JPEG file is a preview, or the other eye's.
        count = 1 if opened.format == "MPO" else getattr(opened, "n_frames", 1)
        if deep and count > 1:
            raise ValueError("animations of 16 bits are not supported")
        before = opened.getexif().get(ORIENTATION, 1)
        opened.load()  # which may turn it already
        orientation = opened.getexif().get(ORIENTATION, 1)
        metadata = of_opened(opened, max(before, orientation) > 4)
        if opened.format == "TIFF":
            others = dict.fromkeys([*metadata.others, *tiff.others_of(content)])
            metadata = replace(metadata, others=tuple(others))
        if opened.format == "AVIF" and _is_deep_avif(content):  # which Pillow reads as 8 bits
            metadata = replace(metadata, others=(*metadata.others, "more than 8 bits"))
        white = jp2.white_of(content) if jp2.is_deep(content) else None
        stored = Stored([], [], metadata, white=white)
        seconds = []
        for i in range(count):
            opened.seek(i)
            opened.load()
            seconds.append(float(opened.info.get("duration") or 0) / 1000)
            frame, alpha = _parted(deep.decoded(content) if deep else _pixels(opened))
            stored.frames.append(upright(frame, orientation))
            stored.alpha.append(None if alpha is None else upright(alpha, orientation))
        if count == 1 or opened.format not in _ANIMATED:
            return stored
        endless = 0 if opened.format == "AVIF" else None  # which does not say
        loop = opened.info.get("loop", endless)
        timed = replace(stored.metadata, seconds=tuple(seconds), loop=loop)
        return stored._replace(metadata=timed)


def _is_deep_avif(content: bytes) -> bool:
    """Whether the record of the coding says that there are more than 8 bits."""
    place = content.find(b"av1C") + 6
    return 6 <= place < len(content) and bool(content[place] & 0x40)


def _pixels(image: Any) -> Array:
    """Return the numbers of an image that Pillow has loaded: grey or RGB, and alpha behind them."""
    clear = image.has_transparency_data
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("LA" if clear else "L"))
    if image.mode == "F" or image.mode.startswith("I"):
        return np.asarray(image)
    return np.asarray(image.convert("RGBA" if clear else "RGB"))


def _parted(values: Array) -> tuple[Array, Array | None]:
    """Return colours, and alpha if the last of two channels or four."""
    if values.ndim == 2 or values.shape[2] == 3:
        return values, None
    colours = values[:, :, :-1]
    return (colours[:, :, 0] if colours.shape[2] == 1 else colours), values[:, :, -1]


def _scaled(stored: Stored, name: str, white: float | None) -> Picture:
    """Return what is stored as floats, black at 0 and white at 1."""
    dtype = stored.frames[0].dtype
    low = min(frame.min() for frame in stored.frames)
    high = max(frame.max() for frame in stored.frames)
    # NaN is not between any two numbers.
    if not (np.isfinite(low) and np.isfinite(high)) or (dtype.kind != "f" and low < 0):
        expected = "finite pixels" if dtype.kind == "f" else "pixels of at least 0"
        raise ValueError(f"{name}: expected {expected}, got {low} to {high}")
    level = white_of(stored.frames, stored.white, name, white)
    most = level if high <= level or dtype.kind == "f" else opaque(dtype)
    wide = dtype.itemsize > 2 and dtype != np.float32
    precision: np.dtype[np.floating[Any]] = np.dtype(np.float64 if wide else np.float32)
    frames = [frame.astype(precision) / precision.type(level) for frame in stored.frames]
    most_opaque = opaque(dtype)
    alphas = [
        None if alpha is None else alpha.astype(precision) / precision.type(most_opaque)
        for alpha in stored.alpha
    ]
    for i, alpha in enumerate(alphas):
        if alpha is not None:
            if stored.premultiplied:
                shares = alpha if frames[i].ndim == 2 else alpha[:, :, None]
                frames[i] = np.divide(frames[i], shares, where=shares > 0, out=frames[i])
            frames[i] = filled(frames[i], alpha > 0)
    return Picture(
        tuple(frames),
        tuple(alphas),
        dtype,
        float(level),
        float(most),
        stored.premultiplied,
        stored.metadata,
        name,
    )


def filled(image: Array, visible: Array) -> Array:
    """Return an image whose colours go on, ever smoother, where it is not visible.

    What a file holds there is nothing to see, and would come in from there with every patch that
    reaches over the edge. Of ever coarser images, each pixel is the mean of four, as far as
    they are visible, and what is missing in one is taken from the next.
    """
    if visible.all():
        return image
    if not visible.any():
        return np.zeros_like(image)
    height, width = visible.shape
    odd = [(0, height % 2), (0, width % 2)]
    flat = image.reshape(height, width, -1)
    share = np.pad(visible.astype(image.dtype), odd)[:, :, None]
    total = np.pad(np.where(visible[:, :, None], flat, 0), [*odd, (0, 0)])
    count, total = _four_added(share), _four_added(total)
    coarse = np.divide(total, count, where=count > 0, out=np.zeros_like(total))
    coarse = filled(coarse, count[:, :, 0] > 0).reshape(total.shape)
    wide = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(visible[:, :, None], flat, wide).reshape(image.shape)


def _four_added(values: Array) -> Array:
    """Return the sums of squares of two by two pixels."""
    rows = values[::2] + values[1::2]
    return np.asarray(rows[:, ::2] + rows[:, 1::2])
