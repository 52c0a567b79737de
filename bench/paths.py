"""The explicit against the gram path, and the rule that chooses between them.

    python bench/paths.py            # a grid of shapes: both times, the choice, what it costs
    python bench/paths.py --fit      # the same, and anew the constants of the package's paths.py
    python bench/paths.py --shapes 512,784,128 --draws 1 8      # what draws cost

Full SGD steps with noise and update, in turns within one run; medians. The grid is
B x d x h in {32, 128, 512, 2048} x {16, 64, 256, 784, 3072} x {16, 64, 256, 1024}.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
from collections.abc import Callable

import numpy as np

import dsmfast
from contenders import Problem
from contenders import dsmfast as step
from dsmfast._objective import paths
from dsmfast._objective.table import OBJECTIVES
from report import seconds

GRID = list(itertools.product((32, 128, 512, 2048), (16, 64, 256, 784, 3072), (16, 64, 256, 1024)))
SMALL_RATE = 1e-7


def both(
    shape: tuple[int, int, int], draws: int, dtype: str, threads: int, budget: float
) -> dict[str, float]:
    """Median seconds of a step on each path."""
    B, d, h = shape
    batches = max(2, min(50, round(2e9 / (10 * B * d * h * draws + 4e6))))
    problem = Problem(B, d, h, batches, dtype, epochs=4)
    runs: dict[str, Callable[[], None]] = {
        path: step(problem, threads, rate=SMALL_RATE, path=path, draws=draws)
        for path in ("explicit", "gram")
    }
    times: dict[str, list[float]] = {path: [] for path in runs}
    first = sum(seconds(run) for run in runs.values())
    for _ in range(max(3, min(15, int(budget / first)))):
        for path, run in runs.items():
            times[path].append(seconds(run) / problem.steps)
    return {path: statistics.median(t) for path, t in times.items()}


def fit(rows: list[tuple[tuple[int, int, int], int, str, dict[str, float]]]) -> None:
    """Least squares on relative errors, no constant below zero; in operations of `explicit`."""
    from scipy.optimize import nnls

    kind = OBJECTIVES["dsm"]
    unit = None
    for index, (path, names) in enumerate(
        {"explicit": list(paths.EXPLICIT), "gram": list(paths.GRAM)}.items()
    ):
        table, target = [], []
        for shape, draws, dtype, times in rows:
            work = paths.counts(paths.Sizes(*shape), kind, draws, False, np.dtype(dtype))[index]
            # Next to the faster path: what is not chosen need not be known well.
            weight = min(times.values()) / times[path]
            table.append([work[name] / times[path] * weight for name in names])
            target.append(weight)
        found, _ = nnls(np.array(table), np.array(target))
        unit = unit or found[0]
        constants = {name: float(f"{v / unit:.3g}") for name, v in zip(names, found, strict=True)}
        print(f"{path}: {1e-9 / found[0]:.0f} G operations a second; {constants}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=("float32", "float64"), nargs="+", default=["float32"])
    parser.add_argument("--draws", type=int, nargs="+", default=[1])
    parser.add_argument("--shapes", nargs="+", help="B,d,h; by default the grid")
    parser.add_argument("--seconds", type=float, default=0.6, help="for each shape")
    parser.add_argument("--fit", action="store_true", help="needs scipy")
    args = parser.parse_args()
    shapes = [tuple(map(int, s.split(","))) for s in args.shapes] if args.shapes else GRID
    rows = []
    print("| B, d, h | draws | explicit, µs | gram, µs | explicit / gram | auto | auto / better |")
    print("|---|---|---|---|---|---|---|")
    for dtype, draws, shape in itertools.product(args.dtype, args.draws, shapes):
        times = both(shape, draws, dtype, args.threads, args.seconds)
        rows.append((shape, draws, dtype, times))
        auto = dsmfast.choose_path(*shape, draws=draws, dtype=dtype)
        explicit, gram = times["explicit"], times["gram"]
        print(
            f"| {', '.join(map(str, shape))} | {draws} | {explicit * 1e6:.0f} | {gram * 1e6:.0f} "
            f"| {explicit / gram:.2f} | {auto} | {times[auto] / min(times.values()):.2f} |",
            flush=True,
        )
    worse = [t[dsmfast.choose_path(*s, draws=m, dtype=p)] / min(t.values()) for s, m, p, t in rows]
    print(f"\nauto over the better path: mean {np.mean(worse):.3f}, worst {max(worse):.2f}")
    if args.fit:
        fit(rows)


if __name__ == "__main__":
    main()
