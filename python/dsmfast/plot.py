"""Pictures of a model (extra ``plot``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast.arrays import Array, as_integer, as_real_array
from dsmfast.model import ScoreModel
from dsmfast.results import TrainingResult

__all__ = ["filters", "history"]


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("plotting needs matplotlib: pip install 'dsmfast[plot]'") from None
    return pyplot


def tiled(W: npt.ArrayLike, shape: tuple[int, int] | None, columns: int) -> Array:
    """Rows of W as images on a grid, each scaled to [-1, 1], a line of NaN between."""
    rows = as_real_array(W, "W")
    h, d = rows.shape
    if shape is None:
        side = round(d**0.5)
        if side * side != d:
            raise ValueError(f"image_shape: needed, because {d} features are no square image")
        shape = (side, side)
    height, width = shape
    if height * width != d:
        raise ValueError(f"image_shape: expected {d} pixels, got {height} x {width}")
    images = rows.reshape(h, height, width)
    largest = np.abs(images).max(axis=(1, 2), keepdims=True)
    images = images / np.where(largest > 0, largest, 1)
    lines = -(-h // columns)
    grid = np.full((lines * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for i, image in enumerate(images):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        grid[top : top + height, left : left + width] = image
    return grid


def filters(
    model: ScoreModel | npt.ArrayLike,
    *,
    image_shape: tuple[int, int] | None = None,
    count: int = 100,
    columns: int | None = None,
    ax: Any = None,
) -> Any:
    """Show the rows of W as images, those of largest norm first.

    Parameters
    ----------
    model : ScoreModel or array_like, shape (n_hidden, n_features)
        The model, or its weights.
    image_shape : (height, width), optional
        Of a row; by default square.
    count : int
        How many at most.
    columns : int, optional
        Images in a line; by default as many as lines.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes
    """
    W = model.W if isinstance(model, ScoreModel) else as_real_array(model, "model")
    order = np.argsort(-np.linalg.norm(W, axis=1), kind="stable")
    shown = W[order[: as_integer(count, "count", low=1, high=10**6)]]
    grid = tiled(shown, image_shape, columns or int(np.ceil(np.sqrt(len(shown)))))
    if ax is None:
        ax = _pyplot().subplots(figsize=(6, 6 * grid.shape[0] / grid.shape[1]))[1]
    ax.imshow(grid, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    shown_of = "" if len(shown) == len(W) else f"{len(shown)} of "
    ax.set_title(f"{shown_of}{len(W)} filters, largest norm first")
    return ax


def history(result: TrainingResult | dict[str, Array], *, ax: Any = None) -> Any:
    """Show the losses of a ``TrainingResult``, or of its history, over epochs; return the Axes."""
    values = result.history if isinstance(result, TrainingResult) else result
    if ax is None:
        ax = _pyplot().subplots(figsize=(6, 4))[1]
    for name, label in (("loss", "training"), ("validation_loss", "held out")):
        if name in values:
            ax.plot(np.arange(1, len(values[name]) + 1), values[name], label=label)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.legend()
    return ax
