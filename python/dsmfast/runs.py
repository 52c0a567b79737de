"""A run of training: epochs, what comes between them, and how it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsmfast.arrays import Array
from dsmfast.build import __version__
from dsmfast.callbacks import Callback, TrainingState
from dsmfast.model import ScoreModel
from dsmfast.objectives import Task
from dsmfast.progress import Progress, progress
from dsmfast.results import DivergenceError, TrainingResult
from dsmfast.steps import Plan, State

__all__ = ["Patience", "Run"]


class Patience:
    """Early stopping: the best state so far, and how long ago it was.

    Parameters
    ----------
    epochs : int
        How many without a better validation loss end training.
    tolerance : float
        By how much a loss has to be lower to be better.
    """

    def __init__(self, epochs: int, tolerance: float) -> None:
        self._epochs = epochs
        self._tolerance = tolerance
        self._least = np.inf
        self._waited = 0
        self.best: State | None = None

    def judge(self, state: State, validation_loss: float) -> bool:
        """Keep the state if it is the best so far; return whether patience has come to an end."""
        self._waited += 1
        if validation_loss < self._least - self._tolerance:
            self._least, self._waited = validation_loss, 0
            self.best = state.copy()
        return self._waited >= self._epochs


@dataclass
class Run:
    """All that a run consists of; :meth:`finish` takes it from where its state is to the end.

    Attributes
    ----------
    plan : Plan
        What stays the same.
    state : State
        What moves.
    sigmas : list of float
        Sigma of each epoch, or one for all.
    names : list of str
        Of the history's columns.
    options : dict
        How the user asked for it, for the model's record.
    held_out : Task, optional
        The objective on validation rows.
    callbacks : tuple of Callback
        Who listens.
    patience : Patience, optional
        When to end early.
    progress : bool, optional
        Whether to show progress; by default on a terminal.
    """

    plan: Plan
    state: State
    sigmas: list[float]
    names: list[str]
    options: dict[str, Any]
    held_out: Task | None = None
    callbacks: tuple[Callback, ...] = ()
    patience: Patience | None = None
    progress: bool | None = None
    entries: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._first_epoch = self.state.epochs

    @property
    def epochs_done(self) -> int:
        """How many epochs this run has finished; its state may have had some before."""
        return self.state.epochs - self._first_epoch

    def finish(self) -> TrainingResult:
        """Train until the last epoch, or until something ends it before."""
        told = TrainingState(self.plan.epochs, self._model)
        try:
            with progress(self.progress, self.plan.epochs, self.plan.source.shape[0]) as shown:
                return self._result(self._epochs(told, shown))
        except DivergenceError:
            raise
        except BaseException as error:
            # Nothing is lost by what a callback or a function of the user raises.
            error.result = self._result("error")  # type: ignore[attr-defined]
            raise

    def _epochs(self, told: TrainingState, shown: Progress) -> str:
        """Run the epochs; return why they ended."""
        try:
            self._tell("on_train_begin", told)
            reason = "callback" if told.stopped else "finished"
            while not told.stopped and self.epochs_done < self.plan.epochs:
                ended = self._epoch(told, shown)
                if ended is not None:
                    reason = ended
                    break
        except KeyboardInterrupt:  # outside the kernels
            reason = "interrupted"
        if self.patience is not None and self.patience.best is not None:
            self.state = self.patience.best
        self._tell("on_train_end", told)
        return reason

    def _epoch(self, told: TrainingState, shown: Progress) -> str | None:
        """Run one epoch and what follows it; return why it is the last, if it is."""
        plan, state = self.plan, self.state
        begin = time.perf_counter()
        state.sigma = self.sigmas[self.epochs_done if len(self.sigmas) > 1 else 0]
        end = plan.epoch(state, lambda: self._between(shown))
        seconds = time.perf_counter() - begin
        if end.diverged_at is not None:
            raise self._divergence(end.diverged_at)
        if end.loss is None:
            return "interrupted"
        entry = {"loss": end.loss, "seconds": seconds, "sigma": state.sigma}
        self.entries.append(entry)
        if self.held_out is not None:
            entry["validation_loss"] = np.nan  # until it is known
            entry["validation_loss"] = plan.validation_loss(state, self.held_out)
        if end.interrupted:
            return "interrupted"
        shown.epoch(self.epochs_done, end.loss, entry.get("validation_loss"))
        told.loss, told.seconds = end.loss, seconds
        told.validation_loss = entry.get("validation_loss")
        impatient = self.patience is not None and self.patience.judge(
            state, entry["validation_loss"]
        )
        self._tell("on_epoch_end", told)
        if told.stopped:
            return "callback"
        return "patience" if impatient else None

    def _between(self, shown: Progress) -> None:
        """Do what is due between two pieces of an epoch."""
        rows = self.plan.source.shape[0]
        seen = min(rows, len(self.state.sums) * self.plan.batch_size)
        shown.rows(self.epochs_done * rows + seen)

    def _tell(self, event: str, told: TrainingState) -> None:
        if not self.callbacks:
            return
        state = self.state
        told.epoch, told.steps, told.sigma = self.epochs_done, state.steps, state.sigma
        told.learning_rate = float(self.plan.rates(max(state.steps - 1, 0), 1)[0])
        for callback in self.callbacks:
            getattr(callback, event)(told)

    def _model(self, **record: Any) -> ScoreModel:
        """Return the parameters as they are now, with how they came to be."""
        state = self.state
        done = {"version": __version__, "steps": state.steps, "epochs_done": self.epochs_done}
        return ScoreModel(
            *state.parameters, sigma=state.sigma, training={**self.options, **done, **record}
        )

    def _result(self, reason: str) -> TrainingResult:
        names = self.names
        history: dict[str, Array] = {n: np.array([e[n] for e in self.entries]) for n in names}
        best = self.patience.best if self.patience is not None else None
        return TrainingResult(
            self._model(stop_reason=reason),
            history,
            self.state.steps,
            reason,
            self.plan.path.name,
            best.epochs - self._first_epoch if best is not None else None,
            self.state,
        )

    def _divergence(self, step: int) -> DivergenceError:
        plan = self.plan
        cure = f"try a smaller learning_rate than {plan.learning_rate:g}"
        if step == 0:
            cure = f"the data are too large for {plan.task.x.dtype}: scale them"
        return DivergenceError(
            f"training diverged at step {step}: the loss or the parameters are not finite; {cure}. "
            "The last finite state is in this error's `result`",
            self._result("diverged"),
        )
