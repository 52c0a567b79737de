"""The model in plain NumPy: the oracle of the parity tests, written to be read.

The same names and conventions as the package, the same noise stream, no compiled code. Sizes:
B rows, d features, h hidden units.

>>> import numpy as np, dsmfast
>>> model = dsmfast.ScoreModel.initialize(3, 5, sigma=0.5, dtype="float64")
>>> x = np.ones((4, 3))
>>> oracle = dsmfast.reference.ScoreModel(model.W, model.b, model.c, model.sigma)
>>> bool(np.allclose(model.score(x), oracle.score(x), rtol=1e-12))
True
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast.objectives import OBJECTIVES, Gradient
from dsmfast.optimizers import SGD, Adam

__all__ = [
    "ScoreModel",
    "loss",
    "loss_and_grad",
    "normals",
    "philox",
    "shuffled_rows",
    "sigmoid",
    "softplus",
    "train",
]

Array = npt.NDArray[Any]
STREAMS = {"noise": 0, "initial": 1, "shuffle": 2, "validation": 3}


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a))."""
    with np.errstate(over="ignore"):  # exp(-a) = inf is the right limit
        return 1 / (1 + np.exp(-a))


def softplus(a: Array) -> Array:
    """log(1 + exp(a)), for any a."""
    values: Array = np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))
    return values


@dataclass
class ScoreModel:
    """Energy, score and denoiser; W (h, d), b (h,), c (d,)."""

    W: Array
    b: Array
    c: Array
    sigma: float

    def hidden(self, x: Array) -> Array:
        """H = sigmoid(X W' + b)."""
        return sigmoid(x @ self.W.T + self.b)

    def decode(self, h: Array) -> Array:
        """D = H W + c."""
        return h @ self.W + self.c

    def denoise(self, x: Array) -> Array:
        """D(x) = W' sigmoid(W x + b) + c."""
        return self.decode(self.hidden(x))

    def energy(self, x: Array) -> Array:
        """E(x) = -(<c, x> - |x|^2 / 2 + sum softplus(W x + b)) / sigma^2."""
        free: Array = softplus(x @ self.W.T + self.b).sum(axis=1)
        energy: Array = -(x @ self.c - 0.5 * (x**2).sum(axis=1) + free) / self.sigma**2
        return energy

    def score(self, x: Array) -> Array:
        """-dE/dx = (D(x) - x) / sigma^2."""
        return (self.denoise(x) - x) / self.sigma**2


def philox(counter: list[Array], seed: int) -> list[Array]:
    """Philox4x32-10: four 32-bit words for each counter of four 32-bit words."""
    low = np.uint64(0xFFFFFFFF)
    c = [word.astype(np.uint64) for word in counter]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c[0]
        p1 = np.uint64(0xCD9E8D57) * c[2]
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(key[0]),
            p1 & low,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(key[1]),
            p0 & low,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def _words(seed: int, step: int, draw: int, rows: Array, groups: int, stream: str) -> list[Array]:
    """Words (n, groups) of the counters (group, row, step, stream | row | draw)."""
    row = np.asarray(rows, dtype=np.uint64)[:, None]
    group = np.arange(groups, dtype=np.uint64)[None, :]
    shape = np.broadcast_shapes(row.shape, group.shape)
    last = np.uint64(STREAMS[stream] << 28 | draw) | (row >> np.uint64(32)) << np.uint64(16)
    counter = [group, row & np.uint64(0xFFFFFFFF), np.uint64(step), last]
    return philox([np.broadcast_to(word, shape) for word in counter], seed)


