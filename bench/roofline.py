"""How close each kernel comes to what the machine can do, and where the rest of a step goes.

    python bench/roofline.py                              # text
    python bench/roofline.py --figure docs/figures/roofline.png
    python bench/roofline.py --dtype float64 --threads 1

A kernel's limit is the larger of its operations at the product rate and its bytes at the copy
rate, both measured in the same run; bytes are those of the arrays that come and go, each once.
Regions are what the kernels report of their own threads' time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import dsmfast
from contenders import SHAPES, SIGMA
from dsmfast import _core
from report import operations, product_rate

REGIONS = (
    *("noise", "points", "encode", "decode", "backward"),
    *("gram", "project", "core", "pairs", "gradient", "update", "wait"),
)
POINTS = [(100_000, 784, 128), (100_000, 64, 256), (20_000, 3072, 256)]


@dataclass
class Row:
    """A kernel at a shape: seconds, least operations, least bytes."""

    kernel: str
    shape: tuple[int, ...]
    seconds: float
    operations: float
    bytes: float


def median(run: Callable[[], object], rounds: int) -> float:
    run()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def copy_rate(threads: int) -> float:
    """Bytes a second, read and written, of copying arrays that no cache holds."""
    source = np.ones((threads, 1 << 25), np.float32)
    target = np.zeros_like(source)
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(np.copyto, target, source))

        return 2 * source.nbytes / median(copy, 9)


def new_memory_rate(threads: int) -> float:
    """Bytes a second at which the system hands out memory that nobody has written to yet."""
    size = 1 << 27
    with ThreadPoolExecutor(threads) as pool:

        def touch() -> None:
            fresh = np.empty((threads, size // threads), np.uint8)
            list(pool.map(lambda part: part[::4096].fill(0), fresh))

        return size / median(touch, 9)


def model_of(d: int, h: int, dtype: str) -> dsmfast.ScoreModel:
    return dsmfast.ScoreModel.initialize(d, h, SIGMA, dtype=dtype)


def evaluations(shape: tuple[int, int, int], dtype: str, threads: int) -> list[Row]:
    n, d, h = shape
    model = model_of(d, h, dtype)
    x = np.random.default_rng(0).random((n, d), dtype)
    hidden = np.random.default_rng(0).random((n, h), dtype)
    size = x.itemsize
    rows = []
    for name, given, products, out in (
        ("hidden", x, 1, h),
        ("energy", x, 1, 1),
        ("decode", hidden, 1, d),
        ("denoise", x, 2, d),
        ("score", x, 2, d),
    ):
        call = getattr(model, name)
        seconds = median(lambda c=call, v=given: c(v, threads=threads), 7)
        moved = (given.size + n * out + d * h) * size
        rows.append(Row(name, shape, seconds, 2.0 * products * n * d * h, moved))
    return rows


class Step:
    """Steps of plain SGD as `train` takes them, without what it does once an epoch."""

    def __init__(self, shape: tuple[int, int, int], dtype: str, threads: int) -> None:
        B, d, h = shape
        self.steps = max(4, min(400, round(4e9 / (10 * B * d * h + 4e6))))
        model = model_of(d, h, dtype)
        X = np.random.default_rng(0).random((self.steps * B, d), dtype)
        self.path = dsmfast.choose_path(B, d, h, "dae", dtype=dtype)
        state = [(model.W.copy(), model.b.copy(), model.c.copy())]
        self.arguments = (
            state,
            dsmfast.SGD(momentum=0.0).compiled(0),
            _core.Regression(points=X, noise=_core.Noise(sigma=SIGMA), path=_core.Path[self.path]),
            _core.shuffled_rows(0, 1, len(X)),
            0,
            len(X),
            B,
            np.full(self.steps, 1e-5),
            np.empty(self.steps),
            np.zeros(1, np.int64),
        )
        self.threads = threads
        self.memory = _core.WorkingMemory()

    def run(self) -> None:
        _core.train(*self.arguments, self.memory, self.threads)

    def seconds(self, rounds: int = 9) -> float:
        return median(self.run, rounds) / self.steps

    def regions(self, rounds: int = 9) -> dict[str, float]:
        """Share of the threads' time by region."""
        memory = _core.WorkingMemory(timed=True)
        for _ in range(rounds):
            _core.train(*self.arguments, memory, self.threads)
        found = memory.seconds()
        total = sum(found.values())
        return {name: value / total for name, value in found.items() if value > 0}


