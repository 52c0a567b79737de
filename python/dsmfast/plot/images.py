"""Rows of pixels as images: filters, samples and denoising."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array, as_integer, as_real, describe
from dsmfast._arguments.frames import check_columns
from dsmfast.model import ScoreModel
from dsmfast.noise import normals
from dsmfast.plot.axes import axes_of, check_model, finite_rows, some_of

__all__ = ["as_image_shape", "black_and_white", "denoising", "filters", "samples", "tiled"]


def filters(
    model: ScoreModel | npt.ArrayLike,
    *,
    image_shape: tuple[int, int] | None = None,
    count: int = 100,
    columns: int | None = None,
    ax: Any = None,
) -> Any:
    """Show the rows of W as images.

    Each image is scaled by its largest magnitude, and 0 is grey.

    Parameters
    ----------
    model : ScoreModel or array_like, shape (n_hidden, n_features)
        The model, or its weights.
    image_shape : (height, width), optional
        Shape of the image of a row, in pixels. The default is a square.
    count : int
        Maximum number of filters; those of largest norm are shown.
    columns : int, optional
        Number of images in a line. By default the grid is about square.
    ax : matplotlib Axes, optional
        Axes to draw in. The default is a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        If the weights are not a finite matrix, or its rows are not images of that shape.

    Examples
    --------
    >>> from dsmfast import ScoreModel, plot
    >>> ax = plot.filters(ScoreModel.initialize(n_features=64, n_hidden=50, sigma=0.3), count=36)
    >>> ax.get_title()
    '36 of 50 filters'
    """
    W = model.W if isinstance(model, ScoreModel) else finite_rows(model, "model", np.float64)
    shape = as_image_shape(image_shape, W.shape[1])
    order = np.argsort(-np.linalg.norm(W, axis=1), kind="stable")
    shown = W[order[: as_integer(count, "count", low=1, high=10**6)]]
    largest = np.abs(shown).max(axis=1, keepdims=True)
    scaled = shown / np.where(largest > 0, largest, 1)
    grid = tiled(scaled, shape, _as_columns(columns, len(shown)))
    axes = axes_of(ax, 6.0, 6.0 * grid.shape[0] / grid.shape[1] + 0.4)
    axes.imshow(grid, cmap="gray", vmin=-1, vmax=1, interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title(_counted(len(shown), len(W), "filter"))
    return axes


def denoising(
    model: ScoreModel,
    X: npt.ArrayLike,
    *,
    image_shape: tuple[int, int] | None = None,
    count: int = 10,
    noise: float | None = None,
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """Show rows of pixels clean, with noise, and denoised by the model.

    The three versions are three lines of images. Black and white are the percentiles 1 and 99 of
    the values of the clean rows.

    Parameters
    ----------
    model : ScoreModel
        Model that denoises.
    X : array_like, shape (n, n_features)
        Clean rows, preferably held out from training. They are converted to the precision of the
        model.
    image_shape : (height, width), optional
        Shape of the image of a row, in pixels. The default is a square.
    count : int
        Maximum number of rows; the first ones are shown.
    noise : float, optional
        Standard deviation of the Gaussian noise. The default is the sigma of the model.
    seed : int
        Seed of the noise, which is :func:`dsmfast.normals` at step 0, draw 0.
    ax : matplotlib Axes, optional
        Axes to draw in. The default is a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        If the rows do not fit the model, or are not images of that shape.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(200), columns=12)
    >>> model = dsmfast.train(X, n_hidden=8, sigma=0.5, epochs=2).model
    >>> ax = dsmfast.plot.denoising(model, X, image_shape=(3, 4), count=5)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['clean', 'noisy', 'denoised']
    """
    check_model(model)
    check_columns(X, "X", model.feature_names)
    rows = finite_rows(X, "X", model.dtype, model.n_features)
    clean = rows[: as_integer(count, "count", low=1, high=10**6)]
    shape = as_image_shape(image_shape, model.n_features)
    sigma = model.sigma if noise is None else as_real(noise, "noise", inclusive=True)
    draw = normals(seed, 0, 0, range(len(clean)), model.n_features, model.dtype)
    noisy = clean + model.dtype.type(sigma) * draw
    grid = tiled(np.concatenate([clean, noisy, model.denoise(noisy)]), shape, len(clean))
    axes = axes_of(ax, 8.0, min(8.0, 6.8 * grid.shape[0] / grid.shape[1] + 0.4))
    axes.imshow(grid, cmap="gray", interpolation="antialiased", **_limits(clean))
    axes.set_frame_on(False)  # it would fill the lines between the images
    middles = (len(grid) - shape[0]) / 2 * np.arange(3) + (shape[0] - 1) / 2
    axes.set(xticks=[], title=f"noise, σ = {sigma:.3g}")
    axes.set_yticks(middles, ["clean", "noisy", "denoised"])
    axes.tick_params(axis="y", length=0, labelsize="small")
    return axes


def samples(
    x: ScoreModel | npt.ArrayLike,
    *,
    image_shape: tuple[int, int] | None = None,
    count: int = 64,
    columns: int | None = None,
    seed: int | None = None,
    ax: Any = None,
) -> Any:
    """Show samples as images: given rows, or denoised samples of a model.

    Black and white are the percentiles 1 and 99 of the values shown, so that a few extreme values
    do not make all images grey; ``ax.images[0].set_clim(low, high)`` changes them.

    Parameters
    ----------
    x : array_like, shape (n, n_features), or ScoreModel
        Rows, such as those of ``model.sample`` or ``Chains.rows``. For a model, its
        ``denoise(sample(count, seed=seed))`` is shown.
    image_shape : (height, width), optional
        Shape of the image of a row, in pixels. The default is a square.
    count : int
        Maximum number of images. Of more rows, evenly spaced ones are shown, in their order.
    columns : int, optional
        Number of images in a line. By default the grid is about square.
    seed : int, optional
        Seed of the samples of a model; the default is 0. It is an error to give a seed with rows.
    ax : matplotlib Axes, optional
        Axes to draw in. The default is a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        If the rows are not a finite matrix or not images of that shape, or a seed is given with
        rows.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(200), columns=12)
    >>> model = dsmfast.train(X, n_hidden=8, sigma=0.5, epochs=2, sigma_max="auto").model
    >>> ax = dsmfast.plot.samples(model, image_shape=(3, 4), count=20)
    >>> ax.get_title()
    '20 samples'
    >>> ax = dsmfast.plot.samples(dsmfast.sample(model, draws=50).rows, image_shape=(3, 4))
    >>> ax.get_title()
    '64 of 200 samples'
    """
    most = as_integer(count, "count", low=1, high=10**6)
    if isinstance(x, ScoreModel):
        shape = as_image_shape(image_shape, x.n_features)
        across = _as_columns(columns, most)
        rows = x.denoise(x.sample(most, seed=0 if seed is None else seed))
    else:
        rows = finite_rows(x, "x", np.float64)
        shape = as_image_shape(image_shape, rows.shape[1])
        across = _as_columns(columns, min(most, len(rows)))
        if seed is not None:
            raise ValueError("seed: expected None if x is rows; only the samples of a model use it")
    shown = some_of(rows, most)
    grid = tiled(shown, shape, across)
    axes = axes_of(ax, 6.0, 6.0 * grid.shape[0] / grid.shape[1] + 0.4)
    axes.imshow(grid, cmap="gray", interpolation="antialiased", **_limits(shown))
    axes.set_axis_off()
    axes.set_title(_counted(len(shown), len(rows), "sample"))
    return axes


def as_image_shape(shape: object, pixels: int, name: str = "image_shape") -> tuple[int, int]:
    """Return (height, width) of images of so many pixels."""
    if shape is None:
        side = round(pixels**0.5)
        if side * side != pixels:
            raise ValueError(f"{name}: needed, because {pixels} features are not a square image")
        return side, side
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 2:
        raise TypeError(f"{name}: expected (height, width), got {describe(shape)}")
    height, width = (as_integer(length, name, low=1, high=2**31) for length in shape)
    if height * width != pixels:
        raise ValueError(f"{name}: expected {pixels} pixels, got {height} x {width}")
    return height, width


def black_and_white(rows: Array) -> tuple[float, float]:
    """Return the values that are shown black and white, of which a few extremes do not decide."""
    low, high = np.percentile(rows, [1, 99])
    if not low < high:  # nearly all pixels have one value, as in line drawings
        low, high = rows.min(), rows.max()
    return float(low), float(high)


def _limits(rows: Array) -> dict[str, float]:
    """Return the limits of colours, as matplotlib names them."""
    low, high = black_and_white(rows)
    return {"vmin": low, "vmax": high}


def _as_columns(columns: int | None, count: int) -> int:
    """Return how many of so many images are in a line."""
    if columns is None:
        return int(np.ceil(np.sqrt(count)))
    return as_integer(columns, "columns", low=1, high=10**6)


def _counted(shown: int, count: int, what: str) -> str:
    """Return a title: how many are shown, of how many."""
    shown_of = "" if shown == count else f"{shown} of "
    return f"{shown_of}{count} {what}{'' if count == 1 else 's'}"


def tiled(rows: Array, shape: tuple[int, int], columns: int) -> Array:
    """Return images on a grid, line by line; NaN, which is transparent, between them."""
    height, width = shape
    gap = max(1, round(min(shape) / 16))
    lines = -(-len(rows) // columns)
    grid = np.full((lines * (height + gap), columns * (width + gap)), np.nan)
    for i, image in enumerate(rows.reshape(-1, height, width)):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid[:-gap, :-gap]
