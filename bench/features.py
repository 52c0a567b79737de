"""How the cost of a step grows with the number of features, beside the peers: table and figure.

    python bench/features.py                                  # 64 hidden units, 512 rows
    python bench/features.py --figure docs/figures/features.png

Full SGD steps with noise and update, the contenders taking turns within one run; medians.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path

from contenders import CONTENDERS, Problem
from contenders import dsmfast as step
from report import MODULES, seconds, settle

FEATURES = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]


def contenders() -> dict[str, Callable[[Problem, int], Callable[[], None]]]:
    found = {
        "dsmfast, gram": functools.partial(step, path="gram"),
        "dsmfast, explicit": functools.partial(step, path="explicit"),
    }
    for name, contender in CONTENDERS.items():
        if name != "dsmfast" and importlib.util.find_spec(MODULES.get(name, name)):
            found[name] = contender
    return found


def measure(d: int, args: argparse.Namespace) -> dict[str, float]:
    batches = max(2, min(20, round(1e9 / (10 * args.rows * d * args.hidden))))
    problem = Problem(args.rows, d, args.hidden, batches, epochs=10)
    runs = {name: make(problem, args.threads) for name, make in contenders().items()}
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            settle(run)
            times[name].append(seconds(run) / problem.steps)
    return {name: statistics.median(t) for name, t in times.items()}


def draw(path: Path, found: dict[int, dict[str, float]], args: argparse.Namespace) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    for name in next(iter(found.values())):
        ours = name.startswith("dsmfast")
        ax.plot(
            list(found),
            [times[name] * 1e3 for times in found.values()],
            marker="o",
            markersize=4,
            linewidth=2.4 if ours else 1.2,
            linestyle="-" if ours else "--",
            label=name,
        )
    ax.set(xscale="log", yscale="log", xlabel="features d", ylabel="ms a step")
    ax.set_xticks(list(found), [str(d) for d in found])
    ax.minorticks_off()
    ax.set_title(f"{args.rows} rows, {args.hidden} hidden units, {args.threads} threads, float32")
    ax.grid(alpha=0.3)
    ax.legend()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--figure", type=Path, help="where to draw it; needs matplotlib")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {}
    for d in FEATURES:
        found[d] = measure(d, args)
        if len(found) == 1:
            print(
                "| d | " + " | ".join(f"{name}, µs" for name in found[d]) + " | best peer / gram |"
            )
            print("|---" * (len(found[d]) + 2) + "|")
        cells = [f"{t * 1e6:.0f}" for t in found[d].values()]
        peers = [t for name, t in found[d].items() if not name.startswith("dsmfast")]
        ratio = f"{min(peers) / found[d]['dsmfast, gram']:.2f}" if peers else ""
        print(f"| {d} | {' | '.join([*cells, ratio])} |", flush=True)
    if args.figure:
        draw(args.figure, found, args)


if __name__ == "__main__":
    main()
