r"""The connection between the objectives, evaluated: the paper as a function.

Explicit, implicit and denoising score matching differ by constants that do not depend on the model
(Hyvärinen 2005; Vincent 2010). With :math:`T(\tilde x)` the posterior mean of the data,
:math:`g = \nabla\log q_\sigma = (T - \tilde x)/\sigma^2`, and expectations over data and noise:

.. math::

    J_{esm\_smoothed} - J_{dsm} &= -\tfrac12 E\|(T(\tilde x) - x)/\sigma^2\|^2 \\
    J_{esm\_smoothed} - J_{ism\_smoothed} &= \tfrac12 E\|g(\tilde x)\|^2 \\
    J_{esm} - J_{ism} &= \tfrac12 E\|\nabla\log q(x)\|^2
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast.arrays import (
    Array,
    as_draws,
    as_integer,
    as_real_array,
    as_rows,
    as_seed,
    as_threads,
    check_finite,
    describe,
)
from dsmfast.losses import Score, loss
from dsmfast.model import ScoreModel
from dsmfast.noise import normals
from dsmfast.objectives import OBJECTIVES, as_task
from dsmfast.parzen import parzen_denoise

__all__ = ["Connection", "Identity", "connection"]

FloatArray = npt.NDArray[np.float64]

# An estimate may be this many of its standard errors away from what it estimates, if those were
# known: once in 16 000 times it is.
STANDARD_ERRORS = 4.0

# Fewer rows tell too little of the errors themselves.
FEWEST_ROWS = 20

# What sums of float64 numbers may be off by, relative to the largest of them.
ROUNDING = 1e-10


@dataclass(frozen=True)
class Identity:
    """What the theory says of two objectives, and what came out.

    Attributes
    ----------
    name : str
        The difference, say ``"esm_smoothed - dsm"``.
    difference : float
        As evaluated at the model.
    constant : float
        What it should be; it depends on the data and the noise, not on the model.
    error : float
        Monte-Carlo standard error of ``difference - constant``; 0 where there is none, and the two
        agree to rounding or not at all.
    allowed : float
        How far apart the two may be: four standard errors, or what is as rare where the standard
        error is itself uncertain, and rounding.
    """

    name: str
    difference: float
    constant: float
    error: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the two are as close as they should be."""
        return abs(self.difference - self.constant) <= self.allowed

    @property
    def is_tested(self) -> bool:
        """Whether a difference of twice the constant, or of nothing, would have been noticed."""
        return self.error == 0 or self.allowed < abs(self.constant)

    @property
    def verdict(self) -> str:
        """What the table says of it."""
        if not self.holds:
            return "FAILS"
        return "holds" if self.is_tested else "unclear"


