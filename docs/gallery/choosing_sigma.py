"""
The width of the noise, chosen by held-out likelihood
=====================================================

Losses at different sigma cannot be compared, but log-densities of held-out rows can. With
``normalize=True`` the estimator computes its normaliser, and GridSearchCV chooses sigma and size.
Sigma acts as a bandwidth (Vincent 2010). If it is too small, held-out rows that are far from all
others get a low log-density. If it is too large, all rows do.
"""

import warnings

import numpy as np
from matplotlib import pyplot as plt
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity

import dsmfast
from dsmfast import data
from dsmfast.sklearn import DenoisingAutoencoder

# If sigma is far too small, warnings say that the model does not describe the density well.
warnings.simplefilter("ignore", dsmfast.DensityWarning)

X, fresh = data.mixture(1000), data.mixture(20_000, seed=1)
sizes, sigmas = (8, 32, 128), (0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
density = DenoisingAutoencoder(normalize=True, max_iter=300, random_state=0)
folds = KFold(3, shuffle=True, random_state=0)
grid = {"n_components": sizes, "sigma": sigmas}
search = GridSearchCV(density, grid, cv=folds).fit(X)
kernels = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.05, 1, 20)}, cv=folds).fit(X)

# %%
# Rows that were not used in the search show how good the choice is. On average, no density gives
# them a higher log-density than the true density, which is known here.
truth = data.mixture_log_density(fresh).mean()
found, kernel = search.score(fresh), kernels.score(fresh) / len(fresh)
candidates = search.cv_results_["params"]
all_found = [density.set_params(**each).fit(X).score(fresh) for each in candidates]
print(search.best_params_, f"{found:.3f} nats a fresh row; best candidate {max(all_found):.3f}")
print(f"best kernel density estimate {kernel:.3f}, true density {truth:.3f}")
assert search.best_params_["sigma"] in (0.15, 0.2, 0.3)  # neither end
assert max(all_found) - found < 0.03
assert found > kernel - 0.02
assert truth - 0.1 < found < truth

# %%
# The circle marks the choice. The dotted line is the true density, evaluated on fresh rows.
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
for size, scores in zip(sizes, search.cv_results_["mean_test_score"].reshape(3, -1), strict=True):
    axes[0].plot(sigmas, scores, "o-", label=f"{size} hidden units")
axes[0].plot(search.best_params_["sigma"], search.best_score_, "ok", ms=12, mfc="none")
axes[0].axhline(truth, color="gray", linestyle=":")
axes[0].set(xlabel="sigma", ylabel="held-out log-density, nats", ylim=(-3.1, truth + 0.05))
axes[0].legend(frameon=False, fontsize=9, loc="lower right")
plane = np.stack(np.meshgrid(*[np.linspace(-4, 4, 200)] * 2), axis=-1)
logs = search.score_samples(plane.reshape(-1, 2)).reshape(200, 200)
axes[1].contourf(plane[..., 0], plane[..., 1], logs, range(-10, 0), cmap="Blues", extend="both")
axes[1].plot(*X.T, "k.", ms=1)
axes[1].set(aspect="equal", xticks=[], yticks=[], title="log-density of the choice")
