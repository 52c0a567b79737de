"""Models of two features in the plane: energy and log-density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array, as_integer, as_shape
from dsmfast._arguments.frames import check_columns
from dsmfast._system.extras import needed
from dsmfast.model import ScoreModel
from dsmfast.plot.axes import axes_of, check_model, finite_rows, some_of

__all__ = ["density", "energy"]


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
    """Show the energy of a model of two features, with its score as arrows and the data.

    Low energies are blue. Colours range from the first percentile of the energies of the data (or
    of the plane, without data) to 10 above it, or to the last percentile if that is higher. The
    length of an arrow is proportional to the square root of the norm of the score, clipped at its
    ninth decile. Arrows do not overlap.

    Parameters
    ----------
    model : ScoreModel
        Model of two features.
    X : array_like, shape (n, 2), optional
        Data. They are converted to the precision of the model.
    limits : (left, right, bottom, top), optional
        Part of the plane to show. The default contains the data with a margin of a tenth of their
        range or of sigma, whichever is larger.
    levels : int
        Number of energies at which the colour changes.
    arrows : int, optional
        Number of arrows along the longer side. The default is one per quarter of an inch, from 6 to
        20; 0 draws none.
    count : int
        Maximum number of points of X to draw. They are evenly spaced in the order of the rows; 0
        draws none.
    ax : matplotlib Axes, optional
        Axes to draw in. The default is a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        If the model does not have two features, the rows do not fit it, or neither X nor limits is
        given.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.data.spiral(1000)
    >>> ax = dsmfast.plot.energy(dsmfast.train(X, n_hidden=32, sigma=0.3).model, X)
    """
    view = _View.of(model, X, limits, levels, arrows, count)
    axes = view.axes(ax, f"energy, σ = {model.sigma:.3g}")
    view.draw(axes, model.energy)
    return axes


def density(
    model: ScoreModel,
    X: npt.ArrayLike | None = None,
    *,
    limits: tuple[float, float, float, float] | None = None,
    levels: int = 20,
    arrows: int | None = 0,
    count: int = 1000,
    ax: Any = None,
) -> Any:
    """Show the log-density of a model of two features, and data.

    High values are blue. A colour bar shows the log-density in nats. Colours range from the last
    percentile of the log-densities of the data (or of the plane, without data) to 10 below it, or
    to the first percentile if that is lower.

    Parameters
    ----------
    model : ScoreModel
        Model of two features with a normaliser, such as ``model.normalized(data=X)``.
    X : array_like, shape (n, 2), optional
        Data. They are converted to the precision of the model.
    limits : (left, right, bottom, top), optional
        Part of the plane to show. The default contains the data with a margin of a tenth of their
        range or of sigma, whichever is larger.
    levels : int
        Number of log-densities at which the colour changes.
    arrows : int, optional
        Number of arrows of the score along the longer side, as in :func:`energy`. The default 0
        draws none, and None one per quarter of an inch.
    count : int
        Maximum number of points of X to draw. They are evenly spaced in the order of the rows; 0
        draws none.
    ax : matplotlib Axes, optional
        Axes to draw in, including the colour bar. The default is a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        If the model has no normaliser or does not have two features, the rows do not fit it, or
        neither X nor limits is given.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.data.spiral(1000)
    >>> model = dsmfast.train(X, n_hidden=32, sigma=0.3, sigma_max="auto").model
    >>> ax = dsmfast.plot.density(model.normalized(data=X), X)
    """
    check_model(model)
    if model.log_normalizer is None:
        raise ValueError(
            "model: expected one with a normaliser, got one whose log-density is known only up to "
            "a constant; use model.normalized(data=X), where X are the training rows"
        )
    view = _View.of(model, X, limits, levels, arrows, count)
    doubt = "" if model.log_normalizer.is_reliable else ", normaliser not reliable"
    axes = view.axes(ax, f"log-density, σ = {model.sigma:.3g}{doubt}")
    contours = view.draw(axes, model.log_density, blue_is_high=True)
    # Beside the Axes, and as high as they are, whatever their shape.
    beside = axes.inset_axes((1.03, 0, 0.04, 1))
    ticks = _ticks(contours.levels, axes.bbox.height / axes.figure.dpi)
    axes.figure.colorbar(contours, cax=beside, label="nats", ticks=ticks)
    return axes


@dataclass(frozen=True)
class _View:
    """What is shown of a plane: a part of it, with so many levels, points at most, and arrows."""

    model: ScoreModel
    rows: Array | None
    box: Array
    levels: int
    arrows: int | None
    points: int

    @classmethod
    def of(
        cls, model: object, X: object, limits: object, levels: object, arrows: object, count: object
    ) -> _View:
        """Check all of it, before anything is drawn."""
        check_model(model)
        assert isinstance(model, ScoreModel)
        if model.n_features != 2:
            raise ValueError(f"model: expected one of 2 features, got one of {model.n_features}")
        check_columns(X, "X", model.feature_names)
        rows = None if X is None else finite_rows(X, "X", model.dtype, 2)
        return cls(
            model,
            rows,
            _as_box(limits, rows, model.sigma),
            as_integer(levels, "levels", low=2, high=1000),
            None if arrows is None else as_integer(arrows, "arrows", low=0, high=1000),
            as_integer(count, "count", low=0, high=10**7),
        )

    def axes(self, ax: Any, title: str) -> Any:
        """Return the Axes to draw on, with the limits of the view."""
        width, height = self.box[:, 1] - self.box[:, 0]
        # One scale for both, and directions are true; but a strip would be too thin to see.
        aspect = "equal" if 0.2 < height / width < 5 else "auto"
        ratio = height / width if aspect == "equal" else 0.75
        axes = axes_of(ax, 6 * min(1, 1 / ratio) + 0.5, 6 * min(1, ratio) + 0.5)
        axes.set(xlim=self.box[0], ylim=self.box[1], aspect=aspect)
        axes.set(xlabel="feature 0", ylabel="feature 1")
        axes.set_title(title, wrap=True)
        return axes

    def draw(
        self, axes: Any, values_of: Callable[[Array], Array], *, blue_is_high: bool = False
    ) -> Any:
        """Colour the plane by values, and draw points and arrows; return the contours."""
        x, y = (np.linspace(low, high, 256) for low, high in self.box)
        values = values_of(_lattice(x, y, self.model.dtype)).astype(np.float64)
        judged = values if self.rows is None else values_of(self.rows).astype(np.float64)
        low, most = np.percentile(-judged if blue_is_high else judged, [1, 99])
        # The last is of use where energies are so large that rounding would lose the 10.
        depth = max(10, 0 if self.rows is None else most - low, 1e-9 * abs(low))
        levels, colours = np.linspace(low, low + depth, self.levels), _blue_to_background(axes)
        if blue_is_high:
            levels, colours = -levels[::-1], colours.reversed()
        look = {"cmap": colours, "levels": levels}
        contours = axes.contourf(x, y, values.reshape(256, 256), extend="both", **look)
        inches = axes.bbox.size / axes.figure.dpi  # about: a layout comes later
        if self.rows is not None and self.points > 0:
            look = {"color": "C1", "markersize": 2 + 0.6 * inches.min(), "markeredgewidth": 0}
            axes.plot(*some_of(self.rows, self.points).T, ".", **look)
        if self.arrows != 0:
            along = self.arrows or int(np.clip(4 * inches.max(), 6, 20))
            _draw_score(axes, self.model, self.box, along)
        return contours


def _as_box(limits: object, rows: Array | None, sigma: float) -> Array:
    """Return the low and the high end of x and of y: those given, or such that rows are inside."""
    if limits is not None:
        box = as_shape(limits, "limits", np.dtype(np.float64), (4,)).reshape(2, 2)
    elif rows is None:
        raise ValueError("limits: needed without data; expected (left, right, bottom, top)")
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


def _ticks(levels: Array, inches: float) -> Array:
    """Return round numbers between the ends, as many as can be read."""
    ticker = needed("matplotlib.ticker", "plotting", "plot")
    ticks = ticker.MaxNLocator(int(np.clip(2 * inches, 1, 6))).tick_values(levels[0], levels[-1])
    inside: Array = ticks[(ticks >= levels[0]) & (ticks <= levels[-1])]
    return inside


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
