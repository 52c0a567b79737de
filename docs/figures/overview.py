"""The figure at the top of the README: python docs/figures/overview.py"""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib import pyplot

import dsmfast
from dsmfast import data, plot

matplotlib.use("agg")


def main() -> None:
    figure = pyplot.figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.25])

    X = data.mixture()
    plane = dsmfast.train(X, 64, 0.3, epochs=300).model
    ax = plot.energy(plane, X, limits=(-3, 3, -3, 3), ax=left.subplots())
    ax.set(title="energy, score and data", xticks=[], yticks=[], xlabel="", ylabel="")

    rows, held_out = data.split(data.digits(), 0.2)
    model = dsmfast.train(rows, 128, 0.3, epochs=1000).model
    above, below = right.subplots(2, 1, height_ratios=[1, 1.25])
    plot.denoising(model, held_out[10:], count=9, ax=above)
    above.set_title("held-out digits, σ = 0.3")
    plot.filters(model, count=60, columns=12, ax=below)
    below.set_title("filters")

    path = Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=110)
    print(path)


if __name__ == "__main__":
    main()
