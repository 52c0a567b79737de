"""The outlier detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import as_choice, as_integer, as_real
from dsmfast.sklearn.autoencoder import DenoisingAutoencoder
from dsmfast.sklearn.needed import (
    BaseEstimator,
    OutlierMixin,
    check_is_fitted,
    check_random_state,
    clone,
    validate_data,
)
from dsmfast.sklearn.rankings import (
    MODEL_RANKINGS,
    RANKINGS,
    ModelRanking,
    ParzenRanking,
    Ranking,
)
from dsmfast.sklearn.scaling import SCALINGS, spread_of

__all__ = ["OutlierDetector"]

FloatArray = npt.NDArray[np.float64]

# Of "displacement": nothing says without labels which is best, and their mean is as good as the
# best of them (docs/benchmarks/anomalies.md).
SIGMAS = (0.3, 0.5)
UNITS = ("standard", "robust", "whitened")
MOST_SAMPLES = 16_384
# What "auto" calls outliers: one in twenty of rows like those of ``fit``.
USUAL_CONTAMINATION = 0.05


class OutlierDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Outlier detection by the distance that denoising moves each row.

    Denoising moves a point x towards regions of high density: the best estimate of the clean row,
    given x, is :math:`x + \sigma^2 \nabla \log q_\sigma(x)`. By default q is the Parzen density of
    the training rows, which is computed exactly; nothing is trained, and nothing has to be tuned.
    The length of this displacement ranks rows. Its components show which features make a row
    abnormal. Rows that ``fit`` holds out turn the ranking into p-values.

    Parameters
    ----------
    ranking : {"displacement", "model_displacement", "energy", "log_density"}
        Quantity that ranks rows. "displacement", the default, uses the Parzen density of the
        training rows; the score is the mean logarithm of the displacement over ``sigma`` and
        ``scaling``. The others use ``estimator``, trained on the rows: its displacement, its
        energy, or its log-density in nats, for which the normaliser is computed. They take longer
        to fit, but the time to rank a row does not depend on the number of training rows.
    sigma : float or sequence of float, default=None
        Widths of the Parzen density in the units of ``scaling``, for "displacement". The default is
        0.3 and 0.5. The other rankings use the sigma of ``estimator``.
    scaling : str or sequence of str, default=None
        Units in which rows are compared: "standard" (means and standard deviations), "robust"
        (medians and quartiles), "whitened" (standard, then multiplied by the covariance to the
        power of -1/4, which removes half of the correlations) or "none". The default is the first
        three for "displacement". The other rankings take a single scaling, "standard" by default.
    max_samples : int, default=None
        Maximum number of rows of the Parzen density, for "displacement"; the default is 16384. From
        more rows, this many are chosen at random. Time and memory to rank a row are proportional to
        it.
    estimator : DenoisingAutoencoder, default=None
        Estimator to train, for the other rankings. The default is ``DenoisingAutoencoder(256,
        random_state=random_state)``, which trains at many noise scales.
    contamination : float or "auto", default="auto"
        Fraction of the training rows, in (0, 0.5], that ``predict`` labels as outliers. "auto" is
        0.05. It only determines ``offset_`` and does not change the ranking. :meth:`p_values` allow
        a decision that does not depend on it.
    calibration_fraction : float or None, default=0.25
        Fraction of the rows that ``fit`` holds out for :meth:`p_values`. They are scored by a
        second detector, fitted to the remaining rows; all other results use all rows. None disables
        p-values and saves that second training.
    random_state : int, RandomState or None, default=None
        Seed of the choice of rows and of the default ``estimator``.
    threads : int, default=None
        Number of threads. The default is that of OpenMP. The result is bit-identical for any
        number.

    Attributes
    ----------
    offset_ : float
        Threshold of the score: rows with a lower score are outliers. ``decision_function`` is
        ``score_samples`` minus ``offset_``.
    calibration_scores_ : ndarray of shape (n_held_out,)
        Scores of the held-out rows in ascending order, if any were held out.
    n_features_in_ : int
        Number of features of the data.
    feature_names_in_ : ndarray
        Names of the features, if the data have any.

    See Also
    --------
    dsmfast.sklearn.DenoisingAutoencoder : The estimator of the other rankings.

    Notes
    -----
    **Novelties and outliers.** Other detectors distinguish the two by a parameter (``novelty`` of
    scikit-learn's ``LocalOutlierFactor``), because training rows look too normal when they are
    compared with themselves. "displacement" needs none: it compares a row of the sample with the
    other rows, in ``fit_predict(X)``, in ``fit(X).predict(X)`` and among new rows alike. Its score
    is therefore that of a new row at the same place. ``fit`` accepts rows with outliers, to find
    these with ``fit_predict``, and normal rows, to find novelties with ``predict``. The rankings by
    a trained model do not leave rows out: as with ``IsolationForest``, training rows score a little
    higher.

    If outliers resemble one another as closely as normal rows do, they form a density of their own.
    No ranking by displacement finds them among the training rows.

    **Time.** By default, ``fit`` and the ranking of n rows compute about 6 n N distances, where N
    is the number of training rows, or ``max_samples``. This takes seconds for ten thousand rows.

    References
    ----------
    Vincent, P. (2011). A connection between score matching and denoising autoencoders. Neural
    Computation 23.
    Bates, S., Candès, E., Lei, L., Romano, Y., Sesia, M. (2023). Testing for outliers with
    conformal p-values. Annals of Statistics 51.

    Examples
    --------
    >>> import numpy as np
    >>> from dsmfast.sklearn import OutlierDetector
    >>> X = np.random.default_rng(0).standard_normal((500, 2))
    >>> detector = OutlierDetector(random_state=0).fit(X)
    >>> detector.predict([[0.0, 0.0], [5.0, 0.0]])
    array([ 1, -1])
    >>> np.abs(detector.explain([[5.0, 0.0]])).argmax()  # in which feature
    np.int64(0)
    >>> detector.p_values([[5.0, 0.0]]).round(3)  # the least that 125 rows can show, 1 / 126
    array([0.008])
    """

    def __init__(
        self,
        ranking: str = "displacement",
        *,
        sigma: float | Sequence[float] | None = None,
        scaling: str | Sequence[str] | None = None,
        max_samples: int | None = None,
        estimator: DenoisingAutoencoder | None = None,
        contamination: float | str = "auto",
        calibration_fraction: float | None = 0.25,
        random_state: Any = None,
        threads: int | None = None,
    ) -> None:
        self.ranking = ranking
        self.sigma = sigma
        self.scaling = scaling
        self.max_samples = max_samples
        self.estimator = estimator
        self.contamination = contamination
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state
        self.threads = threads

    def fit(self, X: npt.ArrayLike, y: object = None) -> OutlierDetector:
        """Learn which rows are normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, most of which are normal: at least 2, and at least 4 with
            ``calibration_fraction``.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        OutlierDetector
            The fitted detector.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are invalid.
        """
        share = self._share()
        contamination = self._contamination()
        least = 2 if share is None else 4
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=least)
        self._spread = spread_of(rows)
        state = check_random_state(self.random_state)
        seed = int(state.randint(2**31))
        order = state.permutation(len(rows))
        self._all = self._ranking(rows, seed)
        self.offset_ = float(np.percentile(self._all.normality(rows), 100 * contamination))
        self._rest: Ranking | None = None
        if share is not None:
            held_out = min(max(round(share * len(rows)), 1), len(rows) - 2)
            self._rest = self._ranking(rows[order[held_out:]], seed)
            self.calibration_scores_ = np.sort(self._rest.normality(rows[order[:held_out]]))
        elif hasattr(self, "calibration_scores_"):
            del self.calibration_scores_
        return self

    def score_samples(self, X: npt.ArrayLike) -> FloatArray:
        """Return how normal each row is; outliers have low scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Minus the (mean) logarithm of the displacement, minus the energy, or the log-density in
            the unit of the data, depending on ``ranking``.
        """
        rows = self._rows(X)
        return self._all.normality(rows)

    def decision_function(self, X: npt.ArrayLike) -> FloatArray:
        """Return ``score_samples`` minus ``offset_``, which is negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return -1 for outliers and 1 for other rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of int, shape (n_samples,)
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: npt.ArrayLike) -> FloatArray:
        """Return how far each feature is from its expected value, given the other features.

        The result is the row minus its denoised value, in standard deviations of the features. It
        is positive for values that are too high and negative for values that are too low. For
        "energy" and "log_density" it is proportional to the gradient of the energy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            If there are several ``sigma`` or ``scaling``, the mean over them.
        """
        rows = self._rows(X)
        return self._all.displacement(rows) / self._spread

    def p_values(self, X: npt.ArrayLike) -> FloatArray:
        r"""Return the conformal p-value of each row: how often a normal row is as abnormal.

        The p-value is :math:`(1 + \#\{held\text{-}out\ scores \le score\}) / (1 + n_{held\ out})`
        (Bates et al. 2023), where all scores come from the detector that was fitted without the
        held-out rows. For a new row from the distribution of the training rows, the probability of
        a p-value of at most a is at most a, whatever the distribution. If the training rows contain
        outliers, p-values are too large rather than too small. P-values of the training rows
        themselves are meaningless.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows that were not passed to ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If ``calibration_fraction`` is None.
        """
        rows = self._rows(X)
        if self._rest is None:
            raise ValueError(
                "p_values: no rows were held out; fit with a calibration_fraction, such as 0.25"
            )
        scores = self._rest.normality(rows)
        below = np.searchsorted(self.calibration_scores_, scores, side="right")
        p: FloatArray = (1 + below) / (1 + len(self.calibration_scores_))
        return p

    def _rows(self, X: npt.ArrayLike) -> FloatArray:
        check_is_fitted(self, "offset_")
        rows: FloatArray = validate_data(self, X, dtype=np.float64, reset=False)
        return rows

    def _ranking(self, rows: FloatArray, seed: int) -> Ranking:
        """Return what ranks, of rows; checked are the parameters it has and has not."""
        kind = as_choice(self.ranking, "ranking", RANKINGS)
        if kind not in MODEL_RANKINGS:
            if self.estimator is not None:
                raise ValueError(
                    "estimator: expected None with ranking 'displacement', which trains nothing"
                )
            given = MOST_SAMPLES if self.max_samples is None else self.max_samples
            most = as_integer(given, "max_samples", low=2, high=2**31)
            if len(rows) > most:
                rows = rows[np.random.default_rng(seed).choice(len(rows), most, replace=False)]
            return ParzenRanking(rows, self._scalings(UNITS), self._sigmas(), self.threads)
        if self.sigma is not None:
            raise ValueError(
                f"sigma: expected None with ranking {kind!r}, which uses the sigma of estimator; "
                "use estimator=DenoisingAutoencoder(sigma=...)"
            )
        if self.max_samples is not None:
            raise ValueError(
                f"max_samples: expected None with ranking {kind!r}, which trains on all rows"
            )
        scaling, *others = self._scalings(("standard",))
        if others:
            raise ValueError(f"scaling: expected one for ranking {kind!r}, got {self.scaling!r}")
        if self.estimator is None:
            model = DenoisingAutoencoder(256, random_state=seed, threads=self.threads)
        else:
            model = clone(self.estimator)
        model.set_params(normalize=kind == "log_density")
        return ModelRanking(rows, scaling, model, kind)

    def _sigmas(self) -> tuple[float, ...]:
        given = SIGMAS if self.sigma is None else self.sigma
        each = list(given) if isinstance(given, (Sequence, np.ndarray)) else [given]
        if not each:
            raise ValueError("sigma: expected at least one width, got none")
        return tuple(as_real(width, "sigma") for width in each)

    def _scalings(self, default: tuple[str, ...]) -> tuple[str, ...]:
        given = default if self.scaling is None else self.scaling
        each = [given] if isinstance(given, str) else list(given)
        if not each:
            raise ValueError(
                "scaling: expected at least one, got none; 'none' leaves rows unscaled"
            )
        return tuple(as_choice(kind, "scaling", SCALINGS) for kind in each)

    def _contamination(self) -> float:
        if isinstance(self.contamination, str):
            as_choice(self.contamination, "contamination", ("auto",))
            return USUAL_CONTAMINATION
        share = as_real(self.contamination, "contamination")
        if share > 0.5:
            raise ValueError(f"contamination: expected at most 0.5, got {share}")
        return share

    def _share(self) -> float | None:
        if self.calibration_fraction is None:
            return None
        share = as_real(self.calibration_fraction, "calibration_fraction")
        if share >= 1:
            raise ValueError(f"calibration_fraction: expected less than 1, got {share}")
        return share
