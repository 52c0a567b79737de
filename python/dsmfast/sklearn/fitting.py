"""How the estimator trains: rows and weights, the unit, the seed, and options by their names."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._checks import Array, as_flag, as_real, as_whole, narrowed
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions
from dsmfast._objective.scales import ScaleOptions, takes_scales
from dsmfast._objective.table import OBJECTIVES
from dsmfast._options import names_of
from dsmfast._run.options import StepOptions
from dsmfast.parzen import select_sigma
from dsmfast.results import TrainingResult
from dsmfast.sklearn.needed import (
    BaseEstimator,
    _check_sample_weight,
    check_is_fitted,
    check_random_state,
    validate_data,
)

__all__ = ["Fitting"]


class Fitting(BaseEstimator):  # type: ignore[misc]
    """What is behind the public methods."""

    def _data(
        self, X: npt.ArrayLike, sample_weight: npt.ArrayLike | None, least: int, reset: bool = True
    ) -> tuple[Array, Array | None]:
        """Return rows to train on, and their weights."""
        rows = validate_data(
            self, X, dtype=[np.float64, np.float32], reset=reset, ensure_min_samples=least
        )
        return rows, self._checked_weights(sample_weight, rows)

    def _checked_weights(self, weights: npt.ArrayLike | None, rows: Array) -> Array | None:
        if weights is None:
            return None
        checked: Array = _check_sample_weight(weights, rows, ensure_non_negative=True)
        return checked

    def _set_unit(self, rows: Array, weights: Array | None) -> None:
        """Set sigma and the unit that the model works in."""
        if self.sigma == "auto":
            self.sigma_ = select_sigma(
                rows, sample_weight=weights, seed=self._seed, threads=self.threads
            )
        else:
            self.sigma_ = as_real(self.sigma, "sigma")
        self.scale_ = 1.0
        if self.replicas is not None:
            self.scale_ = 1 / (self.sigma_ * as_whole(self.replicas, "replicas") ** 0.5)

    def _rows(self, X: npt.ArrayLike) -> Array:
        """Return rows to use the model on, in its precision and unit."""
        check_is_fitted(self, "model_")
        rows = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        rows = narrowed(rows, self.model_.dtype)
        return rows if self.scale_ == 1 else rows * rows.dtype.type(self.scale_)

    def _in_unit_of_data(self, rows: Array) -> Array:
        return rows if self.scale_ == 1 else rows / rows.dtype.type(self.scale_)

    def _draw_seed(self, random_state: Any = None) -> int:
        """Return a seed of a random state, by default the estimator's."""
        state = self.random_state if random_state is None else random_state
        if isinstance(state, Integral):
            return int(state)
        return int(check_random_state(state).randint(2**31))

    def _named(self, *classes: type[Any]) -> dict[str, Any]:
        """Return the parameters that have the names of options."""
        names = names_of(*classes)
        return {n: value for n, value in self.get_params(deep=False).items() if n in names}

    def _objective(self) -> dict[str, Any]:
        """Return the objective and its options, in the unit of the model."""
        if self.objective == "esm":
            raise ValueError(
                "objective: 'esm' needs the score of the data, which an estimator is not given; "
                "use dsmfast.train"
            )
        options = self._named(ObjectiveOptions)
        if self.scale_ != 1 and self.curvature_penalty:
            # Second derivatives of the log-density are squared beside first ones.
            options["curvature_penalty"] = self.curvature_penalty * self.scale_**2
        if self.corruption == "salt_and_pepper":
            options["corruption_range"] = (0.0, self.scale_)
        return options

    def _scales(self, first: bool) -> dict[str, Any]:
        """Return the options of noise at several scales, in the unit of the model."""
        options = self._named(ScaleOptions)
        widest = options["sigma_max"]
        if isinstance(widest, str):
            kind = OBJECTIVES.get(self.objective)
            if kind is not None and not (takes_scales(kind) and self.corruption == "gaussian"):
                options["sigma_max"] = None
            elif not first:
                options["sigma_max"] = self._sigma_max
        elif widest is not None:
            options["sigma_max"] = as_real(widest, "sigma_max") * self.scale_
        return options

    def _options(self, rows: Array, first: bool = True) -> dict[str, Any]:
        """Return what ``fit`` and ``partial_fit`` train with alike."""
        sigma = self.sigma_ if self.replicas is None else self.replicas**-0.5
        return {
            **self._objective(),
            **self._scales(first),
            **self._named(NoiseOptions, StepOptions),
            "sigma": sigma,
            "scale": self.scale_,
            "callbacks": () if self.callbacks is None else self.callbacks,
            "progress": bool(self.verbose),
            "dtype": rows.dtype,
            "seed": self._seed,
        }

    def _take(self, result: TrainingResult, history: dict[str, Array], rows: Array) -> None:
        """Set the fitted attributes, and find the normaliser where it is wanted."""
        self._result = result
        self.model_ = result.model
        self.components_ = result.model.W
        self.intercept_hidden_ = result.model.b
        self.intercept_visible_ = result.model.c
        self._sigma_max = (result.model.training or {}).get("sigma_max")
        self.history_ = history
        self.n_iter_ = len(history["loss"])
        if result.stop_reason == "interrupted":
            raise KeyboardInterrupt
        if as_flag(self.normalize, "normalize"):
            self.model_ = self.model_.normalized(
                data=rows * rows.dtype.type(self.scale_),
                seed=self._seed,
                progress=bool(self.verbose),
                threads=self.threads,
            )
