r"""
Identities between the objectives
=================================

Vincent (2010, *A Connection Between Score Matching and Denoising Autoencoders*) proves that
objectives of score matching differ by constants that do not depend on the model. This example
evaluates six objectives along a line in parameter space, with quadrature in place of sampling.
"""

import matplotlib.pyplot as plt
import numpy as np

import dsmfast

sigma, line = 0.6, np.linspace(-1, 1, 41)
start, slope = np.random.default_rng(0).normal(size=(2, 13)) * [[0.7], [0.5]]


def along_the_line(points, objective, **options):
    parts = (np.split(start + t * slope, [6, 12]) for t in line)
    models = (dsmfast.ScoreModel(W[:, None], b, c, sigma) for W, b, c in parts)
    return np.array([dsmfast.loss(model, points, objective, **options) for model in models])


# %%
# The density :math:`q` of the data is a mixture of two Gaussians. If ``sample_weight`` is the
# density at the nodes of a grid, the mean over rows is an integral by the trapezoidal rule.
x, means = np.linspace(-8, 8, 1601)[:, None], np.array([-1.0, 1.5])
parts = np.array([0.3, 0.7]) * np.exp(-((x - means) ** 2) / (2 * 0.5**2))
q = parts.sum(axis=1)
score = (parts * (means - x)).sum(axis=1, keepdims=True) / (0.5**2 * q[:, None])
curves = {"esm": along_the_line(x, "esm", score=score, sample_weight=q)}
curves["ism"] = along_the_line(x, "ism", sample_weight=q)
# %%
# The other objectives add noise. Their data are five rows, each with all noise values of a grid.
rows, nodes = np.array([[-1.2], [-0.9], [1.1], [1.5], [2.0]]), np.linspace(-8, 8, 161)
clean, noise = np.repeat(rows, len(nodes), axis=0), np.tile(nodes, len(rows))[:, None]
normal = {"noise": noise, "sample_weight": np.exp(-(noise[:, 0] ** 2) / 2)}
curves |= {name: along_the_line(clean, name, **normal) for name in ("dae", "dsm", "ism_smoothed")}
curves["esm_smoothed"] = along_the_line(clean, "esm_smoothed", data=rows, **normal)
# %%
# The constants are integrals of the true score, of the score of noisy rows, and of the error of
# the posterior mean. ``dae`` also has to be divided by :math:`2\sigma^4`. Six curves become two.
noisy = clean + sigma * noise
mean = dsmfast.parzen_denoise(noisy, rows, sigma)
squares = np.stack([mean - noisy, mean - clean])[..., 0] ** 2 / (2 * sigma**4)
of_noisy, wrong = np.average(squares, axis=1, weights=normal["sample_weight"])
added = {"ism": np.average(score[:, 0] ** 2, weights=q) / 2, "ism_smoothed": of_noisy}
added |= {"dae": -wrong, "dsm": -wrong}
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for i, (name, curve) in enumerate(curves.items()):
    moved = curve / (2 * sigma**4 if name == "dae" else 1) + added.get(name, 0)
    axes[0].plot(line, curve, label=name, linewidth=2)
    axes[1].plot(line, moved, linewidth=5 - 0.7 * i, linestyle=(0, (1 + i, 1)))
    assert np.abs(moved - curves["esm" if i < 2 else "esm_smoothed"]).max() < 1e-10
    assert np.ptp(curve) > 0.5
axes[0].set(title="objectives", xlabel="position on the line", ylabel="objective")
axes[1].set(title="constants added", xlabel="position on the line")
figure.legend(loc="outside right")
plt.show()
