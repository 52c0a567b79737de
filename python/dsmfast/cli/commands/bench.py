"""``dsmfast bench``: how fast this machine trains and evaluates, beside plain NumPy."""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from dsmfast._arguments.checks import as_integer, as_real
from dsmfast._system.build import build_info
from dsmfast.cli.arguments import add_command, add_threads
from dsmfast.model import ScoreModel
from dsmfast.modes import DensityWarning
from dsmfast.objectives import choose_path
from dsmfast.optimizers import SGD
from dsmfast.training import train

__all__ = ["EXAMPLES", "add"]

EXAMPLES = """\
A step consists of noise, forward pass, backward pass and SGD update for B rows of d features, with
h hidden units. NumPy does the same with its own matrix products and random generator, on the
threads of its BLAS. The two run in turns, and the table shows medians. A busy machine affects the
ratios less than the times.

examples:
  dsmfast bench
  dsmfast bench --seconds 0.2 --shapes 128,2,64 256,64,128
"""

SHAPES = ("128,2,64", "256,64,128", "128,784,512", "512,784,128")
SIGMA, RATE = 0.3, 1e-4
Shape = tuple[int, int, int]


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands,
        "bench",
        _run,
        help="measure how fast this machine trains, compared with NumPy",
        description="Measure training steps on this machine, in turns with plain NumPy.",
        examples=EXAMPLES,
    )
    option = parser.add_argument
    shapes = f"rows, features and hidden units of a step (default {' '.join(SHAPES)})"
    option("--shapes", nargs="+", type=_shape, metavar="B,d,h", help=shapes)
    option("--seconds", type=float, default=1.0, help="seconds to measure per shape (default 1)")
    option(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="precision (default float32)",
    )
    add_threads(parser)


def _shape(text: str) -> Shape:
    try:
        B, d, h = (as_integer(int(part), "", low=1, high=2**20) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected three integers of at least 1, as in 128,2,64, got {text!r}"
        ) from None
    return B, d, h


def _run(args: argparse.Namespace) -> int:
    seconds = as_real(args.seconds, "--seconds")
    info = build_info()
    threads = args.threads or info["threads"]
    print(
        f"dsmfast {info['version']}, {info['instruction_set']}, {threads} threads, {args.dtype}\n"
    )
    names = f"{'B, d, h':>16} {'path':>9} {'step, us':>10} {'rows/s':>11}"
    print(f"{names} {'NumPy, us':>10} {'ratio':>6}")
    for shape in args.shapes or [_shape(text) for text in SHAPES]:
        ours, numpys = _in_turns(_ours(shape, args), _numpys(shape, args.dtype), seconds)
        path = choose_path(*shape, dtype=args.dtype)
        print(
            f"{', '.join(map(str, shape)):>16} {path:>9} {ours * 1e6:10.1f} "
            f"{shape[0] / ours:11,.0f} {numpys * 1e6:10.1f} {numpys / ours:6.2f}",
            flush=True,
        )
    return 0


def _start(shape: Shape, dtype: str) -> tuple[Any, ScoreModel]:
    B, d, h = shape
    steps = max(2, min(200, round(1e9 / (10 * B * d * h + 4e6))))
    X = np.random.default_rng(0).random((steps * B, d)).astype(dtype)
    return X, ScoreModel.initialize(d, h, SIGMA, dtype=dtype)


def _ours(shape: Shape, args: argparse.Namespace) -> Callable[[], float]:
    """Return a function that trains an epoch and says how many seconds a step took."""
    B, _, h = shape
    X, model = _start(shape, args.dtype)
    rule = SGD(learning_rate=RATE, momentum=0.0)

    def run() -> float:
        with warnings.catch_warnings():  # it trains for the time alone
            warnings.simplefilter("ignore", DensityWarning)
            result = train(
                X,
                h,
                SIGMA,
                epochs=1,
                batch_size=B,
                optimizer=rule,
                init=model,
                dtype=args.dtype,
                progress=False,
                threads=args.threads,
            )
        return float(result.history["seconds"].sum()) / result.steps

    return run


def _numpys(shape: Shape, dtype: str) -> Callable[[], float]:
    """Return the same in NumPy."""
    B, _, _ = shape
    X, model = _start(shape, dtype)
    W, b, c = model.W.copy(), model.b.copy(), model.c.copy()
    normal: Any = np.random.default_rng(0).standard_normal
    steps = len(X) // B

    def run() -> float:
        begin = time.perf_counter()
        for i in range(steps):
            x = X[i * B : (i + 1) * B]
            noisy = x + SIGMA * normal(x.shape, dtype)
            with np.errstate(over="ignore"):
                H = 1 / (1 + np.exp(-(noisy @ W.T + b)))
            R = H @ W + c - x
            dA = R @ W.T * H * (1 - H)
            scale = RATE * 2 / B
            W[:] -= scale * (H.T @ R + dA.T @ noisy)
            b[:] -= scale * dA.sum(axis=0)
            c[:] -= scale * R.sum(axis=0)
        return (time.perf_counter() - begin) / steps

    return run


def _in_turns(
    first: Callable[[], float], second: Callable[[], float], seconds: float
) -> tuple[float, float]:
    """Return the medians of both, timed in turns."""
    first(), second()  # caches, threads, memory
    times: list[tuple[float, float]] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        times.append((first(), second()))
    return statistics.median(t for t, _ in times), statistics.median(t for _, t in times)
