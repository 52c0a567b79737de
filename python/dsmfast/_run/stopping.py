"""Early stopping: when validation losses have not become better for too long."""

from __future__ import annotations

from dataclasses import dataclass

from dsmfast._run.snapshot import Waiting
from dsmfast.results import State

__all__ = ["EarlyStopping"]


@dataclass(frozen=True)
class EarlyStopping:
    """The rule."""

    patience: int  # epochs without a better validation loss that end training
    tolerance: float  # by how much a loss has to be lower to be better

    def judge(self, waiting: Waiting, state: State, validation_loss: float) -> Waiting:
        """Return what to remember after an epoch that ended in this state."""
        if validation_loss < waiting.least - self.tolerance:
            return Waiting(state.copy(), validation_loss, 0)
        return Waiting(waiting.best, waiting.least, waiting.waited + 1)

    def is_over(self, waiting: Waiting) -> bool:
        """Whether patience has come to an end."""
        return waiting.waited >= self.patience
