"""Images as planes, and the squares of pixels that models are trained on."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array, as_integer, as_real_array, as_seed, describe, narrowed
from dsmfast.images.picture import Picture
from dsmfast.images.white import doubt_unit
from dsmfast.noise import Use, uniforms

__all__ = ["BLOCK", "UNIT", "as_image", "as_planes", "patches", "squares_of"]

UNIT = 0.1
"""Value in an image that corresponds to 1 in a patch."""

# Brightness, and two differences of colour, at right angles: noise that is the same and independent
# in red, green and blue is so in these, while nearly all of a photograph is in the first.
_OPPONENTS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])

# Numbers in the patches that are worked on at once: some megabytes, which stay in a cache.
BLOCK = 1 << 20

_READ_IT = "images.open reads it"


def as_image(image: object, dtype: npt.DTypeLike | None = None, name: str = "image") -> Array:
    """Return a finite image, in a precision if one is given."""
    if isinstance(image, (str, os.PathLike)):
        raise TypeError(f"{name}: expected an array, got the path {os.fspath(image)!r}; {_READ_IT}")
    values = as_real_array(image, name)
    if getattr(image, "dtype", None) == np.bool_:
        raise TypeError(f"{name}: expected floats, 0 for black and 1 for white, got dtype bool")
    if values.dtype.kind != "f":
        white = np.iinfo(values.dtype).max
        raise TypeError(
            f"{name}: expected floats, 0 for black and 1 for white, got dtype {values.dtype}; "
            f"divide it by its value of white, such as {white}"
        )
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(
            f"{name}: expected shape (height, width) or (height, width, channels), "
            f"got {values.shape}"
        )
    if dtype is not None:
        values = narrowed(values, np.dtype(dtype))
    if not np.isfinite(values).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"{name}: expected finite values, got {values[place]} at {place}")
    return values


def patches(
    images: Sequence[npt.ArrayLike | Picture], *, side: int = 8, count: int = 20_000, seed: int = 0
) -> Array:
    """Cut square patches at random positions of images, and subtract their means.

    Parameters
    ----------
    images : sequence of array_like, each (height, width) or (height, width, channels), or Picture
        Images in [0, 1]. All frames of a picture are used. Of images with three channels, half of
        the patches show brightness and half show two colour differences, in the way :func:`denoise`
        uses them.
    side : int, default=8
        Side of a patch in pixels, at least 2.
    count : int, default=20000
        Total number of patches. All positions in all images are equally likely.
    seed : int, default=0
        Seed of the positions.

    Returns
    -------
    ndarray of float32, shape (count, side**2)
        Patches in units of ``UNIT``: noise of standard deviation s in an image is noise of s / UNIT
        in a patch.

    Raises
    ------
    ValueError, TypeError
        If an image is invalid or smaller than a patch.

    Warns
    -----
    ImageWarning
        If most values of an image are above 2, so that it is probably not in [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from dsmfast import images
    >>> photo = np.linspace(0, 1, 30 * 40).reshape(30, 40)
    >>> images.patches([photo], side=6, count=100).shape
    (100, 36)
    """
    if isinstance(images, (str, os.PathLike)):
        raise TypeError(
            f"images: expected a sequence of images, got the path {os.fspath(images)!r}; {_READ_IT}"
        )
    if isinstance(images, (np.ndarray, Picture)):
        raise TypeError(
            "images: expected a sequence of images, got "
            f"{describe(images)}; use [image] for a single image"
        )
    length = as_integer(side, "side", low=2, high=4096)
    wanted = as_integer(count, "count", low=1, high=10**9)
    start = as_seed(seed)
    windows = []
    for i, image in enumerate(images):
        name = image.name if isinstance(image, Picture) else f"images[{i}]"
        for frame in image.frames if isinstance(image, Picture) else [image]:
            values = as_image(frame, np.float32, name)
            doubt_unit(values, name)
            windows.append(squares_of(as_planes(values)[0], length, name))
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
        for some in np.array_split(mine, 1 + len(mine) * length**2 // BLOCK):
            top, left = np.divmod(places[some] - ends[i] + counts[i], window.shape[2])
            plane = planes[(chances[some] * len(planes)).astype(np.int64)]
            rows[some] = window[plane, top, left].reshape(len(some), -1)
    rows -= rows.mean(axis=1, keepdims=True)
    rows *= np.float32(1 / UNIT)
    return rows


def as_planes(image: Array) -> tuple[Array, Array]:
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


def squares_of(planes: Array, side: int, name: str = "image") -> Array:
    """Return all squares of planes, without a copy: shape (planes, down, across, side, side)."""
    if min(planes.shape[1:]) < side:
        raise ValueError(
            f"{name}: expected at least {side} x {side} pixels, the size of a patch, "
            f"got {planes.shape[1]} x {planes.shape[2]}"
        )
    return np.lib.stride_tricks.sliding_window_view(planes, (side, side), axis=(1, 2))
