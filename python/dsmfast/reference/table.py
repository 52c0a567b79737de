"""The objectives, told apart: what the paper's page of formulas says, in a table of its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]


class Gradient(NamedTuple):
    """Derivatives with respect to W (h, d), b (h,) and c (d,)."""

    W: Array
    b: Array
    c: Array


class Corruption(NamedTuple):
    """Corruption that sets each feature with probability chance / 2^32 to ``low`` or ``high``.

    Examples
    --------
    One feature in four is set to 0 or to 1:

    >>> from dsmfast import reference
    >>> reference.Corruption(chance=2**30, low=0.0, high=1.0)
    Corruption(chance=1073741824, low=0.0, high=1.0)
    """

    chance: int = 0
    low: float = 0.0
    high: float = 0.0


GAUSSIAN = Corruption()


class Objective(NamedTuple):
    """What is regressed on what: ``target`` t of D(x~), with x~ = x + sigma e if ``noisy``.

    Targets: the "row" x, its "score" (t = x + sigma^2 g), the "mean" of the posterior, the "point"
    x~ itself; that of implicit score matching, which has the trace of the curvature.
    """

    target: str
    noisy: bool

    @property
    def curved(self) -> bool:
        """Whether the trace, and a penalty, belong to it."""
        return self.target == "point"


OBJECTIVES = {
    "dae": Objective("row", noisy=True),  # |D(x~) - x|^2
    "dsm": Objective("row", noisy=True),  # dae / (2 sigma^4)
    "esm": Objective("score", noisy=False),  # 1/2 |score(x) - g(x)|^2
    "ism": Objective("point", noisy=False),  # 1/2 |score(x)|^2 + tr(d score / dx) + penalty
    "esm_smoothed": Objective("mean", noisy=True),  # 1/2 |score(x~) - grad log q_sigma(x~)|^2
    "ism_smoothed": Objective("point", noisy=True),  # ism at x~
}


def factor(name: str, sigma: float) -> float:
    """J over the regression: 1 / (2 sigma^4) for all but "dae"."""
    return 1.0 if name == "dae" else 1 / (2 * sigma**4)
