"""Using a model: every function of it on many rows, beside NumPy and PyTorch without gradients.

    python bench/inference.py                       # 100 000 rows of 784 features, 128 units
    python bench/inference.py --shape 100000,64,256

The contenders take turns within one run; medians. "Of limit" is that of bench/roofline.py. A result
is written to new memory, which the system first has to hand out and clear; a processor that clears
memory computes nothing. "With new memory" is the fraction of the limit that counts this too.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import statistics
import warnings
from collections.abc import Callable

import numpy as np
from roofline import copy_rate, new_memory_rate

import dsmfast
from contenders import SIGMA
from report import product_rate, seconds, settle

Function = Callable[[np.ndarray], object]


def numpy_functions(model: dsmfast.ScoreModel, threads: int) -> dict[str, Function]:
    from threadpoolctl import threadpool_limits

    W, b, c, variance = model.W, model.b, model.c, model.dtype.type(model.sigma**2)

    def hidden(x: np.ndarray) -> np.ndarray:
        a = x @ W.T
        a += b
        np.negative(a, out=a)
        with np.errstate(over="ignore"):
            np.exp(a, out=a)
        a += 1
        return np.reciprocal(a, out=a)

    def energy(x: np.ndarray) -> np.ndarray:
        a = x @ W.T
        a += b
        free = np.logaddexp(0, a, out=a).sum(axis=1)
        return -(x @ c - np.einsum("ij,ij->i", x, x) / 2 + free) / variance

    def decode(h: np.ndarray) -> np.ndarray:
        d = h @ W
        d += c
        return d

    def score(x: np.ndarray) -> np.ndarray:
        d = decode(hidden(x))
        d -= x
        d /= variance
        return d

    def limited(call: Function) -> Function:
        def run(x: np.ndarray) -> object:
            with threadpool_limits(threads):
                return call(x)

        return run

    functions = (hidden, energy, decode, score)
    found = {call.__name__: limited(call) for call in functions}
    found["denoise"] = limited(lambda x: decode(hidden(x)))
    return found


def torch_functions(model: dsmfast.ScoreModel, threads: int) -> dict[str, Function]:
    import torch
    from torch.nn.functional import linear, softplus

    torch.set_num_threads(threads)
    W, b, c = (torch.from_numpy(p.copy()) for p in (model.W, model.b, model.c))
    variance = model.sigma**2

    def hidden(x: torch.Tensor) -> torch.Tensor:
        return linear(x, W, b).sigmoid_()

    def energy(x: torch.Tensor) -> torch.Tensor:
        free = softplus(linear(x, W, b)).sum(1)
        return -(x @ c - x.square().sum(1) / 2 + free) / variance

    def decode(h: torch.Tensor) -> torch.Tensor:
        return torch.addmm(c, h, W)

    def denoise(x: torch.Tensor) -> torch.Tensor:
        return decode(hidden(x))

    def score(x: torch.Tensor) -> torch.Tensor:
        return denoise(x).sub_(x).div_(variance)

    def without_gradient(call: Callable[[torch.Tensor], torch.Tensor]) -> Function:
        def run(x: np.ndarray) -> object:
            with torch.no_grad():
                return call(torch.from_numpy(x))

        return run

    functions = (hidden, energy, decode, denoise, score)
    return {call.__name__: without_gradient(call) for call in functions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="100000,784,128", help="n,d,h")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    n, d, h = map(int, args.shape.split(","))
    rate = max(product_rate(args.threads, args.dtype, 8).values())
    bandwidth, handed_out = copy_rate(args.threads), new_memory_rate(args.threads)
    model = dsmfast.ScoreModel.initialize(d, h, SIGMA, dtype=args.dtype)
    rng = np.random.default_rng(0)
    x, hidden = rng.random((n, d), args.dtype), rng.random((n, h), args.dtype)
    contenders = {
        "dsmfast": {
            name: functools.partial(getattr(model, name), threads=args.threads)
            for name in ("hidden", "energy", "decode", "denoise", "score")
        }
    }
    if importlib.util.find_spec("threadpoolctl"):
        contenders["numpy"] = numpy_functions(model, args.threads)
    if importlib.util.find_spec("torch"):
        contenders["torch"] = torch_functions(model, args.threads)
    print(f"{n} rows, {d} features, {h} units, {args.dtype}, {args.threads} threads;", end=" ")
    print(f"products {rate / 1e9:.0f} GFLOP/s, memory {bandwidth / 1e9:.0f} GB/s,", end=" ")
    print(f"new memory {handed_out / 1e9:.0f} GB/s\n")
    print("| function | " + " | ".join(f"{name}, ms" for name in contenders), end="")
    print(" | to best peer | of limit | with new memory |")
    print("|---" * (4 + len(contenders)) + "|")
    for function, products, width in (
        ("hidden", 1, h),
        ("energy", 1, 1),
        ("decode", 1, d),
        ("denoise", 2, d),
        ("score", 2, d),
    ):
        given = hidden if function == "decode" else x
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(args.rounds):
            for name, functions in contenders.items():
                run = lambda f=functions[function], v=given: f(v)  # noqa: E731
                settle(run)
                times[name].append(seconds(run))
        medians = {name: statistics.median(t) for name, t in times.items()}
        ours = medians.pop("dsmfast")
        moved = (given.size + n * width) * x.itemsize / bandwidth
        limit = max(2 * products * n * d * h / rate, moved)
        cells = [f"{t * 1e3:.1f}" for t in (ours, *medians.values())]
        ratio = f"{min(medians.values()) / ours:.2f}" if medians else ""
        new = n * width * x.itemsize / handed_out
        cells += [ratio, f"{limit / ours:.2f}", f"{(limit + new) / ours:.2f}"]
        print(f"| {function} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
