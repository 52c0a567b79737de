"""Value and gradient of an objective at a model, and the choice of the path."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import (
    Array,
    as_dtype,
    as_integer,
    as_rows,
    as_seed,
    as_threads,
    as_weights,
    check_finite,
    not_a_model,
)
from dsmfast._arguments.frames import check_columns, check_score_names, names_of
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions, Score
from dsmfast._objective.paths import Sizes, path_for
from dsmfast._objective.scales import ScaleOptions
from dsmfast._objective.task import Draws, as_task
from dsmfast.model import ScoreModel

__all__ = ["Gradient", "choose_path", "loss", "loss_and_grad"]


class Gradient(NamedTuple):
    """Gradient with respect to the parameters: arrays W, b and c, shaped like them.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(100), columns=2)
    >>> model = dsmfast.ScoreModel.initialize(2, 8, sigma=0.5)
    >>> value, gradient = dsmfast.loss_and_grad(model, X)
    >>> gradient.W.shape, gradient.b.shape, gradient.c.shape
    ((8, 2), (8,), (2,))
    """

    W: Array
    b: Array
    c: Array


class _Place(NamedTuple):
    """Where in the noise the rows are looked at, and what they weigh."""

    seed: int
    step: int
    noise: npt.ArrayLike | None
    weights: npt.ArrayLike | None


def _evaluate(
    model: ScoreModel,
    x: npt.ArrayLike,
    objective: ObjectiveOptions,
    options: NoiseOptions,
    scaling: ScaleOptions,
    place: _Place,
    threads: int | None,
    *,
    gradient: bool,
) -> tuple[float, list[Array]]:
    """Return the value, and the gradient if asked."""
    if not isinstance(model, ScoreModel):
        raise not_a_model(model)
    check_columns(x, "x", model.feature_names)
    check_columns(objective.data, "data", model.feature_names)
    check_score_names("score", names_of(objective.score), model.feature_names or names_of(x))
    rows = as_rows(x, "x", model.dtype, model.n_features)
    workers, seed = as_threads(threads), as_seed(place.seed)
    check_finite(rows, "x", workers)
    scaling.check(objective)
    weights = as_weights(place.weights, len(rows), model.dtype)
    scales = scaling.resolve(objective, rows, weights, [model.sigma], len(rows))
    task = as_task(objective, rows, workers, weights=weights, scales=scales)
    given = place.noise is not None
    options.check(objective, given=given)
    step = as_integer(place.step, "step", low=0, high=2**32 - 1)
    draws = Draws.of(options, seed).at(step)
    if place.noise is not None:
        draws = draws.those_given(place.noise, rows, workers)
    sizes = Sizes(len(rows), model.n_features, model.n_hidden)
    path = path_for(objective, options, scaling, sizes, model.dtype, given=given)
    regression = task.regression(model.sigma, draws, path)
    scale = task.value(model.sigma, 1.0, draws.count)
    parameters = (model.W, model.b, model.c)
    parts: list[Array] = []
    if gradient:
        total, *parts = _core.regression(*parameters, regression, scale, True, workers)
    else:
        total = _core.regression(*parameters, regression, 1.0, False, workers)
    if math.isnan(scale * total):
        raise ValueError(
            "x: the objective is not a number: squares of the data, of distances over sigma or "
            f"of weights are more than {model.dtype} can hold; scale the data and sigma"
        )
    return scale * total, parts


def loss(
    model: ScoreModel,
    x: npt.ArrayLike,
    objective: str = "dsm",
    *,
    seed: int = 0,
    step: int = 0,
    draws: int = 1,
    antithetic: bool = False,
    noise: npt.ArrayLike | None = None,
    sigma_max: float | str | None = None,
    coarse: float = 0.5,
    coarse_target: str = "posterior",
    scale_exponent: float | None = None,
    reference: int | str | None = None,
    path: str = "auto",
    score: Score | None = None,
    data: npt.ArrayLike | None = None,
    curvature_penalty: float = 0.0,
    corruption: str = "gaussian",
    corruption_level: float | None = None,
    corruption_range: tuple[float, float] | None = None,
    sample_weight: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> float:
    r"""Return the value of an objective at a model.

    With :math:`\psi` the score of the model and :math:`\tilde x = x + \sigma\varepsilon` with
    standard normal :math:`\varepsilon`, the objectives are, summed over features and averaged over
    rows and draws:

    - ``"dae"``: :math:`\|D(\tilde x) - x\|^2`
    - ``"dsm"``, :math:`J_{DSMq_\sigma}` of Vincent (2010):
      :math:`\tfrac12\|\psi(\tilde x) - (x - \tilde x)/\sigma^2\|^2`, which is "dae" divided by
      :math:`2\sigma^4`
    - ``"esm"``, :math:`J_{ESMq}`: :math:`\tfrac12\|\psi(x) - \nabla\log q(x)\|^2`
    - ``"ism"``, :math:`J_{ISMq}`, due to Hyvärinen (2005):
      :math:`\tfrac12\|\psi(x)\|^2 + \sum_i \partial_i\psi_i(x)`, plus the penalty
      :math:`\lambda\sum_i(\partial_i\psi_i(x))^2` (Kingma & LeCun 2010)
    - ``"esm_smoothed"``, :math:`J_{ESMq_\sigma}`:
      :math:`\tfrac12\|\psi(\tilde x) - \nabla\log q_\sigma(\tilde x)\|^2`, with
      :math:`q_\sigma` the Parzen density of ``data``
    - ``"ism_smoothed"``, :math:`J_{ISMq_\sigma}`: ``"ism"`` at :math:`\tilde x`

    With ``sample_weight``, the term of row i is multiplied by :math:`\omega_i`, its weight divided
    by the mean of all weights. With ``sigma_max``, every visit v, which is one row i in one of its
    draws, has its own noise scale :math:`s_v`, and "dae" becomes

    .. math:: \mathrm{mean}_v\; w_v \|D(x_i + s_v\varepsilon_v) - t_v\|^2, \qquad
              w_v = \omega_i\, (\sigma / s_v)^k

    where k is the ``scale_exponent`` and the mean is taken over all visits. "dsm" and
    "esm_smoothed" are this value divided by :math:`2\sigma^4`. The model, its :math:`\sigma` and
    its score do not change. Visits with :math:`s_v = \sigma` have the target :math:`t_v` of the
    objective; ``coarse_target`` selects the target of the others.

    Parameters
    ----------
    model : ScoreModel
        Model to evaluate. Its sigma is the standard deviation of the noise.
    x : array_like, shape (n, n_features)
        Clean points. Like ``noise``, ``score`` and ``data``, they are in the precision of the
        model. Narrower dtypes are widened. Wider ones raise an error and are never rounded.
    objective : {"dsm", "dae", "esm", "ism", "esm_smoothed", "ism_smoothed"}
        Name of the objective.
    seed, step : int
        Position in the noise stream. Row i gets ``dsmfast.normals(seed, step, draw, [i], d)``; on
        the path "gram", its noise is computed from ``normals(seed, step, draw, [i], h)``. "esm" and
        "ism" have no noise, so their value does not depend on the position.
    draws : int
        Number of noise draws per row, for objectives with noise.
    antithetic : bool
        Whether draws come in pairs of opposite sign; their number is then even. Terms of odd order
        in sigma then cancel in value and gradient.
    noise : array_like, shape (n, n_features) or (draws, n, n_features), optional
        Standard normals that replace those of the stream, for objectives with noise. Noise scales
        are still drawn.
    sigma_max : float, "auto" or None
        Largest noise scale, at least the sigma of the model. "auto" is four times the spread of x,
        which is the root of the trace of its covariance. None means that all noise has scale sigma.
        Only "dae", "dsm" and "esm_smoothed" with Gaussian noise take it.
    coarse : float
        Fraction of the visits with more noise than sigma. Their scales are log-uniform up to
        ``sigma_max``; they are those of :func:`noise_scales` at the same position in the stream.
    coarse_target : {"posterior", "row"}
        Target of these visits. "posterior" is the posterior mean at sigma, ``parzen_denoise(point,
        data, sigma)``: the model is matched to the score of :math:`q_\sigma`, at points farther
        from the data. It requires the path "explicit". "row" is the clean row (Li, Chen & Sommer
        2019), on any path. It is correct if the noise scale can be inferred from the point, as with
        many features, and incorrect with two features. "esm_smoothed" only takes "posterior".
    scale_exponent : float, optional
        Exponent k of the weights. The default follows the rule described in :func:`train`.
    reference : int, "batch" or "all", optional
        Rows that the posterior mean is computed from. A number selects that many first rows of x.
        By default, and with either word, all rows of x are used.
    path : {"auto", "explicit", "gram"}
        How the value is computed: from the noisy points, or from x W' and W W' in n_hidden
        dimensions, which is faster if there are few hidden units. The expectations are equal, but
        drawn noise differs. "auto" is "explicit" if ``noise`` is given, and otherwise the choice of
        :func:`choose_path`. "esm_smoothed", corruption other than Gaussian noise, and posterior
        means at several scales have no path "gram".
    score : array_like, shape (n, n_features), or callable
        Score of the data at x, or a function of x that returns it. Only "esm" takes it, and it is
        required there.
    data : array_like, shape (N, n_features), optional
        Sample of the Parzen density; the default is x. "esm_smoothed" takes it, and with
        ``sigma_max`` and the target "posterior" also "dae" and "dsm". Every row and draw costs one
        pass over the sample; :func:`parzen_denoise` describes the rounding. All rows of ``data``
        have equal weights; ``sample_weight`` does not apply to them.
    curvature_penalty : float
        Penalty :math:`\lambda` of "ism" and "ism_smoothed", at least 0.
    corruption : {"gaussian", "masking", "salt_and_pepper"}
        Kind of corruption. Only "dae" takes other kinds than Gaussian noise, because only for
        Gaussian noise the denoiser gives a score.
    corruption_level : float
        Fraction of features that "masking" sets to 0, or "salt_and_pepper" to one of two values.
    corruption_range : (float, float), optional
        The two values of "salt_and_pepper"; the default is 0 and 1.
    sample_weight : array_like, shape (n,), optional
        Non-negative weights of the rows. They also weight posterior means over rows of x.
    threads : int, optional
        Number of threads. The default is that of OpenMP. The result is bit-identical for any
        number.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid or not finite, or the objective does not take an option.

    See Also
    --------
    dsmfast.loss_and_grad : The value and its gradient.
    dsmfast.connection : The identities between the objectives.

    Examples
    --------
    >>> import numpy as np, dsmfast
    >>> model = dsmfast.ScoreModel.initialize(4, 8, sigma=0.5, dtype="float64")
    >>> x = np.ones((10, 4))
    >>> dae = dsmfast.loss(model, x, "dae", seed=3)
    >>> bool(np.isclose(dsmfast.loss(model, x, "dsm", seed=3), dae / (2 * 0.5**4)))
    True
    >>> implicit = dsmfast.loss(model, x, "ism")
    >>> explicit = dsmfast.loss(model, x, "esm", score=lambda x: -x)  # were x normal
    """
    objectives = ObjectiveOptions(
        objective=objective,
        score=score,
        data=data,
        curvature_penalty=curvature_penalty,
        corruption=corruption,
        corruption_level=corruption_level,
        corruption_range=corruption_range,
    )
    scales = ScaleOptions(
        sigma_max=sigma_max,
        coarse=coarse,
        coarse_target=coarse_target,
        scale_exponent=scale_exponent,
        reference=reference,
    )
    options = NoiseOptions(draws=draws, antithetic=antithetic, path=path)
    asked = (
        model,
        x,
        objectives,
        options,
        scales,
        _Place(seed, step, noise, sample_weight),
        threads,
    )
    return _evaluate(*asked, gradient=False)[0]


def loss_and_grad(
    model: ScoreModel,
    x: npt.ArrayLike,
    objective: str = "dsm",
    *,
    seed: int = 0,
    step: int = 0,
    draws: int = 1,
    antithetic: bool = False,
    noise: npt.ArrayLike | None = None,
    sigma_max: float | str | None = None,
    coarse: float = 0.5,
    coarse_target: str = "posterior",
    scale_exponent: float | None = None,
    reference: int | str | None = None,
    path: str = "auto",
    score: Score | None = None,
    data: npt.ArrayLike | None = None,
    curvature_penalty: float = 0.0,
    corruption: str = "gaussian",
    corruption_level: float | None = None,
    corruption_range: tuple[float, float] | None = None,
    sample_weight: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> tuple[float, Gradient]:
    """Return the value of an objective and its gradient with respect to W, b and c.

    The parameters are those of :func:`loss`. The gradient is that of the returned value. (Training
    steps on 2 sigma^4 times this value for all objectives but "dae".) If the path is "gram" and
    noise is drawn, the gradient of W is an unbiased estimate: it has the same expectation over the
    noise, but is not the derivative for this one draw.

    Returns
    -------
    value : float
        Value of the objective.
    gradient : Gradient
        Named tuple (W, b, c) of arrays shaped like the parameters.

    Raises
    ------
    ValueError, TypeError
        As in :func:`loss`.

    Examples
    --------
    >>> import numpy as np, dsmfast
    >>> model = dsmfast.ScoreModel.initialize(4, 8, sigma=0.5)
    >>> x = np.ones((10, 4), dtype=np.float32)
    >>> value, gradient = dsmfast.loss_and_grad(model, x, "ism", curvature_penalty=0.1)
    >>> gradient.W.shape, gradient.b.shape, gradient.c.shape
    ((8, 4), (8,), (4,))
    """
    objectives = ObjectiveOptions(
        objective=objective,
        score=score,
        data=data,
        curvature_penalty=curvature_penalty,
        corruption=corruption,
        corruption_level=corruption_level,
        corruption_range=corruption_range,
    )
    scales = ScaleOptions(
        sigma_max=sigma_max,
        coarse=coarse,
        coarse_target=coarse_target,
        scale_exponent=scale_exponent,
        reference=reference,
    )
    options = NoiseOptions(draws=draws, antithetic=antithetic, path=path)
    asked = (
        model,
        x,
        objectives,
        options,
        scales,
        _Place(seed, step, noise, sample_weight),
        threads,
    )
    value, parts = _evaluate(*asked, gradient=True)
    return value, Gradient(*parts)


def choose_path(
    rows: int,
    n_features: int,
    n_hidden: int,
    objective: str = "dsm",
    *,
    draws: int = 1,
    curvature_penalty: float = 0.0,
    dtype: npt.DTypeLike = "float32",
) -> str:
    """Return the path that ``path="auto"`` selects for noise at one scale.

    "explicit" computes a step at the noisy points, in n_features dimensions. "gram" computes it
    from x W' and W W', in n_hidden dimensions. With ``sigma_max``, the path is always "explicit"
    for ``coarse_target="posterior"`` (the default), and the one returned here for
    ``coarse_target="row"``.

    Parameters
    ----------
    rows : int
        Number of rows of a batch.
    n_features, n_hidden : int
        Numbers of features and hidden units of the model.
    objective : str
        Name of the objective, as for :func:`train`.
    draws : int
        Number of noise draws per row.
    curvature_penalty : float
        Penalty of "ism" and "ism_smoothed".
    dtype : {"float32", "float64"}
        Precision of the model.

    Returns
    -------
    {"explicit", "gram"}

    Examples
    --------
    >>> import dsmfast
    >>> dsmfast.choose_path(512, 784, 128)
    'gram'
    >>> dsmfast.choose_path(128, 2, 64)
    'explicit'
    """
    asked = ObjectiveOptions(objective=objective, curvature_penalty=curvature_penalty)
    noise = NoiseOptions(draws=draws)
    noise.check(asked)
    sizes = Sizes(
        as_integer(rows, "rows", low=1, high=2**44),
        as_integer(n_features, "n_features", low=1, high=2**31),
        as_integer(n_hidden, "n_hidden", low=1, high=2**31),
    )
    return path_for(asked, noise, ScaleOptions(), sizes, as_dtype(dtype)).name
