r"""
The score of a spiral
=====================

Alain & Bengio (2014, *What Regularized Auto-Encoders Learn from the Data-Generating Distribution*,
JMLR 15) draw vectors from points near a spiral to their reconstructions, and show that they are
the score of the data. Here the true score is known, because the density of the noisy spiral is an
integral along the curve. This example measures the angle between the two.
"""

import matplotlib.pyplot as plt
import numpy as np

import dsmfast

sigma = 0.2
X = dsmfast.data.spiral(5000)
# The data are divided by sigma, because the model describes them best if sigma is 1.
model = dsmfast.train(X / sigma, 128, sigma=1, epochs=1000, draws=2, antithetic=True).model


def learned(points):
    return model.score(np.asarray(points / sigma, dtype=np.float32)) / sigma


# %%
# A row is :math:`3t\,(\cos 3\pi t, \sin 3\pi t)` plus noise of 0.05, with :math:`t^2` uniform. The
# integral is a Parzen density of 20 000 points of the curve (the midpoint rule in :math:`t^2`).
t = np.sqrt((np.arange(20_000) + 0.5) / 20_000)
arm = 3 * t[:, None] * np.column_stack([np.cos(3 * np.pi * t), np.sin(3 * np.pi * t)])


def true(points):
    return dsmfast.parzen_score(points, arm, np.hypot(sigma, 0.05))


# %%
# Points near the data are rows with noise of sigma. Two cosines are measured. One is that of the
# two fields as long vectors. The other is a mean over points off the ridge of the density, where
# the true score is longer than a quarter of its root mean square (four of five points).
points = X[::2] + sigma * dsmfast.normals(0, 0, 0, range(2500), 2, "float64")
psi, truth = learned(points).astype(np.float64), true(points)
length = np.linalg.norm(truth, axis=1)
cosine = (psi * truth).sum(axis=1) / np.linalg.norm(psi, axis=1) / length
off_ridge = length > np.sqrt((length**2).mean()) / 4
field = (psi * truth).sum() / np.linalg.norm(psi) / np.linalg.norm(truth)
print(f"cosine: field {field:.3f}, off the ridge {cosine[off_ridge].mean():.3f}", end=", ")
print(f"of all points, median {np.median(cosine):.3f}, mean {cosine.mean():.3f}")
assert min(field, cosine[off_ridge].mean()) > 0.95
assert off_ridge.mean() > 0.7

figure, axes = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained", sharey=True)
lattice = np.stack(np.meshgrid(*[np.linspace(-3.3, 3.3, 34)] * 2), axis=-1).reshape(-1, 2)
distance = np.linalg.norm(lattice[:, None] - arm[::40], axis=2).min(axis=1)
near = lattice[distance < 2 * sigma]
for ax, score, name in zip(axes, (learned, true), ("learned", "true"), strict=True):
    ax.plot(*X[::5].T, ".", color="0.75", markersize=2)
    ax.quiver(*near.T, *score(near).T, color="C0", angles="xy", scale_units="xy", scale=25)
    ax.set(title=f"{name} score", aspect="equal", xticks=[-3, 0, 3], yticks=[-3, 0, 3])
plt.show()
