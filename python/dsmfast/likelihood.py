"""The normaliser of a model's energy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import (
    Array,
    as_choice,
    as_integer,
    as_real_array,
    as_rows,
    as_seed,
    as_threads,
    check_finite,
)
from dsmfast._density.annealing import BACKWARD_ROWS, PILOT_ROWS, Annealing, Weights
from dsmfast._density.chains import Path, Step, Walk, chain_normals
from dsmfast._density.exact import STATES, can_enumerate, enumerated, integrated
from dsmfast._density.modes import affordable_starts, around, descended, least_log_mass
from dsmfast._density.normalizer import Normalizer, fingerprint
from dsmfast._density.reduced import Energy, Reduced, check_energy
from dsmfast._system.progress import Progress
from dsmfast._system.progress import progress as shown

__all__ = ["Normalizer", "log_normalizer"]

TEMPERATURES = (1000, 4000, 16_000)  # tried one after the other, until chains count
ENOUGH = 0.25  # of the chains

METHODS = ("auto", "enumeration", "quadrature", "ais")

DOUBLE = np.dtype(np.float64)


def log_normalizer(
    model: Energy,
    *,
    method: str = "auto",
    chains: int = 256,
    temperatures: int | None = None,
    data: npt.ArrayLike | None = None,
    seed: int = 0,
    progress: bool | None = None,
    threads: int | None = None,
) -> Normalizer:
    r"""Compute the normaliser :math:`\log Z`, so that :math:`-E(x) - \log Z` is a log-density.

    Small models allow an exact result: by enumeration of the hidden counts if there are few hidden
    units and :math:`1/\sigma^2` is an integer, and by quadrature if there are at most two features
    or two hidden units. Other models are treated by annealed importance sampling (Neal 2001):
    chains go from a Gaussian to the model in small steps of temperature, and the mean of their
    weights is the ratio of the normalisers. Computations are in ``float64`` and, if there are fewer
    hidden units than features, in n_hidden dimensions.

    With ``data``, chains also run in reverse, from the rows with noise of sigma to the Gaussian,
    which estimates log Z from above (Grosse et al. 2015). If the two results disagree, the
    probability of the model is not where the data are, and its likelihoods are meaningless.
    ``is_reliable`` is then False, and the printed result gives the reason.

    Parameters
    ----------
    model : ScoreModel
        The model.
    method : {"auto", "enumeration", "quadrature", "ais"}
        Method; "ais" is annealed importance sampling. "auto" selects the first one that is
        applicable.
    chains : int
        Number of chains of annealed importance sampling.
    temperatures : int, optional
        Number of annealing steps of each chain. The default is 1000. If the effective number of
        chains is below a quarter of ``chains``, it increases to 4000 and then to 16000. The
        standard error decreases with the square root of ``chains * temperatures``.
    data : array_like, shape (n, n_features), optional
        Rows that the model was trained on, without noise.
    seed : int
        Seed of the chains.
    progress : bool, optional
        Whether to show progress. True shows a bar on a terminal (needs tqdm) and writes a line per
        second to stderr elsewhere. By default, a bar is shown on a terminal if tqdm is installed.
    threads : int, optional
        Number of threads. The default is that of OpenMP. The result is bit-identical for any
        number.

    Returns
    -------
    Normalizer

    Raises
    ------
    ValueError
        If the method is not applicable to the model, or an argument is invalid.

    See Also
    --------
    dsmfast.ScoreModel.normalized : A model with its normaliser.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> model = dsmfast.train(X, 32, sigma=0.5, epochs=50, sigma_max="auto").model
    >>> exact = dsmfast.log_normalizer(model)
    >>> estimate = dsmfast.log_normalizer(model, method="ais", data=X)
    >>> exact.method, bool(abs(estimate.value - exact.value) < 5 * estimate.std_error)
    ('quadrature', True)
    """
    check_energy(model, data=data)
    name = as_choice(method, "method", METHODS)
    count = as_integer(chains, "chains", low=2, high=2**32)
    tries: tuple[int, ...] = TEMPERATURES
    if temperatures is not None:
        tries = (as_integer(temperatures, "temperatures", low=1, high=2**31),)
    origin, workers = as_seed(seed), as_threads(threads)
    rows = None if data is None else _rows_of(model, data, workers)
    reduced = Reduced.of(model, DOUBLE, workers)
    exact, rest = _exactly(reduced, name, workers), reduced.log_normalizer_of_rest
    if exact is not None:
        found = Normalizer(exact[1] + rest, 0.0, exact[0], fingerprint=fingerprint(model))
        if rows is None:
            return found
        search = _Search(reduced, count, tries[0], origin, workers)
        with shown(progress, tries[0], count, names=("step", "steps")) as told:
            search.forward(told)
        search.at_rows(rows)
        return replace(found, deviation=search.deviation)
    for steps in tries:
        search = _Search(reduced, count, steps, origin, workers)
        total = steps * (1 if rows is None else 2)
        with shown(progress, total, count, names=("step", "steps")) as told:
            below = search.forward(told)
            is_last = steps == tries[-1] or below.effective >= ENOUGH * count
            above = search.backward(rows, told) if is_last and rows is not None else None
        if is_last:
            break
    return Normalizer(
        value=below.log_mean + rest,
        std_error=below.std_error,
        method="ais",
        effective=below.effective,
        chains=count,
        temperatures=steps,
        upper=None if above is None else above.log_mean + rest,
        upper_std_error=None if above is None else above.std_error,
        deviation=search.deviation,
        least=search.least() + rest,
        fingerprint=fingerprint(model),
    )


def _rows_of(model: Energy, data: npt.ArrayLike, threads: int) -> Array:
    rows = as_real_array(data, "data")
    rows = as_rows(rows.astype(DOUBLE), "data", DOUBLE, model.W.shape[1])
    check_finite(rows, "data", threads)
    return rows


def _exactly(model: Reduced, method: str, threads: int) -> tuple[str, float] | None:
    """Return how, and log Z over y; None where it is to be estimated."""
    if method in ("auto", "enumeration") and can_enumerate(model):
        return "enumeration", enumerated(model, threads)
    if method == "enumeration":
        raise ValueError(
            "method: 'enumeration' needs an integer n = 1 / sigma**2 and (n + 1)**n_hidden <= "
            f"{STATES}; got 1 / sigma**2 = {model.sigma**-2:.6g} and n_hidden={len(model.b)}"
        )
    if method in ("auto", "quadrature"):
        value = integrated(model, threads)
        if value is not None:
            return "quadrature", value
    if method == "quadrature":
        raise ValueError(
            "method: 'quadrature' needs at most two features or at most two hidden units, and a "
            "sigma that is not tiny relative to the weights; the smaller of the two numbers is "
            f"{model.features}"
        )
    return None


class _Search:
    """Annealed importance sampling of a model, both ways."""

    def __init__(
        self, model: Reduced, chains: int, temperatures: int, seed: int, threads: int
    ) -> None:
        self._model = model
        self._chains = chains
        self._seed = seed
        self._threads = threads
        step = Step.of("auto", model.sigma, model.features)
        self._annealing = Annealing(model, step, temperatures, seed=seed, threads=threads)
        self._done = 0
        self._ends = np.empty(0)
        self.deviation: float | None = None

    def forward(self, told: Progress) -> Weights:
        """Return log Z over y by chains from the Gaussian: on average from below."""
        walk = self._annealing.walk(self._chains)
        self._go(walk, self._annealing.path, told)
        self._ends = walk.x
        found = Weights.of(walk.log_weight)
        return found._replace(log_mean=self._annealing.log_normalizer_of_base + found.log_mean)

    def _energy(self, y: Array) -> Array:
        m, energy = self._model, _core.Quantity.energy
        values, _ = _core.evaluate(energy, m.W, m.b, m.c, m.sigma, y, self._threads)
        assert values is not None
        return values

    def least(self) -> float:
        """Return what the largest mode holds alone, of those that descent from far away ends in."""
        model, count = self._model, affordable_starts(self._model)
        mean = self._ends.mean(axis=0)
        spread = math.sqrt(float(((self._ends - mean) ** 2).sum(axis=1).mean()))
        places = np.arange(PILOT_ROWS - count, PILOT_ROWS, dtype=np.int64)
        z = chain_normals(self._seed, 0, 0, places, mean, len(mean), self._threads)
        far = around(mean, max(spread, model.sigma), z)
        modes = descended(model, far, self._threads)
        return float(least_log_mass(model, modes, self._threads).max())

    def at_rows(self, rows: Array) -> Walk:
        """Return chains at rows with noise of sigma; compare their energies with the others'."""
        chosen = np.arange(self._chains) * len(rows) // self._chains % len(rows)
        y = self._model.project(rows[chosen], self._threads)
        places = np.arange(BACKWARD_ROWS, BACKWARD_ROWS + self._chains, dtype=np.int64)
        z = chain_normals(self._seed, 0, 0, places, y, y.shape[1], self._threads)
        walk = Walk(
            self._model,
            self._annealing.step,
            y + self._model.sigma * z,
            seed=self._seed,
            first_row=BACKWARD_ROWS,
            threads=self._threads,
        )
        at_rows, at_ends = self._energy(walk.x), self._energy(self._ends)
        spread = max(float(at_ends.std()), 1e-300)
        self.deviation = (float(at_rows.mean()) - float(at_ends.mean())) / spread
        return walk

    def backward(self, rows: Array, told: Progress) -> Weights:
        """Return it by chains from rows: from above, if they are the model's."""
        walk = self.at_rows(rows)
        self._go(walk, self._annealing.backward, told)
        found = Weights.of(walk.log_weight)
        return found._replace(log_mean=self._annealing.log_normalizer_of_base - found.log_mean)

    def _go(self, walk: Walk, path: Path, told: Progress) -> None:
        block = walk.affordable_steps()
        for begin in range(0, len(path.beta) - 1, block):
            part = path.beta[begin : begin + block + 1]
            walk.advance(len(part) - 1, path=Path(part, path.b, path.c))
            self._done += len(part) - 1
            told.rows(self._done * self._chains)
