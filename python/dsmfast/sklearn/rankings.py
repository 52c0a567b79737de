"""What ranks rows: how far a density denoises them away, or how likely it says they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dsmfast.parzen import denoise_by_others
from dsmfast.sklearn.scaling import Scaling

__all__ = ["MODEL_RANKINGS", "RANKINGS", "ModelRanking", "ParzenRanking", "Ranking"]

FloatArray = npt.NDArray[np.float64]

MODEL_RANKINGS = ("model_displacement", "energy", "log_density")
RANKINGS = ("displacement", *MODEL_RANKINGS)

# Displacements below that many sigma are rounding, whose logarithms would rank rows that are alike.
NOTHING = 1e-6


class Ranking(Protocol):
    """Rows ranked, and what displaces them."""

    def normality(self, rows: FloatArray) -> FloatArray:
        """Return how normal rows are, high where they are; shape (n,)."""
        ...

    def displacement(self, rows: FloatArray) -> FloatArray:
        """Return rows minus what they are denoised to, in the unit of the data; shape (n, d)."""
        ...


def _log_length(displaced: FloatArray, sigma: float) -> FloatArray:
    """Return the logarithm of the lengths of displacements; shape (n,)."""
    length: FloatArray = np.linalg.norm(displaced, axis=1)
    logs: FloatArray = np.log(np.maximum(length, NOTHING * sigma))
    return logs


class ParzenRanking:
    """Displacements by the Parzen densities of a sample, in several units and at several sigma.

    A row that is in the sample is denoised by the others, so that it is judged as a new row is. Of
    several rows that are equal, the others stay.
    """

    def __init__(
        self,
        sample: FloatArray,
        scalings: Sequence[str],
        sigmas: Sequence[float],
        threads: int | None,
    ) -> None:
        self._places = {row.tobytes(): i for i, row in enumerate(_bitwise(sample))}
        self._parts = [(scaling, scaling(sample)) for scaling in _fitted(scalings, sample)]
        self._sigmas = sigmas
        self._threads = threads

    def _members(self, rows: FloatArray) -> Any:
        """Yield, for each unit and sigma, the scaling, displacements in it, and sigma."""
        found = (self._places.get(row.tobytes(), -1) for row in _bitwise(rows))
        own = np.fromiter(found, np.int64, len(rows))
        for scaling, sample in self._parts:
            points = scaling(rows)
            for sigma in self._sigmas:
                mean = denoise_by_others(points, sample, own, sigma, threads=self._threads)
                yield scaling, points - mean, sigma

    def normality(self, rows: FloatArray) -> FloatArray:
        """Return minus the mean logarithm of the displacements."""
        logs = [_log_length(displaced, sigma) for _, displaced, sigma in self._members(rows)]
        normality: FloatArray = -np.mean(logs, axis=0)
        return normality

    def displacement(self, rows: FloatArray) -> FloatArray:
        """Return the mean displacement."""
        mean: FloatArray = np.mean(
            [s.back(displaced) for s, displaced, _ in self._members(rows)], 0
        )
        return mean


def _fitted(kinds: Sequence[str], sample: FloatArray) -> list[Scaling]:
    return [Scaling.fitted(kind, sample) for kind in kinds]


def _bitwise(rows: FloatArray) -> FloatArray:
    """Return rows of which equal ones have the same bits: there are two zeros."""
    return np.ascontiguousarray(rows + 0.0)


class ModelRanking:
    """A trained model of the rows: displacements, energies or log-densities."""

    def __init__(self, sample: FloatArray, scaling: str, estimator: Any, ranking: str) -> None:
        self._ranking = ranking
        self._scaling = Scaling.fitted(scaling, sample)
        self.estimator = estimator.fit(self._scaling(sample))

    def normality(self, rows: FloatArray) -> FloatArray:
        """Return minus the logarithm of the displacement, minus the energy, or the log-density."""
        points = self._scaling(rows)
        if self._ranking == "model_displacement":
            return -_log_length(self._displaced(points), self.estimator.sigma_)
        values = np.asarray(self.estimator.score_samples(points), np.float64)
        return values + self._scaling.log_volume if self._ranking == "log_density" else values

    def displacement(self, rows: FloatArray) -> FloatArray:
        """Return the displacement."""
        return self._scaling.back(self._displaced(self._scaling(rows)))

    def _displaced(self, points: FloatArray) -> FloatArray:
        return np.asarray(points - self.estimator.denoise(points), np.float64)
