"""Every objective, on either path."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast.reference.gram import root, row_space_regression
from dsmfast.reference.model import ScoreModel
from dsmfast.reference.noise import drawn, overwritten
from dsmfast.reference.parzen import parzen_denoise
from dsmfast.reference.regression import regression
from dsmfast.reference.table import (
    GAUSSIAN,
    OBJECTIVES,
    Array,
    Corruption,
    Gradient,
    Objective,
    factor,
)


def objective_sum(
    model: ScoreModel,
    kind: Objective,
    x: Array,
    rows: Array,
    *,
    seed: int = 0,
    step: int = 0,
    draws: int = 1,
    antithetic: bool = False,
    noise: npt.ArrayLike | None = None,
    path: str = "explicit",
    score: Any = None,
    data: Array | None = None,
    curvature_penalty: float = 0.0,
    corruption: Corruption = GAUSSIAN,
) -> tuple[float, Gradient]:
    """Regression and curvature summed over rows and draws, with the gradient of the sum.

    ``rows`` are the places of ``x`` in the data, which its noise goes by.
    """
    B, d = x.shape
    h = len(model.b)
    options: dict[str, Any] = {"curved": kind.curved, "penalty": curvature_penalty}
    place: dict[str, Any] = {
        "seed": seed,
        "step": step,
        "rows": rows,
        "antithetic": antithetic,
    }
    given = None if noise is None else np.asarray(noise, x.dtype).reshape(-1, B, d)
    sigma = x.dtype.type(model.sigma)
    targets = None
    if kind.target == "score":
        targets = x + sigma**2 * (score(x) if callable(score) else score)
    if path == "gram":
        if not kind.noisy:
            u = np.zeros((1, B, h), x.dtype)
        elif given is not None:
            u = given @ model.W.T
        else:
            z = drawn((draws, B, h), x.dtype, **place)
            u = z @ root(model.W).astype(x.dtype).T
        return row_space_regression(
            model,
            x,
            u,
            noisy=kind.noisy,
            targets=targets,
            itself=kind.noisy and kind.target == "point",
            noise=given,
            **options,
        )
    points = x[None]
    if corruption.chance:
        points = np.stack([overwritten(x, corruption, seed, step, m, rows) for m in range(draws)])
    elif kind.noisy:
        epsilon = drawn((draws, B, d), x.dtype, **place) if given is None else given
        points = x + sigma * epsilon
    points = points.reshape(-1, d)
    if kind.target == "row":
        targets = np.tile(x, (len(points) // B, 1))
    elif kind.target == "mean":
        targets = parzen_denoise(points, x if data is None else data, model.sigma)
    return regression(model, points, points if targets is None else targets, **options)


def loss_and_grad(
    model: Any, x: Array, objective: str = "dsm", **options: Any
) -> tuple[float, Gradient]:
    """Value and gradient of an objective; means over rows and draws, sums over features.

    The options are those of `objective_sum`.
    """
    oracle = ScoreModel(model.W, model.b, model.c, model.sigma)
    kind = OBJECTIVES[objective]
    total, gradient = objective_sum(oracle, kind, x, np.arange(len(x)), **options)
    draws = 1 if options.get("noise") is None else np.size(options["noise"]) // x.size
    scale = factor(objective, model.sigma) / (len(x) * max(draws, options.get("draws", 1)))
    return scale * total, Gradient(*(x.dtype.type(scale) * g for g in gradient))


def loss(model: Any, x: Array, objective: str = "dsm", **options: Any) -> float:
    """Value of an objective."""
    return loss_and_grad(model, x, objective, **options)[0]
