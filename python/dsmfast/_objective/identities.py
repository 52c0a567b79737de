"""What connects the objectives: the terms at each point, the constants, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array
from dsmfast.model import ScoreModel
from dsmfast.parzen import parzen_denoise

__all__ = [
    "ROUNDING",
    "Identity",
    "NoisyTerms",
    "Terms",
    "explicit_identity",
    "smoothed_identities",
    "standard_error",
]

FloatArray = npt.NDArray[np.float64]

# An estimate may be this many of its standard errors away from what it estimates, if those were
# known: once in 16 000 times it is.
STANDARD_ERRORS = 4.0

# What sums of float64 numbers may be off by, relative to the largest of them.
ROUNDING = 1e-10


@dataclass(frozen=True)
class Identity:
    """Identity between two objectives: its theoretical and its evaluated difference.

    Attributes
    ----------
    name : str
        The difference, such as ``"esm_smoothed - dsm"``.
    difference : float
        Difference of the two objectives at the model.
    constant : float
        Theoretical value of the difference. It depends on the data and the noise, but not on the
        model.
    error : float
        Monte-Carlo standard error of ``difference - constant``. It is 0 for identities that hold
        without sampling error, up to rounding.
    allowed : float
        Largest permitted deviation: four standard errors (or the equally rare quantile, if the
        standard error itself is uncertain) plus rounding.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(500), columns=2)
    >>> model = dsmfast.ScoreModel.initialize(2, 8, sigma=0.5)
    >>> first = dsmfast.connection(model, X).identities[0]
    >>> first.name, first.verdict
    ('dsm - dae / (2 sigma^4)', 'holds')
    """

    name: str
    difference: float
    constant: float
    error: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether the difference is within ``allowed`` of the constant."""
        return abs(self.difference - self.constant) <= self.allowed

    @property
    def is_tested(self) -> bool:
        """Whether the errors are small enough to detect a difference of 0 or twice the constant."""
        return self.error == 0 or self.allowed < abs(self.constant)

    @property
    def verdict(self) -> str:
        """The verdict as a word: "holds", "FAILS" or "unclear"."""
        if not self.holds:
            return "FAILS"
        return "holds" if self.is_tested else "unclear"


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


def standard_error(values: FloatArray, stratified: bool) -> float:
    """Return what the mean of ``values`` (draws, n) is worth.

    ``stratified``: the rows are all there are, only the noise is random, and each row's draws tell
    how much it varies. Otherwise rows are a sample too.
    """
    draws, n = values.shape
    if stratified and draws > 1:
        return float(np.sqrt(values.var(axis=0, ddof=1).sum() / draws) / n)
    return float(values.mean(axis=0).std(ddof=1) / np.sqrt(n))


class Terms:
    """Score and divergence at points, and the implicit objective's integrand (n,)."""

    def __init__(self, model: ScoreModel, x: FloatArray, threads: int | None) -> None:
        hidden = model.hidden(x, threads=threads)
        self.denoised = model.denoise(x, threads=threads)
        self.score = model.score(x, threads=threads)
        squares = (model.W**2).sum(axis=1)
        slopes = hidden * (1 - hidden)
        self.divergence = (slopes @ squares - model.n_features) / model.sigma**2
        self.implicit = 0.5 * _dot(self.score, self.score) + self.divergence


class NoisyTerms:
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
        terms = Terms(model, noisy, threads)
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


def smoothed_identities(
    values: dict[str, float], at_noise: list[NoisyTerms], sigma: float, *, stratified: bool
) -> tuple[dict[str, float], list[Identity]]:
    """Return the standard errors of the objectives with noise, and what connects them."""

    def error(pick: Callable[[NoisyTerms], FloatArray]) -> float:
        return standard_error(stacked(pick), stratified)

    def stacked(pick: Callable[[NoisyTerms], FloatArray]) -> FloatArray:
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


def explicit_identity(
    values: dict[str, float], at_points: Terms, scores: Array
) -> tuple[float, Identity]:
    """Return the standard error of "esm", and what connects it to "ism"."""
    apart = at_points.score - scores
    squares = 0.5 * _dot(scores, scores)
    stein = -(_dot(at_points.score, scores) + at_points.divergence)
    error = standard_error(stein[None], stratified=False)
    size = abs(values["esm"]) + abs(values["ism"]) + float(squares.mean())
    return standard_error(0.5 * _dot(apart, apart)[None], stratified=False), Identity(
        "esm - ism",
        values["esm"] - values["ism"],
        float(squares.mean()),
        error,
        _allowed(error, len(squares) - 1, ROUNDING * size),
    )
