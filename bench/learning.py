"""What each objective learns: held-out explicit score matching, and the gap that a penalty narrows.

    python bench/learning.py               # training by each objective, judged by one measure
    python bench/learning.py --penalty     # implicit score matching with little data

The measure of the first table is mean 1/2 |score - true score|^2 of the smoothed density at noisy
held-out points ("esm_smoothed"). On the mixture the true score is known; on digits it is that of
the Parzen density of the held-out rows.
"""

from __future__ import annotations

import argparse

import numpy as np

import dsmfast
from dsmfast import data

SEEDS = (0, 1, 2)
OBJECTIVES = ("dsm", "esm_smoothed", "ism_smoothed", "esm", "ism")


def judge_mixture(model: dsmfast.ScoreModel, held_out: np.ndarray) -> float:
    """Against the true smoothed density."""
    noise = dsmfast.normals(99, 0, 0, range(len(held_out)), 2, held_out.dtype)
    noisy = held_out + held_out.dtype.type(model.sigma) * noise
    score = data.mixture_score(noisy, model.sigma)
    return dsmfast.loss(model, noisy, "esm", score=score)


def judge_digits(model: dsmfast.ScoreModel, held_out: np.ndarray) -> float:
    """Against the Parzen density of the held-out rows."""
    return dsmfast.loss(model, held_out, "esm_smoothed", draws=16, seed=99)


def table(name: str, sigma: float, hidden: int, epochs: int) -> None:
    if name == "mixture":
        X, held_out, judge = data.mixture(4000), data.mixture(20_000, seed=1), judge_mixture
    else:
        X, held_out = data.split(data.digits(), 0.2)
        judge = judge_digits
    print(f"\n{name}: {len(X)} rows, sigma {sigma:g}, {hidden} hidden units, {epochs} epochs")
    print("| objective | held-out esm_smoothed | spread over seeds | held-out dsm |")
    print("|---|---|---|---|")

    def mean_of(trained: list[dsmfast.ScoreModel], label: str) -> None:
        values = [judge(model, held_out) for model in trained]
        dsm = np.mean([dsmfast.loss(m, held_out, "dsm", draws=16, seed=99) for m in trained])
        print(f"| {label} | {np.mean(values):.4g} | {np.std(values):.2g} | {dsm:.5g} |", flush=True)

    for objective in OBJECTIVES:
        options = {"score": data.mixture_score} if objective == "esm" else {}
        if objective == "esm" and name != "mixture":
            continue
        mean_of(
            [
                dsmfast.train(
                    X, hidden, sigma, objective=objective, epochs=epochs, seed=seed, **options
                ).model
                for seed in SEEDS
            ],
            objective,
        )
    untrained = dsmfast.train(X, hidden, sigma, epochs=0).model
    mean_of([untrained], "(not trained)")


def penalties(rows: int, sigma: float, hidden: int, epochs: int) -> None:
    """Kingma & LeCun (2010): quantised data are spikes, on which curvature is free to win."""
    pixels = data.patches(side=8, count=20_000)
    # Eight bits a pixel, in units of their contrast.
    step = (pixels.max() - pixels.min()) / 255
    pixels = np.round(pixels / step) * step
    X, held_out = pixels[:rows], pixels[10_000:]
    print(f"\n8-bit patches: {rows} rows of 64, sigma {sigma:g}, {hidden} hidden units")
    print("| trained by | ism on training rows | ism held out | gap | held-out dsm |")
    print("|---|---|---|---|---|")
    cases = {
        f"ism, penalty {penalty:g}": {"objective": "ism", "curvature_penalty": penalty}
        for penalty in (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    }
    for name, case in {**cases, "dsm": {"objective": "dsm"}}.items():
        found = []
        for seed in SEEDS:
            model = dsmfast.train(X, hidden, sigma, epochs=epochs, seed=seed, **case).model
            inside, outside = (dsmfast.loss(model, rows, "ism") for rows in (X, held_out))
            found.append((inside, outside, dsmfast.loss(model, held_out, "dsm", seed=99)))
        inside, outside, dsm = np.mean(found, axis=0)
        gap = outside - inside
        print(f"| {name} | {inside:.5g} | {outside:.5g} | {gap:.4g} | {dsm:.4g} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--penalty", action="store_true")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=300)
    args = parser.parse_args()
    if args.penalty:
        penalties(args.rows, 0.5, 128, args.epochs)
    else:
        table("mixture", 0.3, 64, args.epochs)
        table("digits", 0.4, 128, args.epochs)


if __name__ == "__main__":
    main()
