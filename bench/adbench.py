"""Ranking outliers: dsmfast beside six estimators of scikit-learn, on files of ADBench.

    python bench/adbench.py DIR                    # both protocols
    python bench/adbench.py DIR --protocol shuffled --seeds 3 --sets wine cardio
    python bench/adbench.py DIR --rankings         # the other rankings too, which train a model
    python bench/adbench.py DIR --choose           # what other units and sigmas would have given

DIR holds data sets of ADBench (Han et al. 2022) as they are published, such as 6_cardio.npz with X
and y (1 is an anomaly): github.com/Minqi824/ADBench, adbench/datasets/Classical.

Shuffled: half of the normal rows, chosen at random, is trained on; the other half and all anomalies
are ranked; ten seeds. File order: the first half of the normal rows is trained on, as by Livernoche
et al. (2023, "On diffusion modeling for anomaly detection"), whose figures stand beside; sets of
under 1000 rows, which they drew again with replacement before they split, are left out. Features
are standardised on the rows trained on, for every contender.

Contaminated (--protocol contaminated): all rows are trained on and ranked, anomalies among them,
which are up to a third. But for dsmfast's displacement, each row is among those it is ranked by.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from threadpoolctl import threadpool_limits

from dsmfast.sklearn import OutlierDetector

# AUC in per cent that Livernoche et al. (2023) publish for the second protocol, semi-supervised.
COLUMNS = ("kNN", "LOF", "OCSVM", "IForest", "ECOD", "DDPM", "DTE-NP", "DTE-C")
PUBLISHED = {
    "annthyroid": (92.8, 88.6, 88.5, 90.3, 78.5, 88.8, 92.9, 97.5),
    "cardio": (92.0, 92.2, 95.6, 93.3, 95.0, 86.9, 91.8, 87.3),
    "letter": (35.4, 44.8, 32.2, 32.0, 45.4, 38.0, 34.4, 36.7),
    "mammography": (87.6, 85.5, 88.6, 88.0, 90.7, 81.0, 87.6, 86.4),
    "optdigits": (93.7, 96.7, 63.4, 81.1, 50.0, 90.8, 94.3, 82.4),
    "pendigits": (99.9, 99.0, 96.4, 97.2, 93.0, 98.1, 99.6, 97.8),
    "satellite": (82.2, 80.3, 73.9, 77.5, 62.2, 77.7, 82.1, 78.6),
    "satimage-2": (99.7, 99.4, 99.6, 99.1, 97.1, 99.6, 99.7, 99.3),
    "thyroid": (98.7, 92.7, 98.6, 99.0, 97.5, 98.0, 98.6, 98.7),
    "vowels": (82.2, 86.3, 75.9, 61.8, 61.5, 86.4, 81.4, 86.9),
}
LEAST_ROWS = 1000  # of a set in the second protocol
PROTOCOLS = ("both", "shuffled", "file-order", "contaminated")
OURS, NEIGHBORS = "dsmfast", "5-NN"


@dataclass
class Problem:
    """Rows to train on, all normal; rows to rank, and which of these are anomalies."""

    train: np.ndarray
    test: np.ndarray
    is_anomaly: np.ndarray


def split(X: np.ndarray, y: np.ndarray, seed: int | None) -> Problem:
    """Return halves of the normal rows, by a seed or in the order of the file, standardised."""
    normal = np.flatnonzero(y == 0)
    if seed is not None:
        normal = np.random.default_rng(seed).permutation(normal)
    half = len(normal) // 2
    test = np.concatenate([normal[half:], np.flatnonzero(y == 1)])
    scaler = StandardScaler().fit(X[normal[:half]])
    return Problem(scaler.transform(X[normal[:half]]), scaler.transform(X[test]), y[test] == 1)


def together(X: np.ndarray, y: np.ndarray, _: int | None) -> Problem:
    """Return all rows both to train on and to rank."""
    rows = StandardScaler().fit_transform(X)
    return Problem(rows, rows, y == 1)


def read(folder: Path, wanted: list[str] | None = None) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, X and y of each set, in the order of their numbers."""
    files = {path.stem.split("_", 1)[-1]: path for path in sorted(folder.glob("*.npz"))}
    unknown = set(wanted or ()) - set(files)
    if not files or unknown:
        missing = f"no set called {', '.join(sorted(unknown))}" if files else "no .npz files"
        raise SystemExit(f"{folder}: {missing}")
    for name, path in files.items():
        if wanted is None or name in wanted:
            with np.load(path) as arrays:
                yield name, arrays["X"].astype(np.float64), arrays["y"]


