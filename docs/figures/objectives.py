"""The figure of docs/explanation/objectives.md: python docs/figures/objectives.py"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot

import dsmfast
from dsmfast import data

matplotlib.use("agg")

SIGMA = 0.3
POINTS = 181


def grid(points: int) -> tuple[np.ndarray, np.ndarray]:
    side = np.linspace(-3, 3, points, dtype=np.float32)
    return side, np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def panel(ax, title, log_density, score, X) -> None:
    """Log-density below its largest value at the data, and the direction of the score."""
    side, points = grid(POINTS)
    below = log_density(points).reshape(POINTS, POINTS) - np.percentile(log_density(X), 99.9)
    levels = np.linspace(-10, 0, 21)
    ax.contourf(side, side, below, levels=levels, cmap="Blues", extend="both")
    _, places = grid(17)
    arrows = score(places)
    length = np.linalg.norm(arrows, axis=1, keepdims=True)
    arrows = arrows / length * np.sqrt(np.minimum(length, 10.0))
    ax.quiver(*places.T, *arrows.T, width=0.004, color="#cc3311", scale=60)
    ax.set(aspect="equal", xticks=[], yticks=[])
    ax.set_title(title, fontsize=10)


def main() -> None:
    X = data.mixture(4000)
    figure, axes = pyplot.subplots(2, 4, figsize=(11, 5.8), layout="constrained")
    titles = ("density with noise", "density")
    for ax, width, title in zip(axes[:, 0], (SIGMA, 0), titles, strict=True):
        panel(
            ax,
            title,
            lambda x, s=width: data.mixture_log_density(x, s),
            lambda x, s=width: data.mixture_score(x, s),
            X,
        )
    columns = {
        (0, 1): "dsm",
        (0, 2): "esm_smoothed",
        (0, 3): "ism_smoothed",
        (1, 1): "esm",
        (1, 2): "ism",
    }
    for place, objective in columns.items():
        score = data.mixture_score if objective == "esm" else None
        model = dsmfast.train(X, 64, SIGMA, objective=objective, score=score, epochs=300).model
        panel(axes[place], objective, lambda x, m=model: -m.energy(x), model.score, X)
    axes[1, 3].plot(*X[:1500].T, ".", markersize=1.5, color="#ff7f0e")
    axes[1, 3].set(aspect="equal", xticks=[], yticks=[], xlim=(-3, 3), ylim=(-3, 3))
    axes[1, 3].set_title("1500 of 4000 rows", fontsize=10)
    figure.savefig(Path(__file__).with_name("objectives.png"), dpi=110)


if __name__ == "__main__":
    main()
