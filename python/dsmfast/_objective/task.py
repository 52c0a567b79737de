"""An objective on rows of data, as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import (
    Array,
    as_precision,
    as_real_array,
    as_real_of,
    as_rows,
    check_finite,
    narrowed,
)
from dsmfast._objective.corruption import Corruption
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions
from dsmfast._objective.scales import Scales
from dsmfast._objective.table import Objective, Target

__all__ = ["Draws", "Reference", "Task", "as_scores", "as_task"]


@dataclass(frozen=True)
class Draws:
    """Which noise: so many draws from a place of a stream, or the ones that are given."""

    seed: int
    step: int = 0
    count: int = 1
    antithetic: bool = False
    stream: _core.Stream = _core.Stream.noise
    given: Array | None = None  # (count, n, d), standard normals

    @classmethod
    def of(cls, noise: NoiseOptions, seed: int) -> Draws:
        """Return the draws that options ask for, from the begin of the stream of noise."""
        return cls(seed, count=noise.draws, antithetic=noise.antithetic)

    def at(self, step: int, stream: _core.Stream = _core.Stream.noise) -> Draws:
        """Return those of another place."""
        return Draws(self.seed, step % 2**32, self.count, self.antithetic, stream, self.given)

    def those_given(self, noise: npt.ArrayLike, x: Array, threads: int) -> Draws:
        """Return given noise, checked: as many draws as it has."""
        array = as_precision(noise, "noise", x.dtype)
        if array.ndim == 2 and array.shape == x.shape:
            array = array[None]
        if array.ndim != 3 or array.shape[1:] != x.shape or array.shape[0] == 0:
            n, d = x.shape
            raise ValueError(
                f"noise: expected shape {x.shape} or (draws, {n}, {d}), got {array.shape}"
            )
        if self.count not in (1, array.shape[0]):
            raise ValueError(f"draws: expected {array.shape[0]} as in noise, got {self.count}")
        array = np.require(array, requirements=["C", "A"])
        for draw, values in enumerate(array):
            check_finite(values, "noise" if len(array) == 1 else f"noise[{draw}]", threads)
        return replace(self, given=array, count=array.shape[0])


@dataclass(frozen=True)
class Reference:
    """What posterior means are taken over: a sample, or so many rows of the task."""

    sample: Array | None = None  # (N, d)
    weights: Array | None = None  # (N,)
    rows: int = 0  # the batch, and what follows it in the epoch's order


@dataclass(frozen=True)
class Task:
    """An objective on rows of data, with everything it needs of them."""

    objective: Objective
    x: Array  # (n, d), finite
    corruption: Corruption
    penalty: float
    scores: Array | None  # (n, d), score of the data at x, of "esm"
    reference: Reference | None  # what posterior means are taken over
    weights: Array | None = None  # (n,), of mean 1 over all of the data
    scales: Scales | None = None
    first_row: int = 0  # place of row 0 in all of the data, which the noise goes by

    def regression(
        self, sigma: float, draws: Draws, path: _core.Path = _core.Path.explicit
    ) -> _core.Regression:
        """Return the task at a sigma and with this noise, as the kernels take it."""
        gaussian = self.objective.noisy and self.corruption.chance == 0
        scales, coarse, ratio, exponent = self.scales, 0, 0.0, 0.0
        if scales is not None and (ratio := scales.log_ratio(sigma)) > 0:
            coarse, exponent = scales.chance, scales.exponent
        noise = _core.Noise(
            sigma=sigma if gaussian else 0.0,
            coarse=coarse,
            log_ratio=ratio,
            exponent=exponent,
            given=draws.given,
            chance=self.corruption.chance,
            low=self.corruption.low,
            high=self.corruption.high,
            seed=draws.seed,
            step=draws.step,
            stream=draws.stream,
            draws=draws.count,
            antithetic=draws.antithetic,
            first_row=self.first_row,
        )
        targets = None
        if self.scores is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                targets = self.x + self.x.dtype.type(sigma) ** 2 * self.scores
            if not np.isfinite(targets).all():
                raise ValueError(
                    f"score: expected values whose product with sigma**2 {self.x.dtype} can hold"
                )
        reference = self.reference or Reference()
        if self.objective.target is not Target.posterior and coarse == 0:
            reference = Reference()
        return _core.Regression(
            points=self.x,
            noise=noise,
            target=self.objective.target,
            coarse_target=Target.clean if scales is None else scales.target,
            targets=targets,
            sample=reference.sample,
            sample_weights=reference.weights,
            reference=reference.rows,
            weights=self.weights,
            variance=sigma**2 if self.objective.curvature else 0.0,
            penalty=self.penalty,
            path=path,
        )

    def value(self, sigma: float, total: float, draws: int, rows: int | None = None) -> float:
        """Return the objective from a sum over so many rows, by default all, and draws."""
        count = len(self.x) if rows is None else rows
        return self.objective.factor(sigma) * total / (count * draws)


def as_task(
    options: ObjectiveOptions,
    x: Array,
    threads: int,
    *,
    weights: Array | None = None,
    scales: Scales | None = None,
    first_row: int = 0,
    narrow: bool = False,
) -> Task:
    """Return an objective on finite rows, the first of them at ``first_row`` of all of the data.

    ``narrow`` says whether arrays of another precision are converted, as training does, or refused.
    """
    return Task(
        options.kind,
        x,
        options.overwriting(x.dtype),
        as_real_of(options.curvature_penalty, "curvature_penalty", x.dtype),
        as_scores(options, x, threads, narrow),
        _reference(options, x, weights, scales, threads, narrow),
        weights,
        scales,
        first_row,
    )


def _like(value: object, name: str, x: Array, narrow: bool) -> Array:
    array = as_real_array(value, name)
    if narrow and array.dtype != x.dtype:
        array = narrowed(array, x.dtype)
    # A list has no precision of its own, and keeps that right.
    return as_precision(array if narrow else value, name, x.dtype)


def as_scores(options: ObjectiveOptions, x: Array, threads: int, narrow: bool) -> Array | None:
    """Return the score of the data at ``x``, from an array or a function; None if not needed."""
    if options.kind.target is not Target.given:
        return None
    name, score = "score", options.score
    if score is None:
        raise ValueError(
            f"score: objective {options.objective!r} needs the score of the data, an array of "
            f"shape {x.shape} or a function of x; 'ism' and 'dsm' need only the data"
        )
    if callable(score):
        # The result is rounded to the precision of the points that the function was given.
        name, score, narrow = "score(x)", score(x), True
    values = _like(score, name, x, narrow)
    if values.shape != x.shape:
        raise ValueError(f"{name}: expected shape {x.shape}, got {values.shape}")
    values = as_rows(values, name, x.dtype)  # a field of packed records is copied
    check_finite(values, name, threads)
    return values


def _reference(
    options: ObjectiveOptions,
    x: Array,
    weights: Array | None,
    scales: Scales | None,
    threads: int,
    narrow: bool,
) -> Reference | None:
    """Return what posterior means are taken over, by default rows of ``x``; None if not needed."""
    coarse = scales is not None and scales.target is Target.posterior
    if options.kind.target is not Target.posterior and not coarse:
        return None
    if options.data is None:
        count = None if scales is None else scales.reference
        if count is None or count >= len(x):
            return Reference(x, weights)
        return Reference(rows=count)
    rows = as_rows(_like(options.data, "data", x, narrow), "data", x.dtype, x.shape[1])
    check_finite(rows, "data", threads)
    return Reference(rows)
