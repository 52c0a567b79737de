"""Training, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsmfast.arrays import Array
from dsmfast.objectives import OBJECTIVES
from dsmfast.optimizers import SGD, Adam
from dsmfast.reference.model import ScoreModel
from dsmfast.reference.noise import shuffled_rows
from dsmfast.reference.objectives import objective_sum


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
    data: Array | None = None,
    **options: Any,
) -> tuple[ScoreModel, list[float]]:
    """Train from ``init``; return the model and the objective of each epoch.

    Steps are taken on 2 sigma^4 times the objective, on "dae" itself, at a constant rate. Further
    options are those of `objective_sum`; a score is a function.
    """
    kind = OBJECTIVES[objective]
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
            value, gradient = objective_sum(
                model,
                kind,
                X[rows],
                rows,
                seed=seed,
                step=step,
                draws=draws,
                data=X if data is None else data,
                **options,
            )
            step += 1
            for w, g, memory in zip(parameters, gradient, memories, strict=True):
                _update(optimizer, rate, step, w, g / (len(rows) * draws), memory)
            total += value
        losses.append(kind.factor(model.sigma) * total / (len(X) * draws))
    return model, losses
