"""
Features for a classifier
=========================

A logistic regression classifies digits more accurately with the hidden units of the autoencoder
than with pixels, with untrained units, or with the units of scikit-learn's BernoulliRBM. Vincent et
al. (2010, JMLR 11) showed that denoising autoencoders learn useful features.
"""

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from dsmfast.sklearn import DenoisingAutoencoder

# %%
# One scale of noise, in the unit of pixels, is enough for features. BernoulliRBM has the learning
# rate of scikit-learn's example. It has 50 passes, because it is more accurate than with ten.
X, y = load_digits(return_X_y=True)
one_scale = {"sigma_max": None, "replicas": None, "random_state": 0}
kinds = {
    "pixels": FunctionTransformer(),
    "BernoulliRBM": BernoulliRBM(128, learning_rate=0.06, n_iter=50, random_state=0),
    "not trained": DenoisingAutoencoder(128, max_iter=0, **one_scale),
    "dsmfast": DenoisingAutoencoder(128, **one_scale),
}
folds = StratifiedKFold(5, shuffle=True, random_state=0)
accuracy, units = {}, {}
for name, features in kinds.items():
    pipeline = make_pipeline(features, StandardScaler(), LogisticRegression(max_iter=2000))
    result = cross_validate(pipeline, X / 16, y, cv=folds, return_estimator=True, n_jobs=2)
    accuracy[name] = 100 * result["test_score"]
    units[name] = result["estimator"][0][0]
    print(f"{name:13} {accuracy[name].mean():.2f} % of held-out digits")

# %%
# A dot is one of five folds, and a line is their mean. Images are weights of the first 30 units.
figure, axes = plt.subplots(1, 3, figsize=(7, 3.2), layout="constrained", width_ratios=(2, 1, 1))
for place, values in enumerate(accuracy.values()):
    axes[0].plot(values, [place] * 5, "o", color="C0", alpha=0.5)
    axes[0].plot([values.mean()] * 2, [place - 0.3, place + 0.3], color="C0", linewidth=2)
axes[0].set_yticks(range(4), list(accuracy))
axes[0].set_xlabel("accuracy on held-out digits, %")
for ax, name in zip(axes[1:], ("BernoulliRBM", "dsmfast"), strict=True):
    W = units[name].components_[:30].reshape(6, 5, 8, 8)
    W = W / np.abs(W).max(axis=(2, 3), keepdims=True)
    tiles = np.pad(W, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    ax.imshow(tiles.transpose(0, 2, 1, 3).reshape(60, 50), cmap="gray")
    ax.set_title(name, fontsize=10)
    ax.set_axis_off()

assert accuracy["dsmfast"].mean() > 97.5
for name in ("pixels", "BernoulliRBM", "not trained"):
    assert np.all(accuracy["dsmfast"] > accuracy[name]), name
