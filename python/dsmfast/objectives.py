"""The objectives: one table, one regression kernel.

Every objective is a regression of the denoiser on targets at corrupted points; what tells them
apart stands in `OBJECTIVES`. Values are sums over features, means over rows and over draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast.arrays import (
    Array,
    as_choice,
    as_draws,
    as_integer,
    as_precision,
    as_rows,
    as_seed,
    as_threads,
    check_finite,
    describe,
)
from dsmfast.model import ScoreModel

__all__ = ["OBJECTIVES", "Gradient", "Objective", "as_objective", "loss", "loss_and_grad"]


@dataclass(frozen=True)
class Objective:
    """How an objective J follows from the regression mean |D(x~) - t|^2.

    Attributes
    ----------
    name : str
        As users write it.
    factor : callable
        J over the regression, as a function of sigma.
    """

    name: str
    factor: Callable[[float], float]


OBJECTIVES = {
    objective.name: objective
    for objective in (
        # mean |D(x~) - x|^2
        Objective("dae", lambda sigma: 1.0),
        # mean 1/2 |score(x~) - (x - x~) / sigma^2|^2
        Objective("dsm", lambda sigma: 0.5 / sigma**4),
    )
}


class Gradient(NamedTuple):
    """Derivatives with respect to the parameters, shaped like them."""

    W: Array
    b: Array
    c: Array


def as_objective(objective: object) -> Objective:
    """Return the table's entry for a name."""
    return OBJECTIVES[as_choice(objective, "objective", tuple(OBJECTIVES))]


def as_noise(
    noise: npt.ArrayLike | None, model: ScoreModel, rows: int, draws: int, threads: int
) -> tuple[Array | None, int]:
    """Return given noise as (draws, n, d), and the number of draws."""
    if noise is None:
        return None, draws
    given = as_precision(noise, "noise", model.dtype)
    shape = (rows, model.n_features)
    if given.ndim == 2 and given.shape == shape:
        given = given[None]
    if given.ndim != 3 or given.shape[1:] != shape or given.shape[0] == 0:
        raise ValueError(
            f"noise: expected shape {shape} or (draws, {shape[0]}, {shape[1]}), got {given.shape}"
        )
    if draws not in (1, given.shape[0]):
        raise ValueError(f"draws: expected {given.shape[0]} as in noise, got {draws}")
    given = np.require(given, requirements=["C", "A"])
    for draw, values in enumerate(given):
        check_finite(values, "noise" if len(given) == 1 else f"noise[{draw}]", threads)
    return given, given.shape[0]


def _regression(
    model: ScoreModel,
    x: npt.ArrayLike,
    seed: int,
    step: int,
    draws: int,
    noise: npt.ArrayLike | None,
    threads: int | None,
) -> tuple[Array, _core.Noise, int, int]:
    """Check what both public functions take."""
    if not isinstance(model, ScoreModel):
        raise TypeError(f"model: expected a ScoreModel, got {describe(model)}")
    rows = as_rows(x, "x", model.dtype, model.n_features)
    workers = as_threads(threads)
    check_finite(rows, "x", workers)
    given, count = as_noise(noise, model, len(rows), as_draws(draws), workers)
    corruption = _core.Noise(
        sigma=model.sigma,
        given=given,
        seed=as_seed(seed),
        step=as_integer(step, "step", low=0, high=2**32 - 1),
        draws=count,
    )
    return rows, corruption, count * len(rows), workers


def loss(
    model: ScoreModel,
    x: npt.ArrayLike,
    objective: str = "dsm",
    *,
    seed: int = 0,
    step: int = 0,
    draws: int = 1,
    noise: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> float:
    r"""Value of an objective at a model.

    With :math:`\tilde x = x + \sigma\varepsilon`, and means over rows and draws:

    - ``"dae"``: mean :math:`\|D(\tilde x) - x\|^2`
    - ``"dsm"``: mean :math:`\tfrac12\|\psi(\tilde x) - (x - \tilde x)/\sigma^2\|^2`, which is the
      former over :math:`2\sigma^4` (Vincent 2010, eq. 11)

    Parameters
    ----------
    model : ScoreModel
        Where to evaluate; its sigma is the noise's.
    x : array_like, shape (n, n_features)
        Clean points.
    objective : {"dsm", "dae"}
        Which objective.
    seed, step : int
        Place in the noise stream: row i gets ``dsmfast.normals(seed, step, draw, [i], d)``.
    draws : int
        Noise draws for each row.
    noise : array_like, shape (n, n_features) or (draws, n, n_features), optional
        Standard normals to use in place of the stream.
    threads : int, optional
        Threads to use; by default what OpenMP says. The bits do not depend on it.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For input that does not fit or is not finite.

    Examples
    --------
    >>> import numpy as np, dsmfast
    >>> model = dsmfast.ScoreModel.initialize(4, 8, sigma=0.5, dtype="float64")
    >>> x = np.ones((10, 4))
    >>> dae = dsmfast.loss(model, x, "dae", seed=3)
    >>> bool(np.isclose(dsmfast.loss(model, x, "dsm", seed=3), dae / (2 * 0.5**4)))
    True
    """
    kind = as_objective(objective)
    rows, corruption, count, workers = _regression(model, x, seed, step, draws, noise, threads)
    total = _core.regression(model.W, model.b, model.c, rows, None, corruption, 1.0, False, workers)
    return kind.factor(model.sigma) / count * total


def loss_and_grad(
    model: ScoreModel,
    x: npt.ArrayLike,
    objective: str = "dsm",
    *,
    seed: int = 0,
    step: int = 0,
    draws: int = 1,
    noise: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> tuple[float, Gradient]:
    """Value of an objective and its gradient with respect to W, b and c.

    Takes what :func:`loss` takes. The gradient is that of the value returned (training steps on
    2 sigma^4 times it for "dsm").

    Returns
    -------
    value : float
    gradient : Gradient
        Named tuple (W, b, c) of arrays shaped like the parameters.

    Examples
    --------
    >>> import numpy as np, dsmfast
    >>> model = dsmfast.ScoreModel.initialize(4, 8, sigma=0.5)
    >>> value, gradient = dsmfast.loss_and_grad(model, np.ones((10, 4), dtype=np.float32))
    >>> gradient.W.shape, gradient.b.shape, gradient.c.shape
    ((8, 4), (8,), (4,))
    """
    kind = as_objective(objective)
    rows, corruption, count, workers = _regression(model, x, seed, step, draws, noise, threads)
    scale = kind.factor(model.sigma) / count
    total, W, b, c = _core.regression(
        model.W, model.b, model.c, rows, None, corruption, scale, True, workers
    )
    return scale * total, Gradient(W, b, c)
