r"""From a Gaussian to the model by temperatures: independent samples, and what they weigh.

.. math:: \log p_\beta(x) = \frac{1}{\sigma^2}\Big(\langle (1 - \beta) c_0 + \beta c, x\rangle
          - \tfrac12\|x\|^2 + \sum_j \mathrm{softplus}(\beta (W_j x + b_j))\Big)

At :math:`\beta = 0` that is :math:`N(c_0, \sigma^2 I)`, whose normaliser is known. Chains go on
to :math:`\beta = 1` in small steps, and what :math:`\log p` gains where the temperature changes,
summed up, weighs them (Neal 2001): the mean weight is the ratio of the normalisers.

The mean :math:`c_0` and the temperatures are those that a few chains ask for. Measured by the
variance of the weights at the same work: a mean of the model's own in the place of c takes off a
third, temperatures where weights move in the place of equal ones another, and biases that are not
annealed add to it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array
from dsmfast._density.chains import Path, Step, Walk, chain_normals
from dsmfast._density.reduced import Reduced

__all__ = ["BACKWARD_ROWS", "PILOT_ROWS", "Annealing", "Weights"]

# Rows of the stream: chains from the Gaussian count from 0.
BACKWARD_ROWS = 2**42
PILOT_ROWS = 2**43

PILOT_CHAINS = 32
PILOT_STEPS = 100
SMOOTHED = 11  # steps of the pilot, over which the spread of weights is averaged


class Weights(NamedTuple):
    """A ratio of normalisers by the weights of chains."""

    log_mean: float
    std_error: float
    effective: float  # chains that count

    @classmethod
    def of(cls, log_weights: Array) -> Weights:
        """Return the mean weight; its error is that of a mean, relative to it."""
        largest = float(log_weights.max())
        weights = np.exp(log_weights - largest)
        mean, count = float(weights.mean()), len(weights)
        spread = float(weights.std(ddof=1)) if count > 1 else math.inf
        effective = float(weights.sum() ** 2 / (weights**2).sum())
        return cls(largest + math.log(mean), spread / mean / math.sqrt(count), effective)


class Annealing:
    """The path of a model: where chains begin, and by which temperatures they go on."""

    def __init__(
        self, model: Reduced, step: Step, temperatures: int, *, seed: int, threads: int
    ) -> None:
        self.model = model
        self.step = step
        self._seed = seed
        self._threads = threads
        equal = np.linspace(0.0, 1.0, PILOT_STEPS + 1)
        first = self._pilot(self._path(equal, model.c), 0)[0]
        mean = first.mean(axis=0, dtype=np.float64).astype(model.c.dtype)
        spreads = self._pilot(self._path(equal, mean), PILOT_CHAINS)[1]
        self.path = self._path(_where_weights_move(equal, spreads, temperatures), mean)

    def _path(self, beta: npt.NDArray[np.float64], mean: Array) -> Path:
        return Path(np.ascontiguousarray(beta), np.zeros_like(self.model.b), mean)

    def _pilot(self, path: Path, first: int) -> tuple[Array, npt.NDArray[np.float64]]:
        """Return where a few chains end, and by how much their weights differ at each step."""
        walk = self.walk(PILOT_CHAINS, PILOT_ROWS + first, path)
        spreads, before = [], walk.log_weight.copy()
        for s in range(len(path.beta) - 1):
            walk.advance(1, path=Path(path.beta[s : s + 2], path.b, path.c))
            spreads.append(float((walk.log_weight - before).std()))
            before = walk.log_weight.copy()
        return walk.x, np.array(spreads)

    def walk(
        self,
        chains: int,
        first_row: int = 0,
        path: Path | None = None,
        observed: Array | None = None,
        given: Array | None = None,
    ) -> Walk:
        """Return chains at beta = 0: draws of the Gaussian, but for what is observed."""
        mean = (self.path if path is None else path).c
        rows = np.arange(first_row, first_row + chains, dtype=np.int64)
        z = chain_normals(self._seed, 0, 0, rows, mean, len(mean), self._threads)
        x = mean + mean.dtype.type(self.model.sigma) * z
        if observed is not None and given is not None:
            x = np.where(observed, given, x)
        return Walk(
            self.model,
            self.step,
            x,
            seed=self._seed,
            first_row=first_row,
            observed=observed,
            threads=self._threads,
        )

    @property
    def log_normalizer_of_base(self) -> float:
        """Logarithm of the integral at beta = 0, over y alone."""
        sigma, c = self.model.sigma, self.path.c.astype(np.float64)
        units = len(self.model.b) * math.log(2) / sigma**2
        square = float(np.einsum("r,r->", c, c)) / (2 * sigma**2)
        return units + square + len(c) / 2 * math.log(2 * math.pi * sigma**2)

    @property
    def backward(self) -> Path:
        """The same path from the model to the Gaussian."""
        return Path(np.ascontiguousarray(self.path.beta[::-1]), self.path.b, self.path.c)


def _where_weights_move(
    beta: npt.NDArray[np.float64], spreads: npt.NDArray[np.float64], steps: int
) -> npt.NDArray[np.float64]:
    """Return temperatures (steps + 1,) between which weights spread by about as much each.

    A twentieth of the mean spread is added, for what a few chains have not seen.
    """
    padded = np.pad(spreads, SMOOTHED // 2, mode="edge")
    smooth = np.convolve(padded, np.full(SMOOTHED, 1 / SMOOTHED), "valid")
    length = np.concatenate([[0.0], np.cumsum(smooth + 0.05 * smooth.mean() + 1e-300)])
    found = np.interp(np.linspace(0, length[-1], steps + 1), length, beta)
    found[0], found[-1] = 0.0, 1.0
    return found
