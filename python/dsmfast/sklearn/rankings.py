"""What ranks rows: how far a density denoises them away, or how likely it says they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from dsmfast.parzen import posterior_by_others
from dsmfast.sklearn.places import Places
from dsmfast.sklearn.scaling import Scaling

__all__ = ["MODEL_RANKINGS", "RANKINGS", "ModelRanking", "ParzenRanking", "Ranking", "drawn"]

FloatArray = npt.NDArray[np.float64]

MODEL_RANKINGS = ("model_displacement", "energy", "log_density")
RANKINGS = ("displacement", *MODEL_RANKINGS)

# Distances below that many sigma are rounding, whose logarithms would rank rows that are alike.
NOTHING = 1e-6


def drawn(count: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the places of as many rows, chosen at random; always the same for a seed."""
    return np.random.default_rng(seed).choice(count, most, replace=False)


class Ranking(Protocol):
    """Rows ranked, and what displaces them."""

    def normality(self, rows: FloatArray) -> FloatArray:
        """Return how normal rows are, high where they are; shape (n,)."""
        ...

    def displacement(self, rows: FloatArray) -> FloatArray:
        """Return rows minus what they are denoised to, in the unit of the data; shape (n, d)."""
        ...


def _log_length(squares: FloatArray, sigma: float) -> FloatArray:
    """Return the logarithm of lengths whose squares are given; shape (n,)."""
    logs: FloatArray = 0.5 * np.log(np.maximum(squares, (NOTHING * sigma) ** 2))
    return logs


def _squares(displaced: FloatArray) -> FloatArray:
    squares: FloatArray = np.einsum("ij,ij->i", displaced, displaced)
    return squares


class ParzenRanking:
    r"""Displacements by the Parzen densities of a sample, in several units and at several sigma.

    With the posterior mean :math:`m(x)` and :math:`r(x)^2 = \sum_t w_t(x) \|x - x_t\|^2`, a row is
    as far away as the square root of

    .. math:: \max(\|m - x\|^2,\; r^2 - d\sigma^2)
              = \sigma^4 (\|\nabla \log q_\sigma\|^2 + \max(0, \Delta \log q_\sigma))

    The second term is 0 within a cluster, where the log-density curves downwards. It is there for
    points between clusters, which no side draws more than another.

    A row that is in the sample is judged by the others, as a new row is. If rows are equal, one of
    them is left out, and the others stay.
    """

    def __init__(
        self,
        sample: FloatArray,
        scalings: Sequence[str],
        sigmas: Sequence[float],
        threads: int | None,
    ) -> None:
        self._sample = sample
        self._places = Places(sample)
        fitted = [Scaling.fitted(kind, sample, threads) for kind in scalings]
        self._parts = [(scaling, scaling(sample)) for scaling in fitted]
        self._sigmas = sigmas
        self._threads = threads

    def _members(self, rows: FloatArray) -> Iterator[_Member]:
        """Yield what each unit and sigma say of rows."""
        own = self._places.of(rows)
        # A row that comes back rounded is the one that it was, to the bit.
        rows = np.where((own >= 0)[:, None], self._sample[own], rows)
        for scaling, sample in self._parts:
            points = scaling(rows)
            for sigma in self._sigmas:
                mean, square = posterior_by_others(
                    points, sample, own, sigma, threads=self._threads
                )
                yield _Member(scaling, sigma, points - mean, square)

    def normality(self, rows: FloatArray) -> FloatArray:
        """Return minus the mean logarithm of how far away rows are."""
        total, count = np.zeros(len(rows)), 0
        for member in self._members(rows):
            total += _log_length(member.squared_distance, member.sigma)
            count += 1
        return -total / count

    def displacement(self, rows: FloatArray) -> FloatArray:
        """Return the mean displacement."""
        total, count = np.zeros_like(rows), 0
        for member in self._members(rows):
            total += member.scaling.back(member.displaced)
            count += 1
        return total / count


class _Member(NamedTuple):
    """What the Parzen density in one unit, of one sigma, says of n rows."""

    scaling: Scaling
    sigma: float
    displaced: FloatArray  # (n, d): x - m, in the unit
    square: FloatArray  # (n,): r^2

    @property
    def squared_distance(self) -> FloatArray:
        d = self.displaced.shape[1]
        curved: FloatArray = self.square - d * self.sigma**2
        return np.maximum(_squares(self.displaced), curved)


class ModelRanking:
    """A trained model of the rows: displacements, energies or log-densities."""

    def __init__(self, sample: FloatArray, scaling: str, estimator: Any, ranking: str) -> None:
        self._ranking = ranking
        self._scaling = Scaling.fitted(scaling, sample, estimator.threads)
        self.estimator = estimator.fit(self._scaling(sample))

    def normality(self, rows: FloatArray) -> FloatArray:
        """Return minus the logarithm of the displacement, minus the energy, or the log-density."""
        points = self._scaling(rows)
        if self._ranking == "model_displacement":
            return -_log_length(_squares(self._displaced(points)), self.estimator.sigma_)
        values = np.asarray(self.estimator.score_samples(points), np.float64)
        return values + self._scaling.log_volume if self._ranking == "log_density" else values

    def displacement(self, rows: FloatArray) -> FloatArray:
        """Return the displacement."""
        return self._scaling.back(self._displaced(self._scaling(rows)))

    def _displaced(self, points: FloatArray) -> FloatArray:
        return np.asarray(points - self.estimator.denoise(points), np.float64)
