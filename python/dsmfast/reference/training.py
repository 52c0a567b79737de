"""Training, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsmfast.reference.model import ScoreModel
from dsmfast.reference.noise import shuffled_rows
from dsmfast.reference.objectives import objective_sum
from dsmfast.reference.optimizers import moments_of, rate_of, update
from dsmfast.reference.table import OBJECTIVES, Array, factor


def train(
    X: Array,
    init: Any,
    *,
    objective: str = "dae",
    optimizer: Any,
    epochs: int = 1,
    batch_size: int = 256,
    draws: int = 1,
    seed: int = 0,
    data: Array | None = None,
    sample_weight: Array | None = None,
    reference: int | None = None,
    **options: Any,
) -> tuple[ScoreModel, list[float]]:
    """Train from ``init`` at a constant rate; return the model and the objective of each epoch.

    Steps are taken on 2 sigma^4 times the objective, and on "dae" itself. Further options are those
    of `objective_sum`; a score must be a function. The optimizer is any object with the fields of
    `dsmfast.SGD` or `dsmfast.Adam`. ``reference`` is the number of rows that the posterior means of
    a step use, in the order of the epoch from the first of the batch on; the default is all rows.

    Examples
    --------
    The compiled training takes the same steps:

    >>> import dsmfast, numpy as np
    >>> X = dsmfast.data.mixture(100).astype("float64")
    >>> init = dsmfast.ScoreModel.initialize(2, 4, sigma=0.5, dtype="float64")
    >>> options = {"objective": "dae", "epochs": 2, "optimizer": dsmfast.SGD(learning_rate=0.01)}
    >>> model, losses = dsmfast.reference.train(X, init, **options)
    >>> options |= {"schedule": "constant", "path": "explicit", "dtype": "float64"}
    >>> result = dsmfast.train(X, 4, 0.5, init=init, **options)
    >>> bool(np.allclose(result.model.W, model.W))
    True
    """
    kind = OBJECTIVES[objective]
    rate = rate_of(optimizer, *init.W.shape[::-1])
    model = ScoreModel(init.W.copy(), init.b.copy(), init.c.copy(), init.sigma)
    parameters = (model.W, model.b, model.c)
    moments = [[np.zeros_like(p) for _ in range(moments_of(optimizer))] for p in parameters]
    step, losses = 0, []
    weights = np.ones(len(X)) if sample_weight is None else sample_weight / sample_weight.mean()
    for epoch in range(1, epochs + 1):
        order = shuffled_rows(seed, epoch, len(X))
        total = 0.0
        for begin in range(0, len(X), batch_size):
            rows = order[begin : begin + batch_size]
            sample, counts = (X, weights) if data is None else (data, None)
            if data is None and reference is not None and reference < len(X):
                around = np.roll(order, -begin)[:reference]
                sample, counts = X[around], weights[around]
            value, gradient = objective_sum(
                model,
                kind,
                X[rows],
                rows,
                seed=seed,
                step=step,
                draws=draws,
                data=sample,
                data_weight=counts,
                sample_weight=weights[rows],
                **options,
            )
            step += 1
            for w, g, remembered in zip(parameters, gradient, moments, strict=True):
                update(optimizer, rate, step, w, g / (len(rows) * draws), remembered)
            total += value
        losses.append(factor(objective, model.sigma) * total / (len(X) * draws))
    return model, losses
