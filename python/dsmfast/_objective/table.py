r"""The objectives of the paper, as a table.

Every objective is a regression of the denoiser on targets t,

.. math:: J = \frac{1}{2\sigma^4}\,\mathrm{mean}\,\|D(\tilde x) - t\|^2 + \text{curvature},

and what tells one from another stands in `OBJECTIVES`: where it looks (at points with noise, or as
they are), what t is, and whether it has the curvature of implicit score matching. Values are sums
over features, means over rows and over draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsmfast import _core
from dsmfast._arguments.checks import as_choice

__all__ = ["OBJECTIVES", "Objective", "Target", "as_objective", "refusal"]

Target = _core.Target


@dataclass(frozen=True)
class Objective:
    """One row of the table.

    The target of the regression is the ``clean`` point, the point ``itself`` as the model sees it,
    ``given`` by the score of the data, or the ``posterior`` mean of the Parzen density. The bare
    squared error makes no claim about scores, and any corruption will do.
    """

    name: str
    target: Target
    noisy: bool = True  # whether it looks at x~ = x + sigma e, or at x
    curvature: bool = False  # whether it has the curvature terms, and takes a penalty on them
    squared_error: bool = False  # without the factor 1 / (2 sigma^4)

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
