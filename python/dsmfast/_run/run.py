"""A run of training: epochs, what comes between them, and how it ends."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from weakref import proxy

import numpy as np

from dsmfast._objective.task import Task
from dsmfast._run.checkpoints import Checkpoint
from dsmfast._run.distributed import World
from dsmfast._run.listeners import Listeners
from dsmfast._run.snapshot import Snapshot
from dsmfast._run.stepper import Divergence, Stepper
from dsmfast._run.stopping import EarlyStopping
from dsmfast._system.build import __version__
from dsmfast._system.progress import Progress, progress
from dsmfast._system.warn import warn
from dsmfast.callbacks import Callback
from dsmfast.model import ScoreModel
from dsmfast.results import DivergenceError, State, TrainingResult

__all__ = ["Plan", "Run"]

ENDS = ("finished", "patience", "callback")  # after which there is nothing to go on with


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run is to do beside its steps."""

    sigmas: list[float]  # of each epoch, or one for all
    epochs: int
    names: list[str]  # of the history's columns
    record: dict[str, Any]  # how the user asked for it, for the model
    held_out: Task | None  # the objective on validation rows
    stopping: EarlyStopping | None
    callbacks: tuple[Callback, ...]
    progress: bool | None
    checkpoint: Checkpoint | None
    feature_names: tuple[str, ...] | None  # of the model


