"""Results of training, which a later run can continue."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast.model import ScoreModel

__all__ = ["DivergenceError", "History", "State", "TrainingResult", "Triple"]

History = dict[str, Array]
Triple = tuple[Array, Array, Array]


def _like(triple: Triple, make: Callable[[Array], Array]) -> Triple:
    W, b, c = triple
    return make(W), make(b), make(c)


NO_SUMS = np.empty(0)
NO_SUMS.flags.writeable = False


class State(NamedTuple):
    """Where training is: all that the next step depends on, beside the data and the options."""

    arrays: list[Triple]  # the parameters (W, b, c), and the optimizer's moments of them
    sigma: float
    steps: int = 0  # updates taken: the place in the noise stream
    epochs: int = 0  # epochs finished: the place in the orders of rows
    sums: Array = NO_SUMS  # of the objective, by each step of the epoch that is under way

    @classmethod
    def start(cls, model: ScoreModel, moments: int) -> State:
        """Return the state before the first step, with so many moments of the optimizer."""
        parameters = (model.W, model.b, model.c)
        zeros = [_like(parameters, np.zeros_like) for _ in range(moments)]
        return cls([_like(parameters, np.copy), *zeros], model.sigma)

    @property
    def parameters(self) -> Triple:
        """(W, b, c)."""
        return self.arrays[0]

    def after(self, sums: Array) -> State:
        """Return the state after steps with these sums, which the arrays have behind them."""
        steps = self.steps + len(sums)
        so_far = np.concatenate([self.sums, sums])
        return State(self.arrays, self.sigma, steps, self.epochs, so_far)

    def after_epoch(self) -> State:
        """Return the state with the epoch that is under way counted as finished."""
        return State(self.arrays, self.sigma, self.steps, self.epochs + 1)

    def copy(self) -> State:
        """Return a state that later steps do not write to."""
        return self._replace(arrays=[_like(triple, np.copy) for triple in self.arrays])


@dataclass(frozen=True, eq=False, repr=False)
class TrainingResult:
    """Result of :func:`train`.

    Two results are equal if they agree in everything but ``state``. Results are not hashable.

    Attributes
    ----------
    model : ScoreModel
        The trained model. With ``patience``, it is the model of the best epoch.
    history : dict of str to ndarray
        Arrays with one entry per finished epoch. ``"loss"`` is the mean training objective over the
        steps of the epoch and ``"seconds"`` its duration. ``"validation_loss"`` is present if
        validation was requested; it is NaN for an epoch whose validation was interrupted by Ctrl-C.
        ``"sigma"`` is present if sigma varied between epochs.
    steps : int
        Number of parameter updates, including those of an unfinished epoch.
    stop_reason : str
        Why training ended: ``"finished"``, ``"patience"`` (the validation loss did not improve for
        that many epochs), ``"callback"``, ``"interrupted"`` (Ctrl-C), ``"diverged"`` or ``"error"``
        (a callback raised an error).
    path : str
        How the steps were computed: ``"explicit"`` or ``"gram"``; see :func:`choose_path`.
    best_epoch : int or None
        With ``patience``, the epoch with the lowest validation loss, counted from 1; None before
        the first.
    state : State
        Parameters and optimizer state, from which ``train(init=result)`` continues.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(512), columns=4)
    >>> result = dsmfast.train(X, 16, sigma=0.5, epochs=3, schedule="constant")
    >>> result.steps, result.stop_reason, result.history["loss"].shape
    (6, 'finished', (3,))
    >>> dsmfast.train(X, 16, sigma=0.5, init=result, epochs=2, schedule="constant").steps
    10
    """

    model: ScoreModel
    history: History
    steps: int
    stop_reason: str
    path: str
    best_epoch: int | None = None
    state: State | None = None

    def __repr__(self) -> str:
        """Show the model and the losses of the last epoch, but not the history."""
        names = [name for name in ("loss", "validation_loss") if len(self.history.get(name, ()))]
        losses = [f"{name}={self.history[name][-1]:.6g}" for name in names]
        parts = [repr(self.model), f"steps={self.steps}", f"stop_reason={self.stop_reason!r}"]
        return f"TrainingResult({', '.join([*parts, *losses])})"

    def __eq__(self, other: object) -> bool:
        """Whether two runs came to the same."""
        if not isinstance(other, TrainingResult):
            return NotImplemented
        mine, others = self.history, other.history
        return (
            (self.model, self.steps, self.stop_reason, self.path, self.best_epoch)
            == (other.model, other.steps, other.stop_reason, other.path, other.best_epoch)
            and mine.keys() == others.keys()
            and all(np.array_equal(mine[name], others[name], equal_nan=True) for name in mine)
        )

    __hash__ = None  # type: ignore[assignment]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a file, as :meth:`ScoreModel.save` does.

        Parameters
        ----------
        path : path-like
            File to write.
        """
        self.model.save(path)


class DivergenceError(ArithmeticError):
    """Error of a training run whose loss or parameters became infinite or NaN.

    Attributes
    ----------
    result : TrainingResult
        Result with the last finite state.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(512), columns=4)
    >>> try:
    ...     dsmfast.train(X, 16, sigma=0.5, optimizer="sgd", learning_rate=1e6)
    ... except dsmfast.DivergenceError as error:
    ...     print(error.result.stop_reason, error.result.model.n_hidden)
    diverged 16
    """

    def __init__(self, message: str, result: TrainingResult) -> None:
        super().__init__(message)
        self.result = result
