"""What noise at several scales costs: steps with it over steps at one scale.

    python bench/scales.py
    python bench/scales.py --dtype float64 --threads 1

At the shapes of bench/report.py, plain SGD on "dsm": coarse visits regressed on their row, on both
paths, and on the posterior mean over the batch and over all rows (eight batches of them), on the
explicit path. Medians of interleaved runs. Beside the last two, what their products say: two of
rows by references by features for half of the visits, of the five of a step.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import Any

import numpy as np

import dsmfast
from contenders import SHAPES, SIGMA
from dsmfast import _core

BATCHES = 8
SCALES: dict[str, Any] = {
    "coarse": 2**31,
    "log_ratio": math.log(30.0),
    "exponent": 2.0,
}


class Step:
    """Steps of plain SGD, with or without scales, on arrays of their own."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: str,
        path: str,
        coarse_target: str | None = None,
        reference: int = 0,
    ) -> None:
        B, d, h = shape
        X = np.random.default_rng(0).random((BATCHES * B, d), dtype)
        model = dsmfast.ScoreModel.initialize(d, h, SIGMA, dtype=dtype)
        state = [(model.W.copy(), model.b.copy(), model.c.copy())]
        target: dict[str, Any] = {}
        if coarse_target == "posterior":
            target = {"coarse_target": _core.Target.posterior, "reference": reference}
            if reference >= len(X):
                target |= {"reference": 0, "sample": X}
        scales = SCALES if coarse_target is not None else {}
        task = _core.Regression(
            points=X, noise=_core.Noise(sigma=SIGMA, **scales), path=_core.Path[path], **target
        )
        # Epochs in one call: what a call costs is not the question.
        self.passes = max(1, round(2e8 / (10 * B * d * h * BATCHES + 1e6)))
        order = np.tile(_core.shuffled_rows(0, 1, len(X)), self.passes)
        steps = BATCHES * self.passes
        self.arguments = (
            *(state, dsmfast.SGD(momentum=0.0).compiled(0), task, order, 0, len(order), B),
            *(np.full(steps, 1e-6), np.empty(steps), np.zeros(1, np.int64), _core.WorkingMemory()),
        )

    def seconds(self, threads: int) -> float:
        begin = time.perf_counter()
        _core.train(*self.arguments, threads)
        return (time.perf_counter() - begin) / (BATCHES * self.passes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=31)
    args = parser.parse_args()
    info = dsmfast.build_info()
    print(f"{args.dtype}, {args.threads} threads, {info['instruction_set']}\n")
    names = ("gram, row", "explicit, row", "posterior, batch", "products", "posterior, all")
    print(f"| B, d, h | explicit, µs | gram, µs | {' | '.join(names)} | products |")
    print("|---" * (len(names) + 4) + "|")
    for shape in SHAPES:
        B, _, h = shape
        steps = {
            "explicit": Step(shape, args.dtype, "explicit"),
            "explicit, row": Step(shape, args.dtype, "explicit", "row"),
            "posterior, batch": Step(shape, args.dtype, "explicit", "posterior", B),
            "posterior, all": Step(shape, args.dtype, "explicit", "posterior", BATCHES * B),
            "gram": Step(shape, args.dtype, "gram"),
            "gram, row": Step(shape, args.dtype, "gram", "row"),
        }
        found: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(args.rounds):
            for name, step in steps.items():
                found[name].append(step.seconds(args.threads))
        median = {name: statistics.median(seconds) for name, seconds in found.items()}

        def ratio(name: str, median: dict[str, float] = median) -> str:
            return f"{median[name] / median['gram' if 'gram' in name else 'explicit']:.3f}"

        said = [f"{1 + 0.2 * many / h:.2f}" for many in (B, BATCHES * B)]
        cells = [
            ", ".join(map(str, shape)),
            f"{1e6 * median['explicit']:.1f}",
            f"{1e6 * median['gram']:.1f}",
            *(ratio(name) for name in ("gram, row", "explicit, row", "posterior, batch")),
            said[0],
            ratio("posterior, all"),
            said[1],
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
