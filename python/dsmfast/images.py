"""Photographs: read, cut into patches, denoised by a model of patches, and written.

Images are arrays (height, width) or (height, width, channels) of floats, 0 for black and 1 for
white. A patch is a square of pixels without its mean, as a row, in tenths of white
(:data:`UNIT`): the mean says nothing of what a photograph looks like, and noise hardly moves it;
and a tenth is about what pixels differ by within a patch. The unit matters, because the weights of
the model are tied: for one set of weights to be both steep and small, data have to be of order 1.

Train on noise of standard deviation 0.1, say, and denoise::

    rows = images.patches([images.read("photo.png")], count=100_000)
    model = dsmfast.train(rows, n_hidden=512, sigma=0.1 / images.UNIT).model
    images.write("clean.png", images.denoise(model, images.read("noisy.png")))
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dsmfast._checks import Array, as_integer, as_real, as_real_array, as_seed, describe, narrowed
from dsmfast._extras import needed, pillow
from dsmfast._files import written_aside
from dsmfast.model import ScoreModel
from dsmfast.noise import Use, uniforms

__all__ = ["ENDINGS", "UNIT", "denoise", "is_image", "patches", "read", "write"]

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

UNIT = 0.1
"""What 1 in a patch is in an image."""

# Brightness, and two differences of colour, at right angles: noise that is the same and independent
# in red, green and blue is so in these, while nearly all of a photograph is in the first.
_OPPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])

# Numbers in the patches that are worked on at once: some megabytes, which stay in a cache.
_BLOCK = 1 << 20


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file's ending is that of an image: one of :data:`ENDINGS`, in any case."""
    return Path(path).suffix.lower() in ENDINGS


def read(path: str | os.PathLike[str]) -> Array:
    """Read an image file, turned upright as its EXIF data say.

    Parameters
    ----------
    path : path-like
        Any image that Pillow reads; of several frames, the first.

    Returns
    -------
    ndarray of float32, shape (height, width) or (height, width, 3)
        In [0, 1], from 8 bits, or 16 where the file has one channel. Transparency and colour
        profiles are dropped.

    Raises
    ------
    ValueError
        If the file is not an image, or is damaged, or has values that no scale is known for.
    OSError
        If it cannot be opened.
    ImportError
        Without Pillow (extra ``images``).
    """
    pillow()  # before the file is opened: what is missing is the package
    content = Path(path).read_bytes()
    try:
        pixels, largest = _decoded(content)
    except MemoryError:
        raise
    # Of a damaged file Pillow makes nearly any error: struct's, zlib's, KeyError, SyntaxError.
    except Exception as error:
        raise ValueError(f"{path}: not a readable image: {error}") from None
    # NaN is not between any two numbers.
    if not (pixels.min() >= 0 and pixels.max() <= largest):
        raise ValueError(
            f"{path}: expected pixels from 0 to {largest}, got {pixels.min()} to {pixels.max()}"
        )
    values: Array = pixels.astype(np.float32) / np.float32(largest)
    return values


def _decoded(content: bytes) -> tuple[Array, int]:
    """Return the pixels of an image file, and what is white."""
    upright = needed("PIL.ImageOps", "reading images", "images").exif_transpose
    with pillow().open(io.BytesIO(content)) as opened:
        image = upright(opened)
        if image.mode == "F":
            return np.asarray(image), 1
        if image.mode.startswith("I"):  # 16 bits; 32 are an error, where they are used
            return np.asarray(image), 65535
        grey = image.mode in ("1", "L", "LA")
        return np.asarray(image.convert("L" if grey else "RGB")), 255


def write(path: str | os.PathLike[str], image: npt.ArrayLike) -> None:
    """Write an image, cut off at 0 and 1, in 8 bits.

    Written beside ``path`` and renamed, so that the file is the old one or the new one.

    Parameters
    ----------
    path : path-like
        Its ending, one of :data:`ENDINGS`, is the format; JPEG and WebP are written at quality 95.
    image : array_like, shape (height, width), (height, width, 1) or (height, width, 3)
        Grey or red, green and blue, in [0, 1].

    Raises
    ------
    ValueError
        For another ending or shape, values that are not finite, or more pixels than the format
        has room for.
    OSError
        If it cannot be written.
    ImportError
        Without Pillow (extra ``images``).
    """
    image_module = pillow()
    if not is_image(path):
        raise ValueError(f"path: expected a file ending in {', '.join(ENDINGS)}, got {path}")
    values = _as_image(image)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim == 3 and values.shape[2] != 3:
        raise ValueError(f"image: expected 1 or 3 channels to write, got {values.shape[2]}")
    pixels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    # In memory first: Pillow's own errors about a full disk do not say so.
    encoded = io.BytesIO()
    format_name = image_module.registered_extensions().get(Path(path).suffix.lower())
    if format_name is None:
        raise ValueError(f"path: this Pillow was built without {Path(path).suffix}")
    try:
        image_module.fromarray(pixels).save(encoded, format_name, quality=95)
    except (OSError, ValueError) as error:
        height, width = pixels.shape[:2]
        raise ValueError(
            f"image: {height} x {width} pixels cannot be written as {format_name}: {error}"
        ) from None
    with written_aside(path) as aside:
        aside.write_bytes(encoded.getbuffer())


