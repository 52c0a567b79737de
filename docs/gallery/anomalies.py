"""
Anomalies, their reasons and p-values
=====================================

In each abnormal row of these data, one measurement of a tumour is wrong. The detector ranks such
rows, names the wrong value, and keeps the rate of false alarms that the user chooses. The ranking
follows from Vincent (2010); the p-values are those of Bates et al. (2023, Annals of Statistics 51).
"""

import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import betabinom
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

from dsmfast.sklearn import OutlierDetector

# %%
# One half of the benign tumours are normal rows to learn from. In a copy of the other half, one
# value of each row is moved by three standard deviations in the direction of the mean.
cells = load_breast_cancer()
rng = np.random.default_rng(0)
train, test = np.array_split(rng.permutation(cells.data[cells.target == 1]), 2)
feature, (mean, spread) = rng.integers(30, size=len(test)), (train.mean(axis=0), train.std(axis=0))
wrong = test - 3 * np.sign(test - mean) * spread * (feature[:, None] == np.arange(30))
detector = OutlierDetector(random_state=0).fit(train)
peer = LocalOutlierFactor(5, novelty=True).fit((train - mean) / spread)
normality = detector.decision_function, lambda rows: peer.decision_function((rows - mean) / spread)
labels, both = np.repeat([1, 0], len(test)), np.vstack([test, wrong])
ours, theirs = (roc_auc_score(labels, of(both)) for of in normality)
print(f"AUC: dsmfast {ours:.3f}, LocalOutlierFactor {theirs:.3f}")
assert ours > max(0.85, theirs + 0.02)
# %%
# All p-values use the same held-out rows, so the number of false alarms is beta-binomial.
k = 1 + np.arange(kept := len(detector.calibration_scores_))
level, law = k / (kept + 1), betabinom(len(test), k, kept + 1 - k)
low, high = law.ppf(0.005) / len(test), law.ppf(0.995) / len(test)
p = (detector.p_values(rows)[:, None] for rows in (test, wrong))
alarms, found = ((each <= level).mean(axis=0) for each in p)
assert np.all((low <= alarms) & (alarms <= high))
assert np.mean(found - alarms) > 0.3
# %%
# Left: the share of alarms at each level. False alarms lie in the band with a probability of 99 %.
# Few wrong rows have p ≤ 0.05, because some normal rows are very unusual too. Right: ``explain``
# compares each value with the other values of its row. The unit is a standard deviation.
reasons, distances = detector.explain(wrong), (wrong - mean) / spread
named, farthest = (np.abs(x).argmax(axis=1) == feature for x in (reasons, distances))
print(f"wrong value named {named.mean():.2f}, farthest from the mean {farthest.mean():.2f}")
assert named.mean() > max(0.75, farthest.mean() + 0.1)
figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.8), layout="constrained")
axes[0].fill_between(level, low, high, color="0.85", linewidth=0)
axes[0].plot(level, np.stack([alarms, found], 1), label=["normal rows", "rows with a wrong value"])
axes[0].set(xlabel="level", ylabel="share of rows with p ≤ level", xlim=(0, 1), ylim=(0, 1))
one = np.argmax(named & ~farthest)
order = np.abs(reasons[one]).argsort()[-7:]
axes[1].barh(cells.feature_names[order], reasons[one, order], color="C1")
axes[1].plot(distances[one, order], np.arange(7), "k|", ms=14)
axes[1].set(xlabel="bars: explain\nticks: the value", title="first: the wrong value")
axes[0].legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
