"""Steps: the state that training moves, and how an epoch moves it in few calls of the kernels."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast.arrays import Array
from dsmfast.model import ScoreModel
from dsmfast.objectives import Task
from dsmfast.optimizers import Optimizer
from dsmfast.sources import Source

__all__ = ["EpochEnd", "Plan", "State"]

Triple = tuple[Array, Array, Array]

PIECE = 0.2  # seconds of a call of the kernels, about: how often progress is shown


class State:
    """Parameters, and what the optimizer remembers of them; twice, so that a run can be undone.

    With the numbers of steps and finished epochs, which say where in the noise stream and in the
    orders of rows training goes on, and what the steps of an unfinished epoch have summed up of
    the objective, it is all that there is to know of a run so far.
    """

    def __init__(self, model: ScoreModel, moments: int) -> None:
        self.sigma = model.sigma
        self.steps = 0
        self.epochs = 0
        self.sums: list[float] = []
        parameters = (model.W, model.b, model.c)
        self.arrays: list[Triple] = [_like(parameters, np.copy)]
        self.arrays += [_like(parameters, np.zeros_like) for _ in range(moments)]
        self.next = [_like(triple, np.empty_like) for triple in self.arrays]

    @classmethod
    def at(
        cls, arrays: list[Triple], *, sigma: float, steps: int, epochs: int, sums: list[float]
    ) -> State:
        """Return the state with these values, which are not copied."""
        state = cls.__new__(cls)
        values = {"arrays": arrays, "sigma": sigma, "steps": steps, "epochs": epochs, "sums": sums}
        state.__setstate__(values)
        return state

    @property
    def parameters(self) -> Triple:
        """(W, b, c)."""
        return self.arrays[0]

    def move(self, sums: Array) -> None:
        """Take over what steps with these sums of the objective have left in ``next``."""
        self.arrays, self.next = self.next, self.arrays
        self.steps += len(sums)
        self.sums += sums.tolist()

    def end_epoch(self) -> Array:
        """Count an epoch as finished; return its sums."""
        sums = np.array(self.sums)
        self.epochs += 1
        self.sums = []
        return sums

    def copy(self) -> State:
        """Return a state that later steps do not move."""
        other = copy(self)
        other.arrays = [_like(triple, np.copy) for triple in self.arrays]
        other.next = [_like(triple, np.empty_like) for triple in self.arrays]
        return other

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "next"}

    def __setstate__(self, values: dict[str, object]) -> None:
        vars(self).update(values)
        self.next = [_like(triple, np.empty_like) for triple in self.arrays]


def _like(triple: Triple, make: Callable[[Array], Array]) -> Triple:
    W, b, c = triple
    return make(W), make(b), make(c)


@dataclass(frozen=True)
class EpochEnd:
    """How an epoch ended."""

    loss: float | None = None  # mean over the epoch; None where it was cut short
    interrupted: bool = False  # by Ctrl-C
    diverged_at: int | None = None  # the step whose loss, or whose parameters, are not finite


@dataclass(frozen=True)
class Plan:
    """Everything that stays the same from step to step."""

    task: Task
    source: Source
    optimizer: Optimizer
    learning_rate: float
    schedule: Callable[[Array], Array]
    epochs: int
    first_step: int
    batch_size: int
    draws: int
    antithetic: bool
    path: _core.Path
    seed: int
    threads: int
    memory: _core.WorkingMemory = field(default_factory=_core.WorkingMemory, repr=False)

    def steps_of(self, rows: int) -> int:
        """Return how many steps so many rows take."""
        return -(-rows // self.batch_size)

    def rates(self, first_step: int, steps: int) -> Array:
        """Learning rate of each step, by how much of the run lies behind it."""
        taken = first_step - self.first_step + np.arange(steps)
        progress = taken / max(1, self.epochs * self.steps_of(self.source.shape[0]))
        return np.ascontiguousarray(self.learning_rate * self.schedule(progress))

    def run(self, state: State, task: Task, order: npt.NDArray[np.int64], sums: Array) -> bool:
        """Take the steps of ``order``, rows of the task, into the state's ``next``.

        Return whether that is finite. ``sums`` gets each step's sum over rows and draws.
        """
        return _core.train(
            state.arrays,
            state.next,
            self.optimizer.compiled(state.steps),
            task.regression(
                state.sigma,
                seed=self.seed,
                step=state.steps % 2**32,
                draws=self.draws,
                antithetic=self.antithetic,
                path=self.path,
            ),
            order,
            self.batch_size,
            self.rates(state.steps, len(sums)),
            sums,
            self.memory,
            self.threads,
        )

    def mean_loss(self, sigma: float, sums: Array, rows: int) -> float:
        """Return the objective, from the sums of the steps over so many rows."""
        return self.task.objective.factor(sigma) * float(sums.sum()) / (rows * self.draws)

    def epoch(self, state: State, between: Callable[[], object]) -> EpochEnd:
        """Run an epoch, or what is left of it; where it diverges, go as far as it is finite.

        It is cut into pieces of about a fifth of a second, with a call of ``between`` between them.
        Where the cuts are does not matter to the bits.
        """
        end = EpochEnd()
        rows, columns = self.source.shape
        steps = self.steps_of(rows)
        operations = 10 * self.draws * self.batch_size * columns * state.parameters[1].size
        seconds_a_step = operations / 2e10  # a guess, until the first piece is measured
        for first, window in self.source.windows(self.seed, state.epochs + 1, len(state.sums)):
            last = first + self.steps_of(len(window.order))
            while (done := len(state.sums)) < last:
                if done > 0:
                    between()
                count = int(min(max(1, PIECE / seconds_a_step), 2**31))
                begin_row = (done - first) * self.batch_size
                piece = window.order[begin_row : begin_row + count * self.batch_size]
                begin = time.perf_counter()
                end = self._piece(state, window.task, piece)
                if end.diverged_at is not None or (end.interrupted and len(state.sums) < steps):
                    return end
                seconds_a_step = (time.perf_counter() - begin) / self.steps_of(len(piece))
        return EpochEnd(self.mean_loss(state.sigma, state.end_epoch(), rows), end.interrupted)

    def _piece(self, state: State, task: Task, order: npt.NDArray[np.int64]) -> EpochEnd:
        """Take the steps of a piece, or as many as come before it is interrupted or diverges."""
        sums = np.full(self.steps_of(len(order)), np.nan)
        interrupted = finite = False
        try:
            finite = self.run(state, task, order, sums)
        except KeyboardInterrupt:
            interrupted = True
        good = np.isfinite(sums)
        done = len(sums) if good.all() else int(np.argmin(good))
        if interrupted and done > 0:
            finite = all(_core.first_bad_row(np.atleast_2d(p), 1) < 0 for p in state.next[0])
        elif interrupted:
            return EpochEnd(interrupted=True)
        if not finite:
            step = state.steps + done
            self._advance(state, task, order, done - 1)
            return EpochEnd(diverged_at=step)
        state.move(sums[:done])
        return EpochEnd(interrupted=interrupted)

    def validation_loss(self, state: State, held_out: Task) -> float:
        """Objective on held-out rows, on a noise stream of its own that never moves."""
        regression = held_out.regression(
            state.sigma,
            seed=self.seed,
            draws=self.draws,
            antithetic=self.antithetic,
            stream=_core.Stream.validation,
            path=self.path,
        )
        total = _core.regression(*state.parameters, regression, 1.0, False, self.threads)
        return held_out.objective.factor(state.sigma) * total / (len(held_out.x) * self.draws)

    def _advance(self, state: State, task: Task, order: npt.NDArray[np.int64], steps: int) -> None:
        """Take so many steps, or as many as end in a finite state, which are the same as before.

        A Ctrl-C on the way settles for none of them.
        """
        for count in range(steps, 0, -1):
            sums = np.full(count, np.nan)
            try:
                if self.run(state, task, order[: count * self.batch_size], sums):
                    state.move(sums)
                    return
            except KeyboardInterrupt:
                return
