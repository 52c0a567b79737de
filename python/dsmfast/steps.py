"""Steps: the state that training moves, and how an epoch moves it in one call of the kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast.arrays import Array
from dsmfast.model import ScoreModel
from dsmfast.objectives import Task
from dsmfast.optimizers import Optimizer

__all__ = ["EpochEnd", "Plan", "State"]

Triple = tuple[Array, Array, Array]


class State:
    """Parameters, and what the optimizer remembers of them."""

    def __init__(self, model: ScoreModel, moments: int) -> None:
        self.sigma = model.sigma
        self.parameters: Triple = (model.W.copy(), model.b.copy(), model.c.copy())
        memories = [tuple(map(np.zeros_like, self.parameters)) for _ in range(moments)]
        self.first: Triple | None = memories[0] if moments > 0 else None  # type: ignore[assignment]
        self.second: Triple | None = memories[1] if moments > 1 else None  # type: ignore[assignment]
        self.steps = 0
        self._saved = [np.empty_like(array) for array in self.arrays()]

    def arrays(self) -> list[Array]:
        """Return every array, in one order."""
        triples = (self.parameters, self.first, self.second)
        return [array for triple in triples if triple is not None for array in triple]

    def save(self) -> None:
        """Keep a copy of the arrays, in the place of the last one."""
        for value, array in zip(self._saved, self.arrays(), strict=True):
            np.copyto(value, array)

    def restore(self) -> None:
        """Put back what ``save`` kept."""
        for value, array in zip(self._saved, self.arrays(), strict=True):
            np.copyto(array, value)

    def is_finite(self) -> bool:
        """Whether no parameter is NaN or infinite."""
        return all(_core.first_bad_row(np.atleast_2d(p), 1) < 0 for p in self.parameters)

    def model(self) -> ScoreModel:
        """Return the parameters as they are now."""
        return ScoreModel(*self.parameters, sigma=self.sigma)


@dataclass(frozen=True)
class EpochEnd:
    """How an epoch ended."""

    loss: float | None = None  # mean over the epoch; None where it was cut short
    interrupted: bool = False
    diverged_at: int | None = None  # the step whose loss, or whose parameters, are not finite


@dataclass(frozen=True)
class Plan:
    """Everything that stays the same from step to step."""

    task: Task
    optimizer: Optimizer
    learning_rate: float
    schedule: Callable[[Array], Array]
    epochs: int
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
        progress = (first_step + np.arange(steps)) / (self.epochs * self.steps_of(len(self.task.x)))
        return np.ascontiguousarray(self.learning_rate * self.schedule(progress))

    def run(self, state: State, order: npt.NDArray[np.int64], sums: Array) -> None:
        """Take the steps of ``order``; ``sums`` gets each step's sum over rows and draws."""
        _core.train(
            state.parameters,
            state.first,
            state.second,
            self.optimizer.compiled(state.steps),
            self.task.regression(
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

    def epoch(self, state: State, order: npt.NDArray[np.int64]) -> EpochEnd:
        """Run one epoch; where it diverges, put the state back to the last finite one."""
        state.save()
        sums = np.full(self.steps_of(len(order)), np.nan)
        interrupted = False
        try:
            self.run(state, order, sums)
        except KeyboardInterrupt:
            interrupted = True
        finite = np.isfinite(sums)
        done = len(sums) if finite.all() else int(np.argmin(finite))
        if (done < len(sums) and not interrupted) or not state.is_finite():
            step = state.steps + done
            self._rewind(state, order, done - 1)
            return EpochEnd(diverged_at=step)
        state.steps += done
        if done < len(sums):
            return EpochEnd(interrupted=True)
        return EpochEnd(self.mean_loss(state.sigma, sums, len(order)), interrupted)

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

    def _rewind(self, state: State, order: npt.NDArray[np.int64], steps: int) -> None:
        """Put back the last finite state: the same bits come of the same steps taken again.

        A Ctrl-C on the way settles for the state before them all.
        """
        for count in range(max(steps, 0), -1, -1):
            state.restore()
            try:
                if count > 0:
                    self.run(state, order[: count * self.batch_size], np.full(count, np.nan))
            except KeyboardInterrupt:
                state.restore()
                return
            if state.is_finite():
                state.steps += count
                return
