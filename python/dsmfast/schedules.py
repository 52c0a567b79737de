"""How the learning rate moves through a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsmfast.arrays import Array, as_choice, as_real, describe

__all__ = ["as_schedule"]

_BY_NAME: dict[str, Callable[[Array], Array]] = {
    "constant": np.ones_like,
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: 0.5 * (1 + np.cos(np.pi * progress)),
}


def as_schedule(schedule: object) -> Callable[[Array], Array]:
    """Return a function from fractions of the run, in [0, 1), to factors of the learning rate."""
    if callable(schedule):
        function = schedule

        def factors(progress: Array) -> Array:
            return np.array(
                [as_real(function(float(p)), f"schedule({p:g})", inclusive=True) for p in progress]
            )

        return factors
    if not isinstance(schedule, str):
        raise TypeError(f"schedule: expected a name or a callable, got {describe(schedule)}")
    return _BY_NAME[as_choice(schedule, "schedule", tuple(_BY_NAME))]
