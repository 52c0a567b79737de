"""The comparison: a full SGD step of each library, interleaved, and the limit of the machine.

    python bench/report.py                      # all contenders that are installed
    python bench/report.py --only dsmfast numpy --shapes 128,2,64 256,64,128
    python bench/report.py --grid --seconds 0.5 # 80 shapes, which take half an hour

For each shape: the median time of a step, its ratio to the best peer, the path that dsmfast took,
and the fraction of that path's limit: the operations below at the machine's product rate, which is
the best that any of the installed libraries reaches on square matrices in the same run.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np

from contenders import CONTENDERS, SHAPES, processors, sized

GRID = list(itertools.product((1, 32, 256, 2048), (2, 16, 100, 784, 3072), (8, 64, 500, 2000)))
MODULES = {"torch.compile": "torch", "numpy": "threadpoolctl"}


def seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def settle(run: Callable[[], object]) -> None:
    """Let the threads of the contender before fall asleep, and wake this one's.

    OpenBLAS and OpenMP threads spin for up to a tenth of a second after their work, on processors
    that the next contender needs.
    """
    time.sleep(0.15)
    run()


def products(threads: int, dtype: str) -> dict[str, Callable[[], object]]:
    """A product of two square matrices in each library."""
    from threadpoolctl import threadpool_limits

    from dsmfast import _core

    n = 1024
    A, B = np.random.default_rng(0).random((2, n, n)).astype(dtype)

    def with_numpy() -> object:
        with threadpool_limits(threads):
            return A @ B

    found: dict[str, Callable[[], object]] = {
        "dsmfast": lambda: _core.product(A, B, threads),
        "numpy": with_numpy,
    }
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
        a, b = torch.from_numpy(A), torch.from_numpy(B)
        found["torch"] = lambda: a @ b
    return found


def product_rate(threads: int, dtype: str, rounds: int) -> dict[str, float]:
    """Operations a second of each library's product: median over interleaved rounds."""
    runs = products(threads, dtype)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            settle(run)
            times[name] += [seconds(run) for _ in range(4)]
    return {name: 2 * 1024**3 / statistics.median(t) for name, t in times.items()}


def measure(
    names: list[str], shape: tuple[int, int, int], threads: int, dtype: str, budget: float
) -> dict[str, float]:
    """Median seconds of a step, the contenders taking turns."""
    problem = sized(shape, dtype)
    runs = {name: CONTENDERS[name](problem, threads) for name in names}
    for run in runs.values():  # compile, allocate, fill the caches
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    begin = time.perf_counter()
    while len(times[names[0]]) < 5 or time.perf_counter() - begin < budget:
        for name, run in runs.items():
            settle(run)
            times[name].append(seconds(run) / problem.steps)
        if len(times[names[0]]) >= 60:
            break
    return {name: statistics.median(t) for name, t in times.items()}


def operations(B: int, d: int, h: int, path: str) -> float:
    """Least operations of a step."""
    return 10 * B * d * h if path == "explicit" else 4 * (B + h) * d * h + 5 * B * h * h


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--shapes", nargs="+", help="B,d,h")
    parser.add_argument("--grid", action="store_true", help="shapes of all sizes")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each shape")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    names = [n for n in args.only if importlib.util.find_spec(MODULES.get(n, n))]
    if "jax" in names and args.threads != processors():
        print(f"jax is left out: it uses all processors (taskset gives it {args.threads})")
        names.remove("jax")
    shapes = [tuple(map(int, s.split(","))) for s in args.shapes or ()]
    shapes = shapes or (GRID if args.grid else SHAPES)

    import dsmfast

    info = dsmfast.build_info()
    rates = product_rate(args.threads, args.dtype, 8)
    rate = max(rates.values())
    print(f"{args.threads} threads, {args.dtype}, {info['instruction_set']}")
    print("product rate, GFLOP/s:", ", ".join(f"{n} {r / 1e9:.0f}" for n, r in rates.items()))
    print()
    print(
        "| B, d, h | "
        + " | ".join(f"{n}, µs" for n in names)
        + " | to best peer | path | of limit |"
    )
    print("|---" * (len(names) + 4) + "|")
    for shape in shapes:
        medians = measure(names, shape, args.threads, args.dtype, args.seconds)
        B, d, h = shape
        peers = [t for n, t in medians.items() if n != "dsmfast"]
        ours = medians.get("dsmfast")
        ratio = f"{min(peers) / ours:.2f}" if ours and peers else ""
        path = dsmfast.choose_path(B, d, h, "dae", dtype=args.dtype)
        fraction = f"{operations(B, d, h, path) / rate / ours:.2f}" if ours else ""
        cells = [f"{t * 1e6:.0f}" for t in medians.values()]
        print(
            f"| {B}, {d}, {h} | " + " | ".join([*cells, ratio, path, fraction]) + " |", flush=True
        )


if __name__ == "__main__":
    main()
