"""Denoising of images with a model of patches."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array, as_integer, as_real, not_a_model
from dsmfast.images.picture import Picture, say
from dsmfast.images.squares import BLOCK, UNIT, as_image, as_planes, squares_of
from dsmfast.images.white import check_level, is_beyond
from dsmfast.model import ScoreModel

__all__ = ["denoise"]


@overload
def denoise(
    model: ScoreModel,
    image: Picture,
    *,
    noise: float | None = None,
    stride: int = 1,
    threads: int | None = None,
) -> Picture: ...


@overload
def denoise(
    model: ScoreModel,
    image: npt.ArrayLike,
    *,
    noise: float | None = None,
    stride: int = 1,
    threads: int | None = None,
) -> Array: ...


def denoise(
    model: ScoreModel,
    image: npt.ArrayLike | Picture,
    *,
    noise: float | None = None,
    stride: int = 1,
    threads: int | None = None,
) -> Array | Picture:
    """Remove Gaussian noise from an image with a model of square patches.

    Patches are cut at every multiple of ``stride`` and at the far edges, and are denoised. Each
    pixel of the result is the mean over the patches that contain it. Three channels are denoised as
    brightness and two colour differences, which assumes that the noise is independent between
    channels. Any other number of channels are denoised one by one.

    Parameters
    ----------
    model : ScoreModel
        Model trained on :func:`patches`; its features are the pixels of a square.
    image : array_like, shape (height, width) or (height, width, channels), or Picture
        Noisy image in [0, 1]; noise may exceed this range. All frames of a picture are denoised,
        and alpha is unchanged.
    noise : float, optional
        Standard deviation of the noise in the image. The default is the noise that the model was
        trained on, ``model.sigma * UNIT``. For another value, patches are scaled by the ratio of
        the two. This works for values near the trained one; for half of it or less, train a model
        on that noise (docs/benchmarks/denoising.md has figures).
    stride : int, default=1
        Distance between patches, from 1 (all patches, the best and slowest result) to the side of a
        patch.
    threads : int, optional
        Number of threads. The default is that of OpenMP. The result is bit-identical for any
        number.

    Returns
    -------
    ndarray of the shape of ``image`` in the precision of the model, or Picture
        Denoised image. Its values are not clipped to [0, 1].

    Raises
    ------
    ValueError, TypeError
        If the features of the model are not a square, if the image is invalid or smaller than a
        patch, or if the noise is above 1 for an image in [0, 1].

    Warns
    -----
    ImageWarning
        If the noise is so small relative to the image that they are probably in different units,
        such as pixels from 0 to 255 and noise in units of white.

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
        raise not_a_model(model)
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
    if isinstance(image, Picture):
        if noise is not None:
            check_level(level, "noise")
        frames = []
        for frame in image.frames:
            values = as_image(frame, model.dtype, image.name)
            frames.append(_denoise_image(model, values, step, unit, threads, image.name))
        return replace(image, frames=tuple(frames))
    values = as_image(image, model.dtype)
    largest = float(np.abs(values).max())
    if not is_beyond(values):
        if noise is not None:
            check_level(level, "noise")
    elif level < largest / 500:  # half a level of 8 bits, if the largest is white
        say(
            f"image: its values go up to {largest:g}, so noise of {level:g} is negligible; "
            "is it in [0, 1]? Divide it by its value of white, or give noise= in its unit"
        )
    return _denoise_image(model, values, step, unit, threads)


def _denoise_image(
    model: ScoreModel,
    values: Array,
    stride: int,
    unit: float,
    threads: int | None,
    name: str = "image",
) -> Array:
    """Denoise an image, plane by plane."""
    side = round(model.n_features**0.5)
    planes, axes = as_planes(values)
    clean = np.empty_like(planes, order="C")
    for plane, squares in zip(clean, squares_of(planes, side, name), strict=True):
        _denoise_plane(model, squares, plane, stride, unit, threads)
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
        at_once = max(1, BLOCK // (len(lefts) * side**2))
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
