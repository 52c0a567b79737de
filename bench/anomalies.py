"""Ranking anomalies: dsmfast beside five estimators of scikit-learn, on three of its data sets.

    python bench/anomalies.py              # the comparison
    python bench/anomalies.py --choose     # how the setting was chosen: by normal rows alone
    python bench/anomalies.py --settings   # what other settings would have given

One class is normal. 70 % of its rows are trained on, without labels; judged is the AUC with which
its other rows are told from the rows of all other classes. The contenders take turns on the same
rows, with the same number of threads, one if nothing else is said.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from threadpoolctl import threadpool_limits

import dsmfast
from dsmfast.sklearn import DenoisingAutoencoder

SEEDS = {"digits": 5, "breast cancer": 20, "wine": 20}
# One scale, as in what docs/benchmarks/anomalies.md says of it; bench/uses.py sets many beside it.
ONE_SCALE: dict[str, Any] = {"sigma_max": None, "replicas": None}
CHOSEN: dict[str, Any] = {"sigma": "auto", "n_components": 512, "max_iter": 300, **ONE_SCALE}


@dataclass
class Problem:
    """Rows to train on, all normal; rows to rank, and which of these are anomalies."""

    seed: int
    train: np.ndarray
    test: np.ndarray
    is_anomaly: np.ndarray


def problems(name: str, seeds: int, classes: int | None = None) -> Iterator[Problem]:
    """One for each seed and class that is normal in turn; ``classes`` keeps the first few."""
    if name == "digits":
        X, y = datasets.load_digits(return_X_y=True)
        X, normal = X / 16, range(10)  # pixels of one unit: not standardised
    elif name == "breast cancer":
        X, y = datasets.load_breast_cancer(return_X_y=True)
        normal = range(1, 2)  # benign
    else:
        X, y = datasets.load_wine(return_X_y=True)
        normal = range(3)
    for seed in range(seeds):
        for label in list(normal)[:classes]:
            rows = np.random.default_rng(seed).permutation(np.flatnonzero(y == label))
            train, others = np.split(rows, [round(0.7 * len(rows))])
            test = np.concatenate([others, np.flatnonzero(y != label)])
            scaler = StandardScaler(with_mean=name != "digits", with_std=name != "digits")
            scaler.fit(X[train])
            yield Problem(
                seed, scaler.transform(X[train]), scaler.transform(X[test]), y[test] != label
            )


@dataclass
class Contender:
    """How to make an estimator, and how its fitted form ranks rows: high is normal."""

    make: Callable[[], Any]
    normality: Callable[[Any, np.ndarray], np.ndarray] = lambda fitted, x: fitted.score_samples(x)


def minus_norm_of_score(fitted: DenoisingAutoencoder, x: np.ndarray) -> np.ndarray:
    return -np.linalg.norm(fitted.model_.score(x, threads=fitted.threads), axis=1)


def by_likelihood(estimator: Any, grid: dict[str, Any]) -> Any:
    """Settings of a density by its likelihood of held-out normal rows."""
    return GridSearchCV(estimator, grid, cv=KFold(3, shuffle=True, random_state=0))


def contenders(threads: int) -> dict[str, Contender]:
    ours: dict[str, Any] = {"random_state": 0, "threads": threads}
    widths = {"bandwidth": np.geomspace(0.05, 2, 20)}
    mixtures = {"n_components": [1, 2], "reg_covar": [1e-3, 1e-2]}

    def chosen() -> Any:
        return DenoisingAutoencoder(**CHOSEN, **ours)

    def best(fitted: Any, x: np.ndarray) -> np.ndarray:
        return np.asarray(fitted.best_estimator_.score_samples(x))

    return {
        "dsmfast, energy": Contender(chosen),
        "dsmfast, norm of the score": Contender(chosen, minus_norm_of_score),
        "dsmfast, sigma 0.3, energy": Contender(lambda: DenoisingAutoencoder(**ONE_SCALE, **ours)),
        "IsolationForest, 300 trees": Contender(
            lambda: IsolationForest(n_estimators=300, random_state=0)
        ),
        "LocalOutlierFactor, 20 neighbors": Contender(lambda: LocalOutlierFactor(novelty=True)),
        "LocalOutlierFactor, 5 neighbors": Contender(
            lambda: LocalOutlierFactor(n_neighbors=5, novelty=True)
        ),
        "OneClassSVM, nu 0.5": Contender(lambda: OneClassSVM()),
        "OneClassSVM, nu 0.1": Contender(lambda: OneClassSVM(nu=0.1)),
        # More rows than any set has: the sums over a tree of several leaves are not exact.
        "KernelDensity, by likelihood, one leaf": Contender(
            lambda: by_likelihood(KernelDensity(leaf_size=10**4), widths), best
        ),
        "KernelDensity, by likelihood": Contender(
            lambda: by_likelihood(KernelDensity(), widths), best
        ),
        "GaussianMixture, 1 part, reg_covar 0.01": Contender(
            lambda: GaussianMixture(reg_covar=0.01, random_state=0)
        ),
        "GaussianMixture, by likelihood": Contender(
            lambda: by_likelihood(GaussianMixture(random_state=0), mixtures), best
        ),
    }


@dataclass
class Ranking:
    """AUC, and seconds to fit and to rank, of one contender on one problem."""

    seed: int
    auc: float
    fit: float
    rank: float


def ranking(contender: Contender, problem: Problem) -> Ranking:
    begin = time.perf_counter()
    fitted = contender.make().fit(problem.train)
    trained = time.perf_counter()
    normality = contender.normality(fitted, problem.test)
    end = time.perf_counter()
    auc = float(roc_auc_score(problem.is_anomaly, -normality))
    return Ranking(problem.seed, auc, trained - begin, end - trained)


def compare(
    name: str, seeds: int, threads: int = 1, classes: int | None = None
) -> dict[str, list[Ranking]]:
    """Every contender on every problem, in turn."""
    found: dict[str, list[Ranking]] = {}
    with threadpool_limits(threads):
        for problem in problems(name, seeds, classes):
            for label, contender in contenders(threads).items():
                found.setdefault(label, []).append(ranking(contender, problem))
    return found


def mean_and_spread(rankings: list[Ranking]) -> tuple[float, float]:
    """Mean AUC, and the standard deviation over seeds of the mean over classes."""
    by_seed: dict[int, list[float]] = {}
    for each in rankings:
        by_seed.setdefault(each.seed, []).append(each.auc)
    means = [statistics.mean(values) for values in by_seed.values()]
    return statistics.mean(means), statistics.stdev(means) if len(means) > 1 else 0.0


def print_comparison(name: str, found: dict[str, list[Ranking]]) -> None:
    ours = [each.auc for each in found["dsmfast, energy"]]
    print(f"\n{name}, {len(ours)} problems\n")
    print("| | AUC | ± over splits | energy is ahead | fit, ms | rank, ms |")
    print("|---|---|---|---|---|---|")
    for label, rankings in found.items():
        mean, spread = mean_and_spread(rankings)
        ahead = np.mean(
            [(a > b.auc) + (a == b.auc) / 2 for a, b in zip(ours, rankings, strict=True)]
        )
        share = "" if label == "dsmfast, energy" else f"{100 * ahead:.0f} %"
        fit = 1e3 * statistics.median(each.fit for each in rankings)
        rank = 1e3 * statistics.median(each.rank for each in rankings)
        print(
            f"| {label} | {mean:.4f} | {spread:.4f} | {share} | {fit:.1f} | {rank:.1f} |",
            flush=True,
        )


def held_out_loss(rows: np.ndarray, hidden: int, epochs: int, threads: int) -> float:
    """Three-fold held-out dsm of normal rows, at the sigma that "auto" gives for all of them."""
    sigma = dsmfast.select_sigma(rows, threads=threads)
    losses = []
    for train, test in KFold(3, shuffle=True, random_state=0).split(rows):
        model = dsmfast.train(
            rows[train], hidden, sigma, epochs=epochs, dtype="float64", threads=threads
        ).model
        losses.append(dsmfast.loss(model, rows[test], draws=16, seed=9, threads=threads))
    return statistics.mean(losses)


def choose(
    names: list[str], seeds: int, threads: int, grid: list[tuple[int, int]]
) -> dict[tuple[int, int], list[float]]:
    """By candidate, the excess of its held-out dsm over the best's, in each set's mean."""
    excess: dict[tuple[int, int], list[float]] = {candidate: [] for candidate in grid}
    for name in names:
        rows = [problem.train for problem in problems(name, seeds)]
        losses = np.array([[held_out_loss(r, *c, threads) for r in rows] for c in grid])
        for candidate, mean in zip(
            grid, (losses / losses.min(axis=0) - 1).mean(axis=1), strict=True
        ):
            excess[candidate].append(float(mean))
    return excess


def settings(names: list[str], seeds: int, threads: int) -> None:
    """AUC of other settings: it looks at the anomalies, and was not used to choose."""
    print(
        "| sigma | hidden units | passes | "
        + " | ".join(f"{n}: energy, norm" for n in names)
        + " |"
    )
    print("|---" * (3 + len(names)) + "|")
    h, passes = CHOSEN["n_components"], CHOSEN["max_iter"]
    tried = [(f, h, passes) for f in (0.5, 1.0, 2.0, 4.0)]
    tried += [
        (1.0, 64, passes),
        (1.0, 128, passes),
        (1.0, 256, passes),
        (1.0, h, 100),
        (1.0, h, 1000),
    ]
    for factor, hidden, epochs in tried:
        cells = []
        for name in names:
            energy, norm = [], []
            for p in problems(name, seeds):
                sigma = factor * dsmfast.select_sigma(p.train, threads=threads)
                fitted = DenoisingAutoencoder(
                    hidden,
                    sigma=sigma,
                    max_iter=epochs,
                    random_state=0,
                    threads=threads,
                    **ONE_SCALE,
                ).fit(p.train)
                energy.append(roc_auc_score(p.is_anomaly, -fitted.score_samples(p.test)))
                norm.append(roc_auc_score(p.is_anomaly, -minus_norm_of_score(fitted, p.test)))
            cells.append(f"{np.mean(energy):.4f}, {np.mean(norm):.4f}")
        print(f"| {factor:g} × auto | {hidden} | {epochs} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=tuple(SEEDS), default=list(SEEDS))
    parser.add_argument("--seeds", type=int, help="splits of each class; by default 5, 20, 20")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--settings", action="store_true")
    args = parser.parse_args()
    if args.choose:
        grid = [(h, epochs) for h in (64, 128, 256, 512) for epochs in (30, 100, 300, 1000)]
        excess = choose(args.data, args.seeds or 1, args.threads, grid)
        print(f"| hidden units | passes | {' | '.join(args.data)} | mean |")
        print("|---" * (3 + len(args.data)) + "|")
        for (hidden, epochs), values in excess.items():
            cells = " | ".join(f"{100 * v:+.1f} %" for v in (*values, statistics.mean(values)))
            print(f"| {hidden} | {epochs} | {cells} |")
    elif args.settings:
        settings(args.data, args.seeds or 3, args.threads)
    else:
        for name in args.data:
            print_comparison(name, compare(name, args.seeds or SEEDS[name], args.threads))


if __name__ == "__main__":
    main()