@dataclass(frozen=True)
class Connection:
    """What :func:`connection` found; printed, a table.

    Attributes
    ----------
    values : dict of str to float
        Each objective at the model, on the same points and noise.
    errors : dict of str to float
        Monte-Carlo standard error of each.
    identities : tuple of Identity
        The differences that should be constants.
    bound : float
        Below which "ism" cannot be: minus the number of features over sigma squared.
    rows, draws : int
        How many points were used, and noise draws of each.
    sigma : float
        The model's.
    """

    values: dict[str, float]
    errors: dict[str, float]
    identities: tuple[Identity, ...]
    bound: float
    rows: int
    draws: int
    sigma: float

    @property
    def is_bounded(self) -> bool:
        """Whether "ism" is above its bound."""
        return self.values["ism"] >= self.bound - ROUNDING * abs(self.bound)

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it: no identity fails, "ism" is above its bound."""
        return self.is_bounded and all(identity.holds for identity in self.identities)

    def __str__(self) -> str:
        noun = "draw" if self.draws == 1 else "draws"
        lines = [f"{self.rows} rows, {self.draws} {noun} of noise each, sigma {self.sigma:g}", ""]
        lines += [f"{'objective':<32}{'value':>15}{'std. error':>13}"]
        for name, value in self.values.items():
            lines += [f"{name:<32}{value:>15.6g}{self.errors[name]:>13.2g}"]
        lines += ["", f"{'difference':<32}{'value':>15}{'constant':>15}{'std. error':>13}"]
        for one in self.identities:
            numbers = f"{one.difference:>15.6g}{one.constant:>15.6g}{one.error:>13.2g}"
            lines += [f"{one.name:<32}{numbers}  {one.verdict}"]
        verdict = "  holds" if self.is_bounded else "  FAILS"
        lines += ["", f"{'ism >= -d / sigma^2':<32}{self.values['ism']:>15.6g}"]
        lines[-1] += f"{self.bound:>15.6g}{'':>13}{verdict}"
        if not all(one.is_tested for one in self.identities):
            lines += [
                "",
                "unclear: the error is as large as the constant; more draws or points help",
            ]
        if "esm" not in self.values:
            lines += ["", "esm needs the score of the data, which is not known here"]
        return "\n".join(lines)


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    products: FloatArray = (a * b).sum(axis=-1)
    return products


def _allowed(error: float, degrees: int, rounding: float) -> float:
    """Return how far an estimate may be off, its error known from so many degrees of freedom.

    The quantile of Student's t that is as rare as 4 is for the normal (expansion of Fisher and
    Cornish, which is right to 3 % from 19 degrees on).
    """
    z, n = STANDARD_ERRORS, degrees
    wider = (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    wider += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    return (z + wider) * error + rounding


def _standard_error(values: FloatArray, stratified: bool) -> float:
    """Return what the mean of ``values`` (draws, n) is worth.

    ``stratified``: the rows are all there are, only the noise is random, and each row's draws tell
    how much it varies. Otherwise rows are a sample too.
    """
    draws, n = values.shape
    if stratified and draws > 1:
        return float(np.sqrt(values.var(axis=0, ddof=1).sum() / draws) / n)
    return float(values.mean(axis=0).std(ddof=1) / np.sqrt(n))


def connection(
    model: ScoreModel,
    X: npt.ArrayLike,
    *,
    score: Score | None = None,
    draws: int = 4,
    points: int = 2000,
    seed: int = 0,
    threads: int | None = None,
) -> Connection:
    """Evaluate all objectives on the same points and noise, and check the paper's identities.

    Everything is worked out in ``float64``, whatever the model's precision.

    Parameters
    ----------
    model : ScoreModel
        Any model: the identities hold for every one.
    X : array_like, shape (n, n_features)
        Data; the Parzen density of "esm_smoothed" is that of all rows.
    score : array_like, shape (n, n_features), or callable, optional
        Score of the density that X was drawn from, or a function of x that returns it; without it,
        "esm" is left out.
    draws : int
        Noise draws for each point.
    points : int
        Rows to use at most, at least 20, chosen at random where there are more.
    seed : int
        Of the noise and the choice of rows.
    threads : int, optional
        By default what OpenMP says.

    Returns
    -------
    Connection
        Values, constants, Monte-Carlo errors and whether the identities hold. ``print`` it.

    Raises
    ------
    ValueError, TypeError
        For input that does not fit or is not finite.

    Examples
    --------
    >>> import dsmfast
    >>> from dsmfast import data
    >>> model = dsmfast.ScoreModel.initialize(2, 16, sigma=0.5)
    >>> found = dsmfast.connection(model, data.mixture(500), score=data.mixture_score)
    >>> found.holds
    True
    >>> [identity.name for identity in found.identities][1:]
    ['esm_smoothed - dsm', 'esm_smoothed - ism_smoothed', 'esm - ism']
    """
    if not isinstance(model, ScoreModel):
        raise TypeError(f"model: expected a ScoreModel, got {describe(model)}")
    double = np.dtype(np.float64)
    W, b, c = (parameter.astype(double) for parameter in (model.W, model.b, model.c))
    exact = ScoreModel(W, b, c, model.sigma)
    every = as_rows(as_real_array(X, "X").astype(double), "X", double, model.n_features)
    workers = as_threads(threads)
    check_finite(every, "X", workers)
    count = as_integer(points, "points", low=FEWEST_ROWS, high=2**31)
    if len(every) < FEWEST_ROWS:
        raise ValueError(
            f"X: expected at least {FEWEST_ROWS} rows, to tell Monte-Carlo errors from, "
            f"got {len(every)}"
        )
    drawn = as_draws(draws)
    start = as_seed(seed)
    scores = None
    if score is not None:
        scores = as_task("esm", every, workers, score=score, narrow=True).scores
    chosen = np.arange(len(every))
    if count < len(every):
        chosen = np.sort(np.random.default_rng(start).choice(len(every), count, replace=False))
    x = np.ascontiguousarray(every[chosen])

    def value(objective: str, **options: Any) -> float:
        return loss(exact, x, objective, seed=start, threads=threads, **options)

    with np.errstate(over="ignore", invalid="ignore"):
        noisy = {"draws": drawn}
        values = {
            "dae": value("dae", **noisy),
            "dsm": value("dsm", **noisy),
            "ism": value("ism"),
            "esm_smoothed": value("esm_smoothed", data=every, **noisy),
            "ism_smoothed": value("ism_smoothed", **noisy),
        }
        at_points = _Terms(exact, x, threads)
        at_noise = []
        for m in range(drawn):
            noise = normals(start, 0, m, range(len(x)), x.shape[1], double, threads=threads)
            at_noise.append(_NoisyTerms(exact, x, every, noise, threads))
        errors, identities = _smoothed_identities(
            values, at_noise, model.sigma, stratified=len(x) == len(every)
        )
        errors["ism"] = _standard_error(at_points.implicit[None], stratified=False)
        if scores is not None:
            values["esm"] = value("esm", score=scores[chosen])
            more, identity = _explicit_identity(values, at_points, scores[chosen])
            errors["esm"] = more
            identities.append(identity)
    numbers = [*values.values(), *errors.values(), *(one.constant for one in identities)]
    if not np.isfinite(numbers).all():
        raise ValueError(f"sigma: at {model.sigma:g} the objectives are more than float64 can hold")
    return Connection(
        {name: values[name] for name in OBJECTIVES if name in values},
        errors,
        tuple(identities),
        -model.n_features / model.sigma**2,
        len(x),
        drawn,
        model.sigma,
    )


class _Terms:
    """Score and divergence at points, and the implicit objective's integrand (n,)."""

    def __init__(self, model: ScoreModel, x: FloatArray, threads: int | None) -> None:
        hidden = model.hidden(x, threads=threads)
        self.denoised = model.denoise(x, threads=threads)
        self.score = model.score(x, threads=threads)
        squares = (model.W**2).sum(axis=1)
        slopes = hidden * (1 - hidden)
        self.divergence = (slopes @ squares - model.n_features) / model.sigma**2
        self.implicit = 0.5 * _dot(self.score, self.score) + self.divergence


