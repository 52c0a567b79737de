"""What training hands back, and what it says on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsmfast.arrays import Array
from dsmfast.model import ScoreModel

__all__ = ["DivergenceError", "Epoch", "TrainingResult"]

History = dict[str, Array]


@dataclass(frozen=True)
class TrainingResult:
    """What :func:`train` hands back.

    Attributes
    ----------
    model : ScoreModel
        The trained model.
    history : dict of str to ndarray
        One entry per finished epoch: ``"loss"``, the mean training objective over the epoch's
        steps; ``"seconds"``, its duration; ``"validation_loss"`` where validation was asked (NaN
        if Ctrl-C came while it was worked out); ``"sigma"`` where it had a schedule.
    steps : int
        Parameter updates done, those of an unfinished epoch included.
    stop_reason : str
        ``"finished"``, ``"callback"``, ``"interrupted"`` (Ctrl-C) or ``"diverged"``.
    path : str
        Where steps were worked out: ``"explicit"`` or ``"gram"``.
    """

    model: ScoreModel
    history: History
    steps: int
    stop_reason: str
    path: str


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


class Epoch:
    """What a callback is told after each epoch.

    Attributes
    ----------
    number : int
        Epochs finished, from 1.
    loss : float
        Mean training objective over the epoch.
    validation_loss : float or None
        Objective on the validation rows, on noise that is the same in every epoch.
    sigma : float
        Standard deviation of the noise, and the model's.
    seconds : float
        Duration of the epoch.
    steps : int
        Updates since the start.
    model : ScoreModel
        A copy of the model as it is now.

    ``stop()`` ends training after this epoch.
    """

    def __init__(
        self, number: int, entry: dict[str, float], steps: int, model: Callable[[], ScoreModel]
    ) -> None:
        self.number = number
        self.loss = entry["loss"]
        self.validation_loss = entry.get("validation_loss")
        self.sigma = entry["sigma"]
        self.seconds = entry["seconds"]
        self.steps = steps
        self.stopped = False
        self._model = model

    def __repr__(self) -> str:
        held_out = "" if self.validation_loss is None else f", held out {self.validation_loss:.5g}"
        return f"<epoch {self.number}: loss {self.loss:.5g}{held_out}, {self.steps} steps>"

    @property
    def model(self) -> ScoreModel:
        """A copy of the model as it is now."""
        return self._model()

    def stop(self) -> None:
        """End training after this epoch."""
        self.stopped = True
