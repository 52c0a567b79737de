r"""Search for modes of the energy away from the data.

Repeated denoising of a point ends in a mode. The integral of :math:`e^{-E}` over a mode has a
certain lower bound. The integral near the rows is estimated from points :math:`\tilde x` drawn from
their Parzen density :math:`q_\sigma`, as the mean of :math:`e^{-E(\tilde x)} / q_\sigma(\tilde x)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import (
    as_integer,
    as_real_array,
    as_rows,
    as_seed,
    as_threads,
    check_finite,
    not_a_model,
)
from dsmfast._arguments.frames import check_columns
from dsmfast._density.modes import around, descended, least_log_mass
from dsmfast._density.normalizer import DensityWarning
from dsmfast._density.reduced import Reduced
from dsmfast.model import ScoreModel
from dsmfast.noise import Use, choice, normals
from dsmfast.parzen import parzen_log_density

__all__ = ["DensityWarning", "SpuriousModes", "spurious_modes"]

FloatArray = npt.NDArray[np.float64]

ROWS = 4096  # of the data that are looked at, at most
POINTS = 512  # drawn from their density
CENTRAL = 3.0  # spreads from the mean, within which a row is one of the data
NEAR = 6.0  # deviations of a distance that a mode is from its rows, at most


@dataclass(frozen=True, eq=False)
class SpuriousModes:
    """Result of :func:`spurious_modes`: modes of the energy away from the data.

    It is true if there are any modes. Printing it describes the largest one in words.

    Attributes
    ----------
    points : ndarray, shape (k, n_features)
        The modes, the one with the most probability first.
    energy : ndarray, shape (k,)
        Energies of the modes.
    log_ratio : ndarray, shape (k,)
        Lower bound of the logarithm of the ratio between the probability of each mode and that near
        the rows.
    energy_of_rows : float
        Median energy of the rows, for comparison.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> one = dsmfast.train(X, 256, sigma=0.3, epochs=300).model
    >>> modes = dsmfast.spurious_modes(one, X)
    >>> bool(modes), modes.points.shape[1], bool(modes.energy[0] < modes.energy_of_rows)
    (True, 2, True)
    """

    points: FloatArray
    energy: FloatArray
    log_ratio: FloatArray
    energy_of_rows: float

    def __bool__(self) -> bool:
        return len(self.energy) > 0

    def __str__(self) -> str:
        if not self:
            return "no spurious mode found: the energy is lowest beside the rows"
        shown = ", ".join(f"{value:.4g}" for value in self.points[0][:4])
        more = ", ..." if self.points.shape[1] > 4 else ""
        return (
            f"the energy has a mode away from the rows, at ({shown}{more}): {self.energy[0]:.5g} "
            f"there, {self.energy_of_rows:.5g} at the median row. Nearly all of the model's "
            "probability is elsewhere than the rows, and energies far from them mean nothing"
        )


def spurious_modes(
    model: ScoreModel,
    X: npt.ArrayLike,
    *,
    starts: int = 256,
    seed: int = 0,
    threads: int | None = None,
) -> SpuriousModes:
    r"""Find modes of an energy that hold more probability than the surroundings of the data.

    Points at 1 to 64 times the spread of the rows, in all directions, and the rows farthest from
    the mean, are denoised until they no longer move. A mode is reported if it is away from the rows
    and its probability, by a certain lower bound, exceeds that near the rows, by a generous
    estimate. A reported mode therefore exists; other modes may exist that the search did not find.

    Parameters
    ----------
    model : ScoreModel
        The model.
    X : array_like, shape (n, n_features)
        Rows that the model was trained on, of any precision. From more than 4096 rows, some are
        selected.
    starts : int
        Number of starting points of the search. A quarter as many rows are added.
    seed : int
        Seed of the directions and of the selection of rows.
    threads : int, optional
        Number of threads. The default is that of OpenMP.

    Returns
    -------
    SpuriousModes
        Empty, and false, if no mode was found.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> one = dsmfast.train(X, 256, sigma=0.3, epochs=300).model
    >>> many = dsmfast.train(X, 256, sigma=0.3, epochs=300, sigma_max="auto").model
    >>> bool(dsmfast.spurious_modes(one, X)), bool(dsmfast.spurious_modes(many, X))
    (True, False)
    """
    if not isinstance(model, ScoreModel):
        raise not_a_model(model)
    check_columns(X, "X", model.feature_names)
    data, double = as_real_array(X, "X"), np.dtype(np.float64)
    workers, origin = as_threads(threads), as_seed(seed)
    count = as_integer(starts, "starts", low=1, high=2**20)
    if data.ndim == 2 and len(data) > ROWS:
        data = data[choice(origin, Use.modes, len(data), ROWS)]
    rows = as_rows(data.astype(double), "X", double, model.n_features)
    check_finite(rows, "X", workers)
    W, b, c = (part.astype(double) for part in (model.W, model.b, model.c))
    return _Search(ScoreModel(W, b, c, model.sigma), rows, origin, threads).found(count)


class _Search:
    """A model in double, and its rows."""

    def __init__(self, model: ScoreModel, rows: FloatArray, seed: int, threads: int | None) -> None:
        self.model = model
        self.double = Reduced.same(model, np.dtype(np.float64))
        self.seed = seed
        self.threads = threads
        self.workers = as_threads(threads)
        self.mean = rows.mean(axis=0)
        distance = np.linalg.norm(rows - self.mean, axis=1)
        self.spread = math.sqrt(float(np.mean(distance**2)))
        self.by_distance = rows[np.argsort(-distance, kind="stable")]
        is_central = distance <= CENTRAL * self.spread
        self.rows = rows[is_central]
        self.radius = float(distance[is_central].max())

    def found(self, starts: int) -> SpuriousModes:
        """Descend from everywhere, and keep what holds more than there is beside the rows."""
        farthest = self.by_distance[: -(-starts // 4)]
        spread = max(self.spread, self.model.sigma)
        far = around(self.mean, spread, self._normals(starts, 0))
        modes = descended(self.double, np.concatenate([far, farthest]), self.workers)
        modes = modes[self._is_away(modes)]
        energy = self._energy(modes)
        mass = least_log_mass(self.double, modes, self.workers)
        excess = mass - self._log_mass_near()
        order = np.argsort(-excess, kind="stable")
        order = self._distinct(modes, order[excess[order] > 0])
        typical = float(np.median(self._energy(self.rows)))
        return SpuriousModes(modes[order], energy[order], excess[order], typical)

    def _distinct(self, modes: FloatArray, order: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Leave out points that came to rest at a mode that is there already."""
        kept: list[int] = []
        for i in order:
            apart = np.linalg.norm(modes[kept] - modes[i], axis=1)
            if not (apart < self.model.sigma / 10).any():
                kept.append(int(i))
        return np.array(kept, dtype=np.intp)

    def _energy(self, x: FloatArray) -> FloatArray:
        if len(x) == 0:
            return np.empty(0)
        energy: FloatArray = self.model.energy(x, threads=self.threads)
        return energy

    def _normals(self, count: int, step: int) -> FloatArray:
        # A draw of its own: training has taken the others.
        draw = 2**16 - 2
        return normals(self.seed, step, draw, range(count), self.model.n_features, "float64")

    def _is_away(self, modes: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether a mode is out of the rows' reach.

        No row is as near as a row with noise is to its own, or within a spread; and the mode is
        farther out than any row, or three spreads from each. Between rows that are few for their
        features a model may well have its modes.
        """
        sigma, d = self.model.sigma, self.model.n_features
        reach = max(self.spread, sigma * (math.sqrt(d) + NEAR))
        out = np.linalg.norm(modes - self.mean, axis=1) > self.radius
        nearest = np.full(len(modes), np.inf)
        for begin in range(0, len(self.rows), 256):
            block = self.rows[begin : begin + 256]
            squares = (block**2).sum(axis=1) - 2 * modes @ block.T
            nearest = np.minimum(nearest, squares.min(axis=1))
        nearest = np.sqrt(np.maximum(nearest + (modes**2).sum(axis=1), 0))
        away: npt.NDArray[np.bool_] = np.where(out, nearest > reach, nearest > 3 * reach)
        return away

    def _log_mass_near(self) -> float:
        """Return what there is beside the rows, generously.

        The mean of the ratios would do if they were alike. Where they are not, as in many
        features, it says too little: what is taken is as far above the largest of them as that is
        above their median.
        """
        chosen = choice(self.seed, Use.modes, len(self.rows), min(POINTS, len(self.rows)))
        points = self.rows[chosen] + self.model.sigma * self._normals(len(chosen), 1)
        log_density = parzen_log_density(points, self.rows, self.model.sigma, threads=self.threads)
        ratios = -self._energy(points) - log_density
        return float(2 * ratios.max() - np.median(ratios))
