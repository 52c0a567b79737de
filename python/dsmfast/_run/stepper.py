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
from dsmfast._arguments.checks import Array
from dsmfast._objective.task import Draws, Task
from dsmfast._rows.rows import Visit, Windows
from dsmfast.optimizers import Optimizer
from dsmfast.results import State

__all__ = ["Divergence", "Part", "Piece", "Rates", "Stepper"]

PIECE = 0.2  # seconds of a call of the kernels, about: how often progress is shown
# A call packs the state and unpacks it, which of a large one costs as much as half a step: a piece
# lasts so many times as long as the state has so many values, ten at most.
VALUES_A_PIECE = 1.3e6
RATE = 1e11  # operations a second until a piece has been measured, about those of two cores


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
    # Where ranks share the rows: the order is of this rank's, and those of a step begin here in it.
    begins: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Piece:
    """Steps from a state on, taken by one call of the kernels.

    The kernels write the arrays of the state last of all, together with how many steps have landed
    in them: all that were taken, or none, where they would not be finite.
    """

    state: State
    sums: Array  # of each step; NaN before it is done
    landed: npt.NDArray[np.int64]  # (1,)

    @classmethod
    def of(cls, state: State, steps: int) -> Piece:
        """Return the piece of so many steps, of which none is done."""
        return cls(state, np.full(steps, np.nan), np.zeros(1, np.int64))

    @property
    def done(self) -> int:
        """How many steps have a finite sum."""
        good = np.isfinite(self.sums)
        return len(self.sums) if good.all() else int(np.argmin(good))

    def end(self) -> State:
        """Return the state after the steps that have landed."""
        landed = int(self.landed[0])
        return self.state.after(self.sums[:landed]) if landed else self.state


@dataclass(frozen=True, eq=False)
class Stepper:
    """Everything that stays the same from step to step.

    The arrays of a state stay as they are until the kernels have taken the steps of a piece in
    memory of their own: from there a run that diverges is taken up again.
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
    last: list[Piece] = field(default_factory=list, repr=False)  # the piece under way, if any
    pace: list[float] = field(default_factory=list, repr=False)  # seconds of a step, once measured

    def steps_of(self, rows: int) -> int:
        """Return how many steps so many rows take."""
        return -(-rows // self.batch_size)

    @property
    def steps_an_epoch(self) -> int:
        """How many steps an epoch has: windows are of whole batches."""
        return self.steps_of(self.rows)

    def run(self, piece: Piece, task: Task, part: Part, share: _core.Share | None = None) -> None:
        """Take the steps of a part of the order of the task's rows."""
        state = piece.state
        _core.train(
            state.arrays,
            self.optimizer.compiled(state.steps),
            task.regression(state.sigma, self.draws.at(state.steps), self.path),
            part.order,
            part.first,
            part.rows,
            self.batch_size,
            self.rates.of(state.steps, len(piece.sums)),
            piece.sums,
            piece.landed,
            self.memory,
            self.threads,
            share,
        )

    def whole(self, visit: Visit[Task]) -> Part:
        """Return all of a visit's rows in their order."""
        return Part(visit.order, 0, len(visit.order))

    def piece_steps(self, seconds_a_step: float, values: int) -> int:
        """Return how many steps a piece has, of a state of so many values."""
        seconds = PIECE * min(max(1, values / VALUES_A_PIECE), 10)
        return int(min(max(1, seconds / seconds_a_step), 2**31))

    def caught_up(self, state: State) -> State:
        """Return what has become of a state: Ctrl-C may come when a piece has just landed in it."""
        for piece in self.last:
            if piece.state.arrays is state.arrays and piece.state.steps == state.steps:
                return piece.end() if piece.landed[0] else state
        return state

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
        guess = (3e5 + 10 * self.draws.count * self.batch_size * W.size) / RATE
        with closing(self.windows.epoch(seed, number, len(state.sums))) as visits:
            for visit in visits:
                whole = self.whole(visit)
                last = visit.first_step + self.steps_of(whole.rows)
                while (done := len(state.sums)) < last:
                    pace = self.pace[0] if self.pace else guess
                    steps = self.piece_steps(pace, W.size * len(state.arrays))
                    first = (done - visit.first_step) * self.batch_size
                    rows = min(steps * self.batch_size, whole.rows - first)
                    part = whole._replace(first=first, rows=rows)
                    begin = time.perf_counter()
                    state, end = self._piece(state, visit.made, part)
                    self.pace[:] = [(time.perf_counter() - begin) * self.batch_size / rows]
                    yield state
                    if end is not None:
                        raise end

    def _piece(self, state: State, task: Task, part: Part) -> tuple[State, BaseException | None]:
        """Take the steps of a piece, or as many as come before it is interrupted or diverges."""
        piece = self._begin(state, self.steps_of(part.rows))
        interrupted: KeyboardInterrupt | None = None
        try:
            self.run(piece, task, part)
        except KeyboardInterrupt as caught:
            interrupted = caught
        done = piece.done
        if piece.landed[0] or (interrupted is not None and done == 0):
            return piece.end(), interrupted
        return self._before(state, task, part, done - 1), Divergence(state.steps + done)

    def _begin(self, state: State, steps: int) -> Piece:
        piece = Piece.of(state, steps)
        self.last[:] = [piece]
        return piece

    def _before(self, state: State, task: Task, part: Part, steps: int) -> State:
        """Take so many steps, or as many as end in a finite state, which are the same as before.

        A Ctrl-C on the way settles for those that are done.
        """
        for count in range(steps, 0, -1):
            piece = self._begin(state, count)
            try:
                self.run(piece, task, part._replace(rows=count * self.batch_size))
            except KeyboardInterrupt:
                return piece.end()
            if piece.landed[0]:
                return piece.end()
        return state

    def validation_loss(self, state: State, held_out: Task) -> float:
        """Objective on held-out rows, on a noise stream of its own that never moves."""
        draws = self.draws.at(0, _core.Stream.validation)
        regression = held_out.regression(state.sigma, draws, self.path)
        total = _core.regression(*state.parameters, regression, 1.0, False, self.threads)
        return held_out.value(state.sigma, total, self.draws.count)
