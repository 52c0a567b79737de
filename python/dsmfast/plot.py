"""Pictures of models and of their training (extra ``plot``).

Each function draws on the Axes it is given, or on those of a new figure, and returns them. Text and
lines have the colours of matplotlib's settings, and what is between the tiles of a picture is
transparent, so that all of them can be read on light and on dark backgrounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast.arrays import (
    Array,
    as_integer,
    as_real,
    as_real_array,
    as_rows,
    as_seed,
    check_finite,
    describe,
    narrowed,
)
from dsmfast.extras import matplotlib_pyplot, needed
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
    cmap: Any = "gray",
    ax: Any = None,
) -> Any:
    """Show the rows of W as images, those of largest norm first.

    Each is scaled by its largest magnitude: 0 is the middle of the colour map.

    Parameters
    ----------
    model : ScoreModel or array_like, shape (n_hidden, n_features)
        The model, or its weights.
    image_shape : (height, width), optional
        Of a row, in pixels; by default square.
    count : int
        How many at most.
    columns : int, optional
        Images in a line; by default as many as lines, or one more.
    cmap : str or Colormap
        Of matplotlib.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        For weights that are no finite matrix, or whose rows are not images of ``image_shape``.

    Examples
    --------
    >>> from dsmfast import ScoreModel, plot
    >>> ax = plot.filters(ScoreModel.initialize(n_features=64, n_hidden=50, sigma=0.3), count=36)
    >>> ax.get_title()
    '36 of 50 filters'
    """
    if isinstance(model, ScoreModel):
        W = model.W
    else:
        W = as_real_array(model, "model")
        W = as_rows(narrowed(W, np.dtype(np.float64)), "model", np.dtype(np.float64))
        check_finite(W, "model")
    shape = as_image_shape(image_shape, W.shape[1])
    order = np.argsort(-np.linalg.norm(W, axis=1), kind="stable")
    shown = W[order[: as_integer(count, "count", low=1, high=10**6)]]
    if columns is None:
        columns = int(np.ceil(np.sqrt(len(shown))))
    largest = np.abs(shown).max(axis=1, keepdims=True)
    grid = _tiled(
        shown / np.where(largest > 0, largest, 1),
        shape,
        as_integer(columns, "columns", low=1, high=10**6),
    )
    axes = _axes(ax, 6.0, 6.0 * grid.shape[0] / grid.shape[1] + 0.4)
    axes.imshow(grid, cmap=cmap, vmin=-1, vmax=1, interpolation=_interpolation(axes, grid))
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
    limits: tuple[float, float] | None = None,
    cmap: Any = "gray",
    ax: Any = None,
) -> Any:
    """Show rows of pixels clean, with noise, and denoised by the model: three lines of images.

    Parameters
    ----------
    model : ScoreModel
        What takes the noise off.
    X : array_like, shape (n, n_features)
        Clean rows, best those that were not trained on; converted to the model's precision.
    image_shape : (height, width), optional
        Of a row, in pixels; by default square.
    count : int
        How many rows are shown at most: the first ones.
    noise : float, optional
        Standard deviation of the Gaussian noise, in units of the data; by default the model's
        sigma, the noise that it was trained to take off.
    seed : int
        Of the noise: :func:`dsmfast.normals` at step 0, draw 0.
    limits : (low, high), optional
        Values at the ends of the colour map, for all images; by default the least and the largest
        of the clean ones that are shown.
    cmap : str or Colormap
        Of matplotlib.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        For rows that the model does not take, or that are not images of ``image_shape``.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(200), columns=12)
    >>> model = dsmfast.train(X, n_hidden=8, sigma=0.5, epochs=2).model
    >>> ax = dsmfast.plot.denoising(model, X, image_shape=(3, 4), count=5)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['clean', 'noisy', 'denoised']
    """
    clean = _rows_of(model, X)[: as_integer(count, "count", low=1, high=10**6)]
    height, width = shape = as_image_shape(image_shape, model.n_features)
    scale = model.sigma if noise is None else as_real(noise, "noise", inclusive=True)
    draw = normals(as_seed(seed), 0, 0, range(len(clean)), model.n_features, model.dtype)
    noisy = clean + model.dtype.type(scale) * draw
    low, high = _as_span(limits, clean)
    lines = np.concatenate([clean, noisy, model.denoise(noisy)])
    grid = _tiled(lines, shape, len(clean))
    axes = _axes(ax, 8.0, min(8.0, 6.8 * grid.shape[0] / grid.shape[1] + 0.4))
    axes.imshow(grid, cmap=cmap, vmin=low, vmax=high, interpolation=_interpolation(axes, grid))
    axes.patch.set_visible(False)  # it would fill the lines between the images
    axes.spines[:].set_visible(False)
    middles = (height + _gap(shape)) * np.arange(3) + (height - 1) / 2
    axes.set_xticks([])
    axes.set_yticks(middles, ["clean", "noisy", "denoised"])
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"noise of σ = {scale:.3g}")
    return axes


def energy(
    model: ScoreModel,
    X: npt.ArrayLike | None = None,
    *,
    limits: tuple[float, float, float, float] | None = None,
    levels: int | Sequence[float] = 20,
    arrows: int | None = None,
    count: int = 1000,
    cmap: Any = None,
    ax: Any = None,
) -> Any:
    """Show the energy of a model of two features, its score as arrows, and data on top.

    Arrows are as long as the root of the score's norm, cut off at its ninth decile, and never
    longer than from one to the next.

    Parameters
    ----------
    model : ScoreModel
        Of two features.
    X : array_like, shape (n, 2), optional
        Data, converted to the model's precision.
    limits : (left, right, bottom, top), optional
        What part of the plane is shown; by default where the data are, with a margin of a tenth or
        of sigma, whichever is more.
    levels : int or sequence of float
        Energies between which the colour is the same, or how many: from the energy that 1 % of the
        data are below (without data, from the least that is shown) to 10 above, or farther where it
        takes more to reach 99 % of the data. Energies beyond have the colours of the ends.
    arrows : int, optional
        Along the longer side; by default one every quarter of an inch, from 6 to 24. 0 draws none.
    count : int
        Points of X that are drawn at most, evenly spaced in the order of the rows. 0 draws none.
    cmap : str or Colormap, optional
        Of matplotlib; by default from blue, where the energy is low, to the background.
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
    >>> model = dsmfast.train(X, n_hidden=32, sigma=0.3, epochs=5).model
    >>> ax = dsmfast.plot.energy(model, X)
    >>> ax.get_title()
    'energy and score, σ = 0.3'
    """
    _check_model(model)
    if model.n_features != 2:
        raise ValueError(f"model: expected one of 2 features, got one of {model.n_features}")
    if X is None and limits is None:
        raise ValueError("limits: needed where there are no data: (left, right, bottom, top)")
    rows = None if X is None else _rows_of(model, X)
    left, right, bottom, top = box = _as_box(limits, rows, model.sigma)
    spans = np.array([right - left, top - bottom])
    # Directions are true where both axes have one scale; a strip would be too thin to see.
    equal = spans.max() < 5 * spans.min()
    ratio = float(np.clip(spans[1] / spans[0], 0.2, 5)) if equal else 0.75
    axes = _axes(ax, 6.0 * min(1.0, 1 / ratio) + 0.5, 6.0 * min(1.0, ratio) + 0.5)
    axes.set(xlim=box[:2], ylim=box[2:], aspect="equal" if equal else "auto")

    x, y, points = _lattice(box, np.maximum(2, np.ceil(256 * spans / spans.max())), ends=True)
    values = _at(model, points, model.energy).astype(np.float64).reshape(len(y), len(x))
    axes.contourf(
        x,
        y,
        values,
        levels=_as_levels(levels, values, None if rows is None else model.energy(rows)),
        cmap=_blue_to_background(axes) if cmap is None else cmap,
        extend="both",
    )
    inches = axes.get_position().size * axes.figure.get_size_inches()
    drawn = as_integer(count, "count", low=0, high=10**7)
    if rows is not None and drawn > 0:
        some = rows[np.linspace(0, len(rows) - 1, min(drawn, len(rows))).astype(np.intp)]
        size = float(np.clip(0.6 * inches.min(), 1, 3))
        axes.plot(*some.T, ".", color="C1", markersize=size, markeredgewidth=0)
    along = int(np.clip(4 * inches.max(), 6, 24)) if arrows is None else arrows
    along = as_integer(along, "arrows", low=0, high=1000)
    if along > 0:
        _draw_score(axes, model, box, along)
    axes.set(xlabel="feature 0", ylabel="feature 1")
    axes.set_title(f"energy and score, σ = {model.sigma:.3g}")
    return axes


def history(
    result: TrainingResult | Mapping[str, npt.ArrayLike],
    *,
    best_epoch: int | None = None,
    ax: Any = None,
) -> Any:
    """Show the losses of training over epochs.

    The scale is logarithmic where losses are positive and span more than a decade.

    Parameters
    ----------
    result : TrainingResult or mapping
        What :func:`dsmfast.train` handed back, or its ``history``: ``"loss"`` and, where there were
        rows held out, ``"validation_loss"``, shape (epochs,) each.
    best_epoch : int, optional
        The epoch to mark, from 1; by default that of the result, which early stopping gives it.
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
    label = "loss"
    values: Mapping[str, npt.ArrayLike]
    if isinstance(result, TrainingResult):
        values = result.history
        best_epoch = result.best_epoch if best_epoch is None else best_epoch
        if "objective" in result.model.training:
            label = f"loss ({result.model.training['objective']})"
    elif isinstance(result, Mapping) and "loss" in result:
        values = result
    else:
        got = f"one of {', '.join(map(str, result)) or 'nothing'}"
        got = got if isinstance(result, Mapping) else describe(result)
        raise TypeError(f"result: expected a TrainingResult or a dict with 'loss', got {got}")
    losses = {
        name: as_real_array(values[column], f"result[{column!r}]").astype(np.float64)
        for column, name in (("loss", "training"), ("validation_loss", "held out"))
        if column in values
    }
    shapes = {curve.shape for curve in losses.values()}
    epochs = losses["training"].size
    if len(shapes) != 1 or losses["training"].ndim != 1 or epochs == 0:
        got = ", ".join(str(curve.shape) for curve in losses.values())
        raise ValueError(f"result: expected losses of shape (epochs,), at least one, got {got}")
    best = None if best_epoch is None else as_integer(best_epoch, "best_epoch", low=1, high=epochs)

    axes = _axes(ax, 6.0, 4.0)
    numbers = np.arange(1, epochs + 1)
    for name, curve in losses.items():
        # A line needs two points to be seen.
        marker = "o" if np.isfinite(curve).sum() == 1 else ""
        axes.plot(numbers, curve, marker=marker, label=name)
    if best is not None:
        name, curve = list(losses.items())[-1]  # held out, where it is there
        colour = axes.lines[-1].get_color()
        at = (best, curve[best - 1])
        axes.plot(*at, "o", color=colour, markersize=8, label=f"best: epoch {best}")
        axes.axvline(best, color=colour, linestyle=":", zorder=1)
    finite = np.concatenate([curve[np.isfinite(curve)] for curve in losses.values()])
    if finite.size and finite.min() > 0 and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
    locator = needed("matplotlib.ticker", "plotting", "plot").MaxNLocator
    axes.xaxis.set_major_locator(locator(nbins="auto", integer=True))
    axes.set(xlabel="epoch", ylabel=label)
    axes.legend()
    return axes


def as_image_shape(
    shape: object, pixels: int, name: str = "image_shape"
) -> tuple[int, int]:
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
