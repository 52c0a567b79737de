"""Training over several processes (extra ``mpi``): each holds a shard of the rows.

A step takes the same rows as that of one process with all of the data: each rank those of the
batch that it holds. One sum over the ranks, of [dW | db | dc | loss] in one array, and the same
update on all, so the trajectory is that of one process up to rounding. Noise goes by the row's
place in all of the data. The steps are taken within the kernels, which ask for that sum.

A rank that fails ends the job: the others wait for it in a sum, and would for ever.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from dsmfast import _core
from dsmfast._arguments.checks import Array, describe
from dsmfast._objective.task import Task
from dsmfast._rows.rows import Visit
from dsmfast._run.stepper import Part, Piece, Stepper
from dsmfast.results import State

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
        time.sleep(0.5)  # or the launcher may end before it has passed that on
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

    def whole(self, visit: Visit[Task]) -> Part:
        """Return this rank's rows of a visit in their order, and where those of each step begin."""
        order = visit.order
        is_mine = (order >= 0) & (order < len(visit.made.x))
        firsts = np.arange(0, len(order), self.batch_size)
        counts = np.add.reduceat(is_mine, firsts, dtype=np.int64)
        # A rank without any takes part all the same.
        mine = order[is_mine] if is_mine.any() else np.zeros(1, np.int64)
        return Part(mine, 0, len(order), np.concatenate([[0], np.cumsum(counts)]))

    def piece_steps(self, seconds_a_step: float, values: int) -> int:
        """Return how many steps a piece has: as many on each rank, or one that diverges would hang.

        Its steps are taken again up to the last finite state, with a sum over ranks in each.
        """
        steps: int = self.world.from_first(super().piece_steps(seconds_a_step, values))
        return steps

    def run(self, piece: Piece, task: Task, part: Part, share: _core.Share | None = None) -> None:
        """Take the steps of a part of the order of all ranks' rows."""
        assert part.begins is not None
        step = part.first // self.batch_size
        begins = part.begins[step : step + len(piece.sums) + 1]
        share = _core.Share(begins=begins - begins[0], rows=part.rows, sum=self.world.sum)
        first, rows = int(begins[0]), int(begins[-1] - begins[0])
        if rows == 0:  # the kernels want one, which no step has
            first, rows = 0, 1
        try:
            super().run(piece, task, Part(part.order, first, rows), share)
        except KeyboardInterrupt:
            # One rank alone must not stop: the others would wait for it.
            raise RuntimeError("interrupted") from None

    def validation_loss(self, state: State, held_out: Task) -> float:
        """Objective on the held-out rows of all ranks."""
        rows: int = sum(self.world.gather(len(held_out.x)))
        mean = super().validation_loss(state, held_out)
        total = np.array([mean * len(held_out.x)])
        self.world.sum(total)
        return float(total[0]) / rows
