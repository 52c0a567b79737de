"""Training: what the user asks for, checked and made a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast import data as data_sets
from dsmfast.arrays import (
    Array,
    as_dtype,
    as_integer,
    as_real,
    as_seed,
    as_threads,
    describe,
)
from dsmfast.callbacks import Listener, as_callbacks
from dsmfast.checkpoints import Checkpoint, fingerprint
from dsmfast.losses import Score
from dsmfast.model import ScoreModel
from dsmfast.objectives import as_draws_of, as_task
from dsmfast.optimizers import Optimizer, as_optimizer
from dsmfast.parzen import select_sigma
from dsmfast.paths import as_path
from dsmfast.results import TrainingResult
from dsmfast.runs import Patience, Run
from dsmfast.schedules import SigmaSchedule, as_schedule, as_sigmas, has_schedule
from dsmfast.sources import SAMPLE, InMemory, Source, Streamed, as_reader, tasks_of, training_rows
from dsmfast.steps import Plan, State

__all__ = ["train"]


def _initial_state(
    init: ScoreModel | TrainingResult | None,
    x: Array,
    n_hidden: int,
    sigma: float,
    seed: int,
    dtype: np.dtype[Any],
    hidden_bias: float,
    moments: int,
) -> State:
    """Return the state to start from: that of ``init`` with this sigma, or a fresh one."""
    if init is None:
        return State(_initial_model(x, n_hidden, sigma, seed, dtype, hidden_bias), moments)
    model = init.model if isinstance(init, TrainingResult) else init
    if not isinstance(model, ScoreModel):
        raise TypeError(f"init: expected a ScoreModel or a TrainingResult, got {describe(init)}")
    expected = (n_hidden, x.shape[1], dtype)
    if (model.n_hidden, model.n_features, model.dtype) != expected:
        raise ValueError(
            f"init: expected n_hidden={n_hidden}, n_features={x.shape[1]}, dtype={dtype}, "
            f"got {model!r}"
        )
    if not isinstance(init, TrainingResult) or init.state is None:
        return State(ScoreModel(model.W, model.b, model.c, sigma), moments)
    state = init.state.copy()
    if len(state.arrays) != 1 + moments:
        raise ValueError(
            f"init: expected a result of the same optimizer, whose state has {moments} moments, "
            f"got one of {len(state.arrays) - 1}; init=result.model starts the optimizer anew"
        )
    state.sigma, state.sums = sigma, []
    return state


def _initial_model(
    x: Array, n_hidden: int, sigma: float, seed: int, dtype: np.dtype[Any], hidden_bias: float
) -> ScoreModel:
    """Return a fresh model around the mean of the data."""
    start = ScoreModel.initialize(x.shape[1], n_hidden, sigma, seed=seed, dtype=dtype)
    W = start.W.astype(np.float64)
    mean = _mean(x)
    b = hidden_bias - W @ mean
    with np.errstate(over="ignore"):  # exp(...) = inf is the right limit
        c = mean - W.sum(axis=0) / (1 + np.exp(-hidden_bias))
    return ScoreModel(start.W, b.astype(dtype), c.astype(dtype), sigma)


def _mean(x: Array) -> Array:
    """Mean of the rows, the same bits however they lie in memory."""
    blocks = (np.ascontiguousarray(x[i : i + 4096]) for i in range(0, len(x), 4096))
    total: Array = sum(block.sum(axis=0, dtype=np.float64) for block in blocks)
    return total / len(x)


def train(
    X: npt.ArrayLike,
    n_hidden: int = 128,
    sigma: SigmaSchedule = 0.3,
    *,
    objective: str = "dsm",
    epochs: int = 20,
    batch_size: int = 256,
    optimizer: str | Optimizer = "adam",
    learning_rate: float | None = None,
    schedule: str | Callable[[float], float] = "linear",
    draws: int = 1,
    antithetic: bool = False,
    path: str = "auto",
    score: Score | None = None,
    data: npt.ArrayLike | None = None,
    curvature_penalty: float = 0.0,
    corruption: str = "gaussian",
    corruption_level: float | None = None,
    corruption_range: tuple[float, float] | None = None,
    init: ScoreModel | TrainingResult | None = None,
    hidden_bias: float = -3.0,
    dtype: npt.DTypeLike = "float32",
    validation: npt.ArrayLike | float | None = None,
    patience: int | None = None,
    tolerance: float = 0.0,
    callbacks: Iterable[Listener] = (),
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
    resume: bool = False,
    window: int | None = None,
    scale: float = 1.0,
    seed: int = 0,
    threads: int | None = None,
) -> TrainingResult:
    """Train a score model on rows of data.

    Every step draws fresh noise for its rows, where the objective has noise, and steps on 2 sigma^4
    times the objective (on "dae" itself), so a learning rate serves every objective and sigma. The
    same arguments give the same bits on any number of threads.

    Parameters
    ----------
    X : array_like, shape (n, n_features)
        Data. Converted once to ``dtype`` where it comes in another; strided and read-only arrays
        are used as they are. What has ``shape``, ``dtype`` and slices of rows but is no array in
        memory (``numpy.memmap``, h5py, zarr), or is of a narrower type (bytes, ``float16``), is
        read and converted by windows, if it is more than one.
    n_hidden : int
        Hidden units.
    sigma : float, "auto", sequence of float, or callable
        Standard deviation of the noise, in units of the data; the trained model's, whatever that of
        ``init`` was. "auto" takes it from :func:`select_sigma`. A sequence has one entry for each
        epoch, and a function is given the epoch's number, from 1: from coarse noise to fine, say,
        with the model's sigma following.
    objective : {"dsm", "dae", "esm", "ism", "esm_smoothed", "ism_smoothed"}
        What is minimised, and reported; see :func:`loss`. "dsm" and "dae" take the same steps.
    epochs : int
        Passes over the data; the order of the rows is drawn anew from the seed in each.
    batch_size : int
        Rows of a step; the last step of an epoch takes what remains.
    optimizer : {"adam", "sgd"} or Adam or SGD
        Which rule.
    learning_rate : float, optional
        By default the optimizer's own.
    schedule : {"linear", "cosine", "constant"} or callable
        How the learning rate falls from step to step: a factor as a function of the fraction of the
        run that is done. "linear" and "cosine" go from 1 to 0.
    draws : int
        Noise draws for each row and step; of the objectives with noise.
    antithetic : bool
        Whether draws come in pairs of opposite sign, an even number of them. Two such draws have
        far less noise in the gradient than two others where sigma is small (docs/training.md).
    path : {"auto", "explicit", "gram"}
        Where steps are worked out; see :func:`loss` and :func:`choose_path`. The result says which
        it was.
    score, data, curvature_penalty, corruption, corruption_level, corruption_range
        What the objective needs or takes, as for :func:`loss`. ``data`` is by default X, and for
        the validation loss the validation rows; with validation, ``score`` is a function of x.
    init : ScoreModel or TrainingResult, optional
        Parameters to start from; a result goes on where it ended, with what the optimizer remembers
        and at its place in the noise stream, so that ``epochs`` on a constant learning rate may
        come in pieces. By default W is drawn from the seed, and b and c are such that at the mean
        of the data every pre-activation is ``hidden_bias`` and the reconstruction exact.
    hidden_bias : float
        Where hidden units start, if ``init`` is not given. Units that start well below zero are off
        for most of the data, where the sigmoid is curved; from zero they start linear, and training
        ends with a higher loss (docs/training.md has figures).
    dtype : {"float32", "float64"}
        Precision of training.
    validation : array_like, shape (m, n_features), or float, optional
        Held-out rows, evaluated after each epoch on noise that stays the same. A number is the
        fraction of X to hold out, at random; training is then on a copy of the rest.
    patience : int, optional
        End training after so many epochs without a better validation loss, and hand back the model
        of the best one, however training ended (but for divergence). Needs validation; sigma has to
        be one number.
    tolerance : float
        By how much a validation loss has to be lower to be better.
    callbacks : iterable of callable or Callback
        A function is called with a :class:`TrainingState` after every epoch, a :class:`Callback` at
        the begin and the end too; ``state.stop()`` ends training.
    progress : bool, optional
        Whether to tell how far training is: True draws a bar on a terminal (needs tqdm), and writes
        a line a second to stderr where that is none. By default a bar on a terminal that has tqdm.
    checkpoint : path-like, optional
        File to keep the run in (safetensors): parameters, what the optimizer remembers, history,
        and what the run was asked for. The one before it is kept as ``<name>.previous``.
    checkpoint_seconds : float
        Between two writes; more where writing takes more than a hundredth of the time. It is
        written at the end too, however the run ends.
    resume : bool
        Whether to go on from the checkpoint, if there is one; a run that was killed then ends in
        the same bits as one that was not. Data and options have to be the same; ``threads``,
        ``progress`` and ``callbacks``, whose own state is not kept, may differ. A file that is
        damaged is told of, and the one before it taken.
    window : int, optional
        Rows that are in memory, and shuffled, together, where X is not all in memory. An epoch goes
        through the windows in an order drawn from the seed; the next one is read while one is
        trained on. By default 2**25 values, 128 MB of float32.
    scale : float
        What X and validation rows are multiplied by: 1/255 for bytes, say.
    seed : int
        Of weights, order and noise.
    threads : int, optional
        By default what OpenMP says.

    Returns
    -------
    TrainingResult
        Ctrl-C ends training early and returns the state so far, ``stop_reason`` "interrupted".

    Raises
    ------
    DivergenceError
        When the loss or the parameters leave the finite numbers; its ``result`` holds the last
        finite state.
    ValueError, TypeError
        For input that does not fit or is not finite.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(500), columns=3)
    >>> result = dsmfast.train(X, n_hidden=16, sigma=0.5, epochs=5)
    >>> result.model
    ScoreModel(n_features=3, n_hidden=16, sigma=0.5, dtype='float32')
    >>> bool(result.history["loss"][-1] < result.history["loss"][0])
    True
    """
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
        x = reader.some(SAMPLE)
    held_out_rows = None
    if validation is not None and np.ndim(validation) == 0:
        x, held_out_rows = _split(x, validation, start_seed, reader is not None)
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
    early_stopping = _as_patience(patience, tolerance, held_out is not None, has_schedule(sigma))
    listeners = as_callbacks(callbacks)
    bias = as_real(hidden_bias, "hidden_bias", low=-np.inf)
    state = _initial_state(init, x, units, sigmas[0], start_seed, precision, bias, rule.moments)
    plan = Plan(
        task=task,
        source=source,
        optimizer=rule,
        learning_rate=rule.rate_for(x.shape[1], units)
        if learning_rate is None
        else as_real(learning_rate, "learning_rate"),
        schedule=as_schedule(schedule),
        epochs=passes,
        first_step=state.steps,
        batch_size=batch,
        draws=count,
        antithetic=bool(antithetic),
        path=as_path(path, task, min(batch, source.shape[0]), units, count),
        seed=start_seed,
        threads=workers,
    )
    names = ["loss", "seconds"]
    names += ["validation_loss"] * (held_out is not None)
    names += ["sigma"] * has_schedule(sigma)
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
        "learning_rate": plan.learning_rate,
        "schedule": schedule if isinstance(schedule, str) else "function",
        "draws": count,
        "antithetic": plan.antithetic,
        "path": plan.path.name,
        "hidden_bias": bias,
        "patience": patience,
        "seed": start_seed,
    }
    if resume and checkpoint is None:
        raise ValueError("resume: needs checkpoint, the file to go on from")
    kept = None
    if checkpoint is not None:
        identity = {
            **record,
            "n_hidden": units,
            "dtype": str(precision),
            "sigma": sigmas if len(sigmas) == 1 else fingerprint(np.array(sigmas)),
            "schedule": record["schedule"]
            if isinstance(schedule, str)
            else plan.schedule(np.linspace(0, 1, 9)[:-1]).tolist(),
            "tolerance": float(tolerance),
            "X": fingerprint(x if reader is None else X),
            "validation": held_out and fingerprint(held_out.x),
            "score": task.scores is not None and fingerprint(task.scores),
            "data": task.sample is not None and fingerprint(task.sample),
            "init": init is not None and fingerprint(state.parameters[0]),
        }
        kept = Checkpoint(checkpoint, as_real(checkpoint_seconds, "checkpoint_seconds"), identity)
    run = Run(
        plan, state, sigmas, names, record, held_out, listeners, early_stopping, progress, kept
    )
    return run.finish(bool(resume))


def _split(x: Array, fraction: object, seed: int, streamed: bool) -> tuple[Array, Array]:
    """Hold out a fraction of the rows."""
    if streamed:
        raise TypeError(
            "validation: expected rows; a fraction is for data that are in memory as a whole"
        )
    part = as_real(fraction, "validation", inclusive=True)
    if not 0 < part < 1 or len(x) < 2:
        raise ValueError(
            "validation: expected rows, or a fraction between 0 and 1 of at least two rows, "
            f"got {part:g} of {len(x)}"
        )
    return data_sets.split(x, part, seed)


def _as_patience(
    patience: object, tolerance: object, validated: bool, moving_sigma: bool
) -> Patience | None:
    """Return how to stop early, if at all."""
    least = as_real(tolerance, "tolerance", inclusive=True)
    if patience is None:
        if least > 0:
            raise ValueError("tolerance: of early stopping, which needs patience")
        return None
    if not validated:
        raise ValueError(
            "patience: needs validation, rows or a fraction of X, whose loss is waited for"
        )
    if moving_sigma:
        raise ValueError("patience: losses at different sigma say nothing of each other")
    return Patience(as_integer(patience, "patience", low=1, high=2**32), least)