class _NoisyTerms:
    """What the smoothed objectives are made of, at one draw of the noise; each (n,)."""

    def __init__(
        self,
        model: ScoreModel,
        x: FloatArray,
        sample: FloatArray,
        noise: FloatArray,
        threads: int | None,
    ) -> None:
        noisy = x + model.sigma * noise
        terms = _Terms(model, noisy, threads)
        mean = parzen_denoise(noisy, sample, model.sigma, threads=threads)
        data_score = (mean - noisy) / model.sigma**2
        miss, posterior_miss = terms.denoised - x, (mean - x) / model.sigma**2
        apart = terms.score - data_score
        self.squared_error = _dot(miss, miss)
        self.explicit = 0.5 * _dot(apart, apart)
        self.implicit = terms.implicit
        # The constants, and what should be 0 on average.
        self.posterior_error = 0.5 * _dot(posterior_miss, posterior_miss)
        self.data_square = 0.5 * _dot(data_score, data_score)
        self.uncorrelated = -_dot(apart, posterior_miss)
        self.stein = -(_dot(terms.score, data_score) + terms.divergence)


def _smoothed_identities(
    values: dict[str, float], at_noise: list[_NoisyTerms], sigma: float, *, stratified: bool
) -> tuple[dict[str, float], list[Identity]]:
    def error(pick: Callable[[_NoisyTerms], FloatArray]) -> float:
        return _standard_error(stacked(pick), stratified)

    def stacked(pick: Callable[[_NoisyTerms], FloatArray]) -> FloatArray:
        return np.stack([pick(terms) for terms in at_noise])

    errors = {
        "dae": error(lambda t: t.squared_error),
        "esm_smoothed": error(lambda t: t.explicit),
        "ism_smoothed": error(lambda t: t.implicit),
    }
    errors["dsm"] = errors["dae"] / (2 * sigma**4)
    largest = max(abs(values[name]) for name in ("dsm", "esm_smoothed", "ism_smoothed"))
    squares = stacked(lambda t: t.data_square)
    rounding = ROUNDING * (largest + float(squares.mean()))
    draws, n = squares.shape
    degrees = n * (draws - 1) if stratified and draws > 1 else n - 1

    def identity(name: str, other: str, constant: float, error: float) -> Identity:
        allowed = _allowed(error, degrees, rounding)
        return Identity(name, values["esm_smoothed"] - values[other], constant, error, allowed)

    return errors, [
        Identity(
            "dsm - dae / (2 sigma^4)",
            values["dsm"] - values["dae"] / (2 * sigma**4),
            0.0,
            0.0,
            ROUNDING * values["dsm"],
        ),
        identity(
            "esm_smoothed - dsm",
            "dsm",
            -float(stacked(lambda t: t.posterior_error).mean()),
            error(lambda t: t.uncorrelated),
        ),
        identity(
            "esm_smoothed - ism_smoothed",
            "ism_smoothed",
            float(squares.mean()),
            error(lambda t: t.stein),
        ),
    ]


def _explicit_identity(
    values: dict[str, float], at_points: _Terms, scores: Array
) -> tuple[float, Identity]:
    apart = at_points.score - scores
    squares = 0.5 * _dot(scores, scores)
    stein = -(_dot(at_points.score, scores) + at_points.divergence)
    error = _standard_error(stein[None], stratified=False)
    size = abs(values["esm"]) + abs(values["ism"]) + float(squares.mean())
    return _standard_error(0.5 * _dot(apart, apart)[None], stratified=False), Identity(
        "esm - ism",
        values["esm"] - values["ism"],
        float(squares.mean()),
        error,
        _allowed(error, len(squares) - 1, ROUNDING * size),
    )
