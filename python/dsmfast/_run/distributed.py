"""Training over several processes (extra ``mpi``): each holds a shard of the rows.

A step takes the same rows as that of one process with all of the data: each rank those of the
batch that it holds. One sum over the ranks, of [dW | db | dc | loss] in one buffer, and the same
update on all, so the trajectory is that of one process up to rounding. Noise goes by the row's
place in all of the data.

A rank that fails ends the job: the others wait for it in a sum, and would for ever.
"""

from __future__ import annotations

import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from dsmfast import _core
from dsmfast._checks import Array, describe
from dsmfast._objective.task import Task
from dsmfast._run.stepper import Part, Stepper
from dsmfast.results import State, Triple

T = TypeVar("T")

__all__ = ["DistributedStepper", "World", "agreement", "as_world"]


class World:
    """The ranks that train together.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Their communicator.
    """

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()

    def threads(self) -> int:
        """Return a fair share of this machine's threads, where nobody else has seen to that."""
        most: int = _core.build_info()["threads"]
        if "OMP_NUM_THREADS" in os.environ or most < (os.cpu_count() or 1):
            return most  # the user has said, or the ranks are bound to processors of their own
        machines = self.gather(platform.node())
        return max(1, most // machines.count(platform.node()))

    def gather(self, value: Any) -> list[Any]:
        """Return what each rank has, in their order, on all."""
        found: list[Any] = self.comm.allgather(value)
        return found

    def from_first(self, value: Any) -> Any:
        """Return what rank 0 has, on all."""
        return self.comm.bcast(value, root=0)

    def some_rows(self, x: Array, most: int) -> Array:
        """Return rows of all ranks, about so many, evenly spaced."""
        share = max(1, most // self.size)
        return np.concatenate(self.gather(x[:: max(1, len(x) // share)]))

    def sum(self, values: Array) -> None:
        """Sum an array over the ranks, in place."""
        from mpi4py import MPI

        self.comm.Allreduce(MPI.IN_PLACE, values)

    def agree(self, error: Exception | None) -> None:
        """Raise on all ranks what any of them found wrong before training."""
        found = self.gather(None if error is None else f"{type(error).__name__}: {error}")
        if error is not None:
            raise error
        for rank, message in enumerate(found):
            if message is not None:
                raise RuntimeError(f"comm: rank {rank} failed: {message}")

    def together(self, work: Callable[[], T]) -> T:
        """Return what work does on this rank, once it is done on all; else raise on all."""
        done, error = None, None
        try:
            done = work()
        except Exception as caught:
            error = caught
        self.agree(error)
        return cast(T, done)

    def check_same(self, asked: Mapping[str, Any]) -> None:
        """See that all ranks ask for the same."""
        first = self.from_first(asked)
        error = None
        for name, value in asked.items():
            if value != first[name]:
                error = ValueError(
                    f"{name}: expected the same on all ranks, got {value!r} on rank {self.rank} "
                    f"and {first[name]!r} on rank 0"
                )
                break
        self.agree(error)

    def share_of(self, values: Any) -> Any:
        """Return this rank's share of rows that all ranks have."""
        if not isinstance(values, np.ndarray):
            return values
        return np.array_split(values, self.size)[self.rank]

    @contextmanager
    def speaking_for_all(self) -> Iterator[None]:
        """Let rank 0 alone say what happens, and what went wrong on all alike."""
        if self.rank == 0:
            yield
            return
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            try:
                yield
            except Exception:  # which rank 0 has too, and tells
                raise SystemExit(2) from None

    def end(self, error: BaseException) -> None:
        """End the job with the error of this rank."""
        text = "".join(traceback.format_exception(error))
        print(f"dsmfast: rank {self.rank} of {self.size} failed:\n{text}", end="", file=sys.stderr)
        sys.stderr.flush()
        self.comm.Abort(1)


def as_world(comm: object) -> World | None:
    """Return the ranks to train with; None for one process alone."""
    if comm is None:
        return None
    for name in ("Get_rank", "Get_size", "Allreduce", "allgather", "bcast", "Abort"):
        if not callable(getattr(comm, name, None)):
            raise TypeError(f"comm: expected a communicator of mpi4py, got {describe(comm)}")
    world = World(comm)
    return world if world.size > 1 else None


@contextmanager
def agreement(world: World | None) -> Iterator[None]:
    """Raise on all ranks what one of them finds wrong, where there are several.

    Ctrl-C on one of them is an error too: the others would wait for it.
    """
    error: Exception | None = None
    try:
        yield
    except (Exception, KeyboardInterrupt) as caught:
        if world is None:
            raise
        error = caught if isinstance(caught, Exception) else RuntimeError("interrupted")
    if world is not None:
        world.agree(error)


@dataclass(frozen=True, kw_only=True, eq=False)
class DistributedStepper(Stepper):
    """Steps whose gradients are summed over ranks."""

    world: World

    def run(self, state: State, end: list[Triple], task: Task, part: Part, sums: Array) -> bool:
        """Take the steps of a part of the order of all ranks' rows, into the arrays ``end``."""
        try:
            return self._run(state, end, task, part, sums)
        except KeyboardInterrupt:
            # One rank alone must not stop: the others would wait for it.
            raise RuntimeError("interrupted") from None

    def _run(self, state: State, end: list[Triple], task: Task, part: Part, sums: Array) -> bool:
        buffer, gradient = _buffer(state.parameters)
        rates = self.rates.of(state.steps, len(sums))
        here, finite = state.arrays, True
        # Of this rank's rows, in their order: how many stand before a place of that of all ranks.
        order = part.order - task.first_row
        is_mine = (order >= 0) & (order < len(task.x))
        before = np.concatenate([[0], np.cumsum(is_mine)])
        mine = np.ascontiguousarray(order[is_mine])
        for i in range(len(sums)):
            begin = part.first + i * self.batch_size
            finish = min(begin + self.batch_size, part.first + part.rows)
            first, count = int(before[begin]), int(before[finish] - before[begin])
            buffer[:] = 0
            if count:
                draws = self.draws.at(state.steps + i)
                regression = task.regression(state.sigma, draws, self.path)
                scale = 1 / ((finish - begin) * draws.count)
                total, *gradients = _core.regression(
                    *here[0], regression, scale, True, self.threads, mine, first, count
                )
                for whole, own in zip(gradient, gradients, strict=True):
                    whole[...] = own
                buffer[-1] = total
            self.world.sum(buffer)
            sums[i] = buffer[-1]
            if not np.isfinite(sums[i]):
                return False
            rule = self.optimizer.compiled(state.steps + i)
            finite = _core.update(here, end, rule, gradient, rates[i], self.threads)
            here = end
        return finite

    def validation_loss(self, state: State, held_out: Task) -> float:
        """Objective on the held-out rows of all ranks."""
        rows: int = sum(self.world.gather(len(held_out.x)))
        mean = super().validation_loss(state, held_out)
        total = np.array([mean * len(held_out.x)])
        self.world.sum(total)
        return float(total[0]) / rows


def _buffer(parameters: Triple) -> tuple[Array, Triple]:
    """Return [dW | db | dc | loss] as one array, and the views of its first three parts."""
    W, b, c = parameters
    buffer = np.empty(W.size + b.size + c.size + 1, dtype=W.dtype)
    ends = np.cumsum([W.size, b.size, c.size])
    dW, db, dc, _ = np.split(buffer, ends)
    return buffer, (dW.reshape(W.shape), db, dc)
