"""Steps: how an epoch is taken in few calls of the kernels."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._checks import Array
from dsmfast._objective.task import Draws, Task
from dsmfast._rows.rows import Windows
from dsmfast.optimizers import Optimizer
from dsmfast.results import State, Triple

__all__ = ["Divergence", "Part", "Rates", "Stepper"]

PIECE = 0.2  # seconds of a call of the kernels, about: how often progress is shown


class Divergence(Exception):  # noqa: N818  (it is caught where it becomes an error)
    """The loss, or the parameters, are not finite after a step."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


@dataclass(frozen=True)
class Rates:
    """The learning rate of each step, by how much of the run lies behind it."""

    first: float
    factors: Callable[[Array], Array]  # from fractions of the run, in [0, 1), to factors of it
    first_step: int  # where the run begins
    steps: int  # of the run

    def of(self, step: int, count: int) -> Array:
        """Return those of so many steps from one on."""
        progress = (step - self.first_step + np.arange(count)) / max(1, self.steps)
        return np.ascontiguousarray(self.first * self.factors(progress))


class Part(NamedTuple):
    """Some rows of an order, one after the other."""

    order: npt.NDArray[np.int64]
    first: int
    rows: int


@dataclass(frozen=True, eq=False)
class Stepper:
    """Everything that stays the same from step to step.

    Steps are written to arrays beside those of the state that they start from, so that a call of
    the kernels can be undone; which of the two is the state is the caller's to say.
    """

    windows: Windows[Task]
    rows: int
    draws: Draws
    path: _core.Path
    optimizer: Optimizer
    rates: Rates
    batch_size: int
    threads: int
    memory: _core.WorkingMemory = field(default_factory=_core.WorkingMemory, repr=False)
    spare: list[list[Triple]] = field(default_factory=list, repr=False)

    def steps_of(self, rows: int) -> int:
        """Return how many steps so many rows take."""
        return -(-rows // self.batch_size)

    @property
    def steps_an_epoch(self) -> int:
        """How many steps an epoch has: windows are of whole batches."""
        return self.steps_of(self.rows)

    def run(self, state: State, end: list[Triple], task: Task, part: Part, sums: Array) -> bool:
        """Take the steps of a part of the order of the task's rows, into the arrays ``end``.

        Return whether these are finite. ``sums`` gets each step's sum over rows and draws.
        """
        return _core.train(
            state.arrays,
            end,
            self.optimizer.compiled(state.steps),
            task.regression(state.sigma, self.draws.at(state.steps), self.path),
            *part,
            self.batch_size,
            self.rates.of(state.steps, len(sums)),
            sums,
            self.memory,
            self.threads,
        )

    def epoch(self, state: State) -> Generator[State, None, None]:
        """Take an epoch's steps, or what is left of them; yield the state after each piece.

        A piece takes about a fifth of a second; where one ends does not matter to the bits. Ctrl-C
        and divergence yield the last finite state first, and are raised then.

        Raises
        ------
        KeyboardInterrupt, Divergence
            After the last state that is finite.
        """
        seed, number = self.draws.seed, state.epochs + 1
        W = state.parameters[0]
        # A guess, until the first piece is measured.
        seconds_a_step = 10 * self.draws.count * self.batch_size * W.size / 2e10
        with closing(self.windows.epoch(seed, number, len(state.sums))) as visits:
            for visit in visits:
                last = visit.first_step + self.steps_of(len(visit.order))
                while (done := len(state.sums)) < last:
                    steps = int(min(max(1, PIECE / seconds_a_step), 2**31))
                    first = (done - visit.first_step) * self.batch_size
                    rows = min(steps * self.batch_size, len(visit.order) - first)
                    begin = time.perf_counter()
                    state, end = self._piece(state, visit.made, Part(visit.order, first, rows))
                    seconds_a_step = (time.perf_counter() - begin) / self.steps_of(rows)
                    yield state
                    if end is not None:
                        raise end

    def _piece(self, state: State, task: Task, part: Part) -> tuple[State, BaseException | None]:
        """Take the steps of a piece, or as many as come before it is interrupted or diverges."""
        sums = np.full(self.steps_of(part.rows), np.nan)
        end = self._beside(state)
        interrupted: KeyboardInterrupt | None = None
        finite = False
        try:
            finite = self.run(state, end, task, part, sums)
        except KeyboardInterrupt as caught:
            interrupted = caught
        good = np.isfinite(sums)
        done = len(sums) if good.all() else int(np.argmin(good))
        if interrupted is not None:
            if done == 0:
                return state, interrupted
            finite = all(_core.first_bad_row(np.atleast_2d(p), 1) < 0 for p in end[0])
        if not finite:
            return self._before(state, task, part, done - 1), Divergence(state.steps + done)
        return state.after(end, sums[:done]), interrupted

    def _before(self, state: State, task: Task, part: Part, steps: int) -> State:
        """Take so many steps, or as many as end in a finite state, which are the same as before.

        A Ctrl-C on the way settles for none of them.
        """
        end = self._beside(state)
        for count in range(steps, 0, -1):
            sums = np.full(count, np.nan)
            try:
                shorter = part._replace(rows=count * self.batch_size)
                if self.run(state, end, task, shorter, sums):
                    return state.after(end, sums)
            except KeyboardInterrupt:
                break
        return state

    def _beside(self, state: State) -> list[Triple]:
        """Return the arrays to write to that are not the state's own."""
        for arrays in self.spare:
            if arrays is not state.arrays:
                return arrays
        self.spare[:] = [state.arrays, state.like()]
        return self.spare[1]

    def validation_loss(self, state: State, held_out: Task) -> float:
        """Objective on held-out rows, on a noise stream of its own that never moves."""
        draws = self.draws.at(0, _core.Stream.validation)
        regression = held_out.regression(state.sigma, draws, self.path)
        total = _core.regression(*state.parameters, regression, 1.0, False, self.threads)
        return held_out.value(state.sigma, total, self.draws.count)
