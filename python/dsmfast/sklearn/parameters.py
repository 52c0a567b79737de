"""The parameters of the outlier detector, checked before there are rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import as_choice, as_integer, as_real, describe
from dsmfast._density.repeats import without_copies
from dsmfast.sklearn.autoencoder import DenoisingAutoencoder
from dsmfast.sklearn.needed import clone
from dsmfast.sklearn.rankings import (
    MODEL_RANKINGS,
    RANKINGS,
    ModelRanking,
    ParzenRanking,
    Ranking,
    drawn,
)
from dsmfast.sklearn.scaling import SCALINGS

__all__ = ["calibration_fraction_of", "contamination_of", "ranker_of"]

FloatArray = npt.NDArray[np.float64]
Ranker = Callable[[FloatArray, int], Ranking]  # of rows and a seed

# Of "displacement": nothing says without labels which is best, and their mean is as good as the
# best of them (docs/benchmarks/anomalies.md).
SIGMAS = (0.3, 0.5)
UNITS = ("standard", "robust", "whitened")
MOST_SAMPLES = 16_384
# What "auto" calls outliers: one in twenty of rows like those of ``fit``.
USUAL_CONTAMINATION = 0.05


def ranker_of(detector: Any) -> tuple[Ranker, int | None]:
    """Return what makes a ranking of rows, and from how many at most the threshold is found."""
    kind = as_choice(detector.ranking, "ranking", RANKINGS)
    if kind in MODEL_RANKINGS:
        return _model_ranker(detector, kind), None
    if detector.estimator is not None:
        raise ValueError(
            "estimator: expected None with ranking 'displacement', which trains nothing"
        )
    given = MOST_SAMPLES if detector.max_samples is None else detector.max_samples
    most = as_integer(given, "max_samples", low=2, high=2**31)
    scalings = _as_scalings(detector.scaling, UNITS)
    sigmas = _as_widths(detector.sigma)
    threads = detector.threads

    def ranked(rows: FloatArray, seed: int) -> Ranking:
        sample = without_copies(rows)
        if len(sample) > most:
            sample = sample[drawn(len(sample), most, seed)]
        return ParzenRanking(sample, scalings, sigmas, threads)

    return ranked, most


def _model_ranker(detector: Any, kind: str) -> Ranker:
    if detector.sigma is not None:
        raise ValueError(
            f"sigma: expected None with ranking {kind!r}, which uses the sigma of estimator; "
            "use estimator=DenoisingAutoencoder(sigma=...)"
        )
    if detector.max_samples is not None:
        raise ValueError(
            f"max_samples: expected None with ranking {kind!r}, which trains on all rows"
        )
    if not (detector.estimator is None or isinstance(detector.estimator, DenoisingAutoencoder)):
        raise TypeError(
            "estimator: expected a DenoisingAutoencoder or None, got "
            f"{describe(detector.estimator)}"
        )
    scaling, *others = _as_scalings(detector.scaling, ("standard",))
    if others:
        raise ValueError(f"scaling: expected one for ranking {kind!r}, got {detector.scaling!r}")

    def ranked(rows: FloatArray, seed: int) -> Ranking:
        if detector.estimator is None:
            model = DenoisingAutoencoder(256, random_state=seed, threads=detector.threads)
        else:
            model = clone(detector.estimator)
        model.set_params(normalize=kind == "log_density")
        return ModelRanking(rows, scaling, model, kind)

    return ranked


def _as_widths(given: Any) -> tuple[float, ...]:
    if given is None:
        return SIGMAS
    several = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str)
    each = list(np.atleast_1d(given)) if several else [given]
    if not each:
        raise ValueError("sigma: expected at least one width, got none")
    return tuple(as_real(width, "sigma") for width in each)


def _as_scalings(given: Any, default: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return default
    each = list(given) if isinstance(given, (list, tuple, np.ndarray)) else [given]
    if not each:
        raise ValueError("scaling: expected at least one, got none; 'none' leaves rows unscaled")
    return tuple(as_choice(kind, "scaling", SCALINGS) for kind in each)


def contamination_of(detector: Any) -> float:
    """Return the share of the rows of ``fit`` that are called outliers."""
    if isinstance(detector.contamination, str):
        as_choice(detector.contamination, "contamination", ("auto",))
        return USUAL_CONTAMINATION
    share = as_real(detector.contamination, "contamination")
    if share > 0.5:
        raise ValueError(f"contamination: expected at most 0.5, got {share}")
    return share


def calibration_fraction_of(detector: Any) -> float | None:
    """Return the share of the rows that is held out, or None."""
    if detector.calibration_fraction is None:
        return None
    share = as_real(detector.calibration_fraction, "calibration_fraction")
    if share >= 1:
        raise ValueError(f"calibration_fraction: expected less than 1, got {share}")
    return share