class Neighbors:
    """Distance to the fifth nearest row, as PyOD's KNN has it by default."""

    def fit(self, X: np.ndarray) -> Neighbors:
        self.rows = NearestNeighbors(n_neighbors=5).fit(X)
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self.rows.kneighbors(X)[0][:, -1]


def contenders(seed: int = 0) -> dict[str, Callable[[], Any]]:
    """Return what makes each: scikit-learn's defaults, but for the parts of the mixture."""
    return {
        OURS: lambda: OutlierDetector(calibration_fraction=None, random_state=seed),
        NEIGHBORS: Neighbors,
        "LOF": lambda: LocalOutlierFactor(novelty=True),
        "OneClassSVM": OneClassSVM,
        "IsolationForest": lambda: IsolationForest(random_state=seed),
        "GaussianMixture(5)": lambda: GaussianMixture(5, random_state=seed),
        "KernelDensity": KernelDensity,
    }


def rankings(seed: int = 0) -> dict[str, Callable[[], Any]]:
    """Return what makes the rankings by a trained model, with the estimator's defaults."""
    return {
        ranking: lambda r=ranking: OutlierDetector(r, calibration_fraction=None, random_state=seed)
        for ranking in ("model_displacement", "energy")
    }


def settings(seed: int = 0) -> dict[str, Callable[[], Any]]:
    """Return what makes the detector with other units and sigmas."""
    every = ("standard", "robust", "whitened")
    widths = (0.2, 0.3, 0.5, 0.8)
    tried = [(unit, sigma) for unit in every for sigma in widths]
    tried += [(every, sigma) for sigma in (0.3, 0.5, (0.2, 0.3, 0.5), (0.3, 0.5), widths)]
    tried += [(("standard", "robust"), (0.3, 0.5)), (("robust", "whitened"), (0.3, 0.5))]
    return {
        f"{name_of(unit)}, {name_of(sigma)}": lambda u=unit, s=sigma: OutlierDetector(
            scaling=u, sigma=s, calibration_fraction=None, random_state=seed
        )
        for unit, sigma in tried
    }


def name_of(value: Any) -> str:
    return " + ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def ranked(make: Callable[[], Any], problem: Problem) -> tuple[float, float]:
    """Return AUC in per cent, and seconds to fit and to rank."""
    begin = time.perf_counter()
    normality = make().fit(problem.train).score_samples(problem.test)
    seconds = time.perf_counter() - begin
    return 100 * float(roc_auc_score(problem.is_anomaly, -normality)), seconds


Found = dict[str, dict[str, list[tuple[float, float]]]]


def compare(
    sets: Iterator[tuple[str, Any, Any]],
    seeds: list[int] | list[None],
    made: Callable[[int], dict[str, Callable[[], Any]]],
    divided: Callable[[np.ndarray, np.ndarray, int | None], Problem] = split,
) -> Found:
    """Return by set and contender the AUC and seconds of each split."""
    found: Found = {}
    for name, X, y in sets:
        for seed in seeds:
            problem = divided(X, y, seed)
            for label, make in made(seed or 0).items():
                one = ranked(make, problem)
                found.setdefault(name, {}).setdefault(label, []).append(one)
    return found


def means(found: Found, label: str) -> list[float]:
    """Return the mean AUC of a contender on each set."""
    return [statistics.mean(auc for auc, _ in row[label]) for row in found.values()]


def print_table(found: Found, published: bool = False) -> None:
    labels = list(next(iter(found.values())))
    beside = [f"{column}, published" for column in COLUMNS] if published else []
    print(f"| set | {' | '.join([*labels, *beside])} |")
    print("|---" * (1 + len(labels) + len(beside)) + "|")
    columns = [means(found, label) for label in labels]
    if published:
        columns += [[PUBLISHED[name][i] for name in found] for i in range(len(COLUMNS))]
    for name, *row in zip(found, *columns, strict=True):
        print(f"| {name} | {' | '.join(f'{auc:.1f}' for auc in row)} |")
    print(f"| **mean** | {' | '.join(f'**{statistics.mean(c):.2f}**' for c in columns)} |")
    if not published and len(next(iter(found.values()))[labels[0]]) > 1:
        errors = [error_of_mean(found, label) for label in labels]
        print(f"| ± over splits | {' | '.join(f'{e:.2f}' for e in errors)} |")
    seconds = [[max(s for _, s in row[label]) for row in found.values()] for label in labels]
    longest = " | ".join(f"{max(each):.2f}" for each in seconds)
    print(f"| longest, s | {longest} |{' |' * len(beside)}")


