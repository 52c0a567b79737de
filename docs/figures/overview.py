"""The figure at the top of the README: python docs/figures/overview.py"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot

import dsmfast
from dsmfast import data, plot

matplotlib.use("agg")


def density(ax):
    """Data from a mixture, the energy learned from it, and the score that points downhill."""
    X = data.mixture()
    model = dsmfast.train(X, 64, 0.3, epochs=300).model
    side = np.linspace(-3.0, 3.0, 200, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    energy = model.energy(grid).reshape(200, 200)
    low = np.percentile(model.energy(X), 1)
    ax.contourf(
        side, side, energy, levels=np.linspace(low, low + 10, 25), cmap="Blues_r", extend="both"
    )
    ax.plot(*X[:700].T, ".", markersize=2, color="#ff7f0e")
    side = np.linspace(-2.9, 2.9, 20, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    score = model.score(grid)
    length = np.linalg.norm(score, axis=1, keepdims=True)
    arrows = score / length * np.sqrt(np.minimum(length, 10.0))
    ax.quiver(*grid.T, *arrows.T, width=0.003, color="#cc3311", scale=75)
    ax.set(aspect="equal", xticks=[], yticks=[], title="energy, score and data")


def digits(panels):
    """Held-out digits: clean, with noise of sigma, denoised; and the filters."""
    rows, held_out = data.split(data.digits(), 0.2)
    model = dsmfast.train(rows, 128, 0.3, epochs=1000).model
    clean = held_out[:25]
    noisy = clean + 0.3 * dsmfast.normals(1, 0, 0, range(25), 64)
    for ax, images, title in zip(
        panels,
        (clean, noisy, model.denoise(noisy)),
        ("held-out digits", "noise, σ = 0.3", "denoised"),
        strict=False,
    ):
        tiles = np.pad(
            images.reshape(5, 5, 8, 8), ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=0.15
        )
        ax.imshow(tiles.swapaxes(1, 2).reshape(45, 45), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[], title=title)
    plot.filters(model, count=64, ax=panels[3])
    panels[3].set_title("filters")


def main() -> None:
    figure = pyplot.figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.05, 1])
    density(left.subplots())
    digits(right.subplots(2, 2).ravel())
    path = Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=110)
    print(path)


if __name__ == "__main__":
    main()
