r"""
Independent components
======================

Two Laplace sources are mixed and whitened. A model of four hidden units finds the directions of
the mixture. PyDeep's tutorial (*Gaussian-binary restricted Boltzmann machine on a 2D linear
mixture*) does this by contrastive divergence. Its Amari distances to the mixing matrix are 0.029 to
0.067 (pairs of weights that are not opposite), and its test log-likelihood is -2.736.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

import dsmfast

rng = np.random.default_rng(0)
sources, mixing = rng.laplace(size=(100_000, 2)), rng.normal(size=(2, 2))
mixed = sources @ mixing.T
values, vectors = np.linalg.eigh(np.cov(mixed.T))
whiten = vectors / np.sqrt(values) @ vectors.T
train, test = np.asarray(mixed @ whiten, dtype=np.float32).reshape(2, -1, 2)
mixing = whiten @ mixing


def amari(W):
    """Bach & Jordan (2002): 0 where rows of W are the columns of the mixing matrix."""
    P = np.abs(np.linalg.solve(mixing, W.T))
    return ((P / P.max(axis=0)).sum() + (P.T / P.max(axis=1)).sum()) / 4 - 1


# %%
# Implicit score matching fits the density of the data. Denoising fits that of noisy data, and its
# weights end on the diagonals. The normaliser is a sum over the 16 states of the four units. The
# figures are for the worst of the pairs of weights that are not opposite.
sigma, found = 0.74, {}
figure, axes = plt.subplots(1, 2, figsize=(8, 4.5), layout="constrained", sharey=True)
for ax, objective in zip(axes, ("ism", "dsm"), strict=True):
    options = {"objective": objective, "epochs": 40, "learning_rate": 0.02}
    model = dsmfast.train(train / sigma, 4, sigma=1, **options).model.normalized()
    likelihood = model.log_density(test / np.float32(sigma)).mean() - 2 * np.log(sigma)
    W = model.W / np.linalg.norm(model.W, axis=1, keepdims=True)
    pairs = [W[list(pair)] for pair in itertools.combinations(range(4), 2)]
    distance = max(amari(pair) for pair in pairs if abs(np.linalg.det(pair)) > 0.5)
    found[objective] = likelihood, distance
    ax.plot(*test[::20].T, ".", color="0.8", markersize=2, zorder=0)
    for column in mixing.T:
        ax.axline((0, 0), column, color="C0", linestyle="--", linewidth=1.5)
    ax.quiver(*np.zeros((2, 4)), *W.T, color="C1", angles="xy", scale_units="xy", scale=0.25)
    ax.set_title(f"{objective}: Amari {distance:.3f}, {likelihood:.3f} nats")
    ax.set(xlim=(-6, 6), ylim=(-6, 6), aspect="equal", xlabel="whitened feature 1")
axes[0].set_ylabel("whitened feature 2")
plt.show()
density = np.exp(-np.abs(np.linalg.solve(mixing, test.T))).prod(axis=0) / 4
truth = np.log(density / abs(np.linalg.det(mixing))).mean()
gaussian = -np.log(2 * np.pi) - (test.astype(np.float64) ** 2).sum(axis=1).mean() / 2
assert found["ism"][1] < 0.029
assert gaussian < -2.745 < found["ism"][0] < truth
assert found["dsm"][1] > 0.5
