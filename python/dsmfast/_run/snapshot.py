"""What a run has come to: one value, which a run takes over by one assignment.

Ctrl-C may come between any two instructions. Whatever it finds is the run before an event or after
it, and never half of one: state, history and early stopping are replaced together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from dsmfast.results import History, State

__all__ = ["Snapshot", "Waiting"]


@dataclass(frozen=True, eq=False)
class Waiting:
    """What early stopping remembers: the state of the least validation loss, and epochs since."""

    best: State | None = None
    least: float = np.inf
    waited: int = 0


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a run has come to."""

    state: State
    entries: tuple[dict[str, float], ...] = ()  # of epochs; a loss that is not known yet is NaN
    waiting: Waiting = field(default_factory=Waiting)
    stop_reason: str | None = None  # once it has ended

    @property
    def last(self) -> dict[str, float]:
        """The entry of the last epoch."""
        return self.entries[-1] if self.entries else {}

    @property
    def is_judged(self) -> bool:
        """Whether the last epoch's validation loss is known, if there is to be one."""
        return not np.isnan(self.last.get("validation_loss", 0.0))

    def after_epoch(self, state: State, entry: dict[str, float]) -> Snapshot:
        """Return the snapshot with an epoch more."""
        return replace(self, state=state.after_epoch(), entries=(*self.entries, entry))

    def judged(self, validation_loss: float, waiting: Waiting) -> Snapshot:
        """Return the snapshot with the last epoch's validation loss."""
        entry = {**self.last, "validation_loss": validation_loss}
        return replace(self, entries=(*self.entries[:-1], entry), waiting=waiting)

    def history(self, names: list[str]) -> History:
        """Return the history by columns."""
        return {name: np.array([entry[name] for entry in self.entries]) for name in names}
