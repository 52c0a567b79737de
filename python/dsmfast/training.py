"""Training: the loop over epochs. An epoch's steps are one call of the compiled kernels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast.arrays import (
    Array,
    as_draws,
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
from dsmfast.model import ScoreModel
from dsmfast.objectives import as_objective
from dsmfast.optimizers import Optimizer, as_optimizer
from dsmfast.progress import progress_bar
from dsmfast.schedules import as_schedule
from dsmfast.steps import Plan, State

__all__ = ["DivergenceError", "Epoch", "TrainingResult", "train"]

History = dict[str, Array]


@dataclass(frozen=True)
class TrainingResult:
    """What :func:`train` hands back.

    Attributes
    ----------
    model : ScoreModel
        The trained model.
    history : dict of str to ndarray
        One entry per finished epoch: ``"loss"``, the mean training objective over the epoch's
        steps; ``"seconds"``, its duration; ``"validation_loss"`` where validation was asked.
    steps : int
        Parameter updates done, those of an unfinished epoch included.
    stop_reason : str
        ``"finished"``, ``"callback"``, ``"interrupted"`` (Ctrl-C) or ``"diverged"``.
    """

    model: ScoreModel
    history: History
    steps: int
    stop_reason: str


class DivergenceError(ArithmeticError):
    """Training left the finite numbers.

    Attributes
    ----------
    result : TrainingResult
        The last finite state.
    """

    def __init__(self, message: str, result: TrainingResult) -> None:
        super().__init__(message)
        self.result = result


class Epoch:
    """What a callback is told after each epoch.

    Attributes
    ----------
    number : int
        Epochs finished, from 1.
    loss : float
        Mean training objective over the epoch.
    validation_loss : float or None
        Objective on the validation rows, on noise that is the same in every epoch.
    seconds : float
        Duration of the epoch.
    steps : int
        Updates since the start.
    """

    def __init__(
        self,
        number: int,
        loss: float,
        validation_loss: float | None,
        seconds: float,
        steps: int,
        model: Callable[[], ScoreModel],
    ) -> None:
        self.number = number
        self.loss = loss
        self.validation_loss = validation_loss
        self.seconds = seconds
        self.steps = steps
        self.stopped = False
        self._model = model

    def __repr__(self) -> str:
        held_out = "" if self.validation_loss is None else f", held out {self.validation_loss:.5g}"
        return f"<epoch {self.number}: loss {self.loss:.5g}{held_out}, {self.steps} steps>"

    @property
    def model(self) -> ScoreModel:
        """A copy of the model as it is now."""
        return self._model()

    def stop(self) -> None:
        """End training after this epoch."""
        self.stopped = True


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
    sigma: float = 0.3,
    *,
    objective: str = "dsm",
    epochs: int = 20,
    batch_size: int = 256,
    optimizer: str | Optimizer = "adam",
    learning_rate: float | None = None,
    schedule: str | Callable[[float], float] = "linear",
    draws: int = 1,
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

    Every step draws fresh noise for its rows and steps on mean |D(x~) - x|^2, that is 2 sigma^4
    times "dsm", so a learning rate serves every objective and sigma. The same arguments give the
    same bits on any number of threads.

    Parameters
    ----------
    X : array_like, shape (n, n_features)
        Data. Converted once to ``dtype`` where it comes in another; strided and read-only arrays
        are used as they are.
    n_hidden : int
        Hidden units.
    sigma : float
        Standard deviation of the noise, in units of the data; the trained model's, whatever that of
        ``init`` was.
    objective : {"dsm", "dae"}
        Which objective is reported; both have the same minimiser.
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
        Noise draws for each row and step.
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
        Each is called with an :class:`Epoch` after every epoch.
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
    >>> X = dsmfast.normals(seed=0, step=0, draw=0, rows=range(500), columns=3)
    >>> result = dsmfast.train(X, n_hidden=16, sigma=0.5, epochs=5)
    >>> result.model
    ScoreModel(n_features=3, n_hidden=16, sigma=0.5, dtype='float32')
    >>> bool(result.history["loss"][-1] < result.history["loss"][0])
    True
    """
    precision = as_dtype(dtype)
    workers = as_threads(threads)
    x = _training_rows(X, "X", precision, None, workers)
    held_out = None
    if validation is not None:
        held_out = _training_rows(validation, "validation", precision, x.shape[1], workers)
    units = as_integer(n_hidden, "n_hidden", low=1, high=2**31)
    rule = as_optimizer(optimizer)
    plan = Plan(
        x=x,
        objective=as_objective(objective),
        optimizer=rule,
        learning_rate=rule.rate_for(x.shape[1], units)
        if learning_rate is None
        else as_real(learning_rate, "learning_rate"),
        schedule=as_schedule(schedule),
        epochs=as_integer(epochs, "epochs", low=0, high=2**32 - 1),
        batch_size=as_integer(batch_size, "batch_size", low=1, high=2**40),
        draws=as_draws(draws),
        seed=as_seed(seed),
        threads=workers,
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
        as_real(sigma, "sigma"),
        plan.seed,
        precision,
        as_real(hidden_bias, "hidden_bias", low=-np.inf),
    )
    state = State(start, rule.moments)
    return _epochs(plan, state, held_out, listeners, progress)


def _epochs(
    plan: Plan,
    state: State,
    held_out: Array | None,
    listeners: tuple[Callable[[Epoch], object], ...],
    progress: bool | None,
) -> TrainingResult:
    """Run the epochs of a plan on a state."""
    names = ("loss", "seconds") if held_out is None else ("loss", "seconds", "validation_loss")
    entries: list[tuple[float, ...]] = []

    def result(reason: str) -> TrainingResult:
        table = np.array(entries, dtype=np.float64).reshape(-1, len(names))
        history = {name: table[:, i].copy() for i, name in enumerate(names)}
        return TrainingResult(state.model(), history, state.steps, reason)

    with progress_bar(progress, plan.epochs, len(plan.x)) as bar:
        try:
            for number in range(1, plan.epochs + 1):
                begin = time.perf_counter()
                end = plan.epoch(state, _core.shuffled_rows(plan.seed, number, len(plan.x)))
                seconds = time.perf_counter() - begin
                if end.diverged_at is not None:
                    raise _divergence(plan, end.diverged_at, result("diverged"))
                if end.loss is None:
                    return result("interrupted")
                loss = end.loss
                held_out_loss = None if held_out is None else plan.validation_loss(state, held_out)
                entries.append(
                    (loss, seconds) if held_out_loss is None else (loss, seconds, held_out_loss)
                )
                if end.interrupted:
                    return result("interrupted")
                bar.update(loss, held_out_loss)
                epoch = Epoch(number, loss, held_out_loss, seconds, state.steps, state.model)
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
        cure = f"the data are too large for {plan.x.dtype}: scale them"
    return DivergenceError(
        f"training diverged at step {step}: the loss or the parameters are not finite; {cure}. "
        "The last finite state is in this error's `result`",
        result,
    )
