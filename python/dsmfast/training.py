"""Training: the loop over epochs. An epoch's steps are one call of the compiled kernels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast.arrays import (
    Array,
    as_dtype,
    as_integer,
    as_real,
    as_real_array,
    as_rows,
    as_seed,
    as_threads,
    check_finite,
    describe,
    narrowed,
)
from dsmfast.losses import Score
from dsmfast.model import ScoreModel
from dsmfast.objectives import Task, as_draws_of, as_task
from dsmfast.optimizers import Optimizer, as_optimizer
from dsmfast.parzen import select_sigma
from dsmfast.paths import as_path
from dsmfast.progress import progress_bar
from dsmfast.results import DivergenceError, Epoch, TrainingResult
from dsmfast.schedules import SigmaSchedule, as_schedule, as_sigmas, has_schedule
from dsmfast.steps import Plan, State

__all__ = ["train"]


def _initial_model(
    init: ScoreModel | None,
    x: Array,
    n_hidden: int,
    sigma: float,
    seed: int,
    dtype: np.dtype[Any],
    hidden_bias: float,
) -> ScoreModel:
    """Return the model to start from: ``init`` with this sigma, or a fresh one around the mean."""
    if init is None:
        start = ScoreModel.initialize(x.shape[1], n_hidden, sigma, seed=seed, dtype=dtype)
        W = start.W.astype(np.float64)
        mean = x.mean(axis=0, dtype=np.float64)
        b = hidden_bias - W @ mean
        with np.errstate(over="ignore"):  # exp(...) = inf is the right limit
            c = mean - W.sum(axis=0) / (1 + np.exp(-hidden_bias))
        return ScoreModel(start.W, b.astype(dtype), c.astype(dtype), sigma)
    if not isinstance(init, ScoreModel):
        raise TypeError(f"init: expected a ScoreModel, got {describe(init)}")
    expected = (n_hidden, x.shape[1], dtype)
    if (init.n_hidden, init.n_features, init.dtype) != expected:
        raise ValueError(
            f"init: expected n_hidden={n_hidden}, n_features={x.shape[1]}, dtype={dtype}, "
            f"got {init!r}"
        )
    return ScoreModel(init.W, init.b, init.c, sigma)


def _training_rows(
    X: npt.ArrayLike, name: str, dtype: np.dtype[Any], columns: int | None, threads: int
) -> Array:
    """Return finite rows in the precision of training: the one place where data is converted."""
    rows = as_real_array(X, name)
    if rows.dtype != dtype:
        rows = narrowed(rows, dtype)
    rows = as_rows(rows, name, dtype, columns)
    check_finite(rows, name, threads)
    return rows


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
    init: ScoreModel | None = None,
    hidden_bias: float = -3.0,
    dtype: npt.DTypeLike = "float32",
    validation: npt.ArrayLike | None = None,
    callbacks: Iterable[Callable[[Epoch], object]] = (),
    progress: bool | None = None,
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
        are used as they are.
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
    init : ScoreModel, optional
        Parameters to start from. By default W is drawn from the seed, and b and c are such that at
        the mean of the data every pre-activation is ``hidden_bias`` and the reconstruction exact.
    hidden_bias : float
        Where hidden units start, if ``init`` is not given. Units that start well below zero are off
        for most of the data, where the sigmoid is curved; from zero they start linear, and training
        ends with a higher loss (docs/training.md has figures).
    dtype : {"float32", "float64"}
        Precision of training.
    validation : array_like, shape (m, n_features), optional
        Held-out rows, evaluated after each epoch on noise that stays the same.
    callbacks : iterable of callable
        Each is called with an :class:`Epoch` after every epoch, and may ``stop()`` it.
    progress : bool, optional
        Whether to draw a progress bar (needs tqdm); by default on a terminal that has it.
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
    x = _training_rows(X, "X", precision, None, workers)
    options: dict[str, Any] = {
        "score": score,
        "data": data,
        "curvature_penalty": curvature_penalty,
        "corruption": corruption,
        "corruption_level": corruption_level,
        "corruption_range": corruption_range,
        "narrow": True,
    }
    task = as_task(objective, x, workers, **options)
    held_out = None
    if validation is not None:
        held_out_rows = _training_rows(validation, "validation", precision, x.shape[1], workers)
        if task.scores is not None and not callable(score):
            raise TypeError(
                "score: expected a function of x, to ask for the score at the validation rows, "
                f"got {describe(score)}"
            )
        held_out = as_task(objective, held_out_rows, workers, **options)
    units = as_integer(n_hidden, "n_hidden", low=1, high=2**31)
    rule = as_optimizer(optimizer)
    rows = as_integer(batch_size, "batch_size", low=1, high=2**40)
    count = as_draws_of(task, draws, antithetic)
    plan = Plan(
        task=task,
        optimizer=rule,
        learning_rate=rule.rate_for(x.shape[1], units)
        if learning_rate is None
        else as_real(learning_rate, "learning_rate"),
        schedule=as_schedule(schedule),
        epochs=as_integer(epochs, "epochs", low=0, high=2**32 - 1),
        batch_size=rows,
        draws=count,
        antithetic=bool(antithetic),
        path=as_path(path, task, min(rows, len(x)), units, count),
        seed=as_seed(seed),
        threads=workers,
    )
    sigmas = as_sigmas(
        sigma, plan.epochs, precision, lambda: select_sigma(x, seed=plan.seed, threads=threads)
    )
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks: expected a list of callables, got {describe(callbacks)}")
    listeners = tuple(callbacks)
    for listener in listeners:
        if not callable(listener):
            raise TypeError(f"callbacks: expected callables, got {describe(listener)}")
    start = _initial_model(
        init,
        x,
        units,
        sigmas[0],
        plan.seed,
        precision,
        as_real(hidden_bias, "hidden_bias", low=-np.inf),
    )
    state = State(start, rule.moments)
    names = ["loss", "seconds"]
    names += ["validation_loss"] * (held_out is not None)
    names += ["sigma"] * has_schedule(sigma)
    return _epochs(plan, state, sigmas, held_out, listeners, names, progress)


def _epochs(
    plan: Plan,
    state: State,
    sigmas: list[float],
    held_out: Task | None,
    listeners: tuple[Callable[[Epoch], object], ...],
    names: list[str],
    progress: bool | None,
) -> TrainingResult:
    """Run the epochs of a plan on a state; ``names`` are those of the history."""
    entries: list[dict[str, float]] = []
    rows = len(plan.task.x)

    def result(reason: str) -> TrainingResult:
        history = {name: np.array([entry[name] for entry in entries]) for name in names}
        return TrainingResult(state.model(), history, state.steps, reason, plan.path.name)

    with progress_bar(progress, plan.epochs, rows) as bar:
        try:
            for number in range(1, plan.epochs + 1):
                begin = time.perf_counter()
                sigma = sigmas[number - 1 if len(sigmas) > 1 else 0]
                state.sigma = sigma
                end = plan.epoch(state, _core.shuffled_rows(plan.seed, number, rows))
                seconds = time.perf_counter() - begin
                if end.diverged_at is not None:
                    raise _divergence(plan, end.diverged_at, result("diverged"))
                if end.loss is None:
                    return result("interrupted")
                entry = {"loss": end.loss, "seconds": seconds, "sigma": sigma}
                entries.append(entry)
                if held_out is not None:
                    entry["validation_loss"] = np.nan  # until it is known
                    entry["validation_loss"] = plan.validation_loss(state, held_out)
                if end.interrupted:
                    return result("interrupted")
                bar.update(end.loss, entry.get("validation_loss"))
                epoch = Epoch(number, entry, state.steps, state.model)
                for listener in listeners:
                    listener(epoch)
                if epoch.stopped:
                    return result("callback")
        except KeyboardInterrupt:  # outside the kernels
            return result("interrupted")
    return result("finished")


def _divergence(plan: Plan, step: int, result: TrainingResult) -> DivergenceError:
    cure = f"try a smaller learning_rate than {plan.learning_rate:g}"
    if step == 0:
        cure = f"the data are too large for {plan.task.x.dtype}: scale them"
    return DivergenceError(
        f"training diverged at step {step}: the loss or the parameters are not finite; {cure}. "
        "The last finite state is in this error's `result`",
        result,
    )
