"""The Parzen score: dsmfast, chunked NumPy with scipy's logsumexp, and PyTorch, in turns.

    python bench/parzen.py
    python bench/parzen.py --points 1000 --rows 100000 --features 64 --sigma 1.0

"of rate" is 4 n N d operations over the time, next to the best product rate of the libraries here.
With a small sigma most weights are 0 and dsmfast leaves their product out; the default sigma is so
large that none is.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
from collections.abc import Callable

import numpy as np

import dsmfast
from report import product_rate, seconds, settle


def with_scipy(x: np.ndarray, data: np.ndarray, sigma: float, threads: int) -> Callable[[], object]:
    """Chunks of 4096 rows of the data, two passes: logsumexp, then the mean."""
    from scipy.special import logsumexp
    from threadpoolctl import threadpool_limits

    def run() -> np.ndarray:
        with threadpool_limits(threads):
            chunks = range(0, len(data), 4096)
            half = (x**2).sum(axis=1)[:, None] / 2

            def exponents(first: int) -> np.ndarray:
                y = data[first : first + 4096]
                return (x @ y.T - half - (y**2).sum(axis=1) / 2) / x.dtype.type(sigma**2)

            total = logsumexp([logsumexp(exponents(i), axis=1) for i in chunks], axis=0)
            mean = np.zeros_like(x)
            for i in chunks:
                weights = np.exp(exponents(i) - total[:, None].astype(x.dtype))
                mean += weights @ data[i : i + 4096]
            return (mean - x) / x.dtype.type(sigma**2)

    return run


def with_torch(x: np.ndarray, data: np.ndarray, sigma: float, threads: int) -> Callable[[], object]:
    """Scaled dot-product attention: the fused streaming softmax that PyTorch has."""
    import torch

    torch.set_num_threads(threads)
    q, y = torch.from_numpy(x), torch.from_numpy(data)

    def run() -> object:
        bias = (-(y**2).sum(1) / (2 * sigma**2))[None, :]
        mean = torch.nn.functional.scaled_dot_product_attention(
            q[None, None], y[None, None], y[None, None], attn_mask=bias, scale=1 / sigma**2
        )
        return (mean[0, 0] - q) / sigma**2

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--sigma", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    n, N, d = args.points, args.rows, args.features
    rng = np.random.default_rng(0)
    data = rng.standard_normal((N, d)).astype(args.dtype)
    x = rng.standard_normal((n, d)).astype(args.dtype)
    runs: dict[str, Callable[[], object]] = {
        "dsmfast": lambda: dsmfast.parzen_score(x, data, args.sigma, threads=args.threads),
        "NumPy and scipy": with_scipy(x, data, args.sigma, args.threads),
    }
    if importlib.util.find_spec("torch"):
        runs["PyTorch attention"] = with_torch(x, data, args.sigma, args.threads)
    exact = dsmfast.parzen_score(x[:50].astype(np.float64), data.astype(np.float64), args.sigma)
    errors = {}
    for name, run in runs.items():
        result = np.asarray(run())[:50]
        errors[name] = float(np.abs(result - exact).max() / np.abs(exact).max())
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            settle(run)
            times[name].append(seconds(run))
    medians = {name: statistics.median(t) for name, t in times.items()}
    rate = max(product_rate(args.threads, args.dtype, 8).values())
    print(
        f"{n} points, {N} rows of {d}, sigma {args.sigma:g}; {args.threads} threads, "
        f"{args.dtype}, {dsmfast.build_info()['instruction_set']}; product rate "
        f"{rate / 1e9:.0f} GFLOP/s"
    )
    print("| | ms | to dsmfast | of rate | error |")
    print("|---|---|---|---|---|")
    for name, t in medians.items():
        fraction = 4 * n * N * d / t / rate
        ratio = t / medians["dsmfast"]
        print(f"| {name} | {t * 1e3:.1f} | {ratio:.2f} | {fraction:.2f} | {errors[name]:.1e} |")


if __name__ == "__main__":
    main()
