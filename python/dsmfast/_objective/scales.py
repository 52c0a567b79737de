"""Noise at several scales: the options, and what a rule makes of them and the data."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from dsmfast._arguments.checks import Array, as_choice, as_real, as_scalar, as_whole
from dsmfast._arguments.options import option, take
from dsmfast._objective.options import ObjectiveOptions
from dsmfast._objective.table import OBJECTIVES, Objective, Target

__all__ = ["ScaleOptions", "Scales", "takes_scales"]

TARGETS = ("posterior", "row")
REFERENCES = ("all", "batch")


def number_or_word(text: str) -> float | str:
    """Return the number that a word of the command line is, or the word."""
    try:
        return float(text)
    except ValueError:
        return text


class Scales(NamedTuple):
    """Noise between sigma and ``sigma_max``, in numbers."""

    sigma_max: float
    coarse: float  # share of the visits that have more noise than sigma
    exponent: float  # a visit weighs (sigma / s)**exponent
    target: Target  # of coarse visits: clean or posterior
    reference: int | None  # rows of a step's posterior; None: all

    @property
    def chance(self) -> int:
        """The share in units of 2**-32."""
        return 0 if self.coarse == 0 else max(1, round(self.coarse * 2**32))

    def log_ratio(self, sigma: float) -> float:
        """Return log(sigma_max / sigma), 0 where there is nothing between the two."""
        return math.log(max(1.0, self.sigma_max / sigma))

    def record(self) -> dict[str, Any]:
        """Return what a record of training says of it."""
        record: dict[str, Any] = {
            "sigma_max": self.sigma_max,
            "coarse": self.coarse,
            "coarse_target": "row" if self.target is Target.clean else "posterior",
            "scale_exponent": self.exponent,
        }
        if self.target is Target.posterior:
            record["reference"] = self.reference or "all"
        return record


def takes_scales(kind: Objective) -> bool:
    """Whether an objective is a denoiser's, whose target makes sense at any scale."""
    return kind.noisy and not kind.curvature


