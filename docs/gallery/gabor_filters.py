r"""
Gabor filters from photographs
==============================

Vincent et al. (2010, *Stacked Denoising Autoencoders*, JMLR 11) train tied weights and a linear
decoder on whitened patches of photographs. With Gaussian noise the filters (the rows of W) become
edge detectors; without it, and with weight decay instead, they do not. Here the noise has to be two
standard deviations of a pixel (with one, a quarter of the filters are spots), and the learning rate
has to be large (with 0.003, no filter is an edge detector after 30 000 steps).
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import least_squares

import dsmfast

X = dsmfast.data.patches(side=12, count=50_000).astype(np.float64)
values, vectors = np.linalg.eigh(np.cov(X.T))
white = X @ vectors / np.sqrt(values + 0.1 * values.mean()) @ vectors.T
white = np.asarray(white / white.std(), dtype=np.float32)
row, column = np.mgrid[:12, :12] - 5.5


# %%
# A Gabor function is a wave multiplied by a Gaussian, here at least one pixel wide. The fit starts
# at the centre of the filter, with the wave of its largest Fourier coefficient.
def gabor(x, y, angle, wave, along, across, even, odd):
    u = (column - x) * np.cos(angle) + (row - y) * np.sin(angle)
    v = (row - y) * np.cos(angle) - (column - x) * np.sin(angle)
    size = (u / np.hypot(1, along)) ** 2 + (v / np.hypot(1, across)) ** 2
    return (even * np.cos(wave * u) + odd * np.sin(wave * u)) * np.exp(-size / 2)


def explained(w):
    w = w.reshape(12, 12) / np.linalg.norm(w)
    peak = divmod(np.abs(np.fft.rfft2(w, (48, 48))).argmax(), 25)
    ky, kx = 2 * np.pi * ((np.array(peak) + 24) % 48 - 24) / 48
    start = [(w**2 * column).sum(), (w**2 * row).sum(), np.arctan2(ky, kx), np.hypot(kx, ky)]
    start += [2, 2, 0.3, 0.3]
    fit = least_squares(lambda p: (gabor(*p) - w).ravel(), start, method="lm", max_nfev=150)
    return 1 - 2 * fit.cost / ((w - w.mean()) ** 2).sum()


# %%
# A filter counts as Gabor if its fit has :math:`R^2 > 0.7`. "No noise" means a sigma of 0.001.
warnings.simplefilter("ignore", dsmfast.DensityWarning)  # these models are not densities
cases = {"noise of 2": (2, 0), "no noise": (0.001, 0), "weight decay, no noise": (0.001, 0.1)}
(figure, axes), shares = plt.subplots(1, 3, figsize=(9, 3.4), layout="constrained"), []
for ax, (name, (sigma, decay)) in zip(axes, cases.items(), strict=True):
    adam = dsmfast.Adam(learning_rate=0.04, weight_decay=decay)
    options = {"objective": "dae", "hidden_bias": -4, "optimizer": adam}
    model = dsmfast.train(white, 64, sigma, epochs=77, **options).model
    shares.append(np.mean([explained(w) > 0.7 for w in model.W]))
    dsmfast.plot.filters(model, ax=ax).set_title(f"{name}: {shares[-1]:.0%} Gabor")
plt.show()
assert max(shares[1:]) < 0.1 < 0.6 <= shares[0]
