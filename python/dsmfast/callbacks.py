"""Callbacks of training, and the state that they receive."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dsmfast._arguments.checks import describe
from dsmfast.model import ScoreModel

__all__ = ["Callback", "Listener", "TrainingState", "as_callbacks"]


class TrainingState:
    """State of a training run, which callbacks receive.

    Attributes
    ----------
    epoch : int
        Number of finished epochs; 0 before the first.
    epochs : int
        Number of epochs requested.
    steps : int
        Number of parameter updates since the start.
    loss : float or None
        Mean training objective over the last epoch; None before the first.
    validation_loss : float or None
        Objective on the validation rows after the last epoch. Its noise is the same after every
        epoch.
    sigma : float
        Standard deviation of the noise, which is also the sigma of the model.
    learning_rate : float
        Learning rate of the last step. Before the first step, it is that of the first step.
    seconds : float
        Duration of the last epoch.
    stopped : bool
        Whether :meth:`stop` was called.

    Examples
    --------
    >>> import dsmfast
    >>> def enough(state):
    ...     if state.epoch == 2:
    ...         state.stop()
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(100), columns=2)
    >>> result = dsmfast.train(X, 8, sigma=1, epochs=10, callbacks=[enough])
    >>> len(result.history["loss"]), result.stop_reason
    (2, 'callback')
    """

    def __init__(self, epochs: int, model: Callable[[], ScoreModel]) -> None:
        self.epoch = 0
        self.epochs = epochs
        self.steps = 0
        self.loss: float | None = None
        self.validation_loss: float | None = None
        self.sigma = 0.0
        self.learning_rate = 0.0
        self.seconds = 0.0
        self.stopped = False
        self._model = model

    def __repr__(self) -> str:
        loss = "" if self.loss is None else f", loss {self.loss:.5g}"
        held_out = "" if self.validation_loss is None else f", held out {self.validation_loss:.5g}"
        return f"<epoch {self.epoch}/{self.epochs}: {self.steps} steps{loss}{held_out}>"

    @property
    def model(self) -> ScoreModel:
        """Copy of the current model."""
        return self._model()

    def stop(self) -> None:
        """End training after the current epoch, or before the first if none has started."""
        self.stopped = True


class Callback:
    """Base class of objects that training notifies; override the methods you need.

    A plain function of the state is enough if only the ends of epochs matter. If a callback raises
    an error, training ends and the error propagates unchanged. Its attribute ``result`` then holds
    the :class:`TrainingResult` so far.

    Examples
    --------
    >>> import dsmfast
    >>> class Losses(dsmfast.Callback):
    ...     def on_train_begin(self, state):
    ...         self.seen = []
    ...     def on_epoch_end(self, state):
    ...         self.seen.append(state.loss)
    >>> losses = Losses()
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(100), columns=2)
    >>> result = dsmfast.train(X, 8, sigma=1, epochs=3, callbacks=[losses])
    >>> len(losses.seen)
    3
    """

    def on_train_begin(self, state: TrainingState) -> object:
        """Run before the first step.

        Parameters
        ----------
        state : TrainingState
            State of the run.
        """

    def on_epoch_end(self, state: TrainingState) -> object:
        """Run after each epoch and its validation.

        Parameters
        ----------
        state : TrainingState
            State of the run.
        """

    def on_train_end(self, state: TrainingState) -> object:
        """Run when training ends for any reason other than an error.

        Parameters
        ----------
        state : TrainingState
            State of the run.
        """


Listener = Callback | Callable[[TrainingState], object]


class _Function(Callback):
    """A function, called at the end of each epoch."""

    def __init__(self, function: Callable[[TrainingState], object]) -> None:
        self._function = function

    def on_epoch_end(self, state: TrainingState) -> object:
        return self._function(state)


def as_callbacks(callbacks: object) -> tuple[Callback, ...]:
    """Return callbacks for what the user handed over."""
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise TypeError(
            "callbacks: expected a list of functions or dsmfast.Callback, "
            f"got {describe(callbacks)}"
        )
    return tuple(_as_callback(item, i) for i, item in enumerate(callbacks))


def _as_callback(item: object, place: int) -> Callback:
    if isinstance(item, type) or not (isinstance(item, Callback) or callable(item)):
        raise TypeError(
            f"callbacks[{place}]: expected a function or a dsmfast.Callback, got {describe(item)}"
        )
    return item if isinstance(item, Callback) else _Function(item)
