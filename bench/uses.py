"""One scale of noise or many, and the unit: what each of the estimator's uses gains and loses.

    python bench/uses.py
    python bench/uses.py --threads 2 --seeds 20

Each row is a setting of `sigma_max` and `replicas`, the rest are defaults. Digits: accuracy of a
logistic regression on the features (five folds), and held-out `dsm` in the unit of the data.
Anomalies: AUC of the energy as in bench/anomalies.py, with the defaults, and with the setting
chosen there. Far points: the share of points at 6 to 200 spreads whose energy is above that of 99 %
of the rows, least over the six sets of tests/test_density.py. A photograph: PSNR of one of
scikit-learn's two, with noise of 0.1, by a model of patches of the other.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from typing import Any

import anomalies
import classification
import numpy as np
from sklearn import datasets
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import dsmfast
from dsmfast import data, images
from dsmfast.sklearn import DenoisingAutoencoder

SETTINGS = list(itertools.product((None, "auto"), (None, 1)))
NOISE = 0.1


def features(options: dict[str, Any]) -> tuple[float, float]:
    """Accuracy in per cent, and held-out dsm."""
    X, y = classification.digits()
    found, losses = [], []
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for train, test in folds.split(X, y):
        model = DenoisingAutoencoder(random_state=0, **options)
        found.append(classification.outcome(model, X, y, (train, test)).accuracy)
        losses.append(-model.score(X[test]))
    return 100 * statistics.mean(found), statistics.mean(losses)


def auc(name: str, seeds: int, options: dict[str, Any]) -> float:
    found = []
    for problem in anomalies.problems(name, seeds):
        model = DenoisingAutoencoder(random_state=0, **options).fit(problem.train)
        found.append(roc_auc_score(problem.is_anomaly, -model.score_samples(problem.test)))
    return statistics.mean(found)


def far_points(options: dict[str, Any]) -> float:
    """Share of far points, in per cent, that are less likely than 99 % of the rows."""
    scaled = StandardScaler().fit_transform
    sets = [
        np.random.default_rng(0).standard_normal((2000, 2)),
        data.mixture(2000).astype(np.float64),
        data.digits().astype(np.float64),
        scaled(datasets.load_breast_cancer().data),
        scaled(datasets.load_wine().data),
        datasets.load_iris().data,
    ]
    shares = []
    for X in sets:
        model = DenoisingAutoencoder(random_state=0, **options).fit(X)
        spread = np.sqrt(X.var(axis=0).sum())
        directions = np.random.default_rng(1).standard_normal((1800, X.shape[1]))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        distance = np.repeat([6, 10, 20, 50, 100, 200], 300)[:, None]
        far = model.score_samples(X.mean(axis=0) + distance * spread * directions)
        shares.append(100 * float(np.mean(far < np.quantile(model.score_samples(X), 0.01))))
    return min(shares)


def denoised(options: dict[str, Any]) -> float:
    """PSNR in decibels; the unit of patches has a sigma of 1 already."""
    china, flower = (image / 255 for image in datasets.load_sample_images().images)
    rows = images.patches([flower], count=50_000)
    scales = {"sigma_max": options["sigma_max"]}
    model = dsmfast.train(rows, 256, NOISE / images.UNIT, epochs=20, **scales).model
    noisy = china + NOISE * np.random.default_rng(0).standard_normal(china.shape)
    error = images.denoise(model, noisy.astype(np.float32)) - china
    return float(-10 * np.log10(np.mean(error**2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=10, help="of breast cancer and wine")
    args = parser.parse_args()
    names = (
        "sigma_max",
        "replicas",
        "features, %",
        "digits dsm",
        "digits AUC",
        "breast cancer AUC",
    )
    print(
        f"| {' | '.join(names)} | wine AUC | the same, chosen setting | far points, % | PSNR, dB |"
    )
    print("|---" * 10 + "|")
    for sigma_max, replicas in SETTINGS:
        options = {"sigma_max": sigma_max, "replicas": replicas}
        with threadpool_limits(args.threads):
            accuracy, dsm = features(options)
            sets = {"digits": 1, "breast cancer": args.seeds, "wine": args.seeds}
            ranked = [f"{auc(*each, options):.4f}" for each in sets.items()]
            chosen = {**anomalies.CHOSEN, **options}
            ranked.append(", ".join(f"{auc(*each, chosen):.4f}" for each in sets.items()))
            far = far_points(options)
            psnr = denoised(options)
        print(
            f"| {sigma_max} | {replicas} | {accuracy:.2f} | {dsm:.2f} | {' | '.join(ranked)} "
            f"| {far:.1f} | {psnr:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
