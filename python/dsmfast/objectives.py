r"""The objectives of the paper: a table, and what follows from it.

Every objective is a regression of the denoiser on targets t,

.. math:: J = \frac{1}{2\sigma^4}\,\mathrm{mean}\,\|D(\tilde x) - t\|^2 + \text{curvature},

and what tells one from another stands in `OBJECTIVES`: where it looks (at points with noise, or as
they are), what t is, and whether it has the curvature of implicit score matching. Values are sums
over features, means over rows and over draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast.arrays import (
    Array,
    as_choice,
    as_draws,
    as_precision,
    as_real_array,
    as_real_of,
    as_rows,
    check_finite,
    describe,
    narrowed,
)
from dsmfast.corruption import Corruption, as_corruption

__all__ = [
    "OBJECTIVES",
    "Objective",
    "Task",
    "as_draws_of",
    "as_noise",
    "as_objective",
    "as_task",
    "refusal",
]

Target = _core.Target


@dataclass(frozen=True)
class Objective:
    """One row of the table.

    Attributes
    ----------
    name : str
        As users write it.
    target : Target
        What the denoiser is regressed on: the ``clean`` point, the point ``itself`` as the model
        sees it, targets ``given`` by the score of the data, or the ``posterior`` mean of the Parzen
        density.
    noisy : bool
        Whether it looks at x~ = x + sigma e, or at x.
    curvature : bool
        Whether it has the curvature terms, and takes a penalty on them.
    squared_error : bool
        Whether it is the bare squared error, without the factor 1 / (2 sigma^4). It then makes no
        claim about scores, and any corruption will do.
    """

    name: str
    target: Target
    noisy: bool = True
    curvature: bool = False
    squared_error: bool = False

    def factor(self, sigma: float) -> float:
        """J over the regression."""
        return 1.0 if self.squared_error else 0.5 / sigma**4


OBJECTIVES = {
    objective.name: objective
    for objective in (
        # mean |D(x~) - x|^2
        Objective("dae", Target.clean, squared_error=True),
        # mean 1/2 |score(x~) - (x - x~) / sigma^2|^2
        Objective("dsm", Target.clean),
        # mean 1/2 |score(x) - grad log q(x)|^2:  t = x + sigma^2 grad log q(x)
        Objective("esm", Target.given, noisy=False),
        # mean 1/2 |score(x)|^2 + tr(d score / dx) + penalty:  t = x
        Objective("ism", Target.itself, noisy=False, curvature=True),
        # mean 1/2 |score(x~) - grad log q_sigma(x~)|^2:  t = E[x | x~], by Tweedie's formula
        Objective("esm_smoothed", Target.posterior),
        # ism at x~:  t = x~
        Objective("ism_smoothed", Target.itself, curvature=True),
    )
}


def as_objective(objective: object) -> Objective:
    """Return the table's entry for a name."""
    return OBJECTIVES[as_choice(objective, "objective", tuple(OBJECTIVES))]


def refusal(option: str, objective: Objective, takes: Callable[[Objective], bool]) -> ValueError:
    """Return the error for an option that the objective does not take."""
    others = [repr(name) for name, other in OBJECTIVES.items() if takes(other)]
    verb = "does" if len(others) == 1 else "do"
    return ValueError(
        f"{option}: objective {objective.name!r} does not take it; {', '.join(others)} {verb}"
    )


@dataclass(frozen=True)
class Task:
    """An objective on rows of data, with everything it needs of them.

    Attributes
    ----------
    objective : Objective
        Which.
    x : ndarray, shape (n, d)
        The rows, finite.
    corruption : Corruption
        Of the rows.
    penalty : float
        Of the curvature.
    scores : ndarray, shape (n, d), or None
        Score of the data at the rows, for "esm".
    sample : ndarray, shape (N, d), or None
        Where the Parzen density stands, for "esm_smoothed".
    first_row : int
        The place of row 0 in all of the data, which the noise goes by.
    """

    objective: Objective
    x: Array
    corruption: Corruption
    penalty: float
    scores: Array | None
    sample: Array | None
    first_row: int = 0

    def regression(
        self,
        sigma: float,
        *,
        seed: int,
        step: int = 0,
        draws: int = 1,
        antithetic: bool = False,
        stream: _core.Stream = _core.Stream.noise,
        given: Array | None = None,
        path: _core.Path = _core.Path.explicit,
    ) -> _core.Regression:
        """Return the task at a sigma and a place in the noise stream, as the kernels take it."""
        gaussian = self.objective.noisy and self.corruption.chance == 0
        noise = _core.Noise(
            sigma=sigma if gaussian else 0.0,
            given=given,
            chance=self.corruption.chance,
            low=self.corruption.low,
            high=self.corruption.high,
            seed=seed,
            step=step,
            stream=stream,
            draws=draws,
            antithetic=antithetic,
            first_row=self.first_row,
        )
        targets = None
        if self.scores is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                targets = self.x + self.x.dtype.type(sigma) ** 2 * self.scores
            if not np.isfinite(targets).all():
                raise ValueError(
                    f"score: expected values whose product with sigma**2 {self.x.dtype} can hold"
                )
        return _core.Regression(
            points=self.x,
            noise=noise,
            target=self.objective.target,
            targets=targets,
            sample=self.sample,
            variance=sigma**2 if self.objective.curvature else 0.0,
            penalty=self.penalty,
            path=path,
        )


