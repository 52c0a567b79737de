r"""Evaluation of the identities between the objectives (Vincent 2010).

Explicit, implicit and denoising score matching differ by constants that do not depend on the model
(Hyvärinen 2005; Vincent 2010). With :math:`T(\tilde x)` the posterior mean of the data, :math:`g =
\nabla\log q_\sigma = (T - \tilde x)/\sigma^2`, and expectations over data and noise:

.. math::

    J_{esm\_smoothed} - J_{dsm} &= -\tfrac12 E\|(T(\tilde x) - x)/\sigma^2\|^2 \\
    J_{esm\_smoothed} - J_{ism\_smoothed} &= \tfrac12 E\|g(\tilde x)\|^2 \\
    J_{esm} - J_{ism} &= \tfrac12 E\|\nabla\log q(x)\|^2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import (
    as_draws,
    as_integer,
    as_real_array,
    as_rows,
    as_seed,
    as_threads,
    check_finite,
    not_a_model,
)
from dsmfast._arguments.frames import check_columns, check_score_names, names_of
from dsmfast._objective.identities import (
    ROUNDING,
    Identity,
    NoisyTerms,
    Terms,
    explicit_identity,
    smoothed_identities,
    standard_error,
)
from dsmfast._objective.options import ObjectiveOptions, Score
from dsmfast._objective.table import OBJECTIVES, Target
from dsmfast._objective.task import as_scores
from dsmfast.model import ScoreModel
from dsmfast.noise import Use, choice, normals
from dsmfast.objectives import loss

__all__ = ["Connection", "Identity", "connection"]

FloatArray = npt.NDArray[np.float64]

# Fewer rows tell too little of the errors themselves.
FEWEST_ROWS = 20


@dataclass(frozen=True)
class Connection:
    """Result of :func:`connection`; printing it shows a table.

    Attributes
    ----------
    values : dict of str to float
        Each objective at the model, on the same points and noise.
    errors : dict of str to float
        Monte-Carlo standard error of each value. For "ism" and "esm", the rows are treated as a
        sample of the density of the data. For the others this is also the case, unless all rows
        were used with several draws each; then only the noise is random.
    identities : tuple of Identity
        The differences that should be constants.
    bound : float
        Lower bound of "ism": minus the number of features divided by sigma squared.
    rows, draws : int
        Number of points used, and number of noise draws per point.
    sigma : float
        Sigma of the model.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(500), columns=2)
    >>> model = dsmfast.ScoreModel.initialize(2, 8, sigma=0.5)
    >>> found = dsmfast.connection(model, X, score=-X)
    >>> sorted(found.values), found.holds
    (['dae', 'dsm', 'esm', 'esm_smoothed', 'ism', 'ism_smoothed'], True)
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
        """Whether "ism" is above its lower bound."""
        return self.values["ism"] >= self.bound - ROUNDING * abs(self.bound)

    @property
    def holds(self) -> bool:
        """Whether no identity fails and "ism" is above its lower bound."""
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
                "unclear: within its errors the difference could be 0; more draws may help",
            ]
        if "esm" not in self.values:
            lines += ["", "esm needs the score of the data, which is not known here"]
        return "\n".join(lines)


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
    """Evaluate all objectives on the same points and noise, and check their identities.

    All computations are in ``float64``, whatever the precision of the model.

    Parameters
    ----------
    model : ScoreModel
        The model. The identities hold for every model, trained or not.
    X : array_like, shape (n, n_features)
        Data. All rows form the Parzen density of "esm_smoothed".
    score : array_like, shape (n, n_features), or callable, optional
        Score of the density that X was drawn from, or a function of x that returns it. Without it,
        "esm" is omitted.
    draws : int
        Number of noise draws per point.
    points : int
        Maximum number of rows to use, at least 20. If there are more, they are chosen at random.
    seed : int
        Seed of the noise and of the choice of rows.
    threads : int, optional
        Number of threads. The default is that of OpenMP.

    Returns
    -------
    Connection
        Values, constants, Monte-Carlo errors and verdicts. The printed table says of each identity
        that it "holds" or "FAILS", or is "unclear" if the errors are too large to decide.

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid or not finite.

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
        raise not_a_model(model)
    check_columns(X, "X", model.feature_names)
    check_score_names("score", names_of(score), model.feature_names or names_of(X))
    double = np.dtype(np.float64)
    W, b, c = (parameter.astype(double) for parameter in (model.W, model.b, model.c))
    exact = ScoreModel(W, b, c, model.sigma)
    every = as_rows(as_real_array(X, "X").astype(double), "X", double, model.n_features)
    workers = as_threads(threads)
    check_finite(every, "X", workers)
    count = as_integer(points, "points", low=FEWEST_ROWS, high=2**31)
    if len(every) < FEWEST_ROWS:
        raise ValueError(
            f"X: expected at least {FEWEST_ROWS} rows, to estimate Monte-Carlo errors, "
            f"got {len(every)}"
        )
    drawn = as_draws(draws)
    start = as_seed(seed)
    scores = None
    if score is not None:
        asked = ObjectiveOptions(objective="esm", score=score)
        scores = as_scores(asked, every, workers, narrow=True)
    chosen = np.arange(len(every))
    if count < len(every):
        chosen = np.sort(choice(start, Use.connection, len(every), count))
    x = np.ascontiguousarray(every[chosen])

    with np.errstate(over="ignore", invalid="ignore"):
        values = _values(exact, x, every, seed=start, draws=drawn, threads=threads)
        at_points = Terms(exact, x, threads)
        at_noise = []
        for m in range(drawn):
            noise = normals(start, 0, m, range(len(x)), x.shape[1], double, threads=threads)
            at_noise.append(NoisyTerms(exact, x, every, noise, threads))
        errors, identities = smoothed_identities(
            values, at_noise, model.sigma, stratified=len(x) == len(every)
        )
        errors["ism"] = standard_error(at_points.implicit[None], stratified=False)
        if scores is not None:
            values["esm"] = loss(exact, x, "esm", score=scores[chosen], threads=threads)
            errors["esm"], identity = explicit_identity(values, at_points, scores[chosen])
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


def _values(
    model: ScoreModel,
    x: FloatArray,
    every: FloatArray,
    *,
    seed: int,
    draws: int,
    threads: int | None,
) -> dict[str, float]:
    """Return the objectives that need no score of the data, all on the same noise."""
    options: dict[str, Any] = {"seed": seed, "path": "explicit", "threads": threads}
    values = {}
    for name, objective in OBJECTIVES.items():
        if objective.target is Target.given:
            continue
        own: dict[str, Any] = {"draws": draws} if objective.noisy else {}
        if objective.target is Target.posterior:
            own["data"] = every
        values[name] = loss(model, x, name, **own, **options)
    return values
