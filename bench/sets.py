"""What an instruction set gains, kernel by kernel: python bench/sets.py.

Every set that this machine has, taking turns within one process; times over that of the widest.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from roofline import Step

import dsmfast
from contenders import SHAPES, SIGMA
from dsmfast import _core


def kernels(dtype: str, threads: int) -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    A = rng.random((1000, 1000)).astype(dtype)
    x = rng.random((20_000, 784)).astype(dtype)
    narrow = rng.random((100_000, 8)).astype(dtype)
    wide = dsmfast.ScoreModel.initialize(784, 128, SIGMA, dtype=dtype)
    small = dsmfast.ScoreModel.initialize(8, 64, SIGMA, dtype=dtype)
    rows = np.arange(2000)
    return {
        "product, 1000 x 1000": lambda: _core.product(A, A, threads),
        "normals, rows of 784": lambda: dsmfast.normals(0, 0, 0, rows, 784, dtype, threads=threads),
        "hidden, 8 to 64 (sigmoid)": lambda: small.hidden(narrow, threads=threads),
        "energy, 8 to 64 (softplus)": lambda: small.energy(narrow, threads=threads),
        "score, 784 to 128": lambda: wide.score(x, threads=threads),
        "parzen_score, 500 of 20000 x 784": lambda: dsmfast.parzen_score(
            x[:500], x, 5.0, threads=threads
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    sets = dsmfast.build_info()["instruction_sets_available"]
    widest = sets[-1]
    print(f"{args.threads} threads\n\n| dtype | kernel | {widest}, µs |", end="")
    print("".join(f" {name} / {widest} |" for name in sets[:-1]))
    print("|---" * (2 + len(sets)) + "|")
    for dtype in ("float32", "float64"):
        runs = {
            name: dict.fromkeys(sets, run) for name, run in kernels(dtype, args.threads).items()
        }
        count = dict.fromkeys(runs, 1)
        for shape in SHAPES:
            steps = {s: Step(shape, dtype, args.threads) for s in sets}
            name = f"step, {', '.join(map(str, shape))}, {steps[widest].path}"
            runs[name] = {s: step.run for s, step in steps.items()}
            count[name] = steps[widest].steps
        for name, by_set in runs.items():
            times: dict[str, list[float]] = {s: [] for s in sets}
            for turn in range(args.rounds + 1):
                for s, run in by_set.items():
                    _core.choose_instruction_set(s)
                    begin = time.perf_counter()
                    run()
                    if turn > 0:
                        times[s].append((time.perf_counter() - begin) / count[name])
            medians = {s: statistics.median(t) for s, t in times.items()}
            ratios = "".join(f" {medians[s] / medians[widest]:.2f} |" for s in sets[:-1])
            print(f"| {dtype} | {name} | {medians[widest] * 1e6:.0f} |{ratios}", flush=True)


if __name__ == "__main__":
    main()
