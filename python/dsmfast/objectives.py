"""Value and gradient of an objective at a model, and the path that is taken to them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy.typing as npt

from dsmfast import _core
from dsmfast._checks import (
    Array,
    as_dtype,
    as_integer,
    as_rows,
    as_seed,
    as_threads,
    as_weights,
    check_finite,
    describe,
)
from dsmfast._frames import check_columns
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions, Score
from dsmfast._objective.paths import Sizes, path_for
from dsmfast._objective.scales import ScaleOptions
from dsmfast._objective.task import Draws, as_task
from dsmfast.model import ScoreModel

__all__ = ["Gradient", "choose_path", "loss", "loss_and_grad"]


class Gradient(NamedTuple):
    """Derivatives with respect to the parameters, shaped like them.

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
        raise TypeError(f"model: expected a ScoreModel, got {describe(model)}")
    check_columns(x, "x", model.feature_names)
    check_columns(objective.data, "data", model.feature_names)
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
    r"""Value of an objective at a model.

    With :math:`\psi` the model's score, :math:`\tilde x = x + \sigma\varepsilon`, sums over
    features and means over rows and draws:

    - ``"dae"``: :math:`\|D(\tilde x) - x\|^2`
    - ``"dsm"``, :math:`J_{DSMq_\sigma}` of Vincent (2010):
      :math:`\tfrac12\|\psi(\tilde x) - (x - \tilde x)/\sigma^2\|^2`, the former over
      :math:`2\sigma^4`
    - ``"esm"``, :math:`J_{ESMq}`: :math:`\tfrac12\|\psi(x) - \nabla\log q(x)\|^2`
    - ``"ism"``, :math:`J_{ISMq}`, due to Hyvärinen (2005):
      :math:`\tfrac12\|\psi(x)\|^2 + \sum_i \partial_i\psi_i(x)`, and
      :math:`\lambda\sum_i(\partial_i\psi_i(x))^2` (Kingma & LeCun 2010)
    - ``"esm_smoothed"``, :math:`J_{ESMq_\sigma}`:
      :math:`\tfrac12\|\psi(\tilde x) - \nabla\log q_\sigma(\tilde x)\|^2`, with
      :math:`q_\sigma` the Parzen density of ``data``
    - ``"ism_smoothed"``, :math:`J_{ISMq_\sigma}`: ``"ism"`` at :math:`\tilde x`

    With ``sample_weight``, the term of row i is multiplied by :math:`\omega_i`, its weight over the
    mean of all weights. With ``sigma_max``, visit v (row i in one of its draws) has noise of a
    scale :math:`s_v` of its own, and "dae" is

    .. math:: \mathrm{mean}_v\; w_v \|D(x_i + s_v\varepsilon_v) - t_v\|^2, \qquad
              w_v = \omega_i\, (\sigma / s_v)^k

    with k the ``scale_exponent``; the mean is over the number of visits. "dsm" and "esm_smoothed"
    are the same over :math:`2\sigma^4`. The model, its :math:`\sigma` and its score stay as they
    are. Where :math:`s_v = \sigma` the target :math:`t_v` is that of the objective, and elsewhere
    ``coarse_target`` says what it is.

    Parameters
    ----------
    model : ScoreModel
        Where to evaluate; its sigma is the noise's.
    x : array_like, shape (n, n_features)
        Clean points. Like ``noise``, ``score`` and ``data`` in the model's precision: narrower
        types are widened, wider ones refused, never rounded.
    objective : {"dsm", "dae", "esm", "ism", "esm_smoothed", "ism_smoothed"}
        Which objective.
    seed, step : int
        Place in the noise stream: row i gets ``dsmfast.normals(seed, step, draw, [i], d)``, and on
        the path "gram" its noise is made of ``normals(seed, step, draw, [i], h)``. "esm" and "ism"
        draw no noise and are the same at every place.
    draws : int
        Noise draws for each row; of the objectives with noise.
    antithetic : bool
        Whether draws come in pairs of opposite sign, an even number of them: terms of odd order in
        sigma then cancel from value and gradient.
    noise : array_like, shape (n, n_features) or (draws, n, n_features), optional
        Standard normals to use in place of the stream; of the objectives with noise. Scales are
        drawn all the same.
    sigma_max : float, "auto" or None
        The largest scale of the noise, at least the model's sigma; "auto" is four times the spread
        of x, the root of the trace of its covariance. None is sigma alone. Of "dae", "dsm" and
        "esm_smoothed" with Gaussian noise.
    coarse : float
        Share of the visits with more noise than sigma, whose scales are log-uniform up to
        ``sigma_max``: :func:`noise_scales` at the same place of the stream.
    coarse_target : {"posterior", "row"}
        Target of these visits. "posterior" is the posterior mean at sigma,
        ``parzen_denoise(point, data, sigma)``: what is matched is the score of :math:`q_\sigma`, at
        points farther away. It needs the path "explicit". "row" is the clean row (Li, Chen & Sommer
        2019), on any path: right where the scale of the noise can be told from the point, as in
        many features, and wrong in the plane. "esm_smoothed" takes "posterior" alone.
    scale_exponent : float, optional
        The k above; by default by the rule of :func:`train`.
    reference : int, "batch" or "all", optional
        Rows that the posterior mean is taken over: a number is the first so many of x. By default,
        and by either word, they are all of x.
    path : {"auto", "explicit", "gram"}
        Where it is worked out: at the points with noise, or from x W' and W W', in n_hidden
        dimensions, which is faster where these are few. Both have the same expectation; noise that
        is drawn differs. "auto" is "explicit" where noise is given, and else what
        :func:`choose_path` says. "esm_smoothed", overwritten features and posterior means at
        several scales have no "gram".
    score : array_like, shape (n, n_features), or callable
        Score of the data at x, or a function of x that returns it; of "esm", which needs it.
    data : array_like, shape (N, n_features), optional
        Rows under the Parzen density; by default x. Of "esm_smoothed", and of "dae" and "dsm" with
        ``sigma_max`` and the target "posterior". Each row and draw costs a pass over them; for the
        rounding see :func:`parzen_denoise`. They count alike, whatever ``sample_weight`` says of x.
    curvature_penalty : float
        Lambda, at least 0; of "ism" and "ism_smoothed".
    corruption : {"gaussian", "masking", "salt_and_pepper"}
        How points are corrupted. All but Gaussian noise are of "dae" alone: the denoiser is a score
        for Gaussian noise only.
    corruption_level : float
        Fraction of features that masking sets to 0, or salt and pepper to one of two values.
    corruption_range : (float, float), optional
        These two values; by default 0 and 1.
    sample_weight : array_like, shape (n,), optional
        How much each row counts, at least 0, next to the others. In posterior means over rows of x
        they count as much.
    threads : int, optional
        Threads to use; by default what OpenMP says. The bits do not depend on it.

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        For input that does not fit or is not finite, and options that the objective does not take.

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
    """Value of an objective and its gradient with respect to W, b and c.

    Takes what :func:`loss` takes. The gradient is that of the value returned (training steps on
    2 sigma^4 times it for all objectives but "dae"); on the path "gram", where noise is drawn, its
    W has the same expectation over the noise, but is not that of the one draw.

    Returns
    -------
    value : float
    gradient : Gradient
        Named tuple (W, b, c) of arrays shaped like the parameters.

    Raises
    ------
    ValueError, TypeError
        As :func:`loss` does.

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
    """Return the path that ``path="auto"`` takes, with noise at one scale.

    With ``sigma_max`` and ``coarse_target="posterior"``, as by default, it is always "explicit";
    with ``coarse_target="row"`` it is what is said here.

    Parameters
    ----------
    rows : int
        Of a batch.
    n_features, n_hidden : int
        Of the model.
    objective : str
        As for :func:`train`.
    draws : int
        Noise draws for each row.
    curvature_penalty : float
        Of "ism" and "ism_smoothed".
    dtype : {"float32", "float64"}
        Of the model.

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
