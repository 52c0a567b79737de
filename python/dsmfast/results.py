"""What training hands back."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from dsmfast.arrays import Array
from dsmfast.model import ScoreModel
from dsmfast.steps import State

__all__ = ["DivergenceError", "History", "TrainingResult"]

History = dict[str, Array]


@dataclass(frozen=True)
class TrainingResult:
    """What :func:`train` hands back.

    Attributes
    ----------
    model : ScoreModel
        The trained model; with ``patience``, that of the best epoch.
    history : dict of str to ndarray
        One entry per finished epoch: ``"loss"``, the mean training objective over the epoch's
        steps; ``"seconds"``, its duration; ``"validation_loss"`` where validation was asked (NaN
        if Ctrl-C came while it was worked out); ``"sigma"`` where it had a schedule.
    steps : int
        Parameter updates of the model, those of an unfinished epoch included.
    stop_reason : str
        ``"finished"``, ``"patience"`` (no better validation loss for so long), ``"callback"``,
        ``"interrupted"`` (Ctrl-C), ``"diverged"`` or ``"error"`` (a callback raised one).
    path : str
        Where steps were worked out: ``"explicit"`` or ``"gram"``.
    best_epoch : int or None
        With ``patience``, the epoch of the least validation loss, from 1; None before the first.
    state : State
        What ``train(init=result)`` goes on from: the model with what the optimizer remembers.
    """

    model: ScoreModel
    history: History
    steps: int
    stop_reason: str
    path: str
    best_epoch: int | None = None
    state: State | None = field(default=None, repr=False, compare=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, as :meth:`ScoreModel.save` does."""
        self.model.save(path)


class DivergenceError(ArithmeticError):
    """Training left the finite numbers.

    Attributes
    ----------
    result : TrainingResult
        The last finite state.
    """

    def __init__(self, message: str, result: TrainingResult) -> None:
        super().__init__(message)
        self.result = result
