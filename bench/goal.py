"""Time to a goal: until held-out dsm is down to a fixed value, by path, draws and library.

    python bench/goal.py

The same model, start, rows, batches, optimizer (Adam) and constant learning rate for all. The goal
is what one draw on the explicit path has reached after two thirds of the epochs. What is timed are
the epochs; held-out dsm is worked out between them, for all by the same function and noise.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
import warnings

import numpy as np

import dsmfast
from contenders import processors
from dsmfast import data

CASES = {
    "dsmfast, explicit": {"path": "explicit"},
    "dsmfast, explicit, 8 draws": {"path": "explicit", "draws": 8},
    "dsmfast, gram": {"path": "gram"},
    "dsmfast, gram, 8 draws": {"path": "gram", "draws": 8},
    "dsmfast, gram, 2 antithetic draws": {"path": "gram", "draws": 2, "antithetic": True},
    "dsmfast, gram, 8 antithetic draws": {"path": "gram", "draws": 8, "antithetic": True},
}
TORCH = {"PyTorch": 1, "PyTorch, 8 draws": 8}
JAX = {"JAX": 1, "JAX, 8 draws": 8}


def whitened(X: np.ndarray) -> np.ndarray:
    """Decorrelated pixels of unit variance, rotated back; weak directions are kept weak."""
    values, vectors = np.linalg.eigh(np.cov(X.T))
    scale = 1 / np.sqrt(values + 0.01 * values.max())
    return np.asarray((X - X.mean(axis=0)) @ (vectors * scale) @ vectors.T, np.float32)


class Run:
    """Seconds spent and held-out dsm, epoch by epoch."""

    def __init__(self, held_out: np.ndarray) -> None:
        self.held_out = held_out
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def judge(self, model: dsmfast.ScoreModel, seconds: float) -> None:
        self.seconds.append(seconds)
        self.losses.append(dsmfast.loss(model, self.held_out, draws=4, seed=99, path="explicit"))

    def time_to(self, goal: float) -> tuple[float, int]:
        reached = np.flatnonzero(np.array(self.losses) <= goal)
        if len(reached) == 0:
            return np.inf, 0
        return float(np.cumsum(self.seconds)[reached[0]]), int(reached[0]) + 1


def train(args: argparse.Namespace, problem: Problem, seed: int, **options: object) -> Run:
    run = Run(problem.held_out)
    dsmfast.train(
        problem.rows,
        problem.hidden,
        problem.sigma,
        epochs=problem.epochs,
        batch_size=problem.batch,
        learning_rate=problem.rate,
        schedule="constant",
        callbacks=[lambda epoch: run.judge(epoch.model, epoch.seconds)],
        progress=False,
        threads=args.threads,
        seed=seed,
        **options,
    )
    return run


def train_torch(args: argparse.Namespace, problem: Problem, seed: int, draws: int) -> Run:
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(seed)
    start = dsmfast.train(problem.rows, problem.hidden, problem.sigma, epochs=0, seed=seed).model
    W, b, c = (torch.nn.Parameter(torch.from_numpy(p.copy())) for p in (start.W, start.b, start.c))
    optimizer = torch.optim.Adam([W, b, c], lr=problem.rate)
    X = torch.from_numpy(problem.rows)
    run = Run(problem.held_out)
    for _ in range(problem.epochs):
        begin = time.perf_counter()
        order = torch.randperm(len(X))
        for first in range(0, len(X), problem.batch):
            x = X[order[first : first + problem.batch]]
            noisy = x + problem.sigma * torch.randn(draws, *x.shape)
            h = torch.sigmoid(torch.nn.functional.linear(noisy, W, b))
            optimizer.zero_grad()
            (h @ W + c - x).square().sum(-1).mean().backward()
            optimizer.step()
        seconds = time.perf_counter() - begin
        arrays = (p.detach().numpy().copy() for p in (W, b, c))
        run.judge(dsmfast.ScoreModel(*arrays, problem.sigma), seconds)
    return run


def train_jax(args: argparse.Namespace, problem: Problem, seed: int, draws: int) -> Run:
    """Adam as in the other libraries; what steps need is compiled before the clock starts."""
    import jax
    import jax.numpy as jnp

    start = dsmfast.train(problem.rows, problem.hidden, problem.sigma, epochs=0, seed=seed).model
    parameters = tuple(jnp.asarray(p) for p in (start.W, start.b, start.c))
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, zeros, 0, jax.random.key(seed))
    X = jnp.asarray(problem.rows)

    def loss(parameters, x, key):
        W, b, c = parameters
        noisy = x + problem.sigma * jax.random.normal(key, (draws, *x.shape), x.dtype)
        h = jax.nn.sigmoid(noisy @ W.T + b)
        return jnp.square(h @ W + c - x).sum(-1).mean()

    @jax.jit
    def step(state, x):
        parameters, first, second, t, key = state
        key, use = jax.random.split(key)
        t += 1
        gradient = jax.grad(loss)(parameters, x, use)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
        rate = problem.rate / (1 - 0.9**t)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8),
            *(parameters, first, second),
        )
        return parameters, first, second, t, key

    for rows in {min(problem.batch, len(X) - i) for i in range(0, len(X), problem.batch)}:
        step(state, X[np.arange(rows)])
    order_of = np.random.default_rng(seed)
    run = Run(problem.held_out)
    for _ in range(problem.epochs):
        begin = time.perf_counter()
        order = order_of.permutation(len(X))
        for first in range(0, len(X), problem.batch):
            state = step(state, X[order[first : first + problem.batch]])
        jax.block_until_ready(state[0])
        seconds = time.perf_counter() - begin
        arrays = (np.array(p) for p in state[0])
        run.judge(dsmfast.ScoreModel(*arrays, problem.sigma), seconds)
    return run


class Problem:
    def __init__(
        self, rows: np.ndarray, hidden: int, sigma: float, batch: int, epochs: int
    ) -> None:
        self.rows, self.held_out = data.split(rows, 0.2)
        self.hidden, self.sigma, self.batch, self.epochs = hidden, sigma, batch, epochs
        self.rate = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if importlib.util.find_spec("jax") and processors() != args.threads:  # before anything runs
        parser.error(f"JAX uses all processors: restrict them, with taskset, to {args.threads}")
    warnings.simplefilter("ignore", dsmfast.DensityWarning)  # 64 units for 144 white features
    problems = {
        "digits, 32 hidden units, sigma 0.3": Problem(data.digits(), 32, 0.3, 256, 60),
        "12 x 12 whitened patches, 64 hidden units, sigma 0.5": Problem(
            whitened(data.patches(12)), 64, 0.5, 512, 45
        ),
    }
    for name, problem in problems.items():
        runs: dict[str, list[Run]] = {}
        for seed in range(args.seeds):
            for case, options in CASES.items():
                runs.setdefault(case, []).append(train(args, problem, seed, **options))
            for case, draws in TORCH.items() if importlib.util.find_spec("torch") else ():
                runs.setdefault(case, []).append(train_torch(args, problem, seed, draws))
            for case, draws in JAX.items() if importlib.util.find_spec("jax") else ():
                runs.setdefault(case, []).append(train_jax(args, problem, seed, draws))
        marks = [run.losses[2 * problem.epochs // 3] for run in runs["dsmfast, explicit"]]
        goal = max(marks)
        path = dsmfast.choose_path(problem.batch, problem.rows.shape[1], problem.hidden)
        print(f'\n{name}: held-out dsm {goal:.5g}; path="auto" is {path}')
        print("| | seconds | epochs | ms an epoch | dsm at the end |")
        print("|---|---|---|---|---|")
        for case, of_seeds in runs.items():
            times = [run.time_to(goal) for run in of_seeds]
            each = statistics.median(s for run in of_seeds for s in run.seconds)
            print(
                f"| {case} | {statistics.median(t for t, _ in times):.3f} "
                f"| {statistics.median(n for _, n in times)} | {each * 1e3:.2f} "
                f"| {statistics.mean(run.losses[-1] for run in of_seeds):.5g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
