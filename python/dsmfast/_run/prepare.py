"""From options and data to a run, on all ranks alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import Array, as_flag, as_raw_weights, as_real, describe, of_mean_one
from dsmfast._objective.paths import Sizes, path_for
from dsmfast._objective.scales import Scales
from dsmfast._objective.task import Draws, Task, as_task
from dsmfast._rows.fingerprint import fingerprint
from dsmfast._rows.rows import Rows, Window, Windows
from dsmfast._rows.sharded import Sharded
from dsmfast._run.checkpoints import Checkpoint
from dsmfast._run.distributed import DistributedStepper, World, agreement
from dsmfast._run.options import TrainingOptions
from dsmfast._run.run import Plan, Run
from dsmfast._run.schedules import SigmaSchedule, as_schedule, as_sigmas, has_schedule
from dsmfast._run.start import initial_state
from dsmfast._run.stepper import Rates, Stepper
from dsmfast._run.stopping import EarlyStopping
from dsmfast.callbacks import Listener, as_callbacks
from dsmfast.data import split
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
    scales: Scales | None  # of the noise, where there are several
    weights: Weights  # of the rows
    feature_names: tuple[str, ...] | None = None


class Weights(NamedTuple):
    """Weights of rows, and of those held out; None: all count alike."""

    rows: Array | None = None
    held_out: Array | None = None

    def of_head(self, head: Array) -> Array | None:
        """Return those of the rows in memory, where these are all that this rank has."""
        return self.rows if self.rows is not None and len(self.rows) == len(head) else None

    def of_mean_one(self, dtype: np.dtype[Any], world: World | None) -> Weights:
        """Return them over their means, which are those of all ranks."""
        return Weights(*(_of_mean_one(weights, dtype, world) for weights in self))


def _of_mean_one(weights: Array | None, dtype: np.dtype[Any], world: World | None) -> Array | None:
    if weights is None or world is None:
        return None if weights is None else of_mean_one(weights, dtype)
    scaled = weights / max(world.gather(float(weights.max())))
    sums = np.array([scaled.sum(), len(scaled)])
    world.sum(sums)
    return np.ascontiguousarray(scaled * (sums[1] / sums[0]), dtype=dtype)


def as_material(
    X: npt.ArrayLike,
    validation: npt.ArrayLike | float | None,
    sigma: SigmaSchedule,
    sample_weight: npt.ArrayLike | None,
    options: TrainingOptions,
    *,
    shared: bool,
) -> Material:
    """Check the data; ``shared``: with other ranks, of whose data nothing is known yet."""
    steps = options.steps
    rows = options.rows.rows(X, steps.dtype, steps.batch_size, steps.threads)
    weights = Weights()
    if sample_weight is not None:
        weights = Weights(as_raw_weights(sample_weight, rows.shape[0]))
    if shared:
        rows = Sharded.alone(rows, steps.batch_size)
    _check_parts(rows, sigma, options, shared=shared)
    rows, held_out = options.rows.validation(rows, validation, steps.seed, steps.threads)
    if weights.rows is not None and held_out is not None and np.ndim(validation) == 0:  # type: ignore[arg-type]
        weights = Weights(*split(weights.rows, as_real(validation, "validation"), steps.seed))
    score = options.objective.score
    if held_out is not None and score is not None and not callable(score):
        raise TypeError(
            "score: expected a function of x, which gives the score at the validation rows, "
            f"got {describe(score)}"
        )
    options.stopping.check(validated=held_out is not None, moving_sigma=has_schedule(sigma))
    head = rows.head()
    whole = weights.of_head(head)
    sigmas = as_sigmas(
        sigma,
        steps.epochs,
        steps.dtype,
        lambda: select_sigma(
            head, sample_weight=whole, seed=steps.seed, threads=steps.threads or None
        ),
    )
    scales = options.scales.resolve(options.objective, head, whole, sigmas, steps.batch_size)
    return Material(rows, head, held_out, sigmas, has_schedule(sigma), scales, weights)


def _check_parts(rows: Rows, sigma: object, options: TrainingOptions, *, shared: bool) -> None:
    """Refuse what needs all rows where this process has them not all in memory."""
    if rows.is_whole:
        return
    for name, value in (("sigma", sigma), ("sigma_max", options.scales.sigma_max)):
        if shared and isinstance(value, str):
            raise ValueError(f"{name}: expected a number because {rows.absence}, got {value!r}")
    if options.objective.objective == "esm_smoothed" and options.objective.data is None:
        raise ValueError(
            f"data: needed for 'esm_smoothed' because {rows.absence}; it is the sample of the "
            "Parzen density"
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
    weights = material.weights.of_mean_one(material.rows.dtype, world)
    material = replace(material, weights=weights)
    rows, held_out = material.rows, None
    with agreement(world):
        windows = rows.windows(_maker(material, options))
        if material.held_out is not None:
            held_out = as_task(
                options.objective,
                material.held_out,
                threads,
                weights=material.weights.held_out,
                first_row=first_held_out,
                narrow=True,
            )
        sizes = Sizes(min(steps.batch_size, rows.shape[0]), rows.shape[1], steps.n_hidden)
        path = path_for(options.objective, options.noise, options.scales, sizes, rows.dtype)
    state = initial_state(
        init,
        material.head,
        material.weights.of_head(material.head),
        material.sigmas[0],
        steps,
        world,
        rows.own_shape[0],
    )
    stepper = _stepper(options, rows, windows, path, state, threads, world)
    record = {**options.record(rows.shape, rows.window, material.scales), "path": path.name}
    checkpoint = None
    if options.checkpoint.checkpoint is not None:
        identity = _identity(material, options, windows.first, held_out, world)
        identity["init"] = init is not None and fingerprint(state.parameters[0])
        checkpoint = Checkpoint(
            options.checkpoint, {**record, **identity}, rows.digests, material.feature_names
        )
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
        material.feature_names,
    )
    return Run(plan, stepper, state, world)


def _maker(material: Material, options: TrainingOptions) -> Any:
    """Return how a window becomes a task; weights, and a score that is an array, go by windows."""
    rows, weights = material.rows, material.weights.rows
    objective, score = options.objective, options.objective.score
    by_windows = rows.window is not None and score is not None and not callable(score)
    if by_windows and tuple(getattr(score, "shape", ())) != rows.own_shape:
        raise ValueError(
            f"score: expected a function of x, or an array of shape {rows.own_shape}, "
            f"got {describe(score)}"
        )

    def make(window: Window) -> Task:
        here = slice(window.begin, window.begin + len(window.rows))
        own = objective
        if by_windows:
            own = replace(objective, score=np.asarray(score[here]))  # type: ignore[index]
        return as_task(
            own,
            window.rows,
            options.steps.threads,
            weights=None if weights is None else weights[here],
            scales=material.scales,
            first_row=window.first_row,
            narrow=True,
        )

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
    record = options.record(material.rows.shape, None, material.scales)
    del record["rows"]
    return {
        "features": material.rows.shape[1],
        **record,
        "n_hidden": options.steps.n_hidden,
        "sigma": material.sigmas,
        "dtype": str(material.rows.dtype),
        "validation": material.held_out is not None,
        "sample_weight": material.weights.rows is not None,
        "checkpoint": options.checkpoint.checkpoint is not None,
        "resume": options.checkpoint.resume,
        "init": init is not None,
        "feature_names": material.feature_names,
    }


def _placed(material: Material, world: World) -> tuple[Material, int]:
    """Return the data with their place among those of all ranks, and the validation rows' place."""
    assert isinstance(material.rows, Sharded)
    rows = material.rows.placed(world.gather, world.rank)
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
    weights, scores, sample = material.weights.rows, task.scores, _data_of(task)
    of_rows = {
        "validation": held_out and fingerprint(held_out.x),
        "score": scores is not None and fingerprint(scores),
        "data": sample is not None and fingerprint(sample),
    }
    if weights is not None:  # which files of 0.1.0 do not know
        of_rows["sample_weight"] = fingerprint(weights)
    if world is not None:  # the file is that of all of them
        of_rows = _of_ranks(world.gather(of_rows))
    return {
        "n_hidden": steps.n_hidden,
        "dtype": str(steps.dtype),
        "sigma": sigmas if len(sigmas) == 1 else fingerprint(np.array(sigmas)),
        "schedule": schedule,
        "tolerance": options.stopping.tolerance,
        **({"X": X} if world is None else {"ranks": world.gather(X)}),
        **of_rows,
    }


def _of_ranks(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return by name what all ranks have alike, or a list of what each of them has."""
    lists = {name: [of_rank[name] for of_rank in found] for name in found[0]}
    return {
        name: values[0] if all(value == values[0] for value in values) else values
        for name, values in lists.items()
    }


def _data_of(task: Task) -> Array | None:
    """Return the sample of posterior means, if it is one."""
    return None if task.reference is None else task.reference.sample
