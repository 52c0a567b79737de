"""The model in plain NumPy: the oracle of the parity tests, written to be read.

The same names and conventions as the package, the same noise stream, no compiled code, no checks of
what comes in; a score is a function in `train`, a corruption an object of `dsmfast.corruption`.
Sizes: B rows, d features, h hidden units.

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

from dsmfast.corruption import GAUSSIAN, Corruption
from dsmfast.losses import Gradient
from dsmfast.objectives import OBJECTIVES, Objective, Target
from dsmfast.optimizers import SGD, Adam

__all__ = [
    "ScoreModel",
    "loss",
    "loss_and_grad",
    "normals",
    "overwritten",
    "parzen_denoise",
    "parzen_log_density",
    "parzen_score",
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

    def curvature(self, x: Array) -> Array:
        """V (B, d): sigma^2 d score_i / dx_i = sum_j W_ji^2 s_j (1 - s_j) - 1."""
        s = self.hidden(x)
        curvature: Array = (s * (1 - s)) @ self.W**2 - 1
        return curvature


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


def overwritten(
    x: Array, corruption: Corruption, seed: int, step: int, draw: int, rows: npt.ArrayLike
) -> Array:
    """Features overwritten: word j % 4 of group j // 4 decides on column j."""
    groups = -(-x.shape[1] // 4)
    words = _words(seed, step, draw, np.asarray(rows), groups, "noise")
    word = np.stack(words, axis=2).reshape(len(x), -1)[:, : x.shape[1]]
    low, high = 2 * word < corruption.chance, word < corruption.chance
    kept: Array = np.where(high, corruption.high, x)
    return np.where(low, corruption.low, kept).astype(x.dtype)


def _exponents(x: Array, data: Array, sigma: float) -> Array:
    """E (n, N): -|x - x_t|^2 / (2 sigma^2)."""
    distance = ((x[:, None, :] - data[None, :, :]) ** 2).sum(axis=2)
    exponents: Array = -distance / (2 * sigma**2)
    return exponents


def parzen_denoise(x: Array, data: Array, sigma: float) -> Array:
    """sum_t w_t x_t, w_t the softmax of the exponents."""
    exponents = _exponents(x, data, sigma)
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    mean: Array = weights @ data / weights.sum(axis=1, keepdims=True)
    return mean


def parzen_score(x: Array, data: Array, sigma: float) -> Array:
    """(sum_t w_t x_t - x) / sigma^2."""
    return (parzen_denoise(x, data, sigma) - x) / sigma**2


def parzen_log_density(x: Array, data: Array, sigma: float) -> Array:
    """Log (1/N) sum_t N(x; x_t, sigma^2 I)."""
    exponents = _exponents(x, data, sigma)
    top = exponents.max(axis=1)
    log_sum = top + np.log(np.exp(exponents - top[:, None]).sum(axis=1))
    N, d = data.shape
    log_density: Array = log_sum - np.log(N) - d / 2 * np.log(2 * np.pi * sigma**2)
    return log_density


def _regression(
    model: ScoreModel, points: Array, targets: Array, *, curved: bool = False, penalty: float = 0.0
) -> tuple[float, Gradient]:
    """Sum over rows of |D(x~) - t|^2, and its gradient: section "forward, backward" in the docs.

    ``curved`` adds 2 sigma^2 sum V + 2 penalty sum V^2, with V of :meth:`ScoreModel.curvature`.
    """
    W, c = model.W, model.c
    H = model.hidden(points)  # (B, h)
    R = H @ W + c - targets  # (B, d)
    loss = (R.astype(np.float64) ** 2).sum()
    G = R @ W.T  # (B, h)
    S = H * (1 - H)  # (B, h)
    dA = G * S  # (B, h)
    dW = H.T @ R + dA.T @ points  # (h, d)
    if curved:
        V = model.curvature(points)  # (B, d)
        loss += 2 * (model.sigma**2 * V + penalty * V**2).sum(dtype=np.float64)
        dV = model.sigma**2 + 2 * penalty * V  # (B, d)
        slope = dV @ (W**2).T * S * (1 - 2 * H)  # (B, h)
        dA = dA + slope
        dW = dW + slope.T @ points + 2 * W * (S.T @ dV)
    return float(loss), Gradient(W=2 * dW, b=2 * dA.sum(axis=0), c=2 * R.sum(axis=0))


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


def _points_and_targets(
    objective: Objective,
    x: Array,
    sigma: float,
    noise: list[Array],
    *,
    scores: Array | None,
    data: Array,
) -> tuple[Array, Array]:
    """Return what the model sees and what the denoiser is regressed on, each (draws B, d)."""
    clean = np.tile(x, (len(noise), 1))
    points = np.concatenate(noise)
    if objective.target is Target.clean:
        return points, clean
    if objective.target is Target.itself:
        return points, points
    if objective.target is Target.posterior:
        return points, parzen_denoise(points, data, sigma)
    assert scores is not None
    return points, x + sigma**2 * scores


def loss_and_grad(
    model: Any,
    x: Array,
    objective: str = "dsm",
    *,
    seed: int = 0,
    step: int = 0,
    draws: int = 1,
    noise: npt.ArrayLike | None = None,
    score: Any = None,
    data: Array | None = None,
    curvature_penalty: float = 0.0,
    corruption: Corruption = GAUSSIAN,
) -> tuple[float, Gradient]:
    """Value and gradient of an objective; means over rows and draws, sums over features."""
    oracle = ScoreModel(model.W, model.b, model.c, model.sigma)
    kind = OBJECTIVES[objective]
    noisy = [x]
    if corruption.chance:
        every = np.arange(len(x))
        noisy = [overwritten(x, corruption, seed, step, m, every) for m in range(draws)]
    elif kind.noisy:
        epsilon = _given_or_drawn(
            noise, x.shape, x.dtype, seed=seed, step=step, draws=draws, rows=np.arange(len(x))
        )
        noisy = [x + x.dtype.type(model.sigma) * e for e in epsilon]
    points, targets = _points_and_targets(
        kind,
        x,
        model.sigma,
        noisy,
        scores=score(x) if callable(score) else score,
        data=x if data is None else data,
    )
    total, gradient = _regression(
        oracle, points, targets, curved=kind.curvature, penalty=curvature_penalty
    )
    scale = kind.factor(model.sigma) / len(points)
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
    objective: str = "dae",
    optimizer: SGD | Adam,
    epochs: int = 1,
    batch_size: int = 256,
    draws: int = 1,
    seed: int = 0,
    score: Any = None,
    data: Array | None = None,
    curvature_penalty: float = 0.0,
) -> tuple[ScoreModel, list[float]]:
    """Train from ``init``; return the model and the objective of each epoch.

    Steps are taken on 2 sigma^4 times the objective, on "dae" itself, at a constant rate.
    """
    kind = OBJECTIVES[objective]
    rate = optimizer.rate_for(*init.W.shape[::-1])
    model = ScoreModel(init.W.copy(), init.b.copy(), init.c.copy(), init.sigma)
    parameters = (model.W, model.b, model.c)
    memories = [[np.zeros_like(p) for _ in range(optimizer.moments)] for p in parameters]
    sigma, step, losses = X.dtype.type(model.sigma), 0, []
    for epoch in range(1, epochs + 1):
        order = shuffled_rows(seed, epoch, len(X))
        total = 0.0
        for begin in range(0, len(X), batch_size):
            rows = order[begin : begin + batch_size]
            x = X[rows]
            noisy = [x]
            if kind.noisy:
                shape = (len(rows), X.shape[1])
                noise = _given_or_drawn(
                    None, shape, X.dtype, seed=seed, step=step, draws=draws, rows=rows
                )
                noisy = [x + sigma * e for e in noise]
            points, targets = _points_and_targets(
                kind,
                x,
                sigma,
                noisy,
                scores=score(x) if score is not None else None,
                data=X if data is None else data,
            )
            value, gradient = _regression(
                model, points, targets, curved=kind.curvature, penalty=curvature_penalty
            )
            step += 1
            for w, g, memory in zip(parameters, gradient, memories, strict=True):
                _update(optimizer, rate, step, w, g / len(points), memory)
            total += value
        losses.append(kind.factor(model.sigma) * total / (len(X) * draws))
    return model, losses
