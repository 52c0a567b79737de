"""How the learning rate moves through a run, and sigma from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import (
    Array,
    as_choice,
    as_real,
    as_real_array,
    as_scalar,
    as_sigma,
    describe,
)

__all__ = ["SCHEDULES", "SigmaSchedule", "as_schedule", "as_sigmas", "has_schedule"]

SigmaSchedule = float | str | Sequence[float] | npt.NDArray[Any] | Callable[[int], float]

_BY_NAME: dict[str, Callable[[Array], Array]] = {
    "constant": np.ones_like,
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: 0.5 * (1 + np.cos(np.pi * progress)),
}

SCHEDULES = ("linear", "cosine", "constant")


def as_schedule(schedule: object) -> Callable[[Array], Array]:
    """Return a function from fractions of the run, in [0, 1), to factors of the learning rate."""
    if callable(schedule):
        function = schedule

        def factors(progress: Array) -> Array:
            return np.array(
                [as_real(function(float(p)), f"schedule({p:g})", inclusive=True) for p in progress]
            )

        return factors
    if not isinstance(as_scalar(schedule), str):
        raise TypeError(f"schedule: expected a name or a callable, got {describe(schedule)}")
    return _BY_NAME[as_choice(schedule, "schedule", tuple(_BY_NAME))]


def has_schedule(sigma: object) -> bool:
    """Whether sigma has an entry for each epoch, or is a function of it."""
    if isinstance(sigma, np.ndarray):
        return sigma.ndim > 0
    return callable(sigma) or (
        isinstance(sigma, Sequence) and not isinstance(sigma, (str, bytes, bytearray))
    )


def as_sigmas(
    sigma: object, epochs: int, dtype: np.dtype[Any], select: Callable[[], float]
) -> list[float]:
    """Return sigma for each epoch, or one for all: a number, "auto", a sequence or a function.

    Everything is checked before the first step.
    """
    if isinstance(name := as_scalar(sigma), str):
        if name != "auto":
            raise ValueError(f"sigma: expected a number or 'auto', got {sigma!r}")
        return [as_sigma(select(), dtype)]
    if callable(sigma):
        numbers = range(1, max(epochs, 1) + 1)
        return [as_sigma(sigma(epoch), dtype, f"sigma({epoch})") for epoch in numbers]
    if has_schedule(sigma):
        widths = as_real_array(sigma, "sigma")
        if widths.shape != (epochs,) or epochs == 0:
            raise ValueError(
                f"sigma: expected one entry for each of {epochs} epochs, got shape {widths.shape}"
            )
        return [as_sigma(value, dtype, f"sigma[{i}]") for i, value in enumerate(widths.tolist())]
    return [as_sigma(sigma, dtype)]
