"""Samples of a model's density: independent points, chains, and missing features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import Array, as_flag, as_integer, as_seed, as_threads
from dsmfast._arguments.frames import check_columns, names_of
from dsmfast._density.chains import METHODS, Step, Walk
from dsmfast._density.draws import (
    KEPT_TOGETHER,
    Chains,
    Known,
    Wanted,
    annealed,
    annealing_of,
    chain_count,
    drawn,
    finite_rows,
    reduced_of,
)
from dsmfast._density.reduced import Energy, check_energy
from dsmfast._system.progress import progress as shown

__all__ = ["METHODS", "Chains", "impute", "independent_sample", "sample"]

TEMPERATURES = 300  # from the Gaussian to the model
BURN_IN = 100  # steps of the model itself, after them
TOGETHER = 4096  # chains that are annealed in one go


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
    r"""Run Markov chains that sample the density of a model.

    If :math:`n = 1/\sigma^2` is an integer, block Gibbs sampling is exact. A step draws counts
    :math:`k_j \sim \mathrm{Binomial}(n, \mathrm{sigmoid}(W_j x + b_j))` and then :math:`x \sim N(c
    + W^T k/n, \sigma^2 I)`: it encodes, draws the hidden units, decodes and adds noise. If n is not
    an integer, the nearest integer is used and a Metropolis step corrects the difference. If there
    are fewer hidden units than features, chains run in n_hidden dimensions and the draws are mapped
    back to all features.

    Parameters
    ----------
    model : ScoreModel
        The model.
    chains : int, optional
        Number of independent chains. The default is the number of rows of ``init`` or ``given``,
        and otherwise 4.
    draws : int
        Number of draws per chain.
    burn_in : int
        Number of steps before the first draw.
    thin : int
        Number of steps from one draw to the next.
    init : array_like, shape (n_features,) or (chains, n_features), optional
        Initial points of the chains. By default they are independent draws, annealed from a
        Gaussian.
    method : {"auto", "gibbs", "shifted", "mala", "langevin"}
        Kind of step. "gibbs" is block Gibbs sampling, with a Metropolis correction if n is not an
        integer. "shifted" is the same with a proposal mean that allows for the non-integer part of
        n, and is accepted more often. "mala" is the Metropolis-adjusted Langevin algorithm, for
        :math:`1/\sigma^2` below 1. "langevin" omits the correction, so its distribution differs
        from that of the model however long it runs. "auto" selects "gibbs", "shifted" or "mala".
    step_size : float, optional
        Step size :math:`\eta` of "mala" and "langevin", in (0, 2): :math:`x' = x + \eta (D(x) - x)
        + \sigma\sqrt{2\eta}\,e`.
    given : array_like, shape (n_features,) or (chains, n_features), optional
        Rows with some known features. These stay fixed, and the others are drawn from their density
        given the known ones. NaN marks unknown features, unless ``observed`` is given.
    observed : array_like or DataFrame of bool, of the shape of ``given``, optional
        Which features of ``given`` are known.
    energy_only : bool
        Whether to keep only the energies of the draws; ``x`` then has shape (chains, 0,
        n_features). If there are more features than hidden units, this avoids computing the draws
        in all features, which takes most of the time.
    seed : int
        Seed of the chains. Chain i depends only on the seed, on i and on its initial point.
    progress : bool, optional
        Whether to show progress. True shows a bar on a terminal (needs tqdm) and writes a line per
        second to stderr elsewhere. By default, a bar is shown on a terminal if tqdm is installed.
    threads : int, optional
        Number of threads. The default is that of OpenMP. The result is bit-identical for any
        number.

    Returns
    -------
    Chains
        After Ctrl-C, the draws that all chains have so far, if there are any.

    See Also
    --------
    dsmfast.ScoreModel.sample : Independent points.
    dsmfast.impute : Means of missing features.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> model = dsmfast.train(X, 32, sigma=0.5, epochs=50, sigma_max="auto").model
    >>> chains = dsmfast.sample(model, chains=4, draws=100)
    >>> chains.x.shape, chains.energy.shape
    ((4, 100, 2), (4, 100))
    """
    check_energy(model, init=init, given=given, observed=observed)
    if given is not None:
        check_columns(observed, "observed", names_of(given), "which given has")
    workers, origin = as_threads(threads), as_seed(seed)
    start = None if init is None else finite_rows(init, "init", model, workers)
    known = Known.of(model, given, observed, workers)
    count = chain_count(chains, start, known)
    steps = as_integer(thin, "thin", low=1, high=2**31)
    wanted = as_integer(draws, "draws", low=1, high=2**31)
    before = as_integer(burn_in, "burn_in", low=0, high=2**31)
    without_x = as_flag(energy_only, "energy_only")
    if TEMPERATURES + before + wanted * steps >= 2**32:
        raise ValueError(f"draws, thin: expected fewer than 2**32 steps, got {wanted} * {steps}")
    known = None if known is None else known.repeated(count)
    reduced = reduced_of(model, known, workers)
    step = Step.of(method, model.sigma, reduced.features, step_size)
    if start is None:
        annealing = annealing_of(reduced, TEMPERATURES, origin, workers)
        walk = annealed(annealing, count, known)
        walk.change_step(step)
    else:
        y = reduced.project(np.broadcast_to(start, (count, start.shape[1])), workers)
        y = y if known is None else np.where(known.observed, known.x, y)
        mask = None if known is None else known.observed
        walk = Walk(reduced, step, y, seed=origin, observed=mask, threads=workers)
    with shown(progress, before + wanted * steps, count, names=("step", "steps")) as told:
        return drawn(walk, Wanted(before, wanted, steps, without_x), told.rows)


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
    check_energy(model)
    count = as_integer(n, "n", low=1, high=2**40)
    steps = as_integer(temperatures, "temperatures", low=1, high=2**31)
    after = as_integer(burn_in, "burn_in", low=0, high=2**31)
    workers, origin = as_threads(threads), as_seed(seed)
    reduced = reduced_of(model, None, workers)
    annealing = annealing_of(reduced, steps, origin, workers)
    out: Array = np.empty((count, model.W.shape[1]), dtype=model.W.dtype)
    with shown(progress, count, steps + after, names=("row", "steps")) as told:
        for begin in range(0, count, TOGETHER):
            rows = min(TOGETHER, count - begin)
            walk = annealed(annealing, rows, first_row=begin)
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
    r"""Replace missing features by their mean under the model, given the rest of the row.

    Chains draw the missing features while the known ones stay fixed (:func:`sample` with
    ``given``). The result is the mean of the denoised draws, which has the same expectation as the
    mean of the draws and a smaller error. :func:`sample` returns the draws themselves, for multiple
    imputation.

    Parameters
    ----------
    model : ScoreModel
        The model.
    X : array_like, shape (n, n_features)
        Rows with NaN in place of missing features.
    draws : int
        Number of draws that are averaged per row.
    burn_in : int
        Number of steps between annealing and the first draw.
    seed, progress, threads
        As for :func:`sample`.

    Returns
    -------
    ndarray, shape (n, n_features)
        Rows in the precision of the model. Known features are unchanged.

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
    check_energy(model, X=X)
    workers, origin = as_threads(threads), as_seed(seed)
    kept = as_integer(draws, "draws", low=1, high=2**31)
    before = as_integer(burn_in, "burn_in", low=0, high=2**31)
    known = Known.of(model, X, None, workers, name="X")
    assert known is not None
    filled: Array = known.x.copy()
    gaps = np.flatnonzero(~known.observed.all(axis=1))
    if len(gaps) == 0:
        return filled
    reduced = reduced_of(model, known, workers)
    annealing = annealing_of(reduced, TEMPERATURES, origin, workers)
    block = max(1, min(TOGETHER, KEPT_TOGETHER // (kept * reduced.features)))
    with shown(progress, len(gaps), before + kept, names=("row", "steps")) as told:
        for begin in range(0, len(gaps), block):
            some = gaps[begin : begin + block]
            part = Known(known.x[some], known.observed[some])
            walk = annealed(annealing, len(some), part, first_row=int(begin))
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
