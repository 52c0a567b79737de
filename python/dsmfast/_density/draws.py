"""Draws of chains: where these begin, what of x is known, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import (
    Array,
    as_integer,
    as_precision,
    as_rows,
    check_finite,
    describe,
)
from dsmfast._density.annealing import Annealing
from dsmfast._density.chains import Step, Walk
from dsmfast._density.reduced import Energy, Reduced
from dsmfast._system.extras import arviz_base, arviz_stats

__all__ = [
    "KEPT_TOGETHER",
    "Chains",
    "Known",
    "Wanted",
    "annealed",
    "annealing_of",
    "chain_count",
    "drawn",
    "finite_rows",
    "reduced_of",
]

KEPT_TOGETHER = 2**21  # values of draws


@dataclass(frozen=True, eq=False)
class Chains:
    """Draws of several Markov chains, which :func:`sample` returns.

    Attributes
    ----------
    x : ndarray, shape (chains, draws, n_features)
        The draws. With ``energy_only``, the shape is (chains, 0, n_features).
    energy : ndarray of float64, shape (chains, draws)
        Energies of the draws.
    acceptance : ndarray, shape (chains,)
        Fraction of accepted steps; 1 if the method never rejects a step.
    method : str
        ``"gibbs"``, ``"shifted"``, ``"mala"`` or ``"langevin"``.
    thin : int
        Number of steps from one draw to the next.
    is_complete : bool
        Whether there are as many draws as requested; False after Ctrl-C.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> model = dsmfast.train(X, 32, sigma=1, sigma_max="auto", epochs=50).model
    >>> chains = dsmfast.sample(model, chains=4, draws=100)
    >>> chains.x.shape, chains.energy.shape, chains.rows.shape
    ((4, 100, 2), (4, 100), (400, 2))
    >>> chains.method, chains.acceptance.tolist()
    ('gibbs', [1.0, 1.0, 1.0, 1.0])
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
        """Return the effective sample size, computed by arviz-stats (extra ``arviz``).

        Parameters
        ----------
        of : {"energy", "x"}
            Quantity whose mean is considered: the energy, or each feature.

        Returns
        -------
        ndarray
            A single number for "energy"; shape (n_features,) for "x".
        """
        return self._diagnosed("ess", of)

    def r_hat(self, of: str = "energy") -> Array:
        """Return R-hat, which compares chains, computed by arviz-stats (extra ``arviz``).

        It is the rank-normalised, folded R-hat of Vehtari et al. (2021). Values below 1.01 indicate
        that the chains agree with one another.

        Parameters
        ----------
        of : {"energy", "x"}
            As for :meth:`ess`.

        Returns
        -------
        ndarray
            A single number for "energy"; shape (n_features,) for "x".
        """
        return self._diagnosed("rhat", of)

    def to_arviz(self) -> Any:
        """Return the chains as a ``DataTree`` for ArviZ (extra ``arviz``).

        Returns
        -------
        DataTree
            The group ``posterior`` holds x, unless only energies were kept. The group
            ``sample_stats`` holds the energy.
        """
        groups = {"sample_stats": {"energy": self.energy}}
        if self.x.shape[1] > 0:
            groups = {"posterior": {"x": self.x}, **groups}
        return arviz_base().from_dict(groups)

    def _diagnosed(self, what: str, of: str) -> Array:
        if of not in ("energy", "x"):
            raise ValueError(f"of: expected 'energy' or 'x', got {of!r}")
        values = self.energy if of == "energy" else self.x
        if values.shape[1] < 4 or (what == "rhat" and len(values) < 2):
            raise ValueError(
                "expected at least 4 draws (of at least 2 chains for r_hat), got shape "
                f"{values.shape[:2]}"
            )
        of_array = getattr(arviz_stats().base.array_stats, what)
        found: Array = np.asarray(of_array(values, chain_axis=0, draw_axis=1))
        return found

    def __repr__(self) -> str:
        chains, draws = self.energy.shape
        return (
            f"Chains(chains={chains}, draws={draws}, n_features={self.x.shape[2]}, "
            f"method={self.method!r}, "
            f"thin={self.thin})"
        )


@dataclass(frozen=True)
class Known:
    """Rows some features of which are known, and which; the others are 0."""

    x: Array
    observed: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls, model: Energy, given: Any, observed: Any, threads: int, name: str = "given"
    ) -> Known | None:
        if given is None:
            if observed is not None:
                raise ValueError(
                    "observed: expected given with it, the rows whose known features it marks"
                )
            return None
        rows = as_precision(given, name, model.W.dtype, gaps=True)
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
        x = finite_rows(np.where(mask, rows, rows.dtype.type(0)), name, model, threads)
        return cls(np.ascontiguousarray(x), np.ascontiguousarray(mask))

    def repeated(self, count: int) -> Known:
        shape = (count, self.x.shape[1])
        return Known(
            np.ascontiguousarray(np.broadcast_to(self.x, shape)),
            np.ascontiguousarray(np.broadcast_to(self.observed, shape)),
        )


@dataclass(frozen=True)
class Wanted:
    """Steps before the first draw, draws, steps from one to the next; whether energies alone."""

    burn_in: int
    draws: int
    thin: int
    energy_only: bool


def finite_rows(value: object, name: str, model: Energy, threads: int) -> Array:
    array = as_precision(value, name, model.W.dtype)
    array = array[None] if array.ndim == 1 else array
    rows = as_rows(array, name, model.W.dtype, model.W.shape[1])
    check_finite(rows, name, threads)
    return rows


def chain_count(chains: int | None, start: Array | None, known: Known | None) -> int:
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


def reduced_of(model: Energy, known: Known | None, threads: int) -> Reduced:
    # Features that are held fast are features of x.
    if known is not None:
        return Reduced.same(model, model.W.dtype)
    return Reduced.of(model, model.W.dtype, threads)


def annealing_of(model: Reduced, temperatures: int, seed: int, threads: int) -> Annealing:
    step = Step.of("auto", model.sigma, model.features)
    return Annealing(model, step, temperatures, seed=seed, threads=threads)


def annealed(
    annealing: Annealing, chains: int, known: Known | None = None, first_row: int = 0
) -> Walk:
    """Return chains that have come from the Gaussian to the model."""
    observed, given = (None, None) if known is None else (known.observed, known.x)
    walk = annealing.walk(chains, first_row, observed=observed, given=given)
    walk.advance(len(annealing.path.beta) - 1, path=annealing.path, weigh=False)
    return walk


def drawn(walk: Walk, wanted: Wanted, tell: Any) -> Chains:
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
            steps = (first + wanted.thin * np.arange(1, block + 1)).astype(np.uint32)
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