def _as_image(image: object, dtype: npt.DTypeLike | None = None) -> Array:
    """Return a finite image, in a precision if one is given."""
    values = as_real_array(image, "image")
    if values.dtype.kind != "f":
        raise TypeError(
            f"image: expected floats, 0 for black and 1 for white, got dtype {values.dtype}; "
            "divide 8 bits by 255"
        )
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(
            "image: expected shape (height, width) or (height, width, channels), "
            f"got {values.shape}"
        )
    if dtype is not None:
        values = narrowed(values, np.dtype(dtype))
    if not np.isfinite(values).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"image: expected finite values, got {values[place]} at {place}")
    return values


def patches(
    images: Sequence[npt.ArrayLike], *, side: int = 8, count: int = 20_000, seed: int = 0
) -> Array:
    """Cut squares out of images at random places, without their means, to train on.

    Parameters
    ----------
    images : sequence of array_like, each (height, width) or (height, width, channels)
        In [0, 1]. Of three channels, half of the patches are of brightness, and half of two
        differences of colour, as :func:`denoise` takes them.
    side : int
        Pixels of a side, at least 2.
    count : int
        How many patches in all; every place in every image is as likely as any other.
    seed : int
        Of the places.

    Returns
    -------
    ndarray of float32, shape (count, side**2)
        In units of ``UNIT``: noise of standard deviation s in an image is one of s / UNIT here.

    Raises
    ------
    ValueError, TypeError
        For images that are not, or have fewer pixels than a patch.

    Examples
    --------
    >>> import numpy as np
    >>> from dsmfast import images
    >>> photo = np.linspace(0, 1, 30 * 40).reshape(30, 40)
    >>> images.patches([photo], side=6, count=100).shape
    (100, 36)
    """
    if isinstance(images, np.ndarray):
        raise TypeError(
            "images: expected a sequence of images, got "
            f"{describe(images)}; of one image it is [image]"
        )
    length = as_integer(side, "side", low=2, high=4096)
    wanted = as_integer(count, "count", low=1, high=10**9)
    start = as_seed(seed)
    windows = [_windows(_as_planes(_as_image(image, np.float32))[0], length) for image in images]
    if not windows:
        raise ValueError("images: expected at least one image, got none")
    counts = [w.shape[1] * w.shape[2] for w in windows]
    ends = np.cumsum(counts)
    places = (uniforms(start, Use.patches, wanted) * ends[-1]).astype(np.int64)
    chances = uniforms(start, Use.planes, wanted)
    image_of = np.searchsorted(ends, places, "right")
    rows = np.empty((wanted, length**2), dtype=np.float32)
    for i, window in enumerate(windows):
        (mine,) = np.nonzero(image_of == i)
        planes = np.array([0, 0, 1, 2] if len(window) == 3 else range(len(window)))
        for some in np.array_split(mine, 1 + len(mine) * length**2 // _BLOCK):
            top, left = np.divmod(places[some] - ends[i] + counts[i], window.shape[2])
            plane = planes[(chances[some] * len(planes)).astype(np.int64)]
            rows[some] = window[plane, top, left].reshape(len(some), -1)
    rows -= rows.mean(axis=1, keepdims=True)
    rows *= np.float32(1 / UNIT)
    return rows


def _as_planes(image: Array) -> tuple[Array, Array]:
    """Return what is denoised plane by plane (planes, height, width), and the way back.

    The image is the planes, times the rows of a matrix, added up.
    """
    if image.ndim == 2:
        return image[None], np.ones((1, 1), image.dtype)
    channels = np.moveaxis(image, 2, 0)
    count = len(channels)
    if (channels == channels[:1]).all():  # grey, so one noise for all
        return channels[:1], np.ones((1, count), image.dtype)
    if count != 3:
        return channels, np.eye(count, dtype=image.dtype)
    axes = _OPPONENTS.astype(image.dtype)
    return np.moveaxis(image @ axes.T, 2, 0), axes


def _windows(planes: Array, side: int) -> Array:
    """Return all squares of planes, without a copy: shape (planes, down, across, side, side)."""
    if min(planes.shape[1:]) < side:
        raise ValueError(
            f"image: expected at least {side} x {side} pixels, the size of a patch, "
            f"got {planes.shape[1]} x {planes.shape[2]}"
        )
    return np.lib.stride_tricks.sliding_window_view(planes, (side, side), axis=(1, 2))


def denoise(
    model: ScoreModel,
    image: npt.ArrayLike,
    *,
    noise: float | None = None,
    stride: int = 1,
    threads: int | None = None,
) -> Array:
    """Take Gaussian noise off an image, by a model of square patches without their means.

    Every patch at a multiple of ``stride``, and those at the far edges, is denoised, and a pixel is
    the mean of what the patches that hold it say. Three channels are denoised as brightness and two
    differences of colour, for noise that is independent from channel to channel; any other number
    of them one by one.

    Parameters
    ----------
    model : ScoreModel
        Trained on :func:`patches`: its features are the pixels of a square.
    image : array_like, shape (height, width) or (height, width, channels)
        In [0, 1], with noise, which may have taken it out of there.
    noise : float, optional
        Standard deviation of the noise in the image; by default what the model was trained on,
        ``model.sigma * UNIT``. For another, patches are scaled by the ratio of the two, which
        serves nearby: from half the noise down, train on it (docs/images.md has figures).
    stride : int
        From 1, all patches, the best and the slowest, to the side of a patch.
    threads : int, optional
        By default what OpenMP says. The result does not depend on it.

    Returns
    -------
    ndarray of the model's precision, of the shape of ``image``
        Not cut off at 0 and 1.

    Raises
    ------
    ValueError, TypeError
        For a model that is not one of squares, or an image that is none or smaller than a patch.

    Examples
    --------
    >>> import numpy as np, dsmfast
    >>> from dsmfast import images
    >>> clean = np.add.outer(np.arange(60), np.arange(80)) % 20 / 20
    >>> model = dsmfast.train(images.patches([clean]), 64, sigma=0.1 / images.UNIT).model
    >>> noise = 0.1 * dsmfast.normals(seed=1, step=0, draw=0, rows=range(60), columns=80)
    >>> denoised = images.denoise(model, clean + noise)
    >>> bool(np.std(denoised - clean) < 0.5 * np.std(noise))
    True
    """
    if not isinstance(model, ScoreModel):
        raise TypeError(f"model: expected a ScoreModel, got {describe(model)}")
    side = round(model.n_features**0.5)
    if side < 2 or side * side != model.n_features:
        raise ValueError(
            f"model: expected one of square patches, got one of {model.n_features} features"
        )
    trained_on = model.sigma * UNIT
    level = trained_on if noise is None else as_real(noise, "noise")
    # At the noise that the model was trained on, this is the unit, without a rounding error.
    unit = UNIT if level == trained_on else UNIT * level / trained_on
    step = as_integer(stride, "stride", low=1, high=side)
    values = _as_image(image, model.dtype)
    planes, axes = _as_planes(values)
    clean = np.empty_like(planes, order="C")
    for plane, squares in zip(clean, _windows(planes, side), strict=True):
        _denoise_plane(model, squares, plane, step, unit, threads)
    return clean[0] if values.ndim == 2 else np.moveaxis(clean, 0, 2) @ axes


def _denoise_plane(
    model: ScoreModel, windows: Array, out: Array, stride: int, unit: float, threads: int | None
) -> None:
    """Denoise a plane, given as all its squares, into another."""
    side = windows.shape[2]
    down, across = (_places(count, stride) for count in windows.shape[:2])
    out[:] = 0
    for lefts in across:
        columns = slice(lefts.start, lefts[-1] + side)
        part = windows[:, lefts.start : lefts.stop : lefts.step]
        at_once = max(1, _BLOCK // (len(lefts) * side**2))
        for tops in down:
            for first in range(0, len(tops), at_once):
                some = tops[first : first + at_once]
                rows = slice(some.start, some[-1] + side)
                squares = part[some.start : some.stop : some.step]
                clean = _denoise_squares(model, squares, unit, threads)
                _overlap_add(out[rows, columns], clean, stride)
    # As many patches hold a pixel as hold its row, times as many as hold its column.
    out /= _cover(down, side, out.shape[0])[:, None].astype(out.dtype)
    out /= _cover(across, side, out.shape[1]).astype(out.dtype)


def _places(count: int, stride: int) -> list[range]:
    """Return where patches start: every ``stride``, and at the last place, to end at the edge."""
    places = [range(0, count, stride)]
    if (count - 1) % stride:
        places.append(range(count - 1, count))
    return places


def _cover(places: list[range], side: int, length: int) -> Array:
    """Return how many of the patches hold each pixel of a line."""
    count = np.zeros(length)
    for place in places:
        for start in place:
            count[start : start + side] += 1
    return count


def _denoise_squares(model: ScoreModel, squares: Array, unit: float, threads: int | None) -> Array:
    """Return squares (down, across, side, side) without noise."""
    rows = squares.copy().reshape(-1, model.n_features)
    mean = rows.mean(axis=1, keepdims=True)
    rows -= mean
    rows *= model.dtype.type(1 / unit)
    clean = model.denoise(rows, threads=threads)
    clean *= model.dtype.type(unit)
    clean += mean
    return clean.reshape(squares.shape)


def _overlap_add(total: Array, squares: Array, stride: int) -> None:
    """Add squares (down, across, side, side) to an image where they belong.

    One pixel of all squares at a time, first along lines and then across: adding square by square
    would be a loop over them in Python.
    """
    down, across, side, _ = squares.shape
    lines = np.zeros((down, total.shape[1], side), dtype=total.dtype)
    reach = stride * (across - 1) + 1
    for x in range(side):
        lines[:, x : x + reach : stride] += squares[:, :, :, x]
    reach = stride * (down - 1) + 1
    for y in range(side):
        total[y : y + reach : stride] += lines[:, :, y]
