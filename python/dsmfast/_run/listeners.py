"""Who hears of a run: callbacks and progress, on the first of several ranks."""

from __future__ import annotations

from collections.abc import Callable

from dsmfast._run.distributed import World
from dsmfast._run.snapshot import Snapshot
from dsmfast._run.stepper import Rates
from dsmfast.callbacks import Callback, TrainingState
from dsmfast.model import ScoreModel

__all__ = ["Listeners"]


class Listeners:
    """Callbacks, and what they are told; ranks but the first only learn whether to stop."""

    def __init__(
        self,
        callbacks: tuple[Callback, ...],
        epochs: int,
        rates: Rates,
        model: Callable[[], ScoreModel],
        world: World | None,
    ) -> None:
        self._callbacks = callbacks if world is None or world.rank == 0 else ()
        self._rates = rates
        self._world = world
        self._told = TrainingState(epochs, model)

    @property
    def stopped(self) -> bool:
        """Whether somebody said to stop."""
        return self._told.stopped

    def tell(self, event: str, snapshot: Snapshot, epoch: int) -> None:
        """Call a method of the callbacks, with what the run has come to after so many epochs."""
        told, state, entry = self._told, snapshot.state, snapshot.last or {}
        told.epoch, told.steps, told.sigma = epoch, state.steps, state.sigma
        told.loss, told.seconds = entry.get("loss"), entry.get("seconds", 0.0)
        told.validation_loss = entry.get("validation_loss")
        if self._callbacks:
            last = max(state.steps - 1, self._rates.first_step)
            told.learning_rate = float(self._rates.of(last, 1)[0])
            for callback in self._callbacks:
                getattr(callback, event)(told)
        if self._world is not None:
            told.stopped = self._world.from_first(told.stopped)
