"""Digits with pixels missing: dsmfast.impute beside scikit-learn's imputers.

    python bench/imputation.py

Missing are half of the pixels at random, or the lower half, of digits that nobody trained on.
Printed are the root mean square of the error at missing pixels (pixels are in [0, 1]), the mean
log-density of the completed rows under dsmfast's model, in nats and in the unit of the pixels, and
seconds: to fit, and to fill in. Completed rows are means, which lie where the density is higher
than at digits with noise; what is compared is how well they go together with what is known.

Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from threadpoolctl import threadpool_limits

import dsmfast
from dsmfast import ScoreModel, data

SIGMA = 0.25  # of the model that judges
SIGMAS = (0.1, 0.15, 0.25)  # dsmfast.impute's is chosen by a fifth of the training rows

Filling = Callable[[np.ndarray], np.ndarray]


def trained(rows: np.ndarray, sigma: float, hidden: int = 512, steps: int = 4000) -> ScoreModel:
    """A model of rows over sigma, at many scales."""
    options = {"epochs": round(steps * 256 / len(rows)), "sigma_max": "auto", "coarse": 0.25}
    X = (rows / sigma).astype(np.float32)
    return dsmfast.train(X, hidden, sigma=1.0, progress=False, **options).model


def filling(rows: np.ndarray, sigma: float) -> Filling:
    model = trained(rows, sigma)
    return lambda x: dsmfast.impute(model, (x / sigma).astype(np.float32)) * sigma


def ours(rows: np.ndarray, gaps: np.ndarray) -> Filling:
    """dsmfast.impute, at the sigma that fills in held-out rows best, with gaps of the same kind."""
    judged, kept = np.split(rows, [len(rows) // 5])
    missing = gaps[: len(judged)]

    def error(sigma: float) -> float:
        filled = filling(kept, sigma)(np.where(missing, np.nan, judged))
        return float(((filled - judged)[missing] ** 2).mean())

    return filling(rows, min(SIGMAS, key=error))


def imputers(rows: np.ndarray, gaps: np.ndarray) -> dict[str, Callable[[], Filling]]:
    """What fits, and returns what fills in."""

    def theirs(imputer: object) -> Callable[[], Filling]:
        return lambda: imputer.fit(rows).transform

    return {
        "dsmfast.impute": lambda: ours(rows, gaps),
        "KNNImputer": theirs(KNNImputer(n_neighbors=5, keep_empty_features=True)),
        "KNNImputer, by distance": theirs(
            KNNImputer(n_neighbors=10, weights="distance", keep_empty_features=True)
        ),
        "IterativeImputer": theirs(IterativeImputer(random_state=0, keep_empty_features=True)),
        "mean": theirs(SimpleImputer(keep_empty_features=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    train, test = data.split(data.digits().astype(np.float64), 0.2)
    at_random = np.random.default_rng(0).random(test.shape) < 0.5
    lower = np.zeros_like(at_random)
    lower[:, 32:] = True
    print("| missing | by | error | log-density | seconds |\n|---|---|---|---|---|", flush=True)
    with threadpool_limits(args.threads):
        model = trained(train, SIGMA, 256).normalized(data=train / SIGMA)
        for missing, gaps in (("half at random", at_random), ("the lower half", lower)):
            spoiled = np.where(gaps, np.nan, test)
            for name, fit in imputers(train, gaps).items():
                begin = time.perf_counter()
                fill = fit()
                fitted = time.perf_counter()
                filled = np.asarray(fill(spoiled), dtype=np.float64)
                seconds = f"{fitted - begin:.2f}, {time.perf_counter() - fitted:.2f}"
                error = math.sqrt(float(((filled - test)[gaps] ** 2).mean()))
                shift = test.shape[1] * math.log(1 / SIGMA)
                log_density = model.log_density((filled / SIGMA).astype(np.float32)).mean() + shift
                print(
                    f"| {missing} | {name} | {error:.4f} | {log_density:.2f} | {seconds} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