def error_of_mean(found: Found, label: str) -> float:
    """Return the standard deviation over splits of the mean over sets."""
    splits = zip(*([auc for auc, _ in row[label]] for row in found.values()), strict=True)
    return statistics.stdev(statistics.mean(each) for each in splits)


def print_lead(found: Found) -> None:
    """Print by how much the detector is ahead, in the mean and on how many sets."""
    ours = means(found, OURS)
    for label in next(iter(found.values())):
        if label != OURS:
            ahead = np.array(ours) - means(found, label)
            print(
                f"{OURS} - {label}: {ahead.mean():+.2f}, median {np.median(ahead):+.2f}, "
                f"from {ahead.min():+.1f} to {ahead.max():+.1f}; ahead on {(ahead > 0).sum()} of "
                f"{len(ahead)}"
            )


def print_halves(found: Found, draws: int = 1000) -> None:
    """Print what choosing the best setting on half of the sets gives on the other half."""
    labels = list(next(iter(found.values())))
    auc = np.array([means(found, label) for label in labels])
    generator = np.random.default_rng(0)
    chosen, default, of = [], [], labels.index("standard + robust + whitened, 0.3 + 0.5")
    for _ in range(draws):
        order = generator.permutation(auc.shape[1])
        one, other = order[: len(order) // 2], order[len(order) // 2 :]
        chosen.append(auc[auc[:, one].mean(axis=1).argmax(), other].mean())
        default.append(auc[of, other].mean())
    print(f"chosen on half of the sets: {np.mean(chosen):.2f} on the other half; ", end="")
    print(f"the default: {np.mean(default):.2f}; the best of all: {auc.mean(axis=1).max():.2f}")


def print_settings(found: Found) -> None:
    print("| units, sigma | mean | median over sets |")
    print("|---|---|---|")
    for label in next(iter(found.values())):
        each = means(found, label)
        print(f"| {label} | {statistics.mean(each):.2f} | {statistics.median(each):.2f} |")
    print()
    print_halves(found)


def in_file_order(folder: Path, wanted: list[str] | None) -> Iterator[tuple[str, Any, Any]]:
    """Yield the sets that have published figures to be compared with."""
    for name, X, y in read(folder, wanted):
        if name in PUBLISHED and len(X) >= LEAST_ROWS:
            yield name, X, y


def check_neighbors(found: Found) -> None:
    """Say whether 5-NN gives the published figures, as it does where the protocol is theirs."""
    pairs = zip(found, means(found, NEIGHBORS), strict=True)
    off = {name: auc for name, auc in pairs if abs(auc - PUBLISHED[name][0]) > 0.1}
    for name, auc in off.items():
        print(f"{name}: {NEIGHBORS} {auc:.2f}, published {PUBLISHED[name][0]}: another protocol")
    if not off:
        print(f"{NEIGHBORS} gives the published kNN to 0.1 on all {len(found)} sets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="of .npz files of ADBench")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="both")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="by default all in DIR")
    parser.add_argument("--seeds", type=int, default=10, help="shuffled splits (default 10)")
    parser.add_argument("--threads", type=int, help="of all contenders")
    parser.add_argument("--rankings", action="store_true")
    parser.add_argument("--choose", action="store_true")
    args = parser.parse_args()
    seeds = list(range(args.seeds))

    def made(seed: int) -> dict[str, Callable[[], Any]]:
        return contenders(seed) | (rankings(seed) if args.rankings else {})

    with threadpool_limits(args.threads):
        if args.choose:
            print_settings(compare(read(args.folder, args.sets), seeds, settings))
            return
        if args.protocol == "contaminated":
            print_table(compare(read(args.folder, args.sets), [0], made, together))
            return
        if args.protocol != "file-order":
            print("\nshuffled\n")
            found = compare(read(args.folder, args.sets), seeds, made)
            print_table(found)
            print()
            print_lead(found)
        if args.protocol != "shuffled":
            print("\nin the order of the file\n")
            found = compare(in_file_order(args.folder, args.sets), [None], made)
            if not found:
                raise SystemExit(f"no set has published figures: {', '.join(PUBLISHED)}")
            print_table(found, published=True)
            print()
            check_neighbors(found)


if __name__ == "__main__":
    main()
