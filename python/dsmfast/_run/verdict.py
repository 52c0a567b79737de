"""Whether a trained model has learned its rows, for those who hand over another unit or origin."""

from __future__ import annotations

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._objective.options import ObjectiveOptions
from dsmfast.model import ScoreModel
from dsmfast.objectives import loss
from dsmfast.results import TrainingResult

__all__ = ["is_through", "remedy", "verdict"]

VALUES = 2**14  # of the rows that are looked at: the mean of squares of noise is exact to 1 %
FEWEST_ROWS = 256
MARGIN = 0.1  # of what a score of zero has in "dsm"

# Of what the best reconstruction varies by over the rows. After two epochs on digits, models of 64
# units are above 0.05; those whose units are all off, or all saturated, are below 4e-5.
NOTHING = 1e-4

# Spreads from zero. Spirals are learned at 7 and not at 21, digits at 1.5 and not at 12.
FAR = 5.0


def is_through(result: TrainingResult) -> bool:
    """Whether training came to its end, so that there is something to judge."""
    return result.steps > 0 and result.stop_reason in ("finished", "patience")


def verdict(
    model: ScoreModel,
    rows: Array,
    objective: ObjectiveOptions,
    seed: int,
    threads: int | None,
    trained_on: Array | None = None,
) -> str:
    """Return what to say of a model that has not learned anything of finite rows; else "".

    Either its score is worse, on ``rows``, than a score of zero, or its reconstruction is the same
    for all rows that it was trained on, which are ``rows`` if they are not given.
    """
    sample = rows if trained_on is None else trained_on
    d = sample.shape[1]
    count = max(FEWEST_ROWS, VALUES // d)
    some, sample = (part[:: max(1, len(part) // count)] for part in (rows, sample))
    found = _worse_than_zero(model, some, objective, seed, threads)
    if not found and _is_still(model, sample, objective, threads):
        found = "no hidden unit varies over the rows, so the energy is that of a single Gaussian"
    return f"{found}. {remedy(model.sigma, sample)}" if found else ""


def _worse_than_zero(
    model: ScoreModel, rows: Array, objective: ObjectiveOptions, seed: int, threads: int | None
) -> str:
    """Return what to say of a score that is worse than one of zero; else "".

    The objectives with Gaussian noise have the same least score, and differ by constants: "dsm",
    which of a score of zero is n_features / (2 sigma^2), speaks for all of them. So does "ism",
    which of a score of zero is 0, for those without noise. Points with features overwritten have no
    score to learn.
    """
    if objective.corruption != "gaussian":
        return ""
    name = "dsm" if objective.kind.noisy else "ism"
    of_noise = rows.shape[1] / (2 * model.sigma**2)
    zero = of_noise if name == "dsm" else 0.0
    try:
        value = loss(model, rows, name, seed=seed, threads=threads)
    except ValueError:  # of squares that the precision does not hold; there is a result
        return ""
    if not value > zero + MARGIN * of_noise:
        return ""
    return (
        f"the trained score is worse than a score of zero: {name} on the rows is {value:.4g}, and "
        f"that of a score of zero is {zero:.4g}"
    )


def _is_still(
    model: ScoreModel, rows: Array, objective: ObjectiveOptions, threads: int | None
) -> bool:
    """Whether all rows have the same reconstruction, up to very little, though they differ.

    Of a feature with variance s^2, the best reconstruction of noisy points varies by s^2 / (s^2 +
    sigma^2) of what the rows do. Without noise it is 1 - sigma^2 / s^2, and nothing if sigma is
    above s. Where features are overwritten, the rows themselves are best.
    """
    _, spreads = _mean_and_spread(rows)
    _, moved = _mean_and_spread(model.denoise(rows, threads=threads))
    ratio = np.square(model.sigma / np.where(spreads > 0, spreads, np.inf))
    best: float | Array = 1.0
    if objective.corruption == "gaussian":
        best = 1 / (1 + ratio) if objective.kind.noisy else np.maximum(0.0, 1 - ratio)
    return _root(moved) < NOTHING * _root(best * spreads)


def _mean_and_spread(rows: Array) -> tuple[Array, Array]:
    """Return the mean of each feature and its standard deviation."""
    unit = float(np.abs(rows).max()) or 1.0  # or squares might not be finite
    values = rows.astype(np.float64) / unit
    return unit * values.mean(axis=0), unit * values.std(axis=0)


def _root(values: Array) -> float:
    """Return the root of the mean of squares."""
    unit = float(np.abs(values).max()) or 1.0
    return unit * float(np.sqrt(np.square(values / unit).mean()))


def remedy(sigma: float, rows: Array) -> str:
    """Return the likely cause of a score that is of no use on rows, and what to try."""
    distance, spread = (_root(part) for part in _mean_and_spread(rows))
    if spread == 0:
        return "All rows are equal, so there is nothing to learn but their place"
    if distance > FAR * spread:
        return (
            f"The rows lie {distance / spread:.0f} times their spread from 0: subtract the mean of "
            "each feature first"
        )
    other = "a larger" if sigma < spread else "a smaller"
    return (
        f"Sigma is {sigma / spread:.2g} times the spread of a feature; try {other} sigma, other "
        "units of the data, more hidden units or more epochs"
    )
