r"""
One scale of noise, and many
============================

Denoising at one scale, as in Vincent (2010), fits the score near the data only. The energy is
arbitrary elsewhere, and nearly all of the probability can be far from the data. With noise of many
scales (Li, Chen & Sommer 2019, *Learning Energy-Based Models in High-Dimensional Spaces with
Multi-scale Denoising Score Matching*), the model describes the density of the data.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import SymLogNorm
from scipy.spatial import cKDTree

import dsmfast

sigma, X = 0.3, dsmfast.data.mixture()
models = {
    "one scale": dsmfast.train(X, 256, sigma, epochs=300).model,
    "many scales": dsmfast.train(X, 256, sigma, epochs=300, sigma_max="auto").model,
}
# %%
# With two features, the normaliser is computed by quadrature. The mass near the data is the sum of
# the density over all points of a fine grid that are within :math:`5\sigma` of a row.
step = 0.02
fine = np.stack(np.meshgrid(*[np.arange(-5, 5, step)] * 2), axis=-1).reshape(-1, 2)
near = np.asarray(fine[cKDTree(X).query(fine)[0] < 5 * sigma], dtype=np.float32)
half = 70.0
line = np.linspace(-half, half, 301, dtype=np.float32)
plane = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
norm = SymLogNorm(linthresh=10, vmin=-1e5, vmax=1e5)

figure, axes = plt.subplots(1, 2, figsize=(10, 4.3), layout="constrained", sharey=True)
mass, modes = {}, {}
for ax, (name, model) in zip(axes, models.items(), strict=True):
    density = model.normalized()
    mass[name] = np.exp(density.log_density(near)).sum() * step**2
    modes[name] = dsmfast.spurious_modes(model, X)
    print(f"{name}: {density.log_normalizer}; mass near the data {mass[name]:.6f}")
    energy = (model.energy(plane) - np.median(model.energy(X))).reshape(301, 301)
    image = ax.pcolormesh(line, line, energy, cmap="RdBu_r", norm=norm, rasterized=True)
    ax.plot(*X[::10].T, ".", color="black", markersize=2)
    ax.set(title=f"{name}: mass near the data {mass[name]:.6f}", aspect="equal")
    if modes[name]:
        print(modes[name])
        ax.plot(*modes[name].points[0], "x", color="C1", markersize=10, markeredgewidth=2)
    ax.set(xlim=(-half, half), ylim=(-half, half), xlabel="first feature")
axes[0].set_ylabel("second feature")
figure.colorbar(image, ax=axes, label="energy, less that of the median row")
plt.show()

assert mass["one scale"] < 1e-6
assert 0.999 < mass["many scales"] < 1.0001
assert modes["one scale"]
assert not modes["many scales"]
