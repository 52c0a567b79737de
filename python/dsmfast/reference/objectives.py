"""Every objective, on either path."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast.reference.gram import root, row_space_regression
from dsmfast.reference.model import ScoreModel
from dsmfast.reference.noise import drawn, drawn_scales, overwritten
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


def weighted_scales(
    sigma: float,
    draws: int,
    dtype: Any,
    place: dict[str, Any],
    *,
    sample_weight: Array | None = None,
    sigma_max: float | None = None,
    coarse: float = 0.5,
    scale_exponent: float = 1.0,
) -> tuple[Array, Array]:
    """S / sigma, and the weights (sigma / s)^exponent times those of the rows; each (draws, B)."""
    ratios = np.ones((draws, len(place["rows"])))
    if sigma_max is not None:
        span: dict[str, Any] = {"sigma": sigma, "sigma_max": sigma_max, "coarse": coarse}
        ratios = drawn_scales(draws, np.float64, **place, **span) / sigma
    ratios = ratios.astype(dtype)
    weights = ratios.astype(np.float64) ** -scale_exponent
    if sample_weight is not None:
        weights = weights * sample_weight
    return ratios, weights.astype(dtype)


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
    data_weight: Array | None = None,
    sample_weight: Array | None = None,
    coarse_target: str = "posterior",
    curvature_penalty: float = 0.0,
    corruption: Corruption = GAUSSIAN,
    **scales: Any,
) -> tuple[float, Gradient]:
    """Regression and curvature summed over rows and draws, with the gradient of the sum.

    ``rows`` are the places of ``x`` in the data, which its noise goes by. Weights are of mean 1,
    and scales the options of `weighted_scales`.
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
    ratios, weights = weighted_scales(
        model.sigma,
        draws if given is None else len(given),
        x.dtype,
        place,
        sample_weight=sample_weight,
        **scales,
    )
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
            ratios=ratios,
            weights=weights,
            **options,
        )
    points = x[None]
    if corruption.chance:
        points = np.stack([overwritten(x, corruption, seed, step, m, rows) for m in range(draws)])
    elif kind.noisy:
        epsilon = drawn((draws, B, d), x.dtype, **place) if given is None else given
        points = x + ratios[:, :, None] * sigma * epsilon
    points = points.reshape(-1, d)
    if kind.target == "row":
        targets = np.tile(x, (len(points) // B, 1))
    asked = np.full(len(points), kind.target == "mean")
    if coarse_target == "posterior":
        asked |= ratios.ravel() > 1
    if asked.any():
        sample, counts = (x, sample_weight) if data is None else (data, data_weight)
        targets = np.zeros_like(points) if targets is None else targets
        targets[asked] = parzen_denoise(points[asked], sample, model.sigma, counts)
    options["weights"] = weights[: len(points) // B].ravel()
    return regression(model, points, points if targets is None else targets, **options)


def loss_and_grad(
    model: Any, x: Array, objective: str = "dsm", **options: Any
) -> tuple[float, Gradient]:
    """Return value and gradient of an objective.

    Values are sums over features and means over rows and draws. The options are those of
    `objective_sum`.

    Examples
    --------
    The compiled path has the same value and gradient:

    >>> import dsmfast, numpy as np
    >>> model = dsmfast.ScoreModel.initialize(3, 5, sigma=0.5, dtype="float64")
    >>> x = np.ones((4, 3))
    >>> value, gradient = dsmfast.reference.loss_and_grad(model, x, "dsm", seed=1)
    >>> compiled, expected = dsmfast.loss_and_grad(model, x, "dsm", seed=1, path="explicit")
    >>> bool(np.isclose(value, compiled) and np.allclose(gradient.W, expected.W))
    True
    """
    oracle = ScoreModel(model.W, model.b, model.c, model.sigma)
    kind = OBJECTIVES[objective]
    if options.get("sample_weight") is not None:
        options["sample_weight"] = options["sample_weight"] / np.mean(options["sample_weight"])
    total, gradient = objective_sum(oracle, kind, x, np.arange(len(x)), **options)
    draws = 1 if options.get("noise") is None else np.size(options["noise"]) // x.size
    scale = factor(objective, model.sigma) / (len(x) * max(draws, options.get("draws", 1)))
    return scale * total, Gradient(*(x.dtype.type(scale) * g for g in gradient))


def loss(model: Any, x: Array, objective: str = "dsm", **options: Any) -> float:
    """Return the value of an objective.

    Examples
    --------
    ``dsm`` is ``dae`` over 2 sigma^4:

    >>> import dsmfast, numpy as np
    >>> model = dsmfast.ScoreModel.initialize(3, 5, sigma=0.5, dtype="float64")
    >>> dae, dsm = (dsmfast.reference.loss(model, np.ones((4, 3)), name) for name in ("dae", "dsm"))
    >>> bool(np.isclose(dsm, dae / (2 * 0.5**4)))
    True
    """
    return loss_and_grad(model, x, objective, **options)[0]
