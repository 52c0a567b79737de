"""The two ways to work a step out, and the rule that chooses between them.

"explicit" works at the points x + sigma e, in d dimensions; "gram" from X W' and W W', in h
dimensions, with noise drawn there (docs/mathematics.md, "The row-space path"). The rule counts
operations. It knows shapes and options alone, neither the machine nor the threads, so that the same
arguments take the same path everywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast.arrays import as_choice, as_draws, as_dtype, as_integer, as_real
from dsmfast.objectives import Objective, Task, as_objective, refusal

__all__ = ["PATHS", "as_path", "choose_path", "counts"]

PATHS = ("auto", "explicit", "gram")

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


def _explicit_counts(
    rows: int, d: int, h: int, draws: int, penalty: bool, double: bool
) -> dict[str, float]:
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
    rows: int, d: int, h: int, draws: int, penalty: bool, double: bool, targets: bool
) -> dict[str, float]:
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
    rows: int,
    n_features: int,
    n_hidden: int,
    objective: Objective,
    draws: int,
    penalty: bool,
    dtype: npt.DTypeLike,
) -> tuple[dict[str, float], dict[str, float]]:
    """Return what a step has of each kind of work, on the explicit and on the row-space path."""
    double = np.dtype(dtype) == np.float64
    targets = objective.target is _core.Target.given
    return (
        _explicit_counts(rows, n_features, n_hidden, draws, penalty, double),
        _gram_counts(rows, n_features, n_hidden, draws, penalty, double, targets),
    )


def _applies(objective: Objective) -> bool:
    """Whether the objective has a row-space path."""
    return objective.target is not _core.Target.posterior


def choose_path(
    rows: int,
    n_features: int,
    n_hidden: int,
    objective: str = "dsm",
    *,
    draws: int = 1,
    curvature_penalty: float = 0.0,
    dtype: npt.DTypeLike = "float32",
) -> str:
    """Return the path that ``path="auto"`` takes.

    Parameters
    ----------
    rows : int
        Of a batch.
    n_features, n_hidden : int
        Of the model.
    objective : str
        As for :func:`train`.
    draws : int
        Noise draws for each row.
    curvature_penalty : float
        Of "ism" and "ism_smoothed".
    dtype : {"float32", "float64"}
        Of the model.

    Returns
    -------
    {"explicit", "gram"}

    Examples
    --------
    >>> import dsmfast
    >>> dsmfast.choose_path(512, 784, 128)
    'gram'
    >>> dsmfast.choose_path(128, 2, 64)
    'explicit'
    """
    kind = as_objective(objective)
    B = as_integer(rows, "rows", low=1, high=2**44)
    d = as_integer(n_features, "n_features", low=1, high=2**31)
    h = as_integer(n_hidden, "n_hidden", low=1, high=2**31)
    penalty = as_real(curvature_penalty, "curvature_penalty", inclusive=True) > 0
    M = as_draws(draws)
    if penalty and not kind.curvature:
        raise refusal("curvature_penalty", kind, lambda other: other.curvature)
    if M != 1 and not kind.noisy:
        raise refusal("draws", kind, lambda other: other.noisy)
    if not _applies(kind):
        return "explicit"
    costs = [
        sum(price[name] * count for name, count in work.items())
        for price, work in zip(
            (EXPLICIT, GRAM), counts(B, d, h, kind, M, penalty, as_dtype(dtype)), strict=True
        )
    ]
    return "gram" if costs[1] < costs[0] else "explicit"


def as_path(
    path: object, task: Task, rows: int, n_hidden: int, draws: int, *, given: bool = False
) -> _core.Path:
    """Check ``path`` for a task, and choose where it is "auto"; given noise is explicit's."""
    name = as_choice(path, "path", PATHS)
    reason = None
    if not _applies(task.objective):
        reason = (
            f"objective {task.objective.name!r} has none: its target, a mean over the sample, "
            "depends on the noise in all features"
        )
    elif task.corruption.chance:
        reason = f"corruption {task.corruption.kind!r} has none: it is not Gaussian"
    if name == "gram" and reason is not None:
        raise ValueError(f"path: expected 'explicit' or 'auto', got 'gram', but {reason}")
    if name == "auto":
        name = "explicit"
        if reason is None and not given:
            name = choose_path(
                rows,
                task.x.shape[1],
                n_hidden,
                task.objective.name,
                draws=draws,
                curvature_penalty=task.penalty,
                dtype=task.x.dtype,
            )
    return _core.Path[name]
