"""Markov chains of the model, step by step, and what annealed ones say of its normaliser."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from dsmfast.reference.counts import binomial_counts, uniform
from dsmfast.reference.model import ScoreModel, sigmoid, softplus
from dsmfast.reference.noise import normals, words_of
from dsmfast.reference.table import Array


@dataclass
class Chains:
    """Markov chains at x (n, d), whose noise is that of rows ``first_row`` and following.

    ``method`` is "gibbs", "shifted", "mala" or "langevin". At inverse temperature beta the
    log-density is ``(<c_beta, x> - |x|^2 / 2 + sum softplus(a)) / sigma^2``, with
    ``c_beta = (1 - beta) c0 + beta c`` and ``a = beta W x + (1 - beta) b0 + beta b``.

    Examples
    --------
    The mean of this density in the plane is sigmoid(1 / 2) in both features:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> model = reference.ScoreModel(np.eye(2), np.zeros(2), np.zeros(2), sigma=1.0)
    >>> chains = reference.Chains(model, np.zeros((1000, 2)))
    >>> for _ in range(20):
    ...     chains.step()
    >>> chains.x.shape
    (1000, 2)
    >>> bool(np.allclose(chains.x.mean(axis=0), reference.sigmoid(0.5), atol=0.15))
    True
    """

    model: ScoreModel
    x: Array
    method: str = "gibbs"
    seed: int = 0
    first_row: int = 0
    step_size: float = 1.0
    trials: int | None = None  # n of counts; by default the integer next to 1 / sigma^2
    b0: Array | None = None
    c0: Array | None = None
    observed: Array | None = None
    beta: float = 1.0
    steps: int = 0
    log_weight: Array = field(init=False)
    accepted: Array = field(init=False)

    def __post_init__(self) -> None:
        self.log_weight, self.accepted = np.zeros(len(self.x)), np.zeros(len(self.x))
        if self.trials is None:
            self.trials = max(1, round(self.precision))

    @property
    def precision(self) -> float:
        """Return 1 / sigma^2, rounded to an integer if it is one up to rounding."""
        precision = self.model.sigma**-2
        nearest = round(precision)
        return nearest if abs(precision - nearest) <= 1e-9 * nearest else precision

    @property
    def excess(self) -> float:
        """Return 1 / sigma^2 minus the number of trials."""
        return self.precision - float(self.trials or 1)

    @property
    def rows(self) -> Array:
        """Return the row numbers of the chains in the noise stream."""
        return np.arange(self.first_row, self.first_row + len(self.x))

    def a(self, x: Array) -> Array:
        """Return the pre-activations of the hidden units."""
        b0 = np.zeros_like(self.model.b) if self.b0 is None else self.b0
        bias = (1 - self.beta) * b0 + self.beta * self.model.b
        received: Array = self.beta * x @ self.model.W.T + bias
        return received

    @property
    def c(self) -> Array:
        """Return the visible biases at this temperature."""
        c0 = self.model.c if self.c0 is None else self.c0
        c: Array = (1 - self.beta) * c0 + self.beta * self.model.c
        return c

    def log_density(self, x: Array) -> Array:
        """Return the log-density at this temperature, up to a constant."""
        free = softplus(self.a(x)).sum(axis=1)
        value: Array = self.precision * (x @ self.c - (x**2).sum(axis=1) / 2 + free)
        return value

    def anneal(self, beta: float) -> None:
        """Change the temperature, and add the change of the log-density to the log-weights."""
        before = self.log_density(self.x)
        self.beta = beta
        self.log_weight += self.log_density(self.x) - before

    def step(self) -> None:
        """Take one step of each chain."""
        self.steps += 1
        if self.method in ("gibbs", "shifted"):
            self._gibbs()
        else:
            self._langevin()

    def _noise(self) -> Array:
        d = self.x.shape[1]
        return normals(self.seed, self.steps, 0, self.rows, d, np.float64, stream="chain")

    def _free(self, change: Array) -> Array:
        """Return a change, of the features that are not observed."""
        return change if self.observed is None else np.where(self.observed, 0.0, change)

    def _fed(self, x: Array) -> Array:
        """Return beta W' sigmoid(a)."""
        fed: Array = self.beta * sigmoid(self.a(x)) @ self.model.W
        return fed

    def _gibbs(self) -> None:
        """Draw k ~ Binomial(n, sigmoid(a)), y ~ N(c + sigma^2 beta W'k + g(x), sigma^2 I)."""
        x, n = self.x, int(self.trials or 1)
        k = binomial_counts(self.a(x), n, seed=self.seed, step=self.steps, rows=self.rows)
        mean = self.c + self.beta * k @ self.model.W / self.precision

        def shift(at: Array) -> Array:
            share = self.excess / self.precision if self.method == "shifted" else 0.0
            return self._free(share * self._fed(at))

        y = x + self._free(mean + shift(x) + self.model.sigma * self._noise() - x)
        if self.excess == 0:
            self.x = y
            return
        free_x, free_y = (softplus(self.a(at)).sum(axis=1) for at in (x, y))
        g, v = shift(x), shift(y)
        moved = (x - mean) * v - (y - mean) * g - (v**2 - g**2) / 2
        self._decide(y, self.excess * (free_y - free_x) + self.precision * moved.sum(axis=1))

    def _langevin(self) -> None:
        """Draw y ~ N(x + g(x), 2 eta sigma^2 I), g(x) = eta (c + beta W'sigmoid(a) - x)."""
        x, eta = self.x, self.step_size

        def drift(at: Array) -> Array:
            return self._free(eta * (self.c + self._fed(at) - at))

        g = drift(x)
        y = x + g + self._free(math.sqrt(2 * eta) * self.model.sigma * self._noise())
        if self.method == "langevin":
            self.x = y
            return
        back, there = x - y - drift(y), y - x - g
        proposed = self.precision * (back**2 - there**2).sum(axis=1) / (4 * eta)
        self._decide(y, self.log_density(y) - self.log_density(x) - proposed)

    def _decide(self, y: Array, log_ratio: Array) -> None:
        """Metropolis' rule."""
        words = words_of(self.seed, self.steps, 1, self.rows, 1, "chain")
        taken = np.log(uniform(words[0][:, 0], words[1][:, 0])) < log_ratio
        self.x = np.where(taken[:, None], y, self.x)
        self.accepted += taken


def enumerated_log_normalizer(model: ScoreModel) -> float:
    """Return log Z as a sum over the counts k of all hidden units; each k is one Gaussian.

    Examples
    --------
    The integral over the only feature agrees:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> model = reference.ScoreModel(np.ones((3, 1)), np.zeros(3), np.zeros(1), sigma=1.0)
    >>> x = np.linspace(-20, 20, 4001)[:, None]
    >>> integral = np.exp(-model.energy(x)).sum() * 0.01
    >>> bool(np.isclose(reference.enumerated_log_normalizer(model), np.log(integral)))
    True
    """
    n = round(model.sigma**-2)
    counts = np.array(list(itertools.product(range(n + 1), repeat=len(model.b))))
    choices = np.array([math.log(math.comb(n, k)) for k in range(n + 1)])
    means = model.c + counts @ model.W / n
    exponents = choices[counts].sum(axis=1) + counts @ model.b + n / 2 * (means**2).sum(axis=1)
    largest = float(exponents.max())
    log_sum = largest + math.log(float(np.exp(exponents - largest).sum()))
    return log_sum + len(model.c) / 2 * math.log(2 * math.pi / n)
