"""Where training starts: what the user hands over, or a fresh model around the mean of the data."""

from __future__ import annotations

import numpy as np

from dsmfast._arguments.checks import Array, describe, narrowed
from dsmfast._arguments.frames import names_of
from dsmfast._run.distributed import World
from dsmfast._run.options import StepOptions
from dsmfast.model import ScoreModel
from dsmfast.results import NO_SUMS, State, TrainingResult

__all__ = ["feature_names_of", "initial_state"]


def feature_names_of(X: object, init: object) -> tuple[str, ...] | None:
    """Return what features are called: in what training starts from, or else in a table."""
    model = init.model if isinstance(init, TrainingResult) else init
    if isinstance(model, ScoreModel) and model.feature_names is not None:
        return model.feature_names
    names = names_of(X)
    return None if names is None or len(set(names)) < len(names) else names


def initial_state(
    init: object,
    x: Array,
    weights: Array | None,
    sigma: float,
    options: StepOptions,
    world: World | None,
    rows: int,
) -> State:
    """Return the state to start from: that of ``init`` with this sigma, or a fresh one.

    ``x`` are this process's rows, or some that stand for all ``rows`` of them.
    """
    moments = options.optimizer.moments
    if init is None:
        return State.start(_initial_model(_mean(x, weights, world, rows), sigma, options), moments)
    model = init.model if isinstance(init, TrainingResult) else init
    if not isinstance(model, ScoreModel):
        raise TypeError(f"init: expected a ScoreModel or a TrainingResult, got {describe(init)}")
    n_hidden, dtype = options.n_hidden, options.dtype
    expected = (n_hidden, x.shape[1], dtype)
    if (model.n_hidden, model.n_features, model.dtype) != expected:
        raise ValueError(
            f"init: expected n_hidden={n_hidden}, n_features={x.shape[1]}, dtype={dtype}, "
            f"got {model!r}"
        )
    if not isinstance(init, TrainingResult) or init.state is None:
        return State.start(ScoreModel(model.W, model.b, model.c, sigma), moments)
    remembered = len(init.state.arrays) - 1
    if remembered != moments:
        raise ValueError(
            f"init: expected a result of the same optimizer, whose state has {moments} moments, "
            f"got one with {remembered}; init=result.model starts the optimizer anew"
        )
    return init.state.copy()._replace(sigma=sigma, sums=NO_SUMS)


def _initial_model(mean: Array, sigma: float, options: StepOptions) -> ScoreModel:
    """Return a fresh model around the mean of the data."""
    dtype, hidden_bias = options.dtype, options.hidden_bias
    start = ScoreModel.initialize(
        len(mean), options.n_hidden, sigma, seed=options.seed, dtype=dtype
    )
    W = start.W.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # exp(...) = inf is the right limit
        b = narrowed(hidden_bias - W @ mean, dtype)
        c = narrowed(mean - W.sum(axis=0) / (1 + np.exp(-hidden_bias)), dtype)
    if not (np.isfinite(b).all() and np.isfinite(c).all()):
        raise ValueError(f"X, hidden_bias: too large for {dtype} to start from; scale X")
    return ScoreModel(start.W, b, c, sigma)


def _mean(x: Array, weights: Array | None, world: World | None, rows: int) -> Array:
    """Mean of the rows, of all ranks; the same bits however they lie in memory."""
    total, count = np.zeros(x.shape[1]), float(len(x))
    for i in range(0, len(x), 4096):
        block = np.ascontiguousarray(x[i : i + 4096])
        if weights is not None:
            block = block * weights[i : i + 4096, None].astype(np.float64)
        total += block.sum(axis=0, dtype=np.float64)
    if weights is not None:
        count = float(weights.sum(dtype=np.float64))
    if world is None:
        return total / count
    sums = np.append(total, count) * (rows / len(x))
    world.sum(sums)
    mean: Array = world.from_first(sums[:-1] / sums[-1])
    return mean