class Run:
    """A run; :meth:`finish` takes it from where its state is to the end.

    Whatever it comes to is in ``snapshot``, which is replaced by one assignment, and catches up
    with steps that have landed in its arrays. Of the ranks of a world, the first writes, shows and
    calls back; the others are told.
    """

    def __init__(self, plan: Plan, stepper: Stepper, state: State, world: World | None) -> None:
        self._snapshot = Snapshot(state, [])
        self._plan = plan
        self._stepper = stepper
        self._world = world
        self._first_epoch = state.epochs
        self._begin = time.perf_counter()  # of the epoch

    @property
    def snapshot(self) -> Snapshot:
        """What the run has come to."""
        state = self._snapshot.state
        now = self._stepper.caught_up(state)
        if now is not state:
            self._snapshot = self._after_piece(now)
        return self._snapshot

    @property
    def epochs_done(self) -> int:
        """How many epochs this run has finished; its state may have had some before."""
        return self.snapshot.state.epochs - self._first_epoch

    def resume(self) -> None:
        """Go back to what the checkpoint holds, if anything."""
        kept, error = None, None
        try:
            kept = self._plan.checkpoint.load() if self._plan.checkpoint is not None else None
        except (OSError, ValueError) as caught:
            error = caught
        if self._world is not None:
            self._world.agree(error)
            kept = self._world.from_first(kept)
        elif error is not None:
            raise error
        if kept is not None:
            self._snapshot = kept

    def finish(self) -> TrainingResult:
        """Train until the last epoch, or until something ends it before."""
        reason = self.snapshot.stop_reason
        if reason in ENDS:
            return self._result(reason)
        # Listeners know the run. It knows them no longer than this lasts: its arrays would wait for
        # the collector of cycles.
        listeners = self._listeners_of_it()
        self._listeners = proxy(listeners)
        reason = "interrupted"
        try:
            try:
                with self._progress() as shown:
                    reason = self._epochs(shown)
            except KeyboardInterrupt:
                self._refuse_if_distributed()
            try:
                self._tell("on_train_end")
            except KeyboardInterrupt:
                self._refuse_if_distributed()
            self._keep(reason, last=True)
            return self._result(reason)
        except KeyboardInterrupt:  # one more, at the end of it all
            return self._result(reason)
        except BaseException as error:
            # Nothing is lost by what a callback, a source of data or a disk does.
            self._fail(error)
            raise

    def _epochs(self, shown: Progress) -> str:
        """Run the epochs; return why they ended."""
        self._tell("on_train_begin")
        reason = "callback" if self._listeners.stopped else "finished"
        if not self.snapshot.is_judged:  # resumed in the midst of it
            reason = self._after_epoch(shown) or reason
        while reason == "finished" and self.epochs_done < self._plan.epochs:
            reason = self._epoch(shown) or reason
            self._keep()
        return reason

    def _epoch(self, shown: Progress) -> str | None:
        """Run one epoch and what follows it; return why it is the last, if it is."""
        done, self._begin = self.epochs_done, time.perf_counter()
        sigmas = self._plan.sigmas
        state = self.snapshot.state._replace(sigma=sigmas[done if len(sigmas) > 1 else 0])
        interrupted = False
        try:
            with closing(self._stepper.epoch(state)) as states:
                for _ in states:
                    if self.epochs_done == done:
                        self._between(shown)
        except Divergence as end:
            raise self._divergence(end.step) from None
        except KeyboardInterrupt:
            if self.epochs_done == done:
                raise
            interrupted = True  # when the epoch was over
        ended = self._after_epoch(shown)
        return "interrupted" if interrupted else ended

    def _after_piece(self, state: State) -> Snapshot:
        """Return the snapshot after steps, and after the epoch if they were its last."""
        stepper = self._stepper
        if len(state.sums) < stepper.steps_an_epoch:
            return self._snapshot._replace(state=state)
        loss = stepper.windows.first.value(
            state.sigma, float(state.sums.sum()), stepper.draws.count, stepper.rows
        )
        seconds = time.perf_counter() - self._begin
        entry = {"loss": loss, "seconds": seconds, "sigma": state.sigma}
        if self._plan.held_out is not None:
            entry["validation_loss"] = np.nan  # until it is known
        return self._snapshot.after_epoch(state, entry)

    def _after_epoch(self, shown: Progress) -> str | None:
        """Validate, and tell of the epoch; return why it is the last, if it is."""
        plan, snapshot = self._plan, self.snapshot
        impatient = False
        if plan.held_out is not None:
            loss = self._stepper.validation_loss(snapshot.state, plan.held_out)
            waiting = snapshot.waiting
            if plan.stopping is not None:
                waiting = plan.stopping.judge(waiting, snapshot.state, loss)
                impatient = plan.stopping.is_over(waiting)
            self._snapshot = snapshot = snapshot.judged(loss, waiting)
        entry = snapshot.last or {}
        shown.epoch(self.epochs_done, entry["loss"], entry.get("validation_loss"))
        self._tell("on_epoch_end")
        if self._listeners.stopped:
            return "callback"
        return "patience" if impatient else None

    def _between(self, shown: Progress) -> None:
        """Do what is due between two pieces of an epoch."""
        stepper = self._stepper
        seen = min(stepper.rows, len(self.snapshot.state.sums) * stepper.batch_size)
        shown.rows(self.epochs_done * stepper.rows + seen)
        self._keep()

    @property
    def _is_follower(self) -> bool:
        return self._world is not None and self._world.rank > 0

    def _progress(self) -> Progress:
        shows = False if self._is_follower else self._plan.progress
        rows = self._stepper.rows
        return progress(shows, self._plan.epochs, rows, self.epochs_done * rows)

    def _listeners_of_it(self) -> Listeners:
        plan, rates = self._plan, self._stepper.rates
        return Listeners(plan.callbacks, plan.epochs, rates, self._model, self._world)

    def _tell(self, event: str) -> None:
        self._listeners.tell(event, self.snapshot, self.epochs_done)

    def _keep(self, reason: str | None = None, *, last: bool = False) -> None:
        """Write the checkpoint, if one is asked for and due, or if the run ends.

        A write that fails on the way is told and tried again; the last one has to succeed.
        """
        checkpoint = self._plan.checkpoint
        if checkpoint is None or self._is_follower:
            return
        if reason is None and not checkpoint.is_due():
            return
        try:
            checkpoint.save(self.snapshot._replace(stop_reason=reason))
        except OSError as error:
            if last:
                raise
            warn(f"checkpoint: {error}; dsmfast tries again later")

    def _refuse_if_distributed(self) -> None:
        """Raise where a Ctrl-C of one rank would leave the others waiting."""
        if self._world is not None:
            raise RuntimeError("interrupted") from None

    def _fail(self, error: BaseException) -> None:
        """Hand back what there is with an error, keep it, and end other ranks."""
        diverged = isinstance(error, DivergenceError)
        if not diverged:
            with suppress(AttributeError, TypeError):  # an error may have a `result` of its own
                error.result = self._result("error")  # type: ignore[attr-defined]
        self._keep("diverged" if diverged else "error")
        if self._world is not None and not diverged:
            self._world.end(error)

    def _model(self, state: State | None = None, **record: Any) -> ScoreModel:
        """Return the parameters of a state, by default as it is now, with how they came to be."""
        state = state or self.snapshot.state
        epochs = state.epochs - self._first_epoch
        done = {"version": __version__, "steps": state.steps, "epochs_done": epochs}
        return ScoreModel(
            *state.parameters,
            sigma=state.sigma,
            training={**self._plan.record, **done, **record},
            feature_names=self._plan.feature_names,
        )

    def _result(self, reason: str) -> TrainingResult:
        snapshot = self.snapshot
        self._stepper.memory.free()  # before the model is copied
        best = None if reason in ("diverged", "error") else snapshot.waiting.best
        final = snapshot.state if best is None else best
        return TrainingResult(
            self._model(final, stop_reason=reason),
            snapshot.history(self._plan.names),
            final.steps,
            reason,
            self._stepper.path.name,
            best.epochs - self._first_epoch if best is not None else None,
            final,
        )

    def _divergence(self, step: int) -> DivergenceError:
        stepper = self._stepper
        cure = f"try a smaller learning_rate than {stepper.rates.first:g}"
        if step == 0:
            dtype = self.snapshot.state.parameters[0].dtype
            cure = f"the data are too large for {dtype}: scale them"
        return DivergenceError(
            f"training diverged at step {step}: the loss or the parameters are not finite; {cure}. "
            "The last finite state is in this error's `result`",
            self._result("diverged"),
        )
