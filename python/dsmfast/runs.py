"""A run of training: epochs, what comes between them, and how it ends."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsmfast.arrays import Array, as_integer, as_real
from dsmfast.build import __version__
from dsmfast.callbacks import Callback, TrainingState
from dsmfast.checkpoints import Checkpoint, Kept
from dsmfast.distributed import World
from dsmfast.model import ScoreModel
from dsmfast.objectives import Task
from dsmfast.progress import Progress, progress
from dsmfast.results import DivergenceError, TrainingResult
from dsmfast.steps import Plan, State

__all__ = ["Patience", "Run", "as_patience"]

ENDS = ("finished", "patience", "callback")  # after which there is nothing to go on with


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

    @property
    def remembered(self) -> tuple[State | None, dict[str, float]]:
        """The best state so far, and what else there is to remember."""
        known = self.best is not None
        return self.best, {"waited": self._waited, **({"least": self._least} if known else {})}

    def restore(self, best: State | None, rest: dict[str, float]) -> None:
        """Take over what another remembered."""
        self.best = best
        self._least = float(rest.get("least", np.inf))
        self._waited = int(rest.get("waited", 0))

    def judge(self, state: State, validation_loss: float) -> bool:
        """Keep the state if it is the best so far; return whether patience has come to an end."""
        self._waited += 1
        if validation_loss < self._least - self._tolerance:
            self._least, self._waited = validation_loss, 0
            self.best = state.copy()
        return self._waited >= self._epochs


def as_patience(
    patience: object, tolerance: object, validated: bool, moving_sigma: bool
) -> Patience | None:
    """Return how to stop early, if at all."""
    least = as_real(tolerance, "tolerance", inclusive=True)
    if patience is None:
        if least > 0:
            raise ValueError("tolerance: of early stopping, which needs patience")
        return None
    if not validated:
        raise ValueError(
            "patience: needs validation, rows or a fraction of X, whose loss is waited for"
        )
    if moving_sigma:
        raise ValueError("patience: losses at different sigma say nothing of each other")
    return Patience(as_integer(patience, "patience", low=1, high=2**32), least)


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
    checkpoint : Checkpoint, optional
        Where to keep it.
    world : World, optional
        Who trains together. Rank 0 writes, shows and calls back; the others are told.
    entries : list of dict
        The history so far.
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
    checkpoint: Checkpoint | None = None
    world: World | None = None
    entries: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._first_epoch = self.state.epochs

    @property
    def epochs_done(self) -> int:
        """How many epochs this run has finished; its state may have had some before."""
        return self.state.epochs - self._first_epoch

    def resume(self) -> str | None:
        """Go back to what the checkpoint holds, if anything; return why that ended, if it did."""
        kept, error = None, None
        try:
            kept = self.checkpoint.load() if self.checkpoint is not None else None
        except (OSError, ValueError) as caught:
            error = caught
        if self.world is not None:
            self.world.agree(error)
            kept = self.world.from_first(kept)
        elif error is not None:
            raise error
        if kept is None:
            return None
        self.state, self.entries = kept.state, kept.entries
        if self.patience is not None:
            self.patience.restore(kept.best, kept.patience)
        return kept.stop_reason

    def finish(self, resume: bool = False) -> TrainingResult:
        """Train until the last epoch, or until something ends it before."""
        ended = self.resume() if resume else None
        if ended in ENDS:
            return self._result(ended)
        told = TrainingState(self.plan.epochs, self._model)
        rows = self.plan.source.shape[0]
        shows = False if self._is_follower else self.progress
        try:
            with progress(shows, self.plan.epochs, rows, self.epochs_done * rows) as shown:
                reason = self._epochs(told, shown)
            self._keep(reason, last=True)
            return self._result(reason)
        except BaseException as error:
            # Nothing is lost by what a callback, a source of data or a disk does.
            diverged = isinstance(error, DivergenceError)
            if not diverged:
                error.result = self._result("error")  # type: ignore[attr-defined]
            self._keep("diverged" if diverged else "error")
            if self.world is not None and not diverged:
                self.world.end(error)
            raise

    @property
    def _is_follower(self) -> bool:
        return self.world is not None and self.world.rank > 0

    def _keep(self, reason: str | None = None, *, last: bool = False) -> None:
        """Write the checkpoint, if one is asked for and due, or if the run ends.

        A write that fails on the way is told and tried again; the last one has to succeed.
        """
        if self.checkpoint is None or self._is_follower:
            return
        if reason is None and not self.checkpoint.is_due():
            return
        best, waited = (None, {}) if self.patience is None else self.patience.remembered
        kept = Kept(self.state, best, waited, self.entries, reason)
        try:
            self.checkpoint.save(kept)
        except OSError as error:
            if last:
                raise
            warnings.warn(f"checkpoint: {error}; it is tried again", stacklevel=2)

    def _epochs(self, told: TrainingState, shown: Progress) -> str:
        """Run the epochs; return why they ended."""
        try:
            self._tell("on_train_begin", told)
            reason = "callback" if told.stopped else "finished"
            last = self.entries[-1] if self.entries else {}
            if np.isnan(last.get("validation_loss", 0.0)):  # resumed in the midst of it
                reason = self._after_epoch(told, shown) or reason
            while reason == "finished" and self.epochs_done < self.plan.epochs:
                reason = self._epoch(told, shown) or reason
                self._keep()
        except KeyboardInterrupt:  # outside the kernels
            if self.world is not None:  # the others would wait for this rank
                raise RuntimeError("interrupted") from None
            reason = "interrupted"
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
        self.entries.append({"loss": end.loss, "seconds": seconds, "sigma": state.sigma})
        if self.held_out is not None:
            self.entries[-1]["validation_loss"] = np.nan  # until it is known
        ended = self._after_epoch(told, shown)
        return "interrupted" if end.interrupted else ended

    def _after_epoch(self, told: TrainingState, shown: Progress) -> str | None:
        """Validate, and tell of the epoch; return why it is the last, if it is."""
        entry, impatient = self.entries[-1], False
        if self.held_out is not None:
            entry["validation_loss"] = self.plan.validation_loss(self.state, self.held_out)
        if self.patience is not None:
            impatient = self.patience.judge(self.state, entry["validation_loss"])
        told.loss, told.seconds = entry["loss"], entry["seconds"]
        told.validation_loss = entry.get("validation_loss")
        shown.epoch(self.epochs_done, told.loss, told.validation_loss)
        self._tell("on_epoch_end", told)
        if told.stopped:
            return "callback"
        return "patience" if impatient else None

    def _between(self, shown: Progress) -> None:
        """Do what is due between two pieces of an epoch."""
        rows = self.plan.source.shape[0]
        seen = min(rows, len(self.state.sums) * self.plan.batch_size)
        shown.rows(self.epochs_done * rows + seen)
        self._keep()

    def _tell(self, event: str, told: TrainingState) -> None:
        state = self.state
        told.epoch, told.steps, told.sigma = self.epochs_done, state.steps, state.sigma
        if self.callbacks and not self._is_follower:
            told.learning_rate = float(self.plan.rates(max(state.steps - 1, 0), 1)[0])
            for callback in self.callbacks:
                getattr(callback, event)(told)
        if self.world is not None:
            told.stopped = self.world.from_first(told.stopped)

    def _model(self, state: State | None = None, **record: Any) -> ScoreModel:
        """Return the parameters of a state, by default as it is now, with how they came to be."""
        state = state or self.state
        epochs = state.epochs - self._first_epoch
        done = {"version": __version__, "steps": state.steps, "epochs_done": epochs}
        return ScoreModel(
            *state.parameters, sigma=state.sigma, training={**self.options, **done, **record}
        )

    def _result(self, reason: str) -> TrainingResult:
        names = self.names
        history: dict[str, Array] = {n: np.array([e[n] for e in self.entries]) for n in names}
        best = self.patience.best if self.patience is not None else None
        if reason in ("diverged", "error"):
            best = None
        final = self.state if best is None else best
        return TrainingResult(
            self._model(final, stop_reason=reason),
            history,
            final.steps,
            reason,
            self.plan.path.name,
            best.epochs - self._first_epoch if best is not None else None,
            final,
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
