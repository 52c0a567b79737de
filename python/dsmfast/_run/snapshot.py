"""What a run has come to: one value, which a run takes over by one assignment.

Ctrl-C may come between any two instructions. Whatever it finds is the run before an event or after
it, and never half of one: state, history and early stopping are replaced together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dsmfast.results import History, State

__all__ = ["Snapshot", "Waiting"]


class Waiting(NamedTuple):
    """What early stopping remembers: the state of the least validation loss, and epochs since."""

    best: State | None = None
    least: float = np.inf
    waited: int = 0


class Snapshot(NamedTuple):
    """What a run has come to.

    The history is what ``counted`` says of ``earlier``, a list that snapshots share and add to, and
    the last entry. What was added by a snapshot that was never taken over is not counted.
    """

    state: State
    earlier: list[dict[str, float]]
    counted: int = 0
    last: dict[str, float] | None = None  # of the last epoch; a loss not known yet is NaN
    waiting: Waiting = Waiting()
    stop_reason: str | None = None  # once it has ended

    @property
    def entries(self) -> list[dict[str, float]]:
        """The history, epoch by epoch."""
        return self.earlier[: self.counted] + ([] if self.last is None else [self.last])

    @property
    def is_judged(self) -> bool:
        """Whether the last epoch's validation loss is known, if there is to be one."""
        return self.last is None or not np.isnan(self.last.get("validation_loss", 0.0))

    def after_epoch(self, state: State, entry: dict[str, float]) -> Snapshot:
        """Return the snapshot with an epoch more."""
        counted = self.counted
        if self.last is not None:
            self.earlier[counted:] = [self.last]
            counted += 1
        return self._replace(state=state.after_epoch(), counted=counted, last=entry)

    def judged(self, validation_loss: float, waiting: Waiting) -> Snapshot:
        """Return the snapshot with the last epoch's validation loss."""
        entry = {**(self.last or {}), "validation_loss": validation_loss}
        return self._replace(last=entry, waiting=waiting)

    def history(self, names: list[str]) -> History:
        """Return the history by columns."""
        return {name: np.array([entry[name] for entry in self.entries]) for name in names}
