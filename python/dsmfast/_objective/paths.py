"""The two ways to work a step out, and the rule that chooses between them.

"explicit" works at the points x + sigma e, in d dimensions; "gram" from X W' and W W', in h
dimensions, with noise drawn there (docs/explanation/row-space.md). The rule counts
operations. It knows shapes and options alone, neither the machine nor the threads, so that the same
arguments take the same path everywhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dsmfast import _core
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions
from dsmfast._objective.scales import ScaleOptions
from dsmfast._objective.table import Objective, Target

__all__ = ["Sizes", "counts", "path_for"]


class Sizes(NamedTuple):
    """Rows of a step, features and hidden units."""

    rows: int
    n_features: int
    n_hidden: int


# What a step costs, in operations of a product: measured by `python bench/paths.py --fit` on two
# cores of an AMD EPYC (Zen 5), and left alone since. "feature" is that of a row (noise, residual,
# copies), "hidden" a unit of a row, "draw" one of each draw, "weight" its packing and update,
# "root" an operation of the factorization of W W', by one thread, "step" what every step costs.
EXPLICIT = {"product": 1.0, "feature": 490.0, "hidden": 150.0, "weight": 74.0, "step": 6.7e5}
GRAM = {
    "product": 1.07,
    "feature": 210.0,
    "hidden": 200.0,
    "draw": 570.0,
    "weight": 97.0,
    "root": 7.4,
    "step": 2.2e6,
}


def _explicit_counts(sizes: Sizes, draws: int, penalty: bool, double: bool) -> dict[str, float]:
    rows, d, h = sizes
    visits = rows * draws
    products = 10.0 * visits * d * h
    if penalty:
        price = 1 if double else 2
        products += min(6.0 * visits * d * h, 4.0 * price * h * h * (d + visits))
    return {
        "product": products,
        "feature": visits * d,
        "hidden": visits * h,
        "weight": d * h,
        "step": 1,
    }


def _gram_counts(
    sizes: Sizes, draws: int, penalty: bool, double: bool, targets: bool
) -> dict[str, float]:
    rows, d, h = sizes
    visits = rows * draws
    price = 1 if double else 2  # of an operation in double
    panels = -(-h // 32)
    half = 0.5 * (1 + 1 / panels)  # of a symmetric or triangular product
    pair = 2.0 * (32 * panels) ** 2 * half
    products = (4.0 + 4.0 * targets) * rows * d * h
    products += price * pair * d + 2.0 * h * h * d  # W W', C W
    products += visits * (2.0 * h * h + 3 * pair)  # H K, Z L', H' H, S' S
    if penalty:
        products += 4.0 * price * h * h * (d + visits)
    return {
        "product": products,
        "feature": rows * d,
        "hidden": rows * h,
        "draw": visits * h,
        "weight": d * h,
        "step": 1,
        "root": h**3 / 3,
    }


def counts(
    sizes: Sizes, objective: Objective, draws: int, penalty: bool, dtype: np.dtype[Any]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what a step has of each kind of work, on the explicit and on the gram path."""
    double = dtype == np.float64
    targets = objective.target is Target.given
    return (
        _explicit_counts(sizes, draws, penalty, double),
        _gram_counts(sizes, draws, penalty, double, targets),
    )


def _why_not(objective: ObjectiveOptions, scales: ScaleOptions) -> str | None:
    """Return why the objective has no gram path, if it has none."""
    if scales.takes_posterior:
        return (
            "coarse_target 'posterior' has none, because a mean over the sample depends on the "
            "noise in all features; coarse_target 'row' has one"
        )
    if objective.kind.target is Target.posterior:
        return (
            f"objective {objective.objective!r} has none, because its target, a mean over the "
            "sample, depends on the noise in all features"
        )
    if objective.corruption != "gaussian":
        return f"corruption {objective.corruption!r} has none, because it is not Gaussian"
    return None


def path_for(
    objective: ObjectiveOptions,
    noise: NoiseOptions,
    scales: ScaleOptions,
    sizes: Sizes,
    dtype: np.dtype[Any],
    *,
    given: bool = False,
) -> _core.Path:
    """Return the path to take; where it is "auto", noise that is ``given`` is explicit's."""
    reason = _why_not(objective, scales)
    if noise.path == "gram" and reason is not None:
        raise ValueError(f"path: expected 'explicit' or 'auto', got 'gram', but {reason}")
    if noise.path != "auto":
        return _core.Path[noise.path]
    if reason is not None or given:
        return _core.Path.explicit
    penalty = objective.curvature_penalty > 0
    explicit, gram = (
        sum(price[name] * count for name, count in work.items())
        for price, work in zip(
            (EXPLICIT, GRAM),
            counts(sizes, objective.kind, noise.draws, penalty, dtype),
            strict=True,
        )
    )
    return _core.Path.gram if gram < explicit else _core.Path.explicit
