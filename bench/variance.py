"""The variance of a gradient over its noise: both paths, and antithetic pairs.

    python bench/variance.py

On each problem, the sum of the variances of all entries of (dW, db, dc) of "dsm" over independent
draws of noise: the gram path's over the explicit path's, and on each path that of a pair of
antithetic draws over that of two independent ones. The last column is what is left on the gram
path when batches are drawn too: of the variance over rows and noise, the share that is noise's.
"""

from __future__ import annotations

import argparse

import numpy as np

import dsmfast
from dsmfast import data


def random_problem(
    B: int, d: int, h: int, sigma: float, dependent: bool = False
) -> tuple[dsmfast.ScoreModel, np.ndarray]:
    rng = np.random.default_rng([B, d, h])
    W = 1.5 * rng.standard_normal((h, d)) / np.sqrt(d)
    if dependent:
        W[1] = W[0] + 1e-4 * W[1]
        W[2] *= 1e-4
    b, c = rng.standard_normal(h), rng.standard_normal(d)
    return dsmfast.ScoreModel(W, b, c, sigma), rng.standard_normal((B, d))


def trained_problem(
    X: np.ndarray, h: int, sigma: float, epochs: int
) -> tuple[dsmfast.ScoreModel, np.ndarray]:
    model = dsmfast.train(X, h, sigma, epochs=epochs, dtype="float64").model
    return model, np.asarray(X[:2048], np.float64)


def problems() -> dict[str, tuple[dsmfast.ScoreModel, np.ndarray]]:
    found = {}
    for B, d, h, sigma in [
        (16, 20, 5, 0.05),
        (16, 20, 5, 0.3),
        (16, 20, 5, 1.0),
        (16, 20, 5, 3.0),
        (16, 12, 12, 0.5),
        (16, 6, 15, 0.5),
        (16, 6, 15, 2.0),
    ]:
        found[f"random, d {d}, h {h}, sigma {sigma:g}"] = random_problem(B, d, h, sigma)
    found["near-singular W, d 20, h 5, sigma 0.3"] = random_problem(16, 20, 5, 0.3, True)
    digits, patches = data.digits(), data.patches(12)
    for epochs in (0, 50):
        when = f"after {epochs} epochs" if epochs else "at the start"
        found[f"digits {when}, h 32, sigma 0.3"] = trained_problem(digits, 32, 0.3, epochs)
    found["digits after 50 epochs, h 32, sigma 0.1"] = trained_problem(digits, 32, 0.1, 50)
    found["12 x 12 patches after 10 epochs, h 64, sigma 0.3"] = trained_problem(
        patches, 64, 0.3, 10
    )
    return found


def variance(
    model: dsmfast.ScoreModel, batches: list[np.ndarray], path: str, draws: int, antithetic: bool
) -> float:
    """Summed over entries: over noise if there is one batch, else over batches too."""
    total, squares = 0.0, 0.0
    for step, x in enumerate(batches):
        _, g = dsmfast.loss_and_grad(
            model, x, "dsm", draws=draws, antithetic=antithetic, path=path, step=step
        )
        flat = np.concatenate([g.W.ravel(), g.b, g.c])
        total, squares = total + flat, squares + flat**2
    n = len(batches)
    return float((squares / n - (total / n) ** 2).sum() * n / (n - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000, help="for each number")
    args = parser.parse_args()
    print(
        "| problem | gram / explicit | antithetic pair / two draws, explicit | the same, gram "
        "| noise's share, gram |"
    )
    print("|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for name, (model, X) in problems().items():
        rows = min(128, len(X))
        one = [X[:rows]] * args.draws
        found = {
            (path, draws, pairs): variance(model, one, path, draws, pairs)
            for path in ("explicit", "gram")
            for draws, pairs in ((1, False), (2, False), (2, True))
        }
        cells = [found["gram", 1, False] / found["explicit", 1, False]]
        cells += [found[p, 2, True] / found[p, 2, False] for p in ("explicit", "gram")]
        text = [f"{cell:.2g}" for cell in cells]
        if len(X) > rows:
            every = [X[rng.choice(len(X), rows, replace=False)] for _ in range(args.draws)]
            share = found["gram", 1, False] / variance(model, every, "gram", 1, False)
            text.append(f"{share:.2f}")
        print(f"| {name} | {' | '.join([*text, '', ''][:4])} |", flush=True)


if __name__ == "__main__":
    main()
