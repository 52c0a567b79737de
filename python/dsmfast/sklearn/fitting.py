"""How the estimator trains: rows and weights, the unit, the seed, and options by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import (
    Array,
    as_flag,
    as_integer,
    as_real,
    as_real_array,
    as_whole,
    narrowed,
)
from dsmfast._arguments.options import names_of
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions
from dsmfast._objective.scales import ScaleOptions, takes_scales
from dsmfast._objective.table import OBJECTIVES
from dsmfast._rows.blocks import in_blocks, is_by_blocks
from dsmfast._rows.streamed import Reader
from dsmfast._run.options import StepOptions
from dsmfast._run.schedules import as_sigmas, has_schedule
from dsmfast.parzen import select_sigma
from dsmfast.results import TrainingResult
from dsmfast.sklearn.needed import (
    BaseEstimator,
    _check_sample_weight,
    check_is_fitted,
    check_random_state,
    validate_data,
)
from dsmfast.sklearn.rows import Given, checked, given

__all__ = ["Fitting", "in_own_words"]

# Arguments of train, by the parameters of the estimator that they are.
_PARAMETERS = {
    "n_hidden": "n_components",
    "epochs": "max_iter",
    "patience": "n_iter_no_change",
    "tolerance": "tol",
    "validation": "validation_fraction",
}


@contextmanager
def in_own_words() -> Iterator[None]:
    """Let errors about arguments of train name the parameters of the estimator."""
    try:
        yield
    except (ValueError, TypeError) as error:
        name, colon, rest = str(error).partition(":")
        if type(error) not in (ValueError, TypeError) or name not in _PARAMETERS:
            raise
        raise type(error)(f"{_PARAMETERS[name]}{colon}{rest}") from None


class Fitting(BaseEstimator):  # type: ignore[misc]
    """What is behind the public methods."""

    _columns: tuple[str, ...] | None = None  # what the columns of the data are called

    def _data(
        self, X: Any, sample_weight: npt.ArrayLike | None, *, reset: bool = True, two: bool = False
    ) -> Given:
        """Return rows to train on, and their weights; ``two``: at least two rows."""
        held_out = self.n_iter_no_change is not None  # which takes rows at random
        found = given(self, X, reset=reset, least=2 if two else 1, whole=held_out)
        return replace(found, weights=self._checked_weights(sample_weight, found.X))

    def _checked_weights(self, weights: npt.ArrayLike | None, rows: Any) -> Array | None:
        if weights is None:
            return None
        array = as_real_array(weights, "sample_weight")
        checked: Array = _check_sample_weight(array, rows, ensure_non_negative=True)
        return checked

    def _set_unit(self, rows: Given, epochs: int) -> None:
        """Set sigma, that of the last of so many epochs, and the unit that the model works in."""
        if has_schedule(self.sigma):
            epochs = as_integer(epochs, "max_iter", low=0, high=2**31)

        def select() -> float:
            return select_sigma(
                rows.head, sample_weight=rows.weights_of_head, seed=self._seed, threads=self.threads
            )

        self._widths = as_sigmas(self.sigma, epochs, np.dtype(np.float64), select)
        self.sigma_ = self._widths[-1]
        self.scale_ = 1.0
        if self.replicas is not None:
            self.scale_ = 1 / (self.sigma_ * as_whole(self.replicas, "replicas") ** 0.5)

    def _rows(self, X: Any, *, gaps: bool = False) -> Array:
        """Return rows to use the model on, in its precision and unit."""
        check_is_fitted(self, "model_")
        rows = narrowed(checked(self, X, gaps=gaps), self.model_.dtype)
        return rows if self.scale_ == 1 else rows * rows.dtype.type(self.scale_)

    def _of_rows(self, X: Any, function: Callable[[Array], Array]) -> Array:
        """Return a function of each row in the model's unit, by blocks where X is read by them."""
        check_is_fitted(self, "model_")
        if not is_by_blocks(X):
            return function(self._rows(X))
        validate_data(self, X, reset=False, skip_check_array=True)
        return in_blocks(Reader(X, "X", self.model_.dtype, self.scale_), function)

    def _in_unit_of_data(self, rows: Array) -> Array:
        return rows if self.scale_ == 1 else rows / rows.dtype.type(self.scale_)

    def _draw_seed(self, random_state: Any = None) -> int:
        """Return a seed of a random state, by default the estimator's."""
        state = self.random_state if random_state is None else random_state
        if isinstance(state, Integral):
            return as_integer(int(state), "random_state", low=0, high=2**64 - 1)
        return int(check_random_state(state).randint(2**31))

    def _named(self, *classes: type[Any]) -> dict[str, Any]:
        """Return the parameters that have the names of options."""
        names = names_of(*classes)
        return {n: value for n, value in self.get_params(deep=False).items() if n in names}

    def _objective(self) -> dict[str, Any]:
        """Return the objective and its options, in the unit of the model."""
        if self.objective == "esm":
            raise ValueError(
                "objective: 'esm' needs the score of the data, which an estimator does not take; "
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
            widest, least = as_real(widest, "sigma_max"), max(self._widths)
            if widest < least:
                raise ValueError(f"sigma_max: expected at least sigma={least:g}, got {widest:g}")
            # Of rounding, a product might be less than that of sigma.
            options["sigma_max"] = max(widest * self.scale_, *self._sigmas())
        return options

    def _sigmas(self) -> list[float]:
        """Return sigma of each pass, or one for all, in the unit of the model."""
        last = self.sigma_ if self.replicas is None else self.replicas**-0.5
        return [*(width * self.scale_ for width in self._widths[:-1]), last]

    def _options(self, rows: Given, first: bool = True) -> dict[str, Any]:
        """Return what ``fit`` and ``partial_fit`` train with alike."""
        sigmas = self._sigmas()
        return {
            **self._objective(),
            **self._scales(first),
            **self._named(NoiseOptions, StepOptions),
            "sigma": sigmas if has_schedule(self.sigma) else sigmas[0],
            "scale": self.scale_,
            "callbacks": () if self.callbacks is None else self.callbacks,
            "progress": bool(self.verbose),
            "dtype": rows.dtype,
            "sample_weight": rows.weights,
            "seed": self._seed,
        }

    def _take(self, result: TrainingResult, history: dict[str, Array], rows: Given) -> None:
        """Set the fitted attributes, and find the normaliser where it is wanted."""
        self._result = result
        self.model_ = result.model
        if self._columns is not None:
            self.model_ = result.model.with_feature_names(self._columns)
        self.components_ = result.model.W
        self.intercept_hidden_ = result.model.b
        self.intercept_visible_ = result.model.c
        self._sigma_max = (result.model.training or {}).get("sigma_max")
        if "sigma" in history:  # whose last may not have been come to
            history["sigma"] = history["sigma"] / self.scale_
            self.sigma_ = result.model.sigma / self.scale_
        self.history_ = history
        self.n_iter_ = len(history["loss"])
        if result.stop_reason == "interrupted":
            raise KeyboardInterrupt
        if as_flag(self.normalize, "normalize"):
            self.model_ = self.model_.normalized(
                data=rows.head * rows.head.dtype.type(self.scale_),
                seed=self._seed,
                progress=bool(self.verbose),
                threads=self.threads,
            )