@dataclass(frozen=True, kw_only=True, eq=False)
class ScaleOptions:
    """Noise at several scales; see :func:`dsmfast.train`."""

    sigma_max: float | str | None = option(
        None,
        "largest noise scale; training at scales from sigma to it makes the energy high away from "
        "the rows (default auto: four times their spread, if the objective takes it; none: sigma "
        "alone)",
        type=number_or_word,
        metavar="SIGMA_MAX",
    )
    coarse: float = option(0.5, "fraction of rows with more noise than sigma", type=float)
    coarse_target: str = option(
        "posterior",
        "regression target of the rows with more noise than sigma: the mean of the clean rows "
        "given the point, or the clean row",
        choices=TARGETS,
    )
    scale_exponent: float | None = option(
        None,
        "k of the weights (sigma / s)^k of rows with noise s (default: from 1/2 to 2, by the data)",
        type=float,
    )
    reference: int | str | None = option(
        None,
        "rows that a step computes posterior means from: a number, all, or batch (default)",
        type=number_or_word,
    )

    def __post_init__(self) -> None:
        widest, exponent, reference = map(
            as_scalar, (self.sigma_max, self.scale_exponent, self.reference)
        )
        if isinstance(widest, str):
            as_choice(widest, "sigma_max", ("auto",))
        elif widest is not None:
            widest = as_real(widest, "sigma_max")
        coarse = as_real(self.coarse, "coarse", inclusive=True)
        if coarse > 1:
            raise ValueError(f"coarse: expected a number in [0, 1], got {coarse:g}")
        if exponent is not None:
            exponent = as_real(exponent, "scale_exponent", inclusive=True)
        target = as_choice(self.coarse_target, "coarse_target", TARGETS)
        if isinstance(reference, str):
            as_choice(reference, "reference", REFERENCES)
        elif reference is not None:
            reference = as_whole(reference, "reference")
        if target == "row" and reference is not None:
            raise ValueError(
                "reference: expected None with coarse_target='row', which has no posterior mean"
            )
        take(
            self,
            sigma_max=widest,
            coarse=coarse,
            coarse_target=target,
            scale_exponent=exponent,
            reference=reference,
        )

    @property
    def asked(self) -> bool:
        """Whether there is more than one scale."""
        return self.sigma_max is not None

    @property
    def takes_posterior(self) -> bool:
        """Whether coarse visits are regressed on the posterior mean."""
        return self.asked and self.coarse_target == "posterior"

    def check(self, objective: ObjectiveOptions) -> None:
        """See whether the objective takes it."""
        kind = objective.kind
        if not self.asked:
            for field in fields(self):
                if getattr(self, field.name) != field.default:
                    raise ValueError(
                        f"{field.name}: expected sigma_max with it, for noise at several scales"
                    )
            self._check_data(objective, kind.target is Target.posterior)
            return
        if not takes_scales(kind):
            reason = (
                "it has no noise"
                if not kind.noisy
                else "it is defined for the density at sigma alone"
            )
            others = ", ".join(repr(o.name) for o in OBJECTIVES.values() if takes_scales(o))
            raise ValueError(
                f"sigma_max: objective {kind.name!r} does not take it, because {reason}; {others} "
                "do"
            )
        if objective.corruption != "gaussian":
            raise ValueError(
                f"sigma_max: corruption {objective.corruption!r} does not take it; only Gaussian "
                "noise has scales"
            )
        if kind.target is Target.posterior and self.coarse_target == "row":
            raise ValueError(
                f"coarse_target: expected 'posterior' with objective {kind.name!r}, whose target "
                "is the posterior mean at every scale"
            )
        self._check_data(objective, self.takes_posterior)

    def _check_data(self, objective: ObjectiveOptions, posterior: bool) -> None:
        if objective.data is None:
            return
        if not posterior:
            raise ValueError(
                f"data: objective {objective.objective!r} takes it only with sigma_max and "
                "coarse_target='posterior', as the sample of the posterior mean"
            )
        if self.reference is not None:
            raise ValueError("reference: expected None with data, which gives the posterior means")

    def resolve(
        self,
        objective: ObjectiveOptions,
        rows: Array,
        weights: Array | None,
        sigmas: list[float],
        batch_size: int,
    ) -> Scales | None:
        """Return the scales for data of which these rows are at hand; None for one scale."""
        if not self.asked:
            return None
        shape, widest, exponent = Shape.of(rows, weights), self.sigma_max, self.scale_exponent
        if isinstance(widest, str):
            widest = max(4 * shape.spread, *sigmas)
        assert widest is not None
        if widest < max(sigmas):
            raise ValueError(f"sigma_max: expected at least sigma={max(sigmas):g}, got {widest:g}")
        posterior = self.takes_posterior
        return Scales(
            float(widest),
            self.coarse,
            exponent_for(sigmas[-1], shape) if exponent is None else exponent,
            Target.posterior if posterior else Target.clean,
            self._reference_rows(objective, batch_size) if posterior else None,
        )

    def _reference_rows(self, objective: ObjectiveOptions, batch_size: int) -> int | None:
        """Return how many rows a step's posterior is taken over; None: all there are."""
        reference = self.reference
        if reference is None:
            whole = objective.kind.target is Target.posterior  # by its definition
            return None if whole else max(batch_size, FEWEST_ROWS)
        if isinstance(reference, str):
            return None if reference == "all" else batch_size
        return reference


# Rows of a posterior, where a batch has fewer: more of them change little
# (docs/explanation/defaults.md).
FEWEST_ROWS = 256

# Values of the rows that go into the rules; of more of them, rows that are evenly spaced.
VALUES = 2**23


class Shape(NamedTuple):
    """What the rules know of the data."""

    spread: float  # the root of the trace of the covariance
    tail: float  # distance of the row farthest from the mean, in spreads

    @classmethod
    def of(cls, rows: Array, weights: Array | None) -> Shape:
        every = max(1, rows.size // VALUES)
        x, counts = rows[::every].astype(np.float64), np.ones(len(rows[::every]))
        if weights is not None and weights[::every].any():
            counts = weights[::every].astype(np.float64)
        x -= np.average(x, axis=0, weights=counts)
        squares = np.einsum("ij,ij->i", x, x)
        spread = math.sqrt(float(np.average(squares, weights=counts)))
        farthest = math.sqrt(float(squares[counts > 0].max()))
        return cls(spread, farthest / spread if spread > 0 else 0.0)


def exponent_for(sigma: float, shape: Shape) -> float:
    """Return ``scale_exponent`` where the user does not say.

    It is 2 where 1/sigma^2 is 1: rows that are held out are as likely as with more, and modes are
    left with 3 if training is short. Where 1/sigma^2 is large, far points have to weigh as much as
    1 says, or modes are left between clusters. Where some rows are far from all others (gross
    errors, heavy tails), only 1/2 has them rank as the least likely.
    """
    of_one_kind = 1 + min(1.0, sigma**2)
    share = min(1.0, max(0.0, (6 - shape.tail) / 3))
    return 0.5 + share * (of_one_kind - 0.5)
