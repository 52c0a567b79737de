"""Pictures of models and of their training (extra ``plot``).

Text and lines have the colours of matplotlib's settings, and what is between images is transparent:
pictures can be read on light and on dark backgrounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._checks import (
    Array,
    as_integer,
    as_real,
    as_real_array,
    as_rows,
    as_shape,
    check_finite,
    describe,
    narrowed,
)
from dsmfast._extras import matplotlib_pyplot, needed
from dsmfast.model import ScoreModel
from dsmfast.noise import normals
from dsmfast.results import TrainingResult

__all__ = ["denoising", "energy", "filters", "history"]


def filters(
    model: ScoreModel | npt.ArrayLike,
    *,
    image_shape: tuple[int, int] | None = None,
    count: int = 100,
    columns: int | None = None,
    ax: Any = None,
) -> Any:
    """Show the rows of W as images, each scaled by its largest magnitude, 0 in grey.

    Parameters
    ----------
    model : ScoreModel or array_like, shape (n_hidden, n_features)
        The model, or its weights.
    image_shape : (height, width), optional
        Of a row, in pixels; by default square.
    count : int
        How many at most, those of largest norm first.
    columns : int, optional
        Images in a line; by default as many as lines, or one more.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        For weights that are no finite matrix, or whose rows are not images of that shape.

    Examples
    --------
    >>> from dsmfast import ScoreModel, plot
    >>> ax = plot.filters(ScoreModel.initialize(n_features=64, n_hidden=50, sigma=0.3), count=36)
    >>> ax.get_title()
    '36 of 50 filters'
    """
    W = model.W if isinstance(model, ScoreModel) else _finite_rows(model, "model", np.float64)
    shape = as_image_shape(image_shape, W.shape[1])
    order = np.argsort(-np.linalg.norm(W, axis=1), kind="stable")
    shown = W[order[: as_integer(count, "count", low=1, high=10**6)]]
    across = int(np.ceil(np.sqrt(len(shown)))) if columns is None else columns
    largest = np.abs(shown).max(axis=1, keepdims=True)
    scaled = shown / np.where(largest > 0, largest, 1)
    grid = _tiled(scaled, shape, as_integer(across, "columns", low=1, high=10**6))
    axes = _axes(ax, 6.0, 6.0 * grid.shape[0] / grid.shape[1] + 0.4)
    axes.imshow(grid, cmap="gray", vmin=-1, vmax=1, interpolation="antialiased")
    axes.set_axis_off()
    shown_of = "" if len(shown) == len(W) else f"{len(shown)} of "
    axes.set_title(f"{shown_of}{len(W)} filter{'' if len(W) == 1 else 's'}")
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
    """Show rows of pixels clean, with noise, and denoised by the model: three lines of images.

    Black and white are the least and the largest value of the clean ones.

    Parameters
    ----------
    model : ScoreModel
        What takes the noise off.
    X : array_like, shape (n, n_features)
        Clean rows, best held out from training; converted to the model's precision.
    image_shape : (height, width), optional
        Of a row, in pixels; by default square.
    count : int
        How many rows are shown at most: the first ones.
    noise : float, optional
        Standard deviation of the Gaussian noise; by default the model's sigma.
    seed : int
        Of the noise: :func:`dsmfast.normals` at step 0, draw 0.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        For rows that the model does not take, or that are not images of that shape.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(200), columns=12)
    >>> model = dsmfast.train(X, n_hidden=8, sigma=0.5, epochs=2).model
    >>> ax = dsmfast.plot.denoising(model, X, image_shape=(3, 4), count=5)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['clean', 'noisy', 'denoised']
    """
    _check_model(model)
    rows = _finite_rows(X, "X", model.dtype, model.n_features)
    clean = rows[: as_integer(count, "count", low=1, high=10**6)]
    shape = as_image_shape(image_shape, model.n_features)
    sigma = model.sigma if noise is None else as_real(noise, "noise", inclusive=True)
    draw = normals(seed, 0, 0, range(len(clean)), model.n_features, model.dtype)
    noisy = clean + model.dtype.type(sigma) * draw
    grid = _tiled(np.concatenate([clean, noisy, model.denoise(noisy)]), shape, len(clean))
    axes = _axes(ax, 8.0, min(8.0, 6.8 * grid.shape[0] / grid.shape[1] + 0.4))
    ends = {"vmin": clean.min(), "vmax": clean.max()}
    axes.imshow(grid, cmap="gray", interpolation="antialiased", **ends)
    axes.set_frame_on(False)  # it would fill the lines between the images
    middles = (len(grid) - shape[0]) / 2 * np.arange(3) + (shape[0] - 1) / 2
    axes.set(xticks=[], title=f"noise, σ = {sigma:.3g}")
    axes.set_yticks(middles, ["clean", "noisy", "denoised"])
    axes.tick_params(axis="y", length=0, labelsize="small")
    return axes


def energy(
    model: ScoreModel,
    X: npt.ArrayLike | None = None,
    *,
    limits: tuple[float, float, float, float] | None = None,
    levels: int = 20,
    arrows: int | None = None,
    count: int = 1000,
    ax: Any = None,
) -> Any:
    """Show the energy of a model of two features, blue where low, its score as arrows, and data.

    Colours go from the first percentile of the data's energies (without data, the plane's) to 10
    above, or to the last percentile if that is more. Arrows are as long as the root of the score's
    norm, cut off at its ninth decile, and never reach the next.

    Parameters
    ----------
    model : ScoreModel
        Of two features.
    X : array_like, shape (n, 2), optional
        Data, converted to the model's precision.
    limits : (left, right, bottom, top), optional
        What part of the plane is shown; by default where the data are, with a margin of a tenth or
        of sigma, whichever is more.
    levels : int
        Energies at which the colour changes.
    arrows : int, optional
        Along the longer side; by default one every quarter of an inch, from 6 to 20. 0 draws none.
    count : int
        Points of X that are drawn at most, evenly spaced in the order of the rows. 0 draws none.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        For a model without two features, rows that do not fit it, neither X nor limits.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.data.spiral(1000)
    >>> ax = dsmfast.plot.energy(dsmfast.train(X, n_hidden=32, sigma=0.3).model, X)
    """
    _check_model(model)
    if model.n_features != 2:
        raise ValueError(f"model: expected one of 2 features, got one of {model.n_features}")
    rows = None if X is None else _finite_rows(X, "X", model.dtype, 2)
    box = _as_box(limits, rows, model.sigma)
    steps = as_integer(levels, "levels", low=2, high=1000)
    drawn = as_integer(count, "count", low=0, high=10**7)
    along = None if arrows is None else as_integer(arrows, "arrows", low=0, high=1000)
    width, height = box[:, 1] - box[:, 0]
    # One scale for both, and directions are true; but a strip would be too thin to see.
    aspect = "equal" if 0.2 < height / width < 5 else "auto"
    ratio = height / width if aspect == "equal" else 0.75
    axes = _axes(ax, 6 * min(1, 1 / ratio) + 0.5, 6 * min(1, ratio) + 0.5)
    axes.set(xlim=box[0], ylim=box[1], aspect=aspect, xlabel="feature 0", ylabel="feature 1")
    axes.set_title(f"energy, σ = {model.sigma:.3g}")

    x, y = (np.linspace(low, high, 256) for low, high in box)
    values = model.energy(_lattice(x, y, model.dtype)).astype(np.float64)
    judged = values if rows is None else model.energy(rows).astype(np.float64)
    low, most = np.percentile(judged, [1, 99])
    # The last is of use where energies are so large that rounding would lose the 10.
    depth = max(10, 0 if rows is None else most - low, 1e-9 * abs(low))
    colours = {"cmap": _blue_to_background(axes), "levels": np.linspace(low, low + depth, steps)}
    axes.contourf(x, y, values.reshape(256, 256), extend="both", **colours)
    inches = axes.bbox.size / axes.figure.dpi  # about: a layout comes later
    if rows is not None and drawn > 0:
        some = rows[np.linspace(0, len(rows) - 1, min(drawn, len(rows))).astype(np.intp)]
        look = {"color": "C1", "markersize": 2 + 0.6 * inches.min(), "markeredgewidth": 0}
        axes.plot(*some.T, ".", **look)
    if along != 0:
        _draw_score(axes, model, box, along or int(np.clip(4 * inches.max(), 6, 20)))
    return axes


def history(
    result: TrainingResult | Mapping[str, npt.ArrayLike],
    *,
    best_epoch: int | None = None,
    ax: Any = None,
) -> Any:
    """Show the losses of training over epochs, on a log scale if they span more than a decade.

    Parameters
    ----------
    result : TrainingResult or mapping
        What :func:`dsmfast.train` handed back, or its ``history``: ``"loss"`` and, where there were
        rows held out, ``"validation_loss"``, shape (epochs,) each.
    best_epoch : int, optional
        The epoch to mark, from 1; by default the result's own, which early stopping gives it.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        For what is no history, or one without epochs.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.data.spiral(1000)
    >>> result = dsmfast.train(X, 32, epochs=30, validation=0.2, patience=5)
    >>> ax = dsmfast.plot.history(result)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epoch', 'loss (dsm)')
    """
    values, label = result, "loss"
    if isinstance(result, TrainingResult):
        values = result.history
        best_epoch = result.best_epoch if best_epoch is None else best_epoch
        label = f"loss ({result.model.training.get('objective', 'unknown')})"
    if not isinstance(values, Mapping) or "loss" not in values:
        raise TypeError(f"result: expected a TrainingResult or its history, got {describe(result)}")
    columns = [name for name in ("loss", "validation_loss") if name in values]
    curves = [as_real_array(values[name], f"result[{name!r}]") for name in columns]
    epochs = curves[0].size
    if epochs == 0 or any(curve.shape != (epochs,) for curve in curves):
        got = ", ".join(str(curve.shape) for curve in curves)
        raise ValueError(f"result: expected losses of shape (epochs,), one at least, got {got}")
    if best_epoch is not None:
        as_integer(best_epoch, "best_epoch", low=1, high=epochs)

    axes = _axes(ax, 6.0, 4.0)
    for name, curve in zip(("training", "held out"), curves, strict=False):
        marker = "o" if np.isfinite(curve).sum() == 1 else ""  # no line of one point is seen
        axes.plot(np.arange(1, epochs + 1), curve, marker=marker, label=name)
    if best_epoch is not None:  # by the rows held out, where there are some
        look = {"color": axes.lines[-1].get_color(), "label": f"best: {best_epoch}"}
        axes.plot(best_epoch, curve[best_epoch - 1], "o", **look)
    finite = np.concatenate([curve[np.isfinite(curve)] for curve in curves])
    if finite.size and finite.min() > 0 and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="epoch", ylabel=label)
    axes.legend(fontsize="small", handlelength=1)
    return axes


def as_image_shape(shape: object, pixels: int, name: str = "image_shape") -> tuple[int, int]:
    """Return (height, width) of images of so many pixels."""
    if shape is None:
        side = round(pixels**0.5)
        if side * side != pixels:
            raise ValueError(f"{name}: needed, because {pixels} features are no square image")
        return side, side
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) != 2:
        raise TypeError(f"{name}: expected (height, width), got {describe(shape)}")
    height, width = (as_integer(length, name, low=1, high=2**31) for length in shape)
    if height * width != pixels:
        raise ValueError(f"{name}: expected {pixels} pixels, got {height} x {width}")
    return height, width


def _check_model(model: object) -> None:
    if not isinstance(model, ScoreModel):
        raise TypeError(f"model: expected a ScoreModel, got {describe(model)}")


def _finite_rows(X: object, name: str, dtype: npt.DTypeLike, columns: int | None = None) -> Array:
    """Return rows in a precision; unlike a result, a picture may be of rounded ones."""
    rows = narrowed(as_real_array(X, name), np.dtype(dtype))
    rows = as_rows(rows, name, rows.dtype, columns)
    check_finite(rows, name)
    return rows


def _axes(ax: Any, width: float, height: float) -> Any:
    """Return the Axes to draw on: those given, or those of a new figure of so many inches."""
    if ax is None:
        return matplotlib_pyplot().subplots(figsize=(width, height), layout="constrained")[1]
    if not hasattr(ax, "imshow"):
        raise TypeError(f"ax: expected Axes of matplotlib, got {describe(ax)}")
    return ax


def _tiled(rows: Array, shape: tuple[int, int], columns: int) -> Array:
    """Return images on a grid, line by line; NaN, which is transparent, between them."""
    height, width = shape
    gap = max(1, round(min(shape) / 16))
    lines = -(-len(rows) // columns)
    grid = np.full((lines * (height + gap), columns * (width + gap)), np.nan)
    for i, image in enumerate(rows.reshape(-1, height, width)):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid[:-gap, :-gap]


def _as_box(limits: object, rows: Array | None, sigma: float) -> Array:
    """Return the low and the high end of x and of y: those given, or such that rows are inside."""
    if limits is not None:
        box = as_shape(limits, "limits", np.dtype(np.float64), (4,)).reshape(2, 2)
    elif rows is None:
        raise ValueError("limits: needed where there are no data: (left, right, bottom, top)")
    else:
        box = np.stack([rows.min(axis=0), rows.max(axis=0)], axis=1).astype(np.float64)
        box += np.maximum(0.1 * np.diff(box), sigma) * [-1, 1]
    if not (box[:, 0] < box[:, 1]).all():
        raise ValueError(f"limits: expected left < right and bottom < top, got {box.tolist()}")
    return box


def _lattice(x: Array, y: Array, dtype: np.dtype[Any]) -> Array:
    """Return the points of a grid, x fastest: shape (n, 2)."""
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(dtype)


def _blue_to_background(axes: Any) -> Any:
    """Return a colour map that ends in what is behind the Axes, and so suits any background."""
    colors = needed("matplotlib.colors", "plotting", "plot")
    own, page = axes.get_facecolor(), axes.figure.canvas.figure.get_facecolor()
    behind = own if own[3] == 1 else page
    blue = "#08519c" if sum(behind[:3]) > 1.5 else "#4292c6"
    return colors.LinearSegmentedColormap.from_list("energy", [blue, behind[:3]])


def _draw_score(axes: Any, model: ScoreModel, box: Array, along: int) -> None:
    """Draw arrows in the middles of the cells of a grid, so many along the longer side."""
    spans = box[:, 1] - box[:, 0]
    counts = np.maximum(1, np.round(along * spans / spans.max())).astype(int)
    cell = spans / counts
    x, y = (box[i, 0] + cell[i] * (np.arange(counts[i]) + 0.5) for i in range(2))
    points = _lattice(x, y, model.dtype)
    score = model.score(points).astype(np.float64)
    norm = np.linalg.norm(score, axis=1, keepdims=True)
    longest = max(float(np.percentile(norm, 90)), np.finfo(np.float64).tiny)
    in_cells = np.linalg.norm(score / cell, axis=1, keepdims=True)
    length = 0.9 * np.sqrt(np.minimum(norm / longest, 1)) / np.where(in_cells > 0, in_cells, 1)
    units = {"angles": "xy", "scale_units": "xy", "scale": 1, "pivot": "mid", "units": "x"}
    look = {"width": 0.05 * cell[0], "color": axes.xaxis.label.get_color()}
    axes.quiver(*points.T, *(length * score).T, **units, **look)
