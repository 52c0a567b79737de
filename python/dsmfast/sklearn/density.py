"""The estimator as a density: log-densities, their mean, samples and missing features."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._checks import Array, narrowed
from dsmfast._objective.table import OBJECTIVES
from dsmfast.objectives import loss
from dsmfast.sampling import impute
from dsmfast.sklearn.fitting import Fitting
from dsmfast.sklearn.needed import check_is_fitted
from dsmfast.sklearn.rows import as_table_free, checked

__all__ = ["Density"]

FloatArray = npt.NDArray[np.float64]


class Density(Fitting):
    """The methods that are of a density."""

    def score_samples(self, X: npt.ArrayLike) -> FloatArray:
        """Log-density of each row in nats, in the unit of the data; or minus its energy.

        With ``normalize=True`` it is the log-density, under the model, of rows that have noise of
        ``sigma_``. Otherwise the constant is unknown: values rank rows, as for anomalies, their
        differences are log-ratios of densities, and values of two models cannot be compared.
        Trained at one scale, with ``sigma_max=None`` or an objective that does not take it, all
        that holds beside the data alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
            ``float64``, whatever the precision of the data.
        """

        def of(rows: Array) -> Array:
            if self.model_.log_normalizer is None:
                return -self.model_.energy(rows, threads=self.threads)
            log_density = self.model_.log_density(rows, threads=self.threads)
            in_unit: Array = log_density + rows.shape[1] * np.log(self.scale_)
            return in_unit

        return self._of_rows(X, of)

    def score(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Mean log-density of rows with ``normalize=True``, else minus the objective on them.

        The former compares models of any sigma, size and unit, so that a search over them by
        held-out rows works::

            GridSearchCV(DenoisingAutoencoder(normalize=True), {"sigma": [0.1, 0.2, 0.4]})

        The latter is the loss at ``sigma_`` alone, on noise that is always the same, in the unit of
        the data, and comparable between models of one sigma: a search over sigma by it takes the
        largest.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data that were not trained on.
        y : Ignored
            Not used, present for the interface.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts.

        Returns
        -------
        float
        """
        check_is_fitted(self, "model_")
        if self.model_.log_normalizer is not None:
            log_density = self.score_samples(X)
            weights = self._checked_weights(sample_weight, log_density)
            return float(np.average(log_density, weights=weights))
        rows = self._rows(X)
        if sample_weight is not None:
            sample_weight = as_table_free(sample_weight, "sample_weight")
        kind = OBJECTIVES[self.objective]
        options = {**self._objective(), "sample_weight": sample_weight}
        if kind.noisy:
            options["draws"] = 8
        # Squares of distances, or of scores, which are distances over squares of them.
        unit = self.scale_**-2 if kind.squared_error else self.scale_**2
        return -unit * loss(self.model_, rows, threads=self.threads, **options)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draw independent rows from the density, in the unit of the data.

        They have noise of ``sigma_``; :meth:`denoise` takes it off. See
        :meth:`dsmfast.ScoreModel.sample`, and :func:`dsmfast.sample` for chains of ``model_``.

        Parameters
        ----------
        n_samples : int, default=1
            Rows.
        random_state : int, RandomState or None, default=None
            Of the rows; by default the estimator's.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self, "model_")
        seed = self._draw_seed(random_state)
        x = self.model_.sample(
            n_samples, seed=seed, progress=bool(self.verbose), threads=self.threads
        )
        return self._in_unit_of_data(x)

    def impute(self, X: npt.ArrayLike) -> Array:
        """Fill in missing features, NaN, by their mean under the density given the others.

        See :func:`dsmfast.impute`. Rows to train on have to be complete.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with NaN where a feature is missing.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            What was not missing is as it was.
        """
        check_is_fitted(self, "model_")
        rows = narrowed(checked(self, X, gaps=True), self.model_.dtype)
        scaled = rows * rows.dtype.type(self.scale_)
        filled = self._in_unit_of_data(
            impute(
                self.model_,
                scaled,
                seed=self._draw_seed(),
                progress=bool(self.verbose),
                threads=self.threads,
            )
        )
        found: Array = np.where(np.isnan(rows), filled, rows)
        return found
