"""What a user says of an objective, and of its noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array, as_choice, as_draws, as_flag, as_real
from dsmfast._arguments.options import option, take
from dsmfast._objective.corruption import KINDS, Corruption, as_corruption
from dsmfast._objective.table import OBJECTIVES, Objective, Target, as_objective, refusal

__all__ = ["PATHS", "NoiseOptions", "ObjectiveOptions", "Score"]

Score = npt.ArrayLike | Callable[[Array], npt.ArrayLike]

PATHS = ("auto", "explicit", "gram")


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectiveOptions:
    """Which objective, and what it needs or takes; see :func:`dsmfast.loss`."""

    objective: str = option("dsm", "objective that is minimised", choices=tuple(OBJECTIVES))
    score: Score | None = None
    data: npt.ArrayLike | None = None
    curvature_penalty: float = option(0.0, "penalty of ism and ism_smoothed", type=float)
    corruption: str = option("gaussian", "corruption of dae", choices=KINDS)
    corruption_level: float | None = option(
        None, "fraction of features that masking and salt_and_pepper overwrite", type=float
    )
    corruption_range: tuple[float, float] | None = option(
        None,
        "values that salt_and_pepper writes (default 0 1)",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
    )

    def __post_init__(self) -> None:
        kind = as_objective(self.objective)
        penalty = as_real(self.curvature_penalty, "curvature_penalty", inclusive=True)
        if penalty > 0 and not kind.curvature:
            raise refusal("curvature_penalty", kind, lambda other: other.curvature)
        overwriting = self.overwriting(np.dtype(np.float64))
        if overwriting.chance and not kind.squared_error:
            raise ValueError(
                f"corruption: objective {kind.name!r} does not take {overwriting.kind!r}, because "
                "only the denoiser of Gaussian noise is a score (Vincent 2010); 'dae' takes it"
            )
        if self.score is not None and kind.target is not Target.given:
            raise refusal("score", kind, lambda other: other.target is Target.given)
        if self.data is not None and (not kind.noisy or kind.curvature):
            raise refusal("data", kind, lambda other: other.target is Target.posterior)
        level, between = self.corruption_level, self.corruption_range
        take(
            self,
            objective=kind.name,
            curvature_penalty=penalty,
            corruption=overwriting.kind,
            corruption_level=None if level is None else as_real(level, "corruption_level"),
            corruption_range=None if between is None else (overwriting.low, overwriting.high),
        )

    @property
    def kind(self) -> Objective:
        """The objective's entry of the table."""
        return OBJECTIVES[self.objective]

    def overwriting(self, dtype: np.dtype[Any]) -> Corruption:
        """Return how points are corrupted, by numbers that the precision can hold."""
        return as_corruption(self.corruption, self.corruption_level, self.corruption_range, dtype)

    def record(self) -> dict[str, Any]:
        """Return what a record of training says of it."""
        between = self.corruption_range
        return {
            "objective": self.objective,
            "curvature_penalty": self.curvature_penalty,
            "corruption": self.corruption,
            "corruption_level": self.corruption_level,
            "corruption_range": None if between is None else list(between),
        }


@dataclass(frozen=True, kw_only=True)
class NoiseOptions:
    """How much noise, and where a step is worked out; see :func:`dsmfast.train`."""

    draws: int = option(1, "noise draws per row and step", type=int)
    antithetic: bool = option(
        False,
        "take draws in pairs of opposite sign, which makes the gradient less noisy",
        action="store_true",
    )
    path: str = option(
        "auto",
        "how steps are computed: explicit, in the features; gram, in the hidden units; auto, by "
        "whichever takes fewer operations",
        choices=PATHS,
    )

    def __post_init__(self) -> None:
        take(
            self,
            draws=as_draws(self.draws),
            antithetic=as_flag(self.antithetic, "antithetic"),
            path=as_choice(self.path, "path", PATHS),
        )

    def check(self, objective: ObjectiveOptions, *, given: bool = False) -> None:
        """See whether the objective takes it; ``given``: with noise that is handed over."""
        kind = objective.kind
        if not kind.noisy:
            asked = {"noise": given, "draws": self.draws != 1, "antithetic": self.antithetic}
            for name, wanted in asked.items():
                if wanted:
                    raise refusal(name, kind, lambda other: other.noisy)
        if given and self.antithetic:
            raise ValueError("antithetic: noise is given; expected only one of the two")
        if given and objective.corruption != "gaussian":
            raise ValueError(f"noise: corruption {objective.corruption!r} does not take it")
        if self.antithetic and objective.corruption != "gaussian":
            raise ValueError(
                f"antithetic: corruption {objective.corruption!r} has no opposite sign; expected "
                "'gaussian'"
            )
        if self.antithetic and self.draws % 2:
            raise ValueError(
                f"antithetic: expected an even number of draws, got draws={self.draws}"
            )
