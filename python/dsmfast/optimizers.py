"""Optimizers and their constants. The updates themselves are compiled."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dsmfast import _core
from dsmfast._arguments.checks import as_choice, as_flag, as_real, as_scalar, describe
from dsmfast._arguments.options import take

__all__ = ["SGD", "Adam", "Optimizer", "as_optimizer"]


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent: v = momentum v + g, w -= learning_rate v.

    Parameters
    ----------
    learning_rate : float
        Step size. Steps are taken on 2 sigma^4 times the objective, so the same rate suits every
        objective and sigma.
    momentum : float
        Momentum, in [0, 0.999999].
    nesterov : bool
        Whether the step is along g + momentum v instead of v.
    weight_decay : float
        Decoupled weight decay: each step multiplies W by 1 - learning_rate * weight_decay. Biases
        do not decay.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(500), columns=4)
    >>> plain = dsmfast.SGD(learning_rate=0.02, momentum=0)
    >>> result = dsmfast.train(X, 16, sigma=0.5, epochs=20, optimizer=plain)
    >>> bool(result.history["loss"][-1] < result.history["loss"][0])
    True
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        take(
            self,
            learning_rate=as_real(self.learning_rate, "learning_rate"),
            momentum=_as_fraction(self.momentum, "momentum"),
            nesterov=as_flag(self.nesterov, "nesterov"),
            weight_decay=as_real(self.weight_decay, "weight_decay", inclusive=True),
        )

    @property
    def moments(self) -> int:
        """Number of arrays per parameter that the optimizer keeps between steps."""
        return 1 if self.momentum > 0 else 0

    def rate_for(self, n_features: int, n_hidden: int) -> float:
        """Return the learning rate for a model with these numbers of features and hidden units."""
        return self.learning_rate

    def compiled(self, steps_taken: int) -> _core.Optimizer:
        """Return the optimizer in the form that the compiled kernels take."""
        return _core.Optimizer(
            rule=_core.Rule.sgd,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            steps_taken=steps_taken,
        )


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma & Ba 2015) with decoupled weight decay.

    Parameters
    ----------
    learning_rate : float, optional
        Step size, in units of the parameters. The default is 1.5 / (n_hidden**0.5
        n_features**0.25). With it, pre-activations and reconstructions change at about the same
        speed for all sizes.
    beta1, beta2 : float
        Decay rates of the running means of the gradient and of its square, in [0, 0.999999].
    epsilon : float
        Added to the root of the mean square.
    weight_decay : float
        Decoupled weight decay: each step multiplies W by 1 - learning_rate * weight_decay. Biases
        do not decay.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(500), columns=4)
    >>> decaying = dsmfast.Adam(learning_rate=0.02, weight_decay=0.1)
    >>> result = dsmfast.train(X, 16, sigma=0.5, epochs=20, optimizer=decaying)
    >>> bool(result.history["loss"][-1] < result.history["loss"][0])
    True
    """

    learning_rate: float | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        rate = self.learning_rate
        take(
            self,
            learning_rate=None if rate is None else as_real(rate, "learning_rate"),
            beta1=_as_fraction(self.beta1, "beta1"),
            beta2=_as_fraction(self.beta2, "beta2"),
            epsilon=as_real(self.epsilon, "epsilon", low=1e-30),  # a number in float32 too
            weight_decay=as_real(self.weight_decay, "weight_decay", inclusive=True),
        )

    @property
    def moments(self) -> int:
        """Number of arrays per parameter that the optimizer keeps between steps."""
        return 2

    def rate_for(self, n_features: int, n_hidden: int) -> float:
        """Return the learning rate for a model with these numbers of features and hidden units."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 1.5 / (math.sqrt(n_hidden) * math.sqrt(math.sqrt(n_features)))

    def compiled(self, steps_taken: int) -> _core.Optimizer:
        """Return the optimizer in the form that the compiled kernels take."""
        return _core.Optimizer(
            rule=_core.Rule.adam,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
            steps_taken=steps_taken,
        )


Optimizer = SGD | Adam
_BY_NAME: dict[str, type[SGD] | type[Adam]] = {"adam": Adam, "sgd": SGD}


def _as_fraction(value: object, name: str) -> float:
    fraction = as_real(value, name, inclusive=True)
    if fraction > 0.999999:  # float32 would round to 1
        raise ValueError(f"{name}: expected a number in [0, 0.999999], got {value!r}")
    return fraction


def as_optimizer(optimizer: object) -> Optimizer:
    """Return an optimizer for a name or an instance."""
    if isinstance(optimizer, (SGD, Adam)):
        return optimizer
    if not isinstance(as_scalar(optimizer), str):
        raise TypeError(
            f"optimizer: expected 'adam', 'sgd', dsmfast.Adam(...) or dsmfast.SGD(...), "
            f"got {describe(optimizer)}"
        )
    return _BY_NAME[as_choice(optimizer, "optimizer", tuple(_BY_NAME))]()
