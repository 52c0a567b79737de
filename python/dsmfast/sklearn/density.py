"""The estimator as a density: log-densities, samples and missing features."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array, narrowed
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
        """Return the log-density of each row, or minus its energy.

        With ``normalize=True``, the result is the log-density in nats, in the unit of the data, of
        rows with noise of standard deviation ``sigma_``. Otherwise it is minus the energy, which
        equals the log-density up to an unknown constant. Such values rank rows, for example to find
        anomalies, and their differences are log-ratios of densities. Values of two models cannot be
        compared.

        If the model was trained at one noise scale, with ``sigma_max=None`` or an objective that
        does not take it, all this is true near the data only.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
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
        """Return the mean log-density if ``normalize=True``, otherwise minus the objective.

        The mean log-density is comparable between models of any sigma, size and unit, so a grid
        search by held-out rows works::

            GridSearchCV(DenoisingAutoencoder(normalize=True), {"sigma": [0.1, 0.2, 0.4]})

        The objective is evaluated at ``sigma_`` alone, in the unit of the data, on noise that is
        always the same. It is comparable between models of the same sigma only: a grid search over
        sigma by it selects the largest value.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data that the estimator was not trained on.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

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

        Samples contain noise of standard deviation ``sigma_``, which :meth:`denoise` removes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState or None, default=None
            Seed of the rows. The default is that of the estimator.

        Returns
        -------
        ndarray of shape (n_samples, n_features)

        See Also
        --------
        dsmfast.ScoreModel.sample : The method of ``model_`` that draws the rows.
        dsmfast.sample : Chains of ``model_``, with diagnostics.
        """
        check_is_fitted(self, "model_")
        seed = self._draw_seed(random_state)
        x = self.model_.sample(
            n_samples, seed=seed, progress=bool(self.verbose), threads=self.threads
        )
        return self._in_unit_of_data(x)

    def impute(self, X: npt.ArrayLike) -> Array:
        """Replace missing features (NaN) by their mean under the density, given the others.

        Training rows must not have missing features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with NaN in place of missing features.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Rows without missing features. Known features are unchanged.

        See Also
        --------
        dsmfast.impute : The function that this method calls.
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
