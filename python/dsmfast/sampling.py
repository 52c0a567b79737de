"""Samples of the density that a model describes: independent ones, chains, and missing features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._checks import (
    Array,
    as_flag,
    as_integer,
    as_real_array,
    as_rows,
    as_seed,
    as_threads,
    check_finite,
    describe,
)
from dsmfast._density.annealing import Annealing
from dsmfast._density.chains import METHODS, Step, Walk
from dsmfast._density.reduced import Energy, Reduced
from dsmfast._extras import arviz_base, arviz_stats
from dsmfast._progress import progress as shown

__all__ = ["METHODS", "Chains", "impute", "independent_sample", "sample"]

TEMPERATURES = 300  # from the Gaussian to the model
BURN_IN = 100  # steps of the model itself, after them
TOGETHER = 4096  # chains that are annealed in one go
KEPT_TOGETHER = 2**21  # values of draws


@dataclass(frozen=True, eq=False)
class Chains:
    """What :func:`sample` returns: draws of several Markov chains.

    Attributes
    ----------
    x : ndarray, shape (chains, draws, n_features)
        The draws.
    energy : ndarray of float64, shape (chains, draws)
        Their energies.
    acceptance : ndarray, shape (chains,)
        Share of the steps that were accepted; 1 where none is ever refused.
    method : str
        ``"gibbs"``, ``"shifted"``, ``"mala"`` or ``"langevin"``.
    thin : int
        Steps from one draw to the next.
    is_complete : bool
        Whether all draws that were asked for are there; False after Ctrl-C.
    """

    x: Array
    energy: npt.NDArray[np.float64]
    acceptance: npt.NDArray[np.float64]
    method: str
    thin: int = 1
    is_complete: bool = True

    @property
    def rows(self) -> Array:
        """All draws as rows, shape (chains * draws, n_features)."""
        return self.x.reshape(-1, self.x.shape[-1])

    def ess(self, of: str = "energy") -> Array:
        """Effective number of independent draws, by arviz-stats (extra ``arviz``).

        Parameters
        ----------
        of : {"energy", "x"}
            Of the mean of the energy, a number, or of each feature, shape (n_features,).
        """
        return self._diagnosed("ess", of)

    def r_hat(self, of: str = "energy") -> Array:
        """How much chains differ from one another: 1, or below 1.01, where they do not.

        By ranks and folded (Vehtari et al. 2021), by arviz-stats (extra ``arviz``).

        Parameters
        ----------
        of : {"energy", "x"}
            As for :meth:`ess`.
        """
        return self._diagnosed("rhat", of)

    def to_arviz(self) -> Any:
        """Return them as a ``DataTree`` for ArviZ: x, and energy among the statistics."""
        return arviz_base().from_dict(
            {"posterior": {"x": self.x}, "sample_stats": {"energy": self.energy}}
        )

    def _diagnosed(self, what: str, of: str) -> Array:
        if of not in ("energy", "x"):
            raise ValueError(f"of: expected 'energy' or 'x', got {of!r}")
        values = self.energy if of == "energy" else self.x
        if values.shape[1] < 4 or (what == "rhat" and len(values) < 2):
            raise ValueError(
                f"expected at least 4 draws (of 2 chains for r_hat), got shape {values.shape[:2]}"
            )
        of_array = getattr(arviz_stats().base.array_stats, what)
        found: Array = np.asarray(of_array(values, chain_axis=0, draw_axis=1))
        return found

    def __repr__(self) -> str:
        chains, draws, d = self.x.shape
        return (
            f"Chains(chains={chains}, draws={draws}, n_features={d}, method={self.method!r}, "
            f"thin={self.thin})"
        )


def sample(
    model: Energy,
    chains: int | None = None,
    draws: int = 1000,
    *,
    burn_in: int = BURN_IN,
    thin: int = 1,
    init: npt.ArrayLike | None = None,
    method: str = "auto",
    step_size: float | None = None,
    given: npt.ArrayLike | None = None,
    observed: npt.ArrayLike | None = None,
    energy_only: bool = False,
    seed: int = 0,
    progress: bool | None = None,
    threads: int | None = None,
) -> Chains:
    r"""Run Markov chains whose law is the model's density.

    With :math:`n = 1/\sigma^2` an integer, block Gibbs sampling is exact: counts
    :math:`k_j \sim \mathrm{Binomial}(n, \mathrm{sigmoid}(W_j x + b_j))`, then
    :math:`x \sim N(c + W^T k/n, \sigma^2 I)`; in words, encode, draw the hidden units, decode, add
    noise. Otherwise the nearest n is taken, and Metropolis' rule corrects for the rest. Where there
    are fewer hidden units than features, chains run in as many dimensions as there are hidden
    units, and draws are lifted from there.

    Parameters
    ----------
    model : ScoreModel
        The model.
    chains : int, optional
        Independent chains: 4, or as many as ``init`` or ``given`` have rows.
    draws : int
        That each chain gives.
    burn_in : int
        Steps before the first draw.
    thin : int
        Steps from one draw to the next.
    init : array_like, shape (n_features,) or (chains, n_features), optional
        Where chains begin. By default at independent draws, annealed from a Gaussian.
    method : {"auto", "gibbs", "shifted", "mala", "langevin"}
        "gibbs" is block Gibbs, with Metropolis' correction where n is no integer; "shifted" the
        same around a mean that allows for the rest, which is accepted more often; "mala" is
        Langevin's step with the correction, for :math:`1/\sigma^2` far below 1; "langevin" is
        without it: its law is not quite the model's, however long it runs. "auto" is "gibbs",
        "shifted" or "mala".
    step_size : float, optional
        Of "mala" and "langevin", in (0, 2):
        :math:`x' = x + \eta (D(x) - x) + \sigma\sqrt{2\eta}\,e`.
    given : array_like, shape (n_features,) or (chains, n_features), optional
        Rows some features of which are known: those stay, and the others are drawn from their
        density given these. NaN marks the others, unless ``observed`` does.
    observed : array_like of bool, of the shape of ``given``, optional
        Which features are known.
    energy_only : bool
        Whether to keep the energies of draws and not the draws: ``x`` is then of shape
        (chains, 0, n_features). Where features are more than hidden units, draws are then never
        worked out in all of them, which takes most of the time.
    seed : int
        Of the chains. Chain i is a function of it, i and its beginning alone.
    progress : bool, optional
        A bar on a terminal, by default if tqdm is there; True shows lines where there is none.
    threads : int, optional
        By default what OpenMP says. The bits do not depend on it.

    Returns
    -------
    Chains
        After Ctrl-C, the draws that all chains have so far, if there are any.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> model = dsmfast.train(X, 32, sigma=0.5, epochs=50, sigma_max="auto").model
    >>> chains = dsmfast.sample(model, chains=4, draws=100)
    >>> chains.x.shape, chains.energy.shape
    ((4, 100, 2), (4, 100))
    """
    _check_model(model)
    workers, origin = as_threads(threads), as_seed(seed)
    start = None if init is None else _rows(init, "init", model, workers)
    known = _Known.of(model, given, observed, workers)
    count = _chain_count(chains, start, known)
    steps = as_integer(thin, "thin", low=1, high=2**31)
    wanted = as_integer(draws, "draws", low=1, high=2**31)
    before = as_integer(burn_in, "burn_in", low=0, high=2**31)
    without_x = as_flag(energy_only, "energy_only")
    if TEMPERATURES + before + wanted * steps >= 2**32:
        raise ValueError(f"draws, thin: expected fewer than 2**32 steps, got {wanted} * {steps}")
    known = None if known is None else known.repeated(count)
    reduced = _reduced(model, known, workers)
    step = Step.of(method, model.sigma, reduced.features, step_size)
    if start is None:
        walk = _annealed(reduced, count, known, origin, workers)
        walk.change_step(step)
    else:
        y = reduced.project(np.broadcast_to(start, (count, start.shape[1])), workers)
        y = y if known is None else np.where(known.observed, known.x, y)
        mask = None if known is None else known.observed
        walk = Walk(reduced, step, y, seed=origin, observed=mask, threads=workers)
    with shown(progress, before + wanted * steps, count, names=("step", "steps")) as told:
        return _drawn(walk, _Wanted(before, wanted, steps, without_x), told.rows)


def independent_sample(
    model: Energy,
    n: int,
    *,
    temperatures: int = TEMPERATURES,
    burn_in: int = BURN_IN,
    seed: int = 0,
    progress: bool | None = None,
    threads: int | None = None,
) -> Array:
    """Return independent draws (n, n_features): one chain each, annealed. See ScoreModel.sample."""
    _check_model(model)
    count = as_integer(n, "n", low=1, high=2**40)
    steps = as_integer(temperatures, "temperatures", low=1, high=2**31)
    after = as_integer(burn_in, "burn_in", low=0, high=2**31)
    workers, origin = as_threads(threads), as_seed(seed)
    reduced = _reduced(model, None, workers)
    annealing = _annealing(reduced, steps, origin, workers)
    out: Array = np.empty((count, model.W.shape[1]), dtype=model.W.dtype)
    with shown(progress, count, steps + after, names=("row", "steps")) as told:
        for begin in range(0, count, TOGETHER):
            rows = min(TOGETHER, count - begin)
            walk = annealing.walk(rows, begin)
            walk.advance(steps, path=annealing.path, weigh=False)
            walk.advance(after)
            at = np.array([walk.steps], dtype=np.uint32)
            out[begin : begin + rows] = walk.lifted(walk.x[:, None], at)[0][:, 0]
            told.rows((begin + rows) * (steps + after))
    return out


def impute(
    model: Energy,
    X: npt.ArrayLike,
    *,
    draws: int = 100,
    burn_in: int = BURN_IN,
    seed: int = 0,
    progress: bool | None = None,
    threads: int | None = None,
) -> Array:
    r"""Fill in missing features by their mean under the model, given the others of the row.

    Chains with the known features held fast (:func:`sample` with ``given``) draw the missing ones;
    what is filled in is the mean of the denoised draws, which is the mean of the draws with less
    error. :func:`sample` gives the draws themselves, for more than one completion.

    Parameters
    ----------
    model : ScoreModel
        The model.
    X : array_like, shape (n, n_features)
        Rows with NaN where a feature is missing.
    draws : int
        That are averaged for each row.
    burn_in : int
        Steps before them, after annealing.
    seed, progress, threads
        As for :func:`sample`.

    Returns
    -------
    ndarray, shape (n, n_features)
        In the model's precision. What was known is as it was.

    Examples
    --------
    >>> import numpy as np, dsmfast
    >>> e = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> X = np.column_stack([e[:, 0], e[:, 0] + 0.3 * e[:, 1]])
    >>> model = dsmfast.train(X, 32, sigma=0.3, epochs=100, sigma_max="auto").model
    >>> gaps = np.array([[1.5, np.nan], [np.nan, -1.0]], dtype=np.float32)
    >>> filled = dsmfast.impute(model, gaps)
    >>> bool(abs(filled[0, 1] - 1.5) < 0.5), bool(filled[0, 0] == 1.5)
    (True, True)
    """
    _check_model(model)
    workers, origin = as_threads(threads), as_seed(seed)
    kept = as_integer(draws, "draws", low=1, high=2**31)
    before = as_integer(burn_in, "burn_in", low=0, high=2**31)
    known = _Known.of(model, X, None, workers, name="X")
    assert known is not None
    filled: Array = known.x.copy()
    gaps = np.flatnonzero(~known.observed.all(axis=1))
    if len(gaps) == 0:
        return filled
    reduced = _reduced(model, known, workers)
    block = max(1, min(TOGETHER, KEPT_TOGETHER // (kept * reduced.features)))
    with shown(progress, len(gaps), before + kept, names=("row", "steps")) as told:
        for begin in range(0, len(gaps), block):
            some = gaps[begin : begin + block]
            part = _Known(known.x[some], known.observed[some])
            walk = _annealed(reduced, len(some), part, origin, workers, first_row=int(begin))
            walk.advance(before)
            x, _ = walk.advance(kept, thin=1)
            clean, _ = _core.evaluate(
                _core.Quantity.denoise,
                *(model.W, model.b, model.c, model.sigma),
                *(x.reshape(-1, x.shape[2]), workers),
            )
            assert clean is not None
            mean = clean.reshape(x.shape).mean(axis=1, dtype=np.float64).astype(filled.dtype)
            filled[some] = np.where(part.observed, part.x, mean)
            told.rows((begin + len(some)) * (before + kept))
    return filled


@dataclass(frozen=True)
class _Known:
    """Rows some features of which are known, and which; the others are 0."""

    x: Array
    observed: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls, model: Energy, given: Any, observed: Any, threads: int, name: str = "given"
    ) -> _Known | None:
        if given is None:
            if observed is not None:
                raise ValueError("observed: says which features of given are known; got no given")
            return None
        rows = as_real_array(given, name)
        rows = rows[None] if rows.ndim == 1 else rows
        if observed is None:
            mask = ~np.isnan(rows)
        else:
            mask = np.asarray(observed)
            if mask.dtype != np.bool_ or np.atleast_2d(mask).shape[-1] != rows.shape[-1]:
                raise ValueError(
                    f"observed: expected booleans like given, of shape {rows.shape}, got "
                    f"{describe(mask)}"
                )
            mask = np.broadcast_to(mask, rows.shape)
        x = _rows(np.where(mask, rows, rows.dtype.type(0)), name, model, threads)
        return cls(np.ascontiguousarray(x), np.ascontiguousarray(mask))

    def repeated(self, count: int) -> _Known:
        shape = (count, self.x.shape[1])
        return _Known(
            np.ascontiguousarray(np.broadcast_to(self.x, shape)),
            np.ascontiguousarray(np.broadcast_to(self.observed, shape)),
        )


@dataclass(frozen=True)
class _Wanted:
    """Steps before the first draw, draws, steps from one to the next; whether energies alone."""

    burn_in: int
    draws: int
    thin: int
    energy_only: bool


def _check_model(model: object) -> None:
    if not all(hasattr(model, name) for name in ("W", "b", "c", "sigma")):
        raise TypeError(f"model: expected a ScoreModel, got {describe(model)}")


def _rows(value: object, name: str, model: Energy, threads: int) -> Array:
    array = as_real_array(value, name)
    array = array[None] if array.ndim == 1 else array
    rows = as_rows(array, name, model.W.dtype, model.W.shape[1])
    check_finite(rows, name, threads)
    return rows


def _chain_count(chains: int | None, start: Array | None, known: _Known | None) -> int:
    sizes = {"init": start, "given": None if known is None else known.x}
    rows = {name: len(x) for name, x in sizes.items() if x is not None and len(x) > 1}
    count = max(rows.values(), default=4) if chains is None else chains
    number = as_integer(count, "chains", low=1, high=2**40)
    for name, found in rows.items():
        if found != number:
            raise ValueError(
                f"{name}: expected one row, or one for each of {number} chains, got {found}"
            )
    return number


def _reduced(model: Energy, known: _Known | None, threads: int) -> Reduced:
    # Features that are held fast are features of x.
    if known is not None:
        return Reduced.same(model, model.W.dtype)
    return Reduced.of(model, model.W.dtype, threads)


def _annealing(model: Reduced, temperatures: int, seed: int, threads: int) -> Annealing:
    step = Step.of("auto", model.sigma, model.features)
    return Annealing(model, step, temperatures, seed=seed, threads=threads)


def _annealed(
    model: Reduced,
    chains: int,
    known: _Known | None,
    seed: int,
    threads: int,
    first_row: int = 0,
) -> Walk:
    """Return chains that have come from the Gaussian to the model."""
    annealing = _annealing(model, TEMPERATURES, seed, threads)
    observed, given = (None, None) if known is None else (known.observed, known.x)
    walk = annealing.walk(chains, first_row, observed=observed, given=given)
    walk.advance(TEMPERATURES, path=annealing.path, weigh=False)
    return walk


def _drawn(walk: Walk, wanted: _Wanted, tell: Any) -> Chains:
    """Take the steps, and keep the draws that they give, lifted."""
    chains, d = len(walk.x), len(walk.model.rest)
    x = np.empty((chains, 0 if wanted.energy_only else wanted.draws, d), dtype=walk.x.dtype)
    energy = np.empty((chains, wanted.draws))
    done, kept, method = 0, 0, walk.step.transition.name
    affordable = walk.affordable_steps()
    try:
        while done < wanted.burn_in:
            block = min(affordable, wanted.burn_in - done)
            walk.advance(block)
            done += block
            tell(done * chains)
        walk.forget_acceptance()
        width = walk.model.features if wanted.energy_only else d
        most = max(1, KEPT_TOGETHER // (chains * width))
        while kept < wanted.draws:
            block = min(most, max(1, affordable // wanted.thin), wanted.draws - kept)
            first = walk.steps
            y, of_y = walk.advance(block * wanted.thin, thin=wanted.thin)
            steps = first + wanted.thin * np.arange(1, block + 1, dtype=np.uint32)
            steps = steps.astype(np.uint32)
            if wanted.energy_only:
                beside = walk.energies_beside(block, steps)
            else:
                x[:, kept : kept + block], beside = walk.lifted(y, steps)
            energy[:, kept : kept + block] = of_y + beside
            kept += block
            done += block * wanted.thin
            tell(done * chains)
    except KeyboardInterrupt:
        if kept == 0:
            raise
    acceptance = walk.acceptance(kept * wanted.thin)
    complete = kept == wanted.draws
    return Chains(x[:, :kept], energy[:, :kept], acceptance, method, wanted.thin, complete)
