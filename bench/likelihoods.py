"""Held-out likelihoods on ten sets, beside kernel densities and mixtures of Gaussians.

    python bench/likelihoods.py
    python bench/likelihoods.py --sets digits wine --threads 2

Mean log-density, in nats and in the unit of the data, of held-out rows with noise of sigma, which
is what a model of sigma describes. All contenders are densities of such rows: the Parzen density
has that width, and Gaussians are fitted to rows without noise, with sigma^2 added to their
variances.
What is chosen, dsmfast's settings among GRID and the number and kind of Gaussians, is chosen by a
fifth of the training rows with noise, and fitted again to all of them.

Sets: data of scikit-learn, and of `dsmfast.data`; `housing` is made here, in the shape of
California housing, which is not to be had without a network; `laplace` is the mixture of PyDeep's
tutorial, two Laplace sources, mixed and whitened, half of the points held out.

Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import dsmfast
from dsmfast import ScoreModel, data
from goal import whitened

Rows = np.ndarray

# In the unit in which 1 / sigma^2 is `replicas`. Steps are of 256 rows.
PAIRS = {"draws": 4, "antithetic": True}
GRID: tuple[dict[str, Any], ...] = (
    {"hidden": 32, "steps": 500, "replicas": 1, **PAIRS},
    {"hidden": 64, "steps": 4000, "replicas": 1, "scale_exponent": 2.0, **PAIRS},
    {"hidden": 256, "steps": 1500, "replicas": 1, "scale_exponent": 2.0, "learning_rate": 0.004},
    {"hidden": 512, "steps": 1500, "replicas": 1, "learning_rate": 0.003},
    {"hidden": 256, "steps": 6000, "replicas": 1, "scale_exponent": 2.0},
    {"hidden": 512, "steps": 6000, "replicas": 0.25},
)
COMMON = {"coarse": 0.25, "sigma_max": "auto", "progress": False}

PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 40)
KINDS = ("full", "tied", "diag")


def standardized(rows: Rows) -> Rows:
    return StandardScaler().fit_transform(rows)


def housing(count: int = 20_640, seed: int = 0) -> Rows:
    """Eight features of three factors, heavy-tailed, some of them skewed."""
    loadings = np.random.default_rng(1).standard_normal((3, 8))
    rng = np.random.default_rng(seed)
    rows = 0.8 * rng.standard_normal((count, 3)) @ loadings + 0.6 * rng.standard_normal((count, 8))
    rows /= np.sqrt(rng.chisquare(5, count) / 5)[:, None]
    rows[:, 4:] = np.sinh(0.7 * rows[:, 4:])
    rows[:, :2] = np.exp(0.5 * rows[:, :2])
    return standardized(rows)


def laplace(count: int = 100_000, seed: int = 0) -> Rows:
    sources = np.random.default_rng(seed).laplace(size=(count, 2))
    rows = sources @ np.array([[1, 0.3], [0.5, 1]])
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    return (rows - rows.mean(axis=0)) @ (vectors / np.sqrt(values)) @ vectors.T


# Rows, sigma, and the share that is held out.
SETS = {
    "digits": (lambda: data.digits(), 0.25, 0.2),
    "patches, 8 x 8": (lambda: data.patches(8), 0.5, 0.2),
    "patches, 12 x 12": (lambda: whitened(data.patches(12)), 0.5, 0.2),
    "mixture": (lambda: data.mixture(3000), 0.3, 0.2),
    "spiral": (lambda: data.spiral(3000), 0.3, 0.2),
    "breast cancer": (lambda: standardized(datasets.load_breast_cancer().data), 0.5, 0.2),
    "wine": (lambda: standardized(datasets.load_wine().data), 0.5, 0.2),
    "iris": (lambda: standardized(datasets.load_iris().data), 0.3, 0.2),
    "housing": (housing, 0.3, 0.2),
    "laplace": (laplace, 0.3, 0.5),
}


def noisy(rows: Rows, sigma: float, seed: int, least: int = 0) -> Rows:
    """Rows with noise, each of them so often that there are at least so many."""
    rows = np.concatenate([rows] * max(1, math.ceil(least / len(rows))))
    return rows + sigma * np.random.default_rng([seed, 2]).standard_normal(rows.shape)


@dataclass
class Fitted:
    """A density of rows with noise of sigma, and what it is called."""

    name: str
    log_density: Any  # of rows, in the unit of the data
    note: str = ""
    is_reliable: bool = True


def ours(
    rows: Rows, sigma: float, hidden: int, steps: int, replicas: float, **options: Any
) -> Fitted:
    unit = 1 / (sigma * math.sqrt(replicas))
    X = (unit * rows).astype(np.float32)
    epochs = max(1, round(steps * 256 / len(X)))
    options = {**COMMON, **options, "epochs": epochs}
    model: ScoreModel = dsmfast.train(X, hidden, replicas**-0.5, **options).model
    model = model.normalized(data=X[: 2**14], chains=128, temperatures=2000)

    def log_density(x: Rows) -> Rows:
        shift = x.shape[1] * math.log(unit)
        return model.log_density((unit * x).astype(np.float32)).astype(np.float64) + shift

    found = model.log_normalizer
    assert found is not None
    above = "" if found.upper is None else f", from the data {found.upper - found.value:+.2f}"
    doubt = "" if found.is_reliable else ", not reliable"
    note = f"h {hidden}, n {replicas:g}; ±{found.std_error:.2g}{above}{doubt}"
    return Fitted("dsmfast", log_density, note, found.is_reliable)


def gaussians(rows: Rows, sigma: float, parts: int, kind: str) -> Fitted:
    options = {"reg_covar": sigma**2, "max_iter": 200, "random_state": 0}
    mixture = GaussianMixture(parts, covariance_type=kind, **options).fit(rows)
    return Fitted("Gaussians", mixture.score_samples, f"{parts} {kind}")


def parzen(rows: Rows, sigma: float) -> Fitted:
    return Fitted("Parzen", lambda x: dsmfast.parzen_log_density(x, rows, sigma))


def chosen(candidates: list[Any], rows: Rows, sigma: float, seed: int) -> Fitted:
    """The candidate that is best for a fifth of the rows, fitted to all of them.

    Where its normaliser is then not reliable, which those rows tell too, the next best.
    """
    order = np.random.default_rng([seed, 3]).permutation(len(rows))
    judged, kept = np.split(rows[order], [len(rows) // 5])
    judged = noisy(judged, sigma, 1000 + seed, least=2000)
    scores = []
    for candidate in candidates:
        try:
            scores.append(candidate(kept).log_density(judged).mean())
        except ValueError:  # more parts than rows
            scores.append(-math.inf)
    for number in np.argsort(scores)[::-1]:
        fitted = candidates[int(number)](rows)
        if fitted.is_reliable:
            break
    return fitted


def contenders(rows: Rows, sigma: float, seed: int) -> dict[str, Any]:
    few = rows[np.random.default_rng(0).permutation(len(rows))[:16_000]]
    mixtures = [
        (lambda x, parts=parts, kind=kind: gaussians(x, sigma, parts, kind))
        for kind in KINDS
        for parts in PARTS
        if parts * rows.shape[1] ** 2 < 300_000  # of what takes hours
    ]
    settings = [(lambda x, options=options: ours(x, sigma, **options)) for options in GRID]
    return {
        "dsmfast": lambda: chosen(settings, rows, sigma, seed),
        "Parzen": lambda: parzen(rows, sigma),
        "Gaussians": lambda: chosen(mixtures, few, sigma, seed),
        "one Gaussian": lambda: gaussians(rows, sigma, 1, "full"),
    }


def line(name: str, seed: int) -> list[str]:
    make, sigma, share = SETS[name]
    train, test = data.split(np.asarray(make(), dtype=np.float64), share, seed)
    points = noisy(test, sigma, seed, least=2000)[:20_000]
    cells, notes, seconds = [], [], []
    for fit in contenders(train, sigma, seed).values():
        begin = time.perf_counter()
        fitted = fit()
        cells.append(float(np.mean(fitted.log_density(points))))
        seconds.append(f"{time.perf_counter() - begin:.1f}")
        notes.append(fitted.note)
    best = sorted(cells, reverse=True)
    place = best.index(cells[0]) + 1
    values = [f"{value:.3f}" for value in cells]
    return [
        name,
        str(train.shape[1]),
        f"{sigma:g}",
        *values,
        str(place),
        *notes[::2],
        ", ".join(seconds),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    names = ["set", "d", "sigma", "dsmfast", "Parzen", "Gaussians", "one Gaussian", "place"]
    names += ["dsmfast: size and unit; error of log Z", "Gaussians", "seconds"]
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|", flush=True)
    with threadpool_limits(args.threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", dsmfast.DensityWarning)  # the table says it
        for name in args.sets:
            print(f"| {' | '.join(line(name, args.seed))} |", flush=True)


if __name__ == "__main__":
    main()
