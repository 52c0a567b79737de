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

SIGMA = 0.25


def trained(rows: np.ndarray) -> ScoreModel:
    """A model of rows over sigma, at many scales, with its normaliser."""
    epochs = round(6000 * 256 / len(rows))
    options = {"sigma_max": "auto", "coarse": 0.25, "epochs": epochs, "progress": False}
    model = dsmfast.train((rows / SIGMA).astype(np.float32), 256, sigma=1.0, **options).model
    return model.normalized(data=rows / SIGMA)


def imputers(rows: np.ndarray) -> dict[str, Callable[[], Callable[[np.ndarray], np.ndarray]]]:
    """What fits, and returns what fills in."""

    def ours() -> Callable[[np.ndarray], np.ndarray]:
        model = trained(rows)
        return lambda x: dsmfast.impute(model, (x / SIGMA).astype(np.float32)) * SIGMA

    def theirs(imputer: object) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
        return lambda: imputer.fit(rows).transform

    return {
        "dsmfast.impute": ours,
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
        model = trained(train)
        for missing, gaps in (("half at random", at_random), ("the lower half", lower)):
            spoiled = np.where(gaps, np.nan, test)
            for name, fit in imputers(train).items():
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
