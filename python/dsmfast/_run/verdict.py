"""Whether a trained score is better than none, for those who hand over sigma in another unit."""

from __future__ import annotations

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._objective.options import ObjectiveOptions
from dsmfast.model import ScoreModel
from dsmfast.objectives import loss
from dsmfast.results import TrainingResult

__all__ = ["is_through", "worse_than_zero"]

VALUES = 2**14  # of the rows that are looked at: the mean of squares of noise is exact to 1 %
FEWEST_ROWS = 256
MARGIN = 0.1  # of what a score of zero has in "dsm"


def is_through(result: TrainingResult) -> bool:
    """Whether training came to its end, so that there is something to judge."""
    return result.steps > 0 and result.stop_reason in ("finished", "patience")


def worse_than_zero(
    model: ScoreModel, rows: Array, objective: ObjectiveOptions, seed: int, threads: int | None
) -> str:
    """Return what to say of a model that is worse, on finite rows, than a score of zero; else "".

    The objectives with Gaussian noise have the same least score, and differ by constants: "dsm",
    which of a score of zero is n_features / (2 sigma^2), speaks for all of them. So does "ism",
    which of a score of zero is 0, for those without noise. Points with features overwritten have no
    score to learn.
    """
    if objective.corruption != "gaussian":
        return ""
    d = rows.shape[1]
    some = rows[:: max(1, len(rows) // max(FEWEST_ROWS, VALUES // d))]
    name = "dsm" if objective.kind.noisy else "ism"
    of_noise = d / (2 * model.sigma**2)
    zero = of_noise if name == "dsm" else 0.0
    try:
        value = loss(model, some, name, seed=seed, threads=threads)
    except ValueError:  # of squares that the precision does not hold; there is a result
        return ""
    if not value > zero + MARGIN * of_noise:
        return ""
    spread = float(np.sqrt(some.var(axis=0, dtype=np.float64).mean()))
    share, other = "above", "another"
    if spread > 0:
        share = f"{model.sigma / spread:.2g} times"
        other = "a larger" if model.sigma < spread else "a smaller"
    return (
        f"the trained score is worse than none: {name} is {value:.4g} on the rows, where a score "
        f"of zero has {zero:.4g}. Sigma is {share} the spread of a feature; try {other} sigma, "
        "other units of the data, more hidden units or more epochs"
    )
