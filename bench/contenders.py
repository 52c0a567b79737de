"""One training step of the same model in each library: noise, forward, backward, SGD update.

Every contender takes float32 or float64 rows (batches * B, d) and parameters, and returns a
function that runs one step on each B rows, several times over. What is a user's natural program in
the library is what is timed: plain SGD on mean |D(x~) - x|^2, fresh standard normal noise in every
step, parameters in place.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SHAPES = [
    (128, 2, 64),
    (20, 784, 500),
    (256, 64, 128),
    (128, 784, 512),
    (512, 784, 128),
    (512, 784, 512),
    (1024, 3072, 256),
    (32, 3072, 2000),
]
SIGMA = 0.3
RATE = 1e-4


def processors() -> int:
    """How many processors this process may run on, which not every system says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Problem:
    """Data and parameters that all contenders start from: `batches` of rows, `epochs` times."""

    batch: int
    features: int
    hidden: int
    batches: int
    dtype: str = "float32"
    epochs: int = 1

    @property
    def steps(self) -> int:
        return self.batches * self.epochs

    def rows(self, step: int) -> slice:
        first = step % self.batches * self.batch
        return slice(first, first + self.batch)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        X = rng.random((self.batches * self.batch, self.features), dtype=self.dtype)
        W = rng.standard_normal((self.hidden, self.features), dtype=self.dtype)
        W *= self.features**-0.5
        b = np.zeros(self.hidden, self.dtype)
        c = X.mean(axis=0, dtype=self.dtype)
        return X, W, b, c


def sized(shape: tuple[int, int, int], dtype: str = "float32", most: float = 1e11) -> Problem:
    """A problem of so many steps that what a call or an epoch costs beside them hardly counts.

    Where steps are large, there are fewer epochs, for about ``most`` operations in all. There are
    fewer than 20 steps an epoch only where their rows would take more than 64 MB in float32.
    """
    B, d, h = shape
    batches = max(4, min(20, 2**24 // (B * d)), min(400, round(4e9 / (10 * B * d * h + 4e6))))
    epochs = max(5, min(10, 80 // batches))
    epochs = max(1, min(epochs, round(most / (10 * batches * B * d * h))))
    return Problem(B, d, h, batches, dtype, epochs)


def dsmfast(
    problem: Problem, threads: int, rate: float = RATE, **objective: object
) -> Callable[[], None]:
    import dsmfast

    X, W, b, c = problem.arrays()
    start = dsmfast.ScoreModel(W, b, c, SIGMA)
    rule = dsmfast.SGD(learning_rate=rate, momentum=0.0)

    def run() -> None:
        with warnings.catch_warnings():  # rows of uniform noise are not there to be learned
            warnings.simplefilter("ignore", dsmfast.DensityWarning)
            dsmfast.train(
                X,
                problem.hidden,
                SIGMA,
                epochs=problem.epochs,
                batch_size=problem.batch,
                optimizer=rule,
                init=start,
                dtype=problem.dtype,
                threads=threads,
                **objective,
            )

    return run


def numpy(problem: Problem, threads: int) -> Callable[[], None]:
    from threadpoolctl import threadpool_limits

    X, W, b, c = problem.arrays()
    rng = np.random.default_rng(0)
    B = problem.batch

    def run() -> None:
        nonlocal b, c
        with threadpool_limits(threads):
            for i in range(problem.steps):
                x = X[problem.rows(i)]
                noisy = rng.standard_normal(x.shape, dtype=x.dtype)
                noisy *= x.dtype.type(SIGMA)
                noisy += x
                h = noisy @ W.T
                h += b
                np.negative(h, out=h)
                np.exp(h, out=h)
                h += 1
                np.reciprocal(h, out=h)
                r = h @ W
                r += c
                r -= x
                da = r @ W.T
                da *= h
                da *= 1 - h
                dW = h.T @ r
                dW += da.T @ noisy
                k = x.dtype.type(2 * RATE / B)
                dW *= k
                W[...] -= dW
                b = b - k * da.sum(axis=0)
                c = c - k * r.sum(axis=0)

    return run


def _torch_step(problem: Problem, compiled: bool) -> Callable[[], None]:
    import torch

    X, W, b, c = (torch.from_numpy(a) for a in problem.arrays())
    parameters = [torch.nn.Parameter(p) for p in (W, b, c)]
    optimizer = torch.optim.SGD(parameters, lr=RATE)
    B = problem.batch

    def loss(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        noisy = x + SIGMA * torch.randn_like(x)
        h = torch.sigmoid(torch.nn.functional.linear(noisy, W, b))
        return (h @ W + c - x).square().sum() / B

    objective = torch.compile(loss) if compiled else loss

    def run() -> None:
        for i in range(problem.steps):
            optimizer.zero_grad()
            objective(X[problem.rows(i)], *parameters).backward()
            optimizer.step()

    return run


def torch_eager(problem: Problem, threads: int) -> Callable[[], None]:
    import torch

    torch.set_num_threads(threads)
    return _torch_step(problem, compiled=False)


def torch_compile(problem: Problem, threads: int) -> Callable[[], None]:
    import torch

    torch.set_num_threads(threads)
    torch._dynamo.reset()  # each shape is compiled for itself
    return _torch_step(problem, compiled=True)


def jax_jit(problem: Problem, threads: int) -> Callable[[], None]:
    """JAX takes its thread count from the processors it may run on, not from ``threads``."""
    if processors() != threads:
        raise RuntimeError(f"JAX uses all processors: restrict them, with taskset, to {threads}")
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", problem.dtype == "float64")
    X, W, b, c = (jnp.asarray(a) for a in problem.arrays())
    B = problem.batch

    def loss(parameters, x, key):
        W, b, c = parameters
        noisy = x + SIGMA * jax.random.normal(key, x.shape, x.dtype)
        h = jax.nn.sigmoid(noisy @ W.T + b)
        return jnp.square(h @ W + c - x).sum() / B

    @jax.jit
    def step(parameters, x, key):
        key, use = jax.random.split(key)
        gradient = jax.grad(loss)(parameters, x, use)
        return jax.tree.map(lambda p, g: p - RATE * g, parameters, gradient), key

    batches = [X[problem.rows(i)] for i in range(problem.batches)]
    state = ((W, b, c), jax.random.key(0))

    def run() -> None:
        nonlocal state
        parameters, key = state
        for i in range(problem.steps):
            parameters, key = step(parameters, batches[i % problem.batches], key)
        jax.block_until_ready(parameters)
        state = parameters, key

    return run


CONTENDERS: dict[str, Callable[[Problem, int], Callable[[], None]]] = {
    "dsmfast": dsmfast,
    "numpy": numpy,
    "torch": torch_eager,
    "torch.compile": torch_compile,
    "jax": jax_jit,
}
