"""From options and data to a run, on all ranks alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._checks import Array, as_flag, describe
from dsmfast._objective.paths import Sizes, path_for
from dsmfast._objective.task import Draws, Task, as_task
from dsmfast._rows.fingerprint import fingerprint
from dsmfast._rows.rows import Rows, Window, Windows
from dsmfast._run.checkpoints import Checkpoint
from dsmfast._run.distributed import DistributedStepper, World, agreement
from dsmfast._run.options import TrainingOptions
from dsmfast._run.run import Plan, Run
from dsmfast._run.schedules import SigmaSchedule, as_schedule, as_sigmas, has_schedule
from dsmfast._run.start import initial_state
from dsmfast._run.stepper import Rates, Stepper
from dsmfast._run.stopping import EarlyStopping
from dsmfast.callbacks import Listener, as_callbacks
from dsmfast.model import ScoreModel
from dsmfast.parzen import select_sigma
from dsmfast.results import State, TrainingResult

__all__ = ["Material", "as_material", "as_run"]


@dataclass(frozen=True, eq=False)
class Material:
    """What is trained on, as one rank has it."""

    rows: Rows
    head: Array  # rows in memory, which the start goes by
    held_out: Array | None  # validation rows
    sigmas: list[float]  # of each epoch, or one for all
    moves: bool  # whether sigma has a schedule


def as_material(
    X: npt.ArrayLike,
    validation: npt.ArrayLike | float | None,
    sigma: SigmaSchedule,
    options: TrainingOptions,
    *,
    shared: bool,
) -> Material:
    """Check the data; ``shared``: with other ranks, of whose data nothing is known yet."""
    steps = options.steps
    rows = options.rows.rows(X, steps.dtype, steps.batch_size, steps.threads)
    if shared:
        rows = rows.sharded()
    _check_parts(rows, sigma, options, shared=shared)
    rows, held_out = options.rows.validation(rows, validation, steps.seed, steps.threads)
    score = options.objective.score
    if held_out is not None and score is not None and not callable(score):
        raise TypeError(
            "score: expected a function of x, to ask for the score at the validation rows, "
            f"got {describe(score)}"
        )
    options.stopping.check(validated=held_out is not None, moving_sigma=has_schedule(sigma))
    head = rows.head()
    sigmas = as_sigmas(
        sigma,
        steps.epochs,
        steps.dtype,
        lambda: select_sigma(head, seed=steps.seed, threads=steps.threads or None),
    )
    return Material(rows, head, held_out, sigmas, has_schedule(sigma))


def _check_parts(rows: Rows, sigma: object, options: TrainingOptions, *, shared: bool) -> None:
    """Refuse what needs all rows where this process has them not all in memory."""
    if rows.is_whole:
        return
    if shared and isinstance(sigma, str):
        raise ValueError(f"sigma: expected a number, got {sigma!r}, and {rows.absence}")
    if options.objective.objective == "esm_smoothed" and options.objective.data is None:
        raise ValueError(
            f"data: needed for 'esm_smoothed' where {rows.absence}: rows under the density"
        )


def as_run(
    material: Material,
    options: TrainingOptions,
    init: ScoreModel | TrainingResult | None,
    callbacks: Iterable[Listener],
    progress: bool | None,
    world: World | None,
) -> Run:
    """Return the run, which all ranks agree on."""
    steps, threads, first_held_out = options.steps, options.steps.threads, 0
    with agreement(world):
        listeners = as_callbacks(callbacks)
        shows = None if progress is None else as_flag(progress, "progress")
    if world is not None:
        world.check_same(_same(material, options, init))
        material, first_held_out = _placed(material, world)
        threads = threads or world.threads()
    rows, held_out = material.rows, None
    with agreement(world):
        windows = rows.windows(_maker(rows, options))
        if material.held_out is not None:
            held_out = as_task(
                options.objective, material.held_out, threads, first_row=first_held_out, narrow=True
            )
        sizes = Sizes(min(steps.batch_size, rows.shape[0]), rows.shape[1], steps.n_hidden)
        path = path_for(options.objective, options.noise, sizes, rows.dtype)
    state = initial_state(init, material.head, material.sigmas[0], steps, world)
    stepper = _stepper(options, rows, windows, path, state, threads, world)
    record = {**options.record(rows.shape, rows.window), "path": path.name}
    checkpoint = None
    if options.checkpoint.checkpoint is not None:
        identity = _identity(material, options, windows.first, held_out, world)
        identity["init"] = init is not None and fingerprint(state.parameters[0])
        checkpoint = Checkpoint(options.checkpoint, {**record, **identity}, rows.digests)
    names = ["loss", "seconds"]
    names += ["validation_loss"] * (held_out is not None) + ["sigma"] * material.moves
    stopping = options.stopping
    plan = Plan(
        material.sigmas,
        steps.epochs,
        names,
        record,
        held_out,
        None if stopping.patience is None else EarlyStopping(stopping.patience, stopping.tolerance),
        listeners,
        shows,
        checkpoint,
    )
    return Run(plan, stepper, state, world)


def _maker(rows: Rows, options: TrainingOptions) -> Any:
    """Return how a window becomes a task; a score that is an array goes by windows like X."""
    objective, score = options.objective, options.objective.score
    threads = options.steps.threads
    if rows.window is None or score is None or callable(score):
        return lambda window: as_task(
            objective, window.rows, threads, first_row=window.first_row, narrow=True
        )
    if tuple(getattr(score, "shape", ())) != rows.shape:
        raise ValueError(
            f"score: expected a function of x, or an array of shape {rows.shape}, "
            f"got {describe(score)}"
        )

    def make(window: Window) -> Task:
        here = np.asarray(score[window.begin : window.begin + len(window.rows)])  # type: ignore[index]
        own = replace(objective, score=here)
        return as_task(own, window.rows, threads, first_row=window.first_row, narrow=True)

    return make


def _stepper(
    options: TrainingOptions,
    rows: Rows,
    windows: Windows[Task],
    path: _core.Path,
    state: State,
    threads: int,
    world: World | None,
) -> Stepper:
    steps = options.steps
    n = rows.shape[0]
    fields: dict[str, Any] = {
        "windows": windows,
        "rows": n,
        "draws": Draws.of(options.noise, steps.seed),
        "path": path,
        "optimizer": steps.optimizer,
        "rates": Rates(
            steps.rate(rows.shape[1]),
            as_schedule(steps.schedule),
            state.steps,
            steps.epochs * -(-n // steps.batch_size),
        ),
        "batch_size": steps.batch_size,
        "threads": threads,
    }
    return Stepper(**fields) if world is None else DistributedStepper(**fields, world=world)


def _same(material: Material, options: TrainingOptions, init: object) -> dict[str, Any]:
    """Return what all ranks have to ask for alike."""
    record = options.record(material.rows.shape, None)
    del record["rows"]
    return {
        "features": material.rows.shape[1],
        **record,
        "n_hidden": options.steps.n_hidden,
        "sigma": material.sigmas,
        "dtype": str(material.rows.dtype),
        "validation": material.held_out is not None,
        "checkpoint": options.checkpoint.checkpoint is not None,
        "resume": options.checkpoint.resume,
        "init": init is not None,
    }


def _placed(material: Material, world: World) -> tuple[Material, int]:
    """Return the data with their place among those of all ranks, and the validation rows' place."""
    rows = material.rows.placed(world.gather(len(material.head)), world.rank)
    first = 0
    if material.held_out is not None:
        first = sum(world.gather(len(material.held_out))[: world.rank])
    return replace(material, rows=rows), first


def _identity(
    material: Material,
    options: TrainingOptions,
    task: Task,
    held_out: Task | None,
    world: World | None,
) -> dict[str, Any]:
    """Return what a checkpoint is told from others by, beside the record."""
    steps, sigmas = options.steps, material.sigmas
    schedule = steps.schedule
    if not isinstance(schedule, str):
        schedule = as_schedule(schedule)(np.linspace(0, 1, 9)[:-1]).tolist()
    X = material.rows.fingerprint()
    return {
        "n_hidden": steps.n_hidden,
        "dtype": str(steps.dtype),
        "sigma": sigmas if len(sigmas) == 1 else fingerprint(np.array(sigmas)),
        "schedule": schedule,
        "tolerance": options.stopping.tolerance,
        **({"X": X} if world is None else {"ranks": world.gather(X)}),
        "validation": held_out and fingerprint(held_out.x),
        "score": task.scores is not None and fingerprint(task.scores),
        "data": task.sample is not None and fingerprint(task.sample),
    }