def normals(
    seed: int,
    step: int,
    draw: int,
    rows: npt.ArrayLike,
    columns: int,
    dtype: npt.DTypeLike = "float32",
    *,
    stream: str = "noise",
) -> Array:
    """Box-Muller on the words of each counter: column j is output j % 4 of group j // 4."""
    numbers = np.asarray(rows)
    groups = -(-columns // 4)
    words = _words(seed, step, draw, numbers, groups, stream)
    u = [(word.astype(np.float64) + 0.5) / 2.0**32 for word in words]
    z = np.empty((len(numbers), groups, 4))
    for pair in (0, 2):
        radius = np.sqrt(-2 * np.log(u[pair]))
        z[:, :, pair] = radius * np.cos(2 * np.pi * u[pair + 1])
        z[:, :, pair + 1] = radius * np.sin(2 * np.pi * u[pair + 1])
    return z.reshape(len(numbers), -1)[:, :columns].astype(dtype)


def shuffled_rows(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int64]:
    """Order of an epoch: Fisher and Yates, row i with row floor(r (i + 1) / 2^64)."""
    words = _words(seed, epoch, 0, np.arange(rows), 1, "shuffle")
    order = np.arange(rows)
    for i in range(rows - 1, 0, -1):
        j = ((int(words[1][i, 0]) << 32 | int(words[0][i, 0])) * (i + 1)) >> 64
        order[[i, j]] = order[[j, i]]
    return order


def _regression(model: ScoreModel, points: Array, targets: Array) -> tuple[float, Gradient]:
    """Sum over rows of |D(x~) - t|^2, and its gradient: section "forward, backward" in the docs."""
    W, c = model.W, model.c
    H = model.hidden(points)  # (B, h)
    R = H @ W + c - targets  # (B, d)
    G = R @ W.T  # (B, h)
    dA = G * H * (1 - H)  # (B, h)
    gradient = Gradient(W=2 * (H.T @ R + dA.T @ points), b=2 * dA.sum(axis=0), c=2 * R.sum(axis=0))
    return float((R.astype(np.float64) ** 2).sum()), gradient


def _given_or_drawn(
    noise: npt.ArrayLike | None,
    shape: tuple[int, int],
    dtype: npt.DTypeLike,
    *,
    seed: int,
    step: int,
    draws: int,
    rows: npt.ArrayLike,
    stream: str = "noise",
) -> Array:
    """Noise (draws, B, d)."""
    if noise is None:
        return np.stack(
            [normals(seed, step, m, rows, shape[1], dtype, stream=stream) for m in range(draws)]
        )
    return np.asarray(noise, dtype=dtype).reshape(-1, *shape)


def loss_and_grad(
    model: Any,
    x: Array,
    objective: str = "dsm",
    *,
    seed: int = 0,
    step: int = 0,
    draws: int = 1,
    noise: npt.ArrayLike | None = None,
) -> tuple[float, Gradient]:
    """Value and gradient of an objective; means over rows and draws, sums over features."""
    oracle = ScoreModel(model.W, model.b, model.c, model.sigma)
    epsilon = _given_or_drawn(
        noise, x.shape, x.dtype, seed=seed, step=step, draws=draws, rows=np.arange(len(x))
    )
    points = (x + x.dtype.type(model.sigma) * epsilon).reshape(-1, x.shape[1])
    targets = np.tile(x, (len(epsilon), 1))
    total, gradient = _regression(oracle, points, targets)
    scale = OBJECTIVES[objective].factor(model.sigma) / len(points)
    return scale * total, Gradient(*(x.dtype.type(scale) * g for g in gradient))


def loss(model: Any, x: Array, objective: str = "dsm", **options: Any) -> float:
    """Value of an objective."""
    return loss_and_grad(model, x, objective, **options)[0]


def _update(
    optimizer: SGD | Adam, rate: float, step: int, w: Array, g: Array, memory: list[Array]
) -> None:
    """One step of the optimizer on one parameter, in place; ``step`` counts from 1."""
    if isinstance(optimizer, Adam):
        m, v = memory
        m[...] = optimizer.beta1 * m + (1 - optimizer.beta1) * g
        v[...] = optimizer.beta2 * v + (1 - optimizer.beta2) * g**2
        m_hat = m / (1 - optimizer.beta1**step)
        v_hat = v / (1 - optimizer.beta2**step)
        direction = m_hat / (np.sqrt(v_hat) + optimizer.epsilon)
    elif memory:
        (velocity,) = memory
        velocity[...] = optimizer.momentum * velocity + g
        direction = g + optimizer.momentum * velocity if optimizer.nesterov else velocity
    else:
        direction = g
    if w.ndim == 2:
        w *= 1 - rate * optimizer.weight_decay
    w -= rate * direction


def train(
    X: Array,
    init: Any,
    *,
    optimizer: SGD | Adam,
    epochs: int = 1,
    batch_size: int = 256,
    draws: int = 1,
    seed: int = 0,
) -> tuple[ScoreModel, list[float]]:
    """Train from ``init`` on mean |D(x~) - x|^2; return the model and the "dae" of each epoch.

    The learning rate is constant.
    """
    rate = optimizer.rate_for(*init.W.shape[::-1])
    model = ScoreModel(init.W.copy(), init.b.copy(), init.c.copy(), init.sigma)
    parameters = (model.W, model.b, model.c)
    memories = [[np.zeros_like(p) for _ in range(optimizer.moments)] for p in parameters]
    step, losses = 0, []
    for epoch in range(1, epochs + 1):
        order = shuffled_rows(seed, epoch, len(X))
        total = 0.0
        for begin in range(0, len(X), batch_size):
            rows = order[begin : begin + batch_size]
            epsilon = _given_or_drawn(
                None, (len(rows), X.shape[1]), X.dtype, seed=seed, step=step, draws=draws, rows=rows
            )
            points = (X[rows] + X.dtype.type(model.sigma) * epsilon).reshape(-1, X.shape[1])
            value, gradient = _regression(model, points, np.tile(X[rows], (draws, 1)))
            step += 1
            for w, g, memory in zip(parameters, gradient, memories, strict=True):
                _update(optimizer, rate, step, w, g / len(points), memory)
            total += value
        losses.append(total / (len(X) * draws))
    return model, losses
