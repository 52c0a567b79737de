"""What more threads gain, at each shape: python bench/threads.py.

Steps of plain SGD, the thread counts taking turns within one run; medians. The speed-up is over
one thread, and the efficiency that divided by the number of threads.
"""

from __future__ import annotations

import argparse
import os
import statistics

from roofline import Step

from contenders import SHAPES
from report import settle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    processors = len(os.sched_getaffinity(0))
    counts = [n for n in (1, 2, 4, 8, 16, 32) if n <= processors]
    parser.add_argument("--threads", nargs="+", type=int, default=counts)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    print("| B, d, h | " + " | ".join(f"{n}, µs" for n in args.threads), end=" | ")
    print(" | ".join(f"{n}: speed-up (efficiency)" for n in args.threads[1:]) + " |")
    print("|---" * (2 * len(args.threads)) + "|")
    for shape in SHAPES:
        steps = {n: Step(shape, args.dtype, n) for n in args.threads}
        times: dict[int, list[float]] = {n: [] for n in steps}
        for _ in range(args.rounds):
            for n, step in steps.items():
                settle(step.run)
                times[n].append(step.seconds(1))
        medians = {n: statistics.median(t) for n, t in times.items()}
        one = medians[args.threads[0]] * args.threads[0]
        cells = [f"{t * 1e6:.0f}" for t in medians.values()]
        cells += [f"{one / medians[n]:.2f} ({one / medians[n] / n:.2f})" for n in args.threads[1:]]
        print(f"| {', '.join(map(str, shape))} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
