"""What training is asked for: checked, without a word to other ranks, and then made a run."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dsmfast import data as data_sets
from dsmfast.arrays import Array, as_dtype, as_integer, as_real, as_seed, as_threads, describe
from dsmfast.callbacks import Callback, as_callbacks
from dsmfast.checkpoints import Checkpoint, fingerprint
from dsmfast.distributed import DistributedPlan, Sharded, World
from dsmfast.objectives import Task, as_draws_of, as_task
from dsmfast.optimizers import as_optimizer
from dsmfast.parzen import select_sigma
from dsmfast.paths import as_path
from dsmfast.runs import Patience, Run, as_patience
from dsmfast.schedules import as_schedule, as_sigmas, has_schedule
from dsmfast.sources import (
    InMemory,
    Source,
    Streamed,
    as_reader,
    tasks_of,
    training_rows,
)
from dsmfast.start import initial_state
from dsmfast.steps import Plan

__all__ = ["Request", "as_request", "as_run"]


@dataclass
class Request:
    """What :func:`dsmfast.train` is asked for, by this rank; its arguments, checked.

    Attributes
    ----------
    x : ndarray
        Rows in memory, or some of those that are not.
    task : Task
        The objective on rows.
    source : Source
        Where rows come from.
    held_out : Task or None
        The objective on validation rows.
    n_hidden, sigmas, bias, init : int, list, float, ScoreModel or TrainingResult or None
        What the start takes.
    plan : dict
        What a :class:`Plan` takes, and is known already.
    path : str
        As asked for.
    names : list of str
        Of the history's columns.
    record : dict
        How it was asked for, for the model.
    identity : dict
        What else a checkpoint is told from others by.
    patience, callbacks, progress, checkpoint, checkpoint_seconds, resume
        As for :class:`Run` and :class:`Checkpoint`.
    """

    x: Array
    task: Task
    source: Source
    held_out: Task | None
    n_hidden: int
    sigmas: list[float]
    bias: float
    init: Any
    plan: dict[str, Any]
    path: str
    names: list[str]
    record: dict[str, Any]
    identity: dict[str, Any]
    patience: Patience | None
    callbacks: tuple[Callback, ...]
    progress: bool | None
    checkpoint: str | os.PathLike[str] | None
    checkpoint_seconds: float
    resume: bool


def as_request(
    world: World | None,
    *,
    X: Any,
    n_hidden: Any,
    sigma: Any,
    objective: Any,
    epochs: Any,
    batch_size: Any,
    optimizer: Any,
    learning_rate: Any,
    schedule: Any,
    draws: Any,
    antithetic: Any,
    path: Any,
    score: Any,
    data: Any,
    curvature_penalty: Any,
    corruption: Any,
    corruption_level: Any,
    corruption_range: Any,
    init: Any,
    hidden_bias: Any,
    dtype: Any,
    validation: Any,
    patience: Any,
    tolerance: Any,
    callbacks: Any,
    progress: Any,
    checkpoint: Any,
    checkpoint_seconds: Any,
    resume: Any,
    window: Any,
    scale: Any,
    seed: Any,
    threads: Any,
) -> Request:
    """Check the arguments of :func:`dsmfast.train`."""
    precision = as_dtype(dtype)
    workers = as_threads(threads)
    factor = as_real(scale, "scale")
    batch = as_integer(batch_size, "batch_size", low=1, high=2**40)
    start_seed = as_seed(seed)
    reader, at_once = as_reader(X, precision, factor, window, batch)
    if reader is None:
        x = training_rows(X, "X", precision, None, workers, factor)
    elif at_once >= reader.shape[0]:
        x, reader = reader.read(0, reader.shape[0]), None
    else:
        x = reader.some()
    whole = reader is None and world is None
    if not whole:
        _check_parts(world, reader is not None, sigma, objective, data)
    held_out_rows = None
    if validation is not None and np.ndim(validation) == 0:
        x, held_out_rows = _split(x, validation, start_seed, whole)
    elif validation is not None:
        held_out_rows = training_rows(
            validation, "validation", precision, x.shape[1], workers, factor
        )
    options: dict[str, Any] = {
        "score": score,
        "data": data,
        "curvature_penalty": curvature_penalty,
        "corruption": corruption,
        "corruption_level": corruption_level,
        "corruption_range": corruption_range,
        "narrow": True,
    }
    if reader is None:
        task = as_task(objective, x, workers, **options)
        source: Source = InMemory(task)
    else:
        as_window = tasks_of(objective, reader.shape, workers, options)
        task = as_window(reader.read(0, 1), 0)
        source = Streamed(reader, at_once, batch, as_window)
    held_out = None
    if held_out_rows is not None:
        if task.scores is not None and not callable(score):
            raise TypeError(
                "score: expected a function of x, to ask for the score at the validation rows, "
                f"got {describe(score)}"
            )
        held_out = as_task(objective, held_out_rows, workers, **options)
    units = as_integer(n_hidden, "n_hidden", low=1, high=2**31)
    rule = as_optimizer(optimizer)
    count = as_draws_of(task, draws, antithetic)
    passes = as_integer(epochs, "epochs", low=0, high=2**32 - 1)
    sigmas = as_sigmas(
        sigma, passes, precision, lambda: select_sigma(x, seed=start_seed, threads=threads)
    )
    rate = rule.rate_for(x.shape[1], units)
    if learning_rate is not None:
        rate = as_real(learning_rate, "learning_rate")
    factors = as_schedule(schedule)
    as_path(path, task, batch, units, count)  # whether it applies
    if resume and checkpoint is None:
        raise ValueError("resume: needs checkpoint, the file to go on from")
    seconds = as_real(checkpoint_seconds, "checkpoint_seconds")
    bias = as_real(hidden_bias, "hidden_bias", low=-np.inf)
    record = {
        "objective": objective,
        "curvature_penalty": task.penalty,
        "corruption": corruption,
        "corruption_level": corruption_level,
        "corruption_range": None if corruption_range is None else list(corruption_range),
        "rows": source.shape[0],
        "window": at_once if reader is not None else None,
        "scale": factor,
        "epochs": passes,
        "batch_size": batch,
        "optimizer": {"name": type(rule).__name__, **asdict(rule)},
        "learning_rate": rate,
        "schedule": schedule if isinstance(schedule, str) else "function",
        "draws": count,
        "antithetic": bool(antithetic),
        "hidden_bias": bias,
        "patience": patience,
        "seed": start_seed,
    }
    identity: dict[str, Any] = {}
    if checkpoint is not None:
        identity = {
            "n_hidden": units,
            "dtype": str(precision),
            "sigma": sigmas if len(sigmas) == 1 else fingerprint(np.array(sigmas)),
            "schedule": schedule
            if isinstance(schedule, str)
            else factors(np.linspace(0, 1, 9)[:-1]).tolist(),
            "tolerance": float(tolerance),
            "X": fingerprint(x if reader is None else X),
            "validation": held_out and fingerprint(held_out.x),
            "score": task.scores is not None and fingerprint(task.scores),
            "data": task.sample is not None and fingerprint(task.sample),
        }
    return Request(
        x=x,
        task=task,
        source=source,
        held_out=held_out,
        n_hidden=units,
        sigmas=sigmas,
        bias=bias,
        init=init,
        plan={
            "optimizer": rule,
            "learning_rate": rate,
            "schedule": factors,
            "epochs": passes,
            "batch_size": batch,
            "draws": count,
            "antithetic": bool(antithetic),
            "seed": start_seed,
            "threads": workers,
        },
        path=path,
        names=["loss", "seconds"]
        + ["validation_loss"] * (held_out is not None)
        + ["sigma"] * has_schedule(sigma),
        record=record,
        identity=identity,
        patience=as_patience(patience, tolerance, held_out is not None, has_schedule(sigma)),
        callbacks=as_callbacks(callbacks),
        progress=progress,
        checkpoint=checkpoint,
        checkpoint_seconds=seconds,
        resume=bool(resume),
    )


def _check_parts(
    world: World | None, streamed: bool, sigma: object, objective: object, data: object
) -> None:
    """Refuse what needs all rows where this process has them not all in memory."""
    where = "X is not all in memory" if streamed else "each rank has a part of X"
    if streamed and world is not None:
        raise ValueError("comm: expected X in memory on each rank, not read by windows")
    if world is not None and isinstance(sigma, str):
        raise ValueError(f"sigma: expected a number, got {sigma!r}, and {where}")
    if objective == "esm_smoothed" and data is None:
        raise ValueError(f"data: needed for 'esm_smoothed' where {where}: rows under the density")


def _split(x: Array, fraction: object, seed: int, whole: bool) -> tuple[Array, Array]:
    """Hold out a fraction of the rows."""
    part = as_real(fraction, "validation", inclusive=True)
    if not whole:
        raise TypeError(
            "validation: expected rows; a fraction is for data that one process has in memory"
        )
    if not 0 < part < 1 or len(x) < 2:
        raise ValueError(
            "validation: expected rows, or a fraction between 0 and 1 of at least two rows, "
            f"got {part:g} of {len(x)}"
        )
    return data_sets.split(x, part, seed)


def as_run(asked: Request, world: World | None) -> Run:
    """Return the run, which all ranks agree on."""
    identity = {**asked.record, **asked.identity}
    if world is not None:
        _share(asked, world)
        identity = {**identity, "ranks": world.gather(asked.identity.get("X"))}
        identity["rows"] = asked.source.shape[0]
        identity.pop("X", None)
    rows = asked.source.shape[0]
    path = as_path(
        asked.path,
        asked.task,
        min(asked.plan["batch_size"], rows),
        asked.n_hidden,
        asked.plan["draws"],
    )
    state = initial_state(
        asked.init,
        asked.x,
        asked.n_hidden,
        asked.sigmas[0],
        asked.plan["seed"],
        asked.x.dtype,
        asked.bias,
        asked.plan["optimizer"].moments,
        world,
    )
    options = {**asked.plan, "path": path, "first_step": state.steps}
    if world is None:
        plan = Plan(task=asked.task, source=asked.source, **options)
    else:
        plan = DistributedPlan(task=asked.task, source=asked.source, world=world, **options)
    record = {**asked.record, "rows": rows, "path": path.name}
    kept = None
    if asked.checkpoint is not None:
        identity["path"] = path.name
        identity["init"] = asked.init is not None and fingerprint(state.parameters[0])
        kept = Checkpoint(asked.checkpoint, asked.checkpoint_seconds, identity)
    return Run(
        plan,
        state,
        asked.sigmas,
        asked.names,
        record,
        asked.held_out,
        asked.callbacks,
        asked.patience,
        asked.progress,
        kept,
        world,
    )


def _share(asked: Request, world: World) -> None:
    """See that ranks ask for the same, and tell each where its rows stand among all."""
    same = {
        "features": asked.x.shape[1],
        **{name: value for name, value in asked.record.items() if name != "rows"},
        "n_hidden": asked.n_hidden,
        "sigma": asked.sigmas,
        "dtype": str(asked.x.dtype),
        "validation": asked.held_out is not None,
        "checkpoint": asked.checkpoint is not None,
        "resume": asked.resume,
        "init": asked.init is not None,
    }
    first = world.from_first(same)
    different = [name for name in same if same[name] != first[name]]
    error = None
    if different:
        name = different[0]
        error = ValueError(
            f"{name}: expected the same on all ranks, got {same[name]!r} on rank {world.rank} and "
            f"{first[name]!r} on rank 0"
        )
    world.agree(error)
    lengths = world.gather(len(asked.x))
    begin = sum(lengths[: world.rank])
    if asked.plan["threads"] == 0:
        asked.plan["threads"] = world.threads()
    asked.source = Sharded(asked.task, begin, sum(lengths))
    if asked.held_out is not None:
        lengths = world.gather(len(asked.held_out.x))
        asked.held_out = replace(asked.held_out, first_row=sum(lengths[: world.rank]))
