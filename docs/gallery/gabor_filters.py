r"""
Gabor filters from photographs
==============================

Vincent et al. (2010, *Stacked Denoising Autoencoders*, JMLR 11) train tied weights and a linear
decoder on whitened patches of photographs. With Gaussian noise the filters become edge detectors;
without, and with weight decay instead, not. Here the noise has to be twice a pixel's deviation (at
once that, a quarter are spots), and the learning rate large: after 30 000 steps at 0.003, none are.
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
# A Gabor function is a wave under a Gaussian, here of a pixel at least. A fit starts at the centre
# of the filter's energy, with the wave of its largest Fourier coefficient.
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
# A filter counts where its fit has :math:`R^2 > 0.7`. "No noise" is a thousandth of a deviation.
warnings.simplefilter("ignore", dsmfast.DensityWarning)  # such a model is no density
cases = {"noise of 2": (2, 0), "noise of 0.5": (0.5, 0), "no noise": (0.001, 0)}
cases["weight decay, no noise"] = 0.001, 0.1
(figure, axes), shares = plt.subplots(2, 2, figsize=(7, 7.4), layout="constrained"), []
for ax, (name, (sigma, decay)) in zip(axes.flat, cases.items(), strict=True):
    adam = dsmfast.Adam(learning_rate=0.04, weight_decay=decay)
    options = {"objective": "dae", "hidden_bias": -4, "optimizer": adam}
    model = dsmfast.train(white, 64, sigma, epochs=77, **options).model
    shares.append(np.mean([explained(w) > 0.7 for w in model.W]))
    dsmfast.plot.filters(model, ax=ax).set_title(f"{name}: {shares[-1]:.0%} Gabor")
plt.show()
assert max(shares[1:]) < 0.1 < 0.6 <= shares[0]
