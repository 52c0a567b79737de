"""The outlier detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._rows.blocks import in_blocks, is_by_blocks
from dsmfast._rows.streamed import Reader
from dsmfast.sklearn import parameters
from dsmfast.sklearn.autoencoder import DenoisingAutoencoder
from dsmfast.sklearn.needed import (
    BaseEstimator,
    OutlierMixin,
    check_is_fitted,
    check_random_state,
    validate_data,
)
from dsmfast.sklearn.rankings import Ranking, drawn
from dsmfast.sklearn.rows import checked
from dsmfast.sklearn.scaling import inner_spread_of

__all__ = ["OutlierDetector"]

FloatArray = npt.NDArray[np.float64]


def _as_float64(rows: npt.ArrayLike) -> FloatArray:
    """Return a copy, in one order in memory, in which sums over rows are the same to the bit."""
    return np.array(rows, np.float64, order="C")


class OutlierDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Outlier detection by the distance that denoising moves each row.

    Denoising moves a point x towards regions of high density: the best estimate of the clean row,
    given x, is :math:`x + \sigma^2 \nabla \log q_\sigma(x)`. By default q is the Parzen density of
    the training rows, which is computed exactly; nothing is trained, and nothing has to be tuned.
    The length of this displacement ranks rows, together with the curvature of the log-density:

    .. math:: \mathrm{score}(x) = -\tfrac12 \log \sigma^4 \Big(\|\nabla \log q_\sigma(x)\|^2
                                + \max\big(0, \Delta \log q_\sigma(x)\big)\Big)

    The curvature is positive between clusters, where a displacement may be zero. The components of
    the displacement show which features make a row abnormal. Rows that ``fit`` holds out turn the
    ranking into p-values.

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
        (medians and quartiles), "whitened" (standard, then multiplied by the cross-validated
        covariance to the power of -1/4, which removes half of the correlations) or "none". The
        default is the first three for "displacement". The other rankings take a single scaling,
        "standard" by default.
    max_samples : int, default=None
        Maximum number of rows of the Parzen density, for "displacement"; the default is 16384. From
        more rows, this many are chosen at random. Time and memory to rank a row are proportional to
        it.
    estimator : DenoisingAutoencoder, default=None
        Estimator to train, for the other rankings. The default is ``DenoisingAutoencoder(256,
        random_state=random_state)``, which trains at many noise scales.
    contamination : float or "auto", default="auto"
        Fraction of the training rows, in (0, 0.5], that ``predict`` labels as outliers. "auto" is
        0.05. It only determines ``offset_`` and does not change the ranking. If there are more than
        ``max_samples`` rows, ``offset_`` is found from that many. :meth:`p_values` allow a decision
        that does not depend on it.
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
    these with ``fit_predict``, and normal rows, to find novelties with ``predict``. A training row
    is recognised after rounding to ``float32``. Copies of a row, also up to that rounding, count
    once; but if rows are so coarse that they are often alike by chance, or if a row occurs more
    than twelve times, repeats count. The rankings by a trained model do not leave rows out, and
    training rows score higher than new ones: with 400 rows of 5 features and a contamination of
    0.05, ``predict`` labels 0.13 of new normal rows. If new rows often equal training rows, as with
    a few binary features, ``predict`` labels two to three times ``contamination`` of them, because
    an equal row is left out. :meth:`p_values` are right in all these cases.

    Gaps in the data are found if they are wider than about :math:`2 \sigma \sqrt d` in the unit of
    ``scaling``; use a smaller ``sigma`` for finer gaps.

    Outliers among the training rows that are alike hide each other, because each is the nearest row
    of the other: two are enough. Fit on rows that are known to be normal, or remove suspects and
    fit again.

    **Time.** By default, ``fit`` and the ranking of n rows compute about 6 n N distances, where N
    is the number of training rows, or ``max_samples``. This takes seconds for ten thousand rows.
    Large files that are mapped into memory are ranked block by block; ``fit`` reads all rows.

    References
    ----------
    Vincent, P. (2011). A connection between score matching and denoising autoencoders. Neural
    Computation 23.
    Bartz, D. (2016). Cross-validation based nonlinear shrinkage. arXiv:1611.00798. (The covariance
    of "whitened".)
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
        ranked, most = parameters.ranker_of(self)
        contamination = parameters.contamination_of(self)
        share = parameters.calibration_fraction_of(self)
        rows = _as_float64(checked(self, X, reset=True, least=2 if share is None else 4))
        self._spread = inner_spread_of(rows)
        state = check_random_state(self.random_state)
        seed = int(state.randint(2**31))
        order = state.permutation(len(rows))
        self._all = ranked(rows, seed)
        some = rows
        if most is not None and len(rows) > most:
            some = rows[drawn(len(rows), most, seed)]
        self.offset_ = float(np.percentile(self._all.normality(some), 100 * contamination))
        self._rest: Ranking | None = None
        if share is not None:
            held_out = min(max(round(share * len(rows)), 1), len(rows) - 2)
            self._rest = ranked(rows[order[held_out:]], seed)
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
        return self._of_rows(X, lambda rows: self._all.normality(rows))

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

        The result is the row minus its denoised value, in standard deviations of the features (of
        their inner values, where a few errors in the data would decide these). It is positive for
        values that are too high and negative for values that are too low. For "energy" and
        "log_density" it is proportional to the gradient of the energy. It is about zero half-way
        between clusters, where no direction leads back.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            If there are several ``sigma`` or ``scaling``, the mean over them.
        """
        return self._of_rows(X, lambda rows: self._all.displacement(rows) / self._spread)

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
        check_is_fitted(self, "offset_")
        rest = self._rest
        if rest is None:
            raise ValueError(
                "p_values: no rows were held out; fit with a calibration_fraction, such as 0.25"
            )
        scores = self._of_rows(X, rest.normality)
        below = np.searchsorted(self.calibration_scores_, scores, side="right")
        p: FloatArray = (1 + below) / (1 + len(self.calibration_scores_))
        return p

    def _of_rows(self, X: Any, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Return a function of each row, by blocks where X is read by them."""
        check_is_fitted(self, "offset_")
        if not is_by_blocks(X):
            return function(_as_float64(checked(self, X)))
        validate_data(self, X, reset=False, skip_check_array=True)
        return in_blocks(Reader(X, "X", np.dtype(np.float64), 1.0), function)
