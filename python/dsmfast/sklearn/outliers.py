"""The outlier detector: how abnormal rows are, in which features, and with what p-value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._checks import as_choice, as_integer, as_real
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
    r"""Outliers: rows that the density of the others denoises far away.

    The best denoiser of a density moves a point towards where the density is high, by
    :math:`x - E[x \mid \tilde x = x] = -\sigma^2 \nabla \log q_\sigma(x)`. By default q is the
    Parzen density of the rows of ``fit``, exactly; nothing is trained or has to be chosen. The
    length of the displacement ranks rows, its components say which features make a row
    abnormal, and rows held out at ``fit`` turn it into p-values.

    Parameters
    ----------
    ranking : {"displacement", "model_displacement", "energy", "log_density"}
        What ranks rows, by default "displacement": that of the Parzen density of the rows, the mean
        of its logarithm over ``sigma`` and ``scaling``. The others are of ``estimator``, trained on
        the rows, which takes longer to fit and no longer to rank however many rows there were:
        "model_displacement" is the displacement by it, "energy" its energy, and "log_density" its
        log-density in nats, for which its normaliser is found.
    sigma : float or sequence of float, default=None
        Of "displacement": widths of the Parzen density in the units of ``scaling``; by default
        0.3 and 0.5. The other rankings have the sigma of ``estimator``.
    scaling : str or sequence of str, default=None
        Units that rows are compared in: "standard" (means and standard deviations), "robust"
        (medians and quartiles), "whitened" (standard, then times the covariance to the power of
        minus a quarter, which takes away half of the correlations) or "none". By default
        the first three for "displacement", and "standard" for the others, which take one.
    max_samples : int, default=None
        Of "displacement": rows that the Parzen density is of, at most; by default 16384. From more,
        so many are chosen at random; time and memory to rank a row are proportional to it.
    estimator : DenoisingAutoencoder, default=None
        Of the other rankings: what to train. By default
        ``DenoisingAutoencoder(256, random_state=random_state)``, which has noise of many scales.
    contamination : float or "auto", default="auto"
        The share of the rows of ``fit``, more than 0 and at most 0.5, that ``predict`` calls
        outliers. "auto" is 0.05. It moves ``offset_`` and ranks nothing otherwise; to decide
        without it, use :meth:`p_values`.
    calibration_fraction : float or None, default=0.25
        The share of the rows that is held out at ``fit`` for :meth:`p_values`, from a second
        detector of the rows that are left; scores are of all rows. None does without p-values, and
        saves the second training of the rankings that train.
    random_state : int, RandomState or None, default=None
        Of the choice of rows, and of the default ``estimator``.
    threads : int, default=None
        By default what OpenMP says. The result does not depend on it.

    Attributes
    ----------
    offset_ : float
        What a score has to be below for an outlier: ``decision_function`` is ``score_samples``
        minus it.
    calibration_scores_ : ndarray of shape (n_held_out,)
        Scores of the rows held out, in ascending order, where there are any.
    n_features_in_ : int
        Features of the data.
    feature_names_in_ : ndarray
        Their names, where the data had some.

    Notes
    -----
    **Novelties and outliers.** Other detectors have a switch between the two (``novelty`` of
    scikit-learn's ``LocalOutlierFactor``), because rows of ``fit`` look too normal among
    themselves. "displacement" has none: a row that is in the sample is judged by the other rows,
    in ``fit_predict(X)``, in ``fit(X).predict(X)`` and among new rows alike, so that its score is
    that of a new row in its place. So ``fit`` may be on rows that hold outliers, to find those with
    ``fit_predict``, or on normal ones, to find novelties with ``predict``. The rankings that train
    do not leave rows out: as with ``IsolationForest``, rows of ``fit`` score a little higher.

    Outliers that are as much like each other as normal rows are have a density of their own, and
    no ranking by displacement finds those among the rows of ``fit``.

    **Time.** ``fit`` and ranking n rows take about 6 n N distances by default, where N is the
    number of rows of ``fit``, or ``max_samples``: seconds for ten thousand rows.

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
        """Learn what rows are normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, most of which are normal; at least 2, and 4 with ``calibration_fraction``.
        y : Ignored
            Not used, present for the interface.

        Raises
        ------
        ValueError, TypeError
            For parameters and data that do not fit.
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
        """How normal rows are, low where they are outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Minus the (mean) logarithm of the displacement, minus the energy, or the log-density in
            the unit of the data.
        """
        rows = self._rows(X)
        return self._all.normality(rows)

    def decision_function(self, X: npt.ArrayLike) -> FloatArray:
        """``score_samples`` minus ``offset_``, negative for outliers; shape (n_samples,)."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return -1 for outliers and 1 for other rows; shape (n_samples,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: npt.ArrayLike) -> FloatArray:
        """How far each feature of a row is from where the density has it, given the others.

        The displacement's components, in standard deviations of the feature: positive where its
        value is too high, negative where it is too low. For "energy" and "log_density" it is, but
        for a factor, the energy's gradient.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The mean over ``sigma`` and ``scaling``, where there are several.
        """
        rows = self._rows(X)
        return self._all.displacement(rows) / self._spread

    def p_values(self, X: npt.ArrayLike) -> FloatArray:
        r"""Conformal p-value of each row: how often a normal row is as abnormal.

        :math:`(1 + \#\{held\text{-}out\ scores \le score\}) / (1 + n_{held\ out})` (Bates et al.
        2023), with scores by the rows that were not held out. For a new row of the distribution of
        the rows of ``fit``, the chance that it is at most a is at most a, whatever that
        distribution is. Where ``fit`` saw outliers, p-values are too large rather than too small.
        Those of the rows of ``fit`` themselves mean nothing.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows that ``fit`` did not see.

        Returns
        -------
        ndarray of shape (n_samples,)
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
                    "estimator: of the rankings that train; expected None with 'displacement'"
                )
            given = MOST_SAMPLES if self.max_samples is None else self.max_samples
            most = as_integer(given, "max_samples", low=2, high=2**31)
            if len(rows) > most:
                rows = rows[np.random.default_rng(seed).choice(len(rows), most, replace=False)]
            return ParzenRanking(rows, self._scalings(UNITS), self._sigmas(), self.threads)
        if self.sigma is not None:
            raise ValueError(
                f"sigma: of 'displacement'; {kind!r} has that of estimator: "
                "estimator=DenoisingAutoencoder(sigma=...)"
            )
        if self.max_samples is not None:
            raise ValueError(f"max_samples: of 'displacement'; {kind!r} trains on all rows")
        scaling, *others = self._scalings(("standard",))
        if others:
            raise ValueError(f"scaling: expected one for {kind!r}, got {self.scaling!r}")
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
                "scaling: expected at least one, got none; 'none' takes rows as they are"
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
