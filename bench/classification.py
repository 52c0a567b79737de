"""Features for a linear classifier, on digits: dsmfast beside PCA, BernoulliRBM and Nystroem.

    python bench/classification.py             # accuracy, and seconds, of features of one size
    python bench/classification.py --search    # sigma, size and scaling by cross-validation

Features are learned without labels on the training rows and standardised; logistic regression on
them takes its C from three-fold cross-validation on the training rows. The contenders take turns on
the same splits, with the same number of threads, one if nothing else is said.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold, StratifiedShuffleSplit
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from dsmfast.sklearn import DenoisingAutoencoder

Split = tuple[np.ndarray, np.ndarray]

# Features are for a classifier, not for a density; bench/uses.py has what the difference is.
ONE_SCALE: dict[str, Any] = {"sigma_max": None, "replicas": None}


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels in [0, 1], as BernoulliRBM needs them, and labels."""
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def contenders(X: np.ndarray, size: int, threads: int) -> dict[str, Callable[[], Any]]:
    def autoencoder(**options: Any) -> Callable[[], Any]:
        common = {"random_state": 0, "threads": threads, **ONE_SCALE}
        return lambda: DenoisingAutoencoder(size, **common, **options)

    def boltzmann(n_iter: int) -> Callable[[], Any]:
        # 0.06 is the rate of scikit-learn's own example, whose ten passes are over five times as
        # many rows (each digit also moved by a pixel to four sides).
        return lambda: BernoulliRBM(size, learning_rate=0.06, n_iter=n_iter, random_state=0)

    return {
        "pixels": lambda: FunctionTransformer(),
        "PCA, 32": lambda: PCA(32, random_state=0),
        f"dsmfast, {size}": autoencoder(),
        f"dsmfast, {size}, 500 passes": autoencoder(max_iter=500),
        f"dsmfast, {size}, not trained": autoencoder(max_iter=0),
        f"BernoulliRBM, {size}, 10 passes": boltzmann(10),
        f"BernoulliRBM, {size}, 50 passes": boltzmann(50),
        f"BernoulliRBM, {size}, 100 passes": boltzmann(100),
        # Of gamma, its own default is a seventh of SVC's "scale", which this is; it is worse here.
        f"Nystroem (RBF kernel), {size}": lambda: Nystroem(
            gamma=1 / (X.shape[1] * X.var()), n_components=size, random_state=0
        ),
    }


@dataclass
class Outcome:
    """Held-out accuracy, and seconds to fit features, to make those of all rows, to classify."""

    accuracy: float
    fit: float
    transform: float
    classifier: float


def outcome(features: Any, X: np.ndarray, y: np.ndarray, split: Split) -> Outcome:
    train, test = split
    begin = time.perf_counter()
    features.fit(X[train])
    fitted = time.perf_counter()
    H = features.transform(X)
    transformed = time.perf_counter()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    grid = {"logisticregression__C": [0.01, 0.1, 1, 10]}
    classifier = GridSearchCV(pipeline, grid, cv=3).fit(H[train], y[train])
    end = time.perf_counter()
    return Outcome(
        float(classifier.score(H[test], y[test])),
        fitted - begin,
        transformed - fitted,
        end - transformed,
    )


def compare(
    X: np.ndarray, y: np.ndarray, splits: Sequence[Split], size: int, threads: int = 1
) -> dict[str, list[Outcome]]:
    """Every contender on every split, in turn."""
    found: dict[str, list[Outcome]] = {}
    with threadpool_limits(threads):
        for split in splits:
            for name, make in contenders(X, size, threads).items():
                found.setdefault(name, []).append(outcome(make(), X, y, split))
    return found


@dataclass
class Search:
    """What a search took, its accuracy within the training rows and on held-out ones."""

    parameters: dict[str, str]
    validated: float
    held_out: float
    seconds: float


SEARCHED: dict[str, list[Any]] = {
    "features__sigma": [0.2, 0.3, 0.4, 0.5],
    "features__n_components": [64, 128, 256],
    "scaling": [StandardScaler(), "passthrough"],
    "classifier__C": [1, 100],
}


def search(
    X: np.ndarray,
    y: np.ndarray,
    split: Split,
    grid: dict[str, list[Any]],
    jobs: int,
    max_iter: int = 100,
) -> Search:
    """Cross-validated search over a pipeline that begins with the autoencoder."""
    train, test = split
    pipeline = Pipeline(
        [
            (
                "features",
                DenoisingAutoencoder(max_iter=max_iter, random_state=0, threads=1, **ONE_SCALE),
            ),
            ("scaling", StandardScaler()),
            ("classifier", LogisticRegression(max_iter=2000)),
        ]
    )
    begin = time.perf_counter()
    with threadpool_limits(1):
        found = GridSearchCV(pipeline, grid, cv=3, n_jobs=jobs).fit(X[train], y[train])
    seconds = time.perf_counter() - begin
    return Search(
        {name.split("__")[-1]: str(value) for name, value in found.best_params_.items()},
        float(found.best_score_),
        float(found.score(X[test], y[test])),
        seconds,
    )


def print_comparison(found: dict[str, list[Outcome]], rows: int) -> None:
    print(
        "| features | accuracy, % | ± over splits | fit, s | transform, µs a row | classifier, s |"
    )
    print("|---|---|---|---|---|---|")
    for name, outcomes in found.items():
        accuracies = [100 * each.accuracy for each in outcomes]
        fit, transform, classifier = (
            statistics.median(getattr(each, part) for each in outcomes)
            for part in ("fit", "transform", "classifier")
        )
        print(
            f"| {name} | {statistics.mean(accuracies):.2f} | {statistics.stdev(accuracies):.2f} "
            f"| {fit:.3f} | {transform / rows * 1e6:.2f} | {classifier:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs="+", default=[128], help="features")
    parser.add_argument("--repeats", type=int, default=2, help="of five-fold cross-validation")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--jobs", type=int, default=2, help="of the search")
    args = parser.parse_args()
    X, y = digits()
    if args.search:
        names = ("sigma", "n_components", "scaling", "C")
        print(f"| {' | '.join(names)} | cross-validated, % | held out, % | s |")
        print("|---" * (len(names) + 3) + "|")
        splits = StratifiedShuffleSplit(args.repeats, test_size=0.25, random_state=0).split(X, y)
        for split in splits:
            best = search(X, y, split, SEARCHED, args.jobs)
            print(
                f"| {' | '.join(best.parameters[name] for name in names)} "
                f"| {100 * best.validated:.2f} | {100 * best.held_out:.2f} | {best.seconds:.1f} |",
                flush=True,
            )
        return
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=args.repeats, random_state=0)
    splits = list(folds.split(X, y))
    for size in args.size:
        print(f"\ndigits, {len(splits)} splits, threads: {args.threads}\n")
        print_comparison(compare(X, y, splits, size, args.threads), len(X))


if __name__ == "__main__":
    main()