def as_task(
    objective: object,
    x: Array,
    threads: int,
    *,
    score: object = None,
    data: object = None,
    curvature_penalty: object = 0.0,
    corruption: object = "gaussian",
    corruption_level: object = None,
    corruption_range: object = None,
    narrow: bool = False,
) -> Task:
    """Check an objective and its options for finite rows ``x``.

    ``narrow`` says whether arrays of another precision are converted, as training does, or refused.
    """
    kind = as_objective(objective)
    penalty = as_real_of(curvature_penalty, "curvature_penalty", x.dtype)
    if penalty > 0 and not kind.curvature:
        raise refusal("curvature_penalty", kind, lambda other: other.curvature)
    overwriting = as_corruption(corruption, corruption_level, corruption_range, x.dtype)
    if overwriting.chance and not kind.squared_error:
        raise ValueError(
            f"corruption: objective {kind.name!r} does not take {overwriting.kind!r}: it is "
            "Gaussian noise whose denoiser is a score (Vincent 2010); 'dae' takes it"
        )
    return Task(
        kind,
        x,
        overwriting,
        penalty,
        _scores(kind, x, score, threads, narrow),
        _sample(kind, x, data, threads, narrow),
    )


def _like(value: object, name: str, x: Array, narrow: bool) -> Array:
    array = as_real_array(value, name)
    if narrow and array.dtype != x.dtype:
        array = narrowed(array, x.dtype)
    # A list has no precision of its own, and keeps that right.
    return as_precision(array if narrow else value, name, x.dtype)


def _scores(kind: Objective, x: Array, score: Any, threads: int, narrow: bool) -> Array | None:
    """Score of the data at ``x``, from an array or a function."""
    if kind.target is not Target.given:
        if score is not None:
            raise refusal("score", kind, lambda other: other.target is Target.given)
        return None
    if score is None:
        raise ValueError(
            f"score: objective {kind.name!r} needs the score of the data, an array of shape "
            f"{x.shape} or a function of x; without it, 'ism' and 'dsm' learn from the data alone"
        )
    name = "score"
    if callable(score):
        # The result is rounded to the precision of the points that the function was given.
        name, score, narrow = "score(x)", score(x), True
    values = _like(score, name, x, narrow)
    if values.shape != x.shape:
        raise ValueError(f"{name}: expected shape {x.shape}, got {values.shape}")
    values = as_rows(values, name, x.dtype)  # a field of packed records is copied
    check_finite(values, name, threads)
    return values


def _sample(kind: Objective, x: Array, data: Any, threads: int, narrow: bool) -> Array | None:
    """Rows under the Parzen density; by default ``x``."""
    if kind.target is not Target.posterior:
        if data is not None:
            raise refusal("data", kind, lambda other: other.target is Target.posterior)
        return None
    if data is None:
        return x
    rows = as_rows(_like(data, "data", x, narrow), "data", x.dtype, x.shape[1])
    check_finite(rows, "data", threads)
    return rows


def _check_antithetic(antithetic: object) -> None:
    if not isinstance(antithetic, (bool, np.bool_)):
        raise TypeError(f"antithetic: expected True or False, got {describe(antithetic)}")


def as_draws_of(task: Task, draws: object, antithetic: object) -> int:
    """Check the number of draws, and whether they may come in pairs of opposite sign."""
    count = as_draws(draws)
    _check_antithetic(antithetic)
    if not task.objective.noisy:
        for option, wanted in (("draws", count != 1), ("antithetic", antithetic)):
            if wanted:
                raise refusal(option, task.objective, lambda other: other.noisy)
    if antithetic and task.corruption.chance:
        raise ValueError(
            f"antithetic: corruption {task.corruption.kind!r} has no opposite; 'gaussian' does"
        )
    if antithetic and count % 2:
        raise ValueError(f"antithetic: expected an even number of draws, got draws={count}")
    return count


def as_noise(
    noise: npt.ArrayLike | None, task: Task, draws: int, antithetic: bool, threads: int
) -> tuple[Array | None, int]:
    """Return given noise as (draws, n, d), and the number of draws."""
    if noise is None:
        return None, as_draws_of(task, draws, antithetic)
    if not task.objective.noisy:
        raise refusal("noise", task.objective, lambda other: other.noisy)
    _check_antithetic(antithetic)
    if antithetic:
        raise ValueError("antithetic: noise is given; expected one of the two")
    draws = as_draws(draws)
    if task.corruption.chance:
        raise ValueError(f"noise: corruption {task.corruption.kind!r} does not take it")
    given = as_precision(noise, "noise", task.x.dtype)
    shape = task.x.shape
    if given.ndim == 2 and given.shape == shape:
        given = given[None]
    if given.ndim != 3 or given.shape[1:] != shape or given.shape[0] == 0:
        raise ValueError(
            f"noise: expected shape {shape} or (draws, {shape[0]}, {shape[1]}), got {given.shape}"
        )
    if draws not in (1, given.shape[0]):
        raise ValueError(f"draws: expected {given.shape[0]} as in noise, got {draws}")
    given = np.require(given, requirements=["C", "A"])
    for draw, values in enumerate(given):
        check_finite(values, "noise" if len(given) == 1 else f"noise[{draw}]", threads)
    return given, given.shape[0]
