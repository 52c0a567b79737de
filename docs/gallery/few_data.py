"""
Score matching with few data
============================

Implicit score matching overfits if there are few rows: the density gets peaks at them. Kingma and
LeCun (2010) add a penalty on squares of second derivatives of the log-density
(``curvature_penalty``). The penalty lowers the held-out loss if there are few rows, and raises it
if there are many. Denoising (Vincent 2010) lowers it more, and also with more rows.
"""

import numpy as np
from matplotlib import pyplot as plt

import dsmfast
from dsmfast import data

# %%
# Rows are 8 x 8 patches of photographs with 8 bits per pixel. Each model visits 300 000 rows in
# training. All are compared by one loss, that of implicit score matching without a penalty, on 5000
# other rows.
COUNTS = (100, 300, 1000, 3000, 10_000)
objectives = {
    "implicit": {"objective": "ism"},
    "implicit, penalty 0.1": {"objective": "ism", "curvature_penalty": 0.1},
    "denoising": {"objective": "dsm"},
}
losses = {name: np.empty((3, len(COUNTS), 2)) for name in objectives}
for seed in range(3):
    pixels = data.patches(8, count=15_000, seed=seed)
    step = np.ptp(pixels) / 255
    pixels = np.round(pixels / step) * step
    for place, count in enumerate(COUNTS):
        for name, options in objectives.items():
            options = {"epochs": 300_000 // count, "seed": seed, **options}
            model = dsmfast.train(pixels[:count], n_hidden=128, sigma=0.5, **options).model
            for which, rows in enumerate((pixels[:count], pixels[10_000:])):
                losses[name][seed, place, which] = dsmfast.loss(model, rows, "ism")

# %%
# Left: the loss on training rows (dashed) and on other rows. Right: how much lower the loss on
# other rows is than with implicit score matching. Dots are three samples, and lines their means.
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
held_out = {name: values[..., 1] for name, values in losses.items()}
gain = {name: held_out["implicit"] - values for name, values in held_out.items()}
for color, (name, values) in zip(("C0", "C1", "C2"), losses.items(), strict=True):
    axes[0].plot(COUNTS, values[..., 0].mean(axis=0), "--", color=color)
    axes[0].plot(COUNTS, values[..., 1].mean(axis=0), "o-", color=color, label=name)
    axes[1].plot(COUNTS, gain[name].mean(axis=0), color=color)
    axes[1].plot(COUNTS, gain[name].T, "o", ms=4, color=color, alpha=0.5)
axes[0].set(xscale="log", xlabel="number of training rows", ylabel="loss")
axes[0].legend(frameon=False)
axes[1].set(xscale="log", xlabel="number of training rows", ylabel="decrease of the loss")
penalty, denoising = gain["implicit, penalty 0.1"], gain["denoising"]
print("decrease by the penalty:", penalty.mean(axis=0).round(1))
print("decrease by denoising:  ", denoising.mean(axis=0).round(1))
assert np.all(penalty[:, :3] > 1)  # up to 1000 rows, on each set
assert penalty[:, -1].mean() < 0  # 10 000 rows
assert np.all(denoising[:, :4] > penalty[:, :4])
