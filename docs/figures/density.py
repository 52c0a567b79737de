"""The figure of docs/how-to/densities.md: python docs/figures/density.py"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.colors import SymLogNorm

import dsmfast
from dsmfast import ScoreModel, data

matplotlib.use("agg")

HALF = 15.0  # of the side of what is shown
LIMIT = 3000.0  # of the colours
TICKS = (-1000, -100, -10, 0, 10, 100, 1000)
MINUS = "\N{MINUS SIGN}"
HIDDEN, SIGMA, EPOCHS = 256, 0.3, 300


def main() -> None:
    X = data.mixture()
    models = {
        "noise at one scale": dsmfast.train(X, HIDDEN, SIGMA, epochs=EPOCHS).model,
        "noise at many scales": dsmfast.train(
            X, HIDDEN, SIGMA, epochs=EPOCHS, sigma_max="auto"
        ).model,
    }
    figure, axes = pyplot.subplots(
        1, 2, figsize=(10.5, 4.9), sharex=True, sharey=True, layout="constrained"
    )
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        image = show(ax, model, X)
        ax.set_title(f"{name}, σ = {SIGMA}")
    bar = figure.colorbar(image, ax=axes, ticks=TICKS, extend="both", pad=0.02)
    bar.ax.set_yticklabels([f"{tick:+d}".replace("-", MINUS) if tick else "0" for tick in TICKS])
    bar.set_label("energy, less that of the median row")

    path = Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=110)
    print(path)


def show(ax: Any, model: ScoreModel, X: np.ndarray) -> Any:
    """Draw the energy, rows as dots, and modes: crosses, or an arrow where one is outside."""
    line = np.linspace(-HALF, HALF, 401)
    plane = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2).astype(model.dtype)
    typical = np.median(model.energy(X))
    norm = SymLogNorm(linthresh=10, vmin=-LIMIT, vmax=LIMIT)
    values = (model.energy(plane) - typical).reshape(401, 401)
    image = ax.pcolormesh(line, line, values, cmap="RdBu_r", norm=norm, rasterized=True)
    ax.plot(*X[::10].T, ".", color="black", markersize=2.5, markeredgewidth=0)

    inside = modes_inside(model)
    ax.plot(*inside.T, "x", color="C1", markersize=9, markeredgewidth=2)
    outside = dsmfast.spurious_modes(model, X)
    if outside:
        mode, energy = outside.points[0], outside.energy[0] - typical
        head = mode * (0.97 * HALF / np.abs(mode).max())
        ax.annotate(
            "",
            xy=head,
            xytext=0.75 * head,
            arrowprops={"arrowstyle": "-|>", "color": "C1", "linewidth": 2},
        )
        where = f"mode at ({mode[0]:.0f}, {mode[1]:.0f}):\n{energy:+,.0f}"
        below = (0.95 * HALF, head[1] - 0.8)
        ax.annotate(where.replace("-", MINUS), xy=below, ha="right", va="top", color="white")
    ax.set(xlim=(-HALF, HALF), ylim=(-HALF, HALF), aspect="equal", xticks=[-10, 0, 10])
    ax.set_yticks([-10, 0, 10])
    return image


def modes_inside(model: ScoreModel) -> np.ndarray:
    """Return where points of a grid end when they are denoised again and again."""
    line = np.linspace(-HALF, HALF, 31)
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    W, b, c = (np.asarray(part, dtype=np.float64) for part in (model.W, model.b, model.c))
    double = ScoreModel(W, b, c, model.sigma)
    for _ in range(3000):
        points = double.denoise(points)
    points = points[np.abs(points).max(axis=1) < HALF]
    return np.unique(points.round(1), axis=0)


if __name__ == "__main__":
    main()