def step_row(shape: tuple[int, int, int], step: Step, size: int) -> Row:
    """A step: rows come in, W is read and written; the rest may be cached."""
    B, d, h = shape
    moved = (B * d + 2 * d * h) * size
    return Row(f"step, {step.path}", shape, step.seconds(), operations(B, d, h, step.path), moved)


def print_rows(rows: list[Row], rate: float, bandwidth: float) -> None:
    print("| kernel | n, d, h | ms | Gop | MB | Gop/s | GB/s | limit, ms | by | of limit |")
    print("|---" * 10 + "|")
    for r in rows:
        shape = ", ".join(map(str, r.shape))
        compute, memory = r.operations / rate, r.bytes / bandwidth
        limit = max(compute, memory)
        print(
            f"| {r.kernel} | {shape} | {r.seconds * 1e3:.3g} | {r.operations / 1e9:.3g} "
            f"| {r.bytes / 1e6:.3g} | {r.operations / r.seconds / 1e9:.0f} "
            f"| {r.bytes / r.seconds / 1e9:.1f} | {limit * 1e3:.3g} "
            f"| {'products' if compute > memory else 'memory'} | {limit / r.seconds:.2f} |"
        )


def print_regions(found: dict[tuple[int, int, int], dict[str, float]]) -> None:
    known = {name for shares in found.values() for name in shares}
    names = [name for name in REGIONS if name in known]
    print("| B, d, h | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for shape, shares in found.items():
        cells = [f"{100 * shares[n]:.1f}" if n in shares else "" for n in names]
        print(f"| {', '.join(map(str, shape))} | {' | '.join(cells)} |")


def draw(path: Path, rows: list[Row], rate: float, bandwidth: float, title: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    intensity = np.geomspace(2, 600, 100)
    ax.plot(intensity, np.minimum(rate, intensity * bandwidth) / 1e9, color="0.3", label="limit")
    kinds = dict.fromkeys(r.kernel for r in rows)
    for marker, kind in zip("osDv^P*X", kinds, strict=False):
        mine = [r for r in rows if r.kernel == kind]
        ax.plot(
            [r.operations / r.bytes for r in mine],
            [r.operations / r.seconds / 1e9 for r in mine],
            marker,
            label=kind,
        )
    ax.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="Gop a second")
    ax.set_title(title)
    ax.grid(alpha=0.3, which="both")
    ax.legend(fontsize="small")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--figure", type=Path, help="where to draw it; needs matplotlib")
    args = parser.parse_args()
    # A shared machine has slow and fast minutes: the limit is the best that any of them gave.
    rates: list[tuple[float, float]] = []

    def measure() -> None:
        products = max(product_rate(args.threads, args.dtype, 3).values())
        rates.append((products, copy_rate(args.threads)))

    rows: list[Row] = []
    for shape in POINTS:
        measure()
        rows += evaluations(shape, args.dtype, args.threads)
    steps: dict[tuple[int, int, int], Step] = {}
    size = np.dtype(args.dtype).itemsize
    for shape in SHAPES:
        measure()
        steps[shape] = Step(shape, args.dtype, args.threads)
        rows.append(step_row(shape, steps[shape], size))
    rate, bandwidth = (max(found) for found in zip(*rates, strict=True))
    title = (
        f"{args.threads} threads, {args.dtype}, {dsmfast.build_info()['instruction_set']}: "
        f"products {rate / 1e9:.0f} GFLOP/s, memory {bandwidth / 1e9:.0f} GB/s"
    )
    print(title, end="\n\n")
    print_rows(rows, rate, bandwidth)
    print("\nPer cent of the threads' time, by region:\n")
    print_regions({shape: step.regions() for shape, step in steps.items()})
    if args.figure:
        draw(args.figure, rows, rate, bandwidth, title)


if __name__ == "__main__":
    main()
