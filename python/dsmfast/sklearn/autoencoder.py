"""The estimator DenoisingAutoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import Array, describe
from dsmfast._arguments.frames import check_columns
from dsmfast._run.schedules import SigmaSchedule, has_schedule
from dsmfast.callbacks import Listener
from dsmfast.optimizers import Optimizer
from dsmfast.sklearn.density import Density
from dsmfast.sklearn.fitting import in_own_words
from dsmfast.sklearn.needed import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    check_array,
    check_is_fitted,
)
from dsmfast.sklearn.rows import as_table_free
from dsmfast.training import train

__all__ = ["DenoisingAutoencoder"]


class DenoisingAutoencoder(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    Density,
):
    r"""Tied-weight denoising autoencoder, which is a score model (Vincent 2010).

    The estimator wraps :func:`dsmfast.train` in the scikit-learn API. :meth:`transform` returns
    features, :meth:`score_samples` log-densities (up to a constant, unless ``normalize=True``), and
    :meth:`denoise` denoised rows. By default it trains at many noise scales, in the unit in which
    sigma is 1; the energy is then low near the data and high everywhere else. ``float32`` data are
    processed in ``float32``, which is twice as fast; all other data in ``float64``.

    Parameters
    ----------
    n_components : int, default=128
        Number of hidden units.
    sigma : float, "auto", sequence of float, or callable, default=0.3
        Standard deviation of the noise, in units of the data. Scale the data accordingly, or use
        "auto", the width of the best kernel density estimate of the training data
        (:func:`dsmfast.select_sigma`). A sequence has one entry for each of the ``max_iter`` passes
        of ``fit``, and a function receives the number of the pass, counted from 1, as in
        :func:`dsmfast.train`. The model has the sigma of the last pass.
    objective : {"dsm", "dae", "ism", "esm_smoothed", "ism_smoothed"}, default="dsm"
        Objective that is minimised; see :func:`dsmfast.loss`.
    max_iter : int, default=100
        Number of passes over the data.
    schedule : {"linear", "cosine", "constant"} or callable, default="linear"
        Factor of the learning rate over the course of ``fit``. ``partial_fit`` uses a constant
        learning rate, because it has no last pass.
    sigma_max : float, "auto" or None, default="auto"
        Largest noise scale of training, in units of the data. Training at scales between ``sigma``
        and ``sigma_max`` makes the energy high wherever there are no data; see
        :func:`dsmfast.train`. "auto" is four times the spread of the data, for the objectives that
        take it ("dsm", "dae" with Gaussian noise, "esm_smoothed"). None trains at ``sigma`` alone:
        the energy is then correct near the data and arbitrary elsewhere.
    replicas : int or None, default=1
        Value of :math:`1/\sigma^2` in the unit of the model. Rows are multiplied by ``scale_``,
        which is :math:`1/(\sigma\sqrt{replicas})`, before they are passed to the model, and all
        results are converted back to the unit of the data. In this unit, each hidden unit
        contributes a factor to the density to the power of ``replicas``; 1 describes most data
        best. None passes the data on unchanged.
    batch_size, optimizer, learning_rate, draws, antithetic, path
        As for :func:`dsmfast.train`.
    coarse, coarse_target, scale_exponent, reference
        As for :func:`dsmfast.train`; they apply if ``sigma_max`` is not None. The default of
        ``scale_exponent`` is computed from sigma in the unit of the model.
    curvature_penalty, corruption, corruption_level, hidden_bias
        As for :func:`dsmfast.train`.
    normalize : bool, default=False
        Whether ``fit`` also computes the normaliser of the density (:func:`dsmfast.log_normalizer`,
        with the training rows). :meth:`score_samples` is then the log-density and :meth:`score` its
        mean, which allows models of any sigma, size and unit to be compared.
    n_iter_no_change : int, default=None
        End training after this many passes without a lower held-out loss, and keep the best model.
        By default all passes are made, and no rows are held out.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out if ``n_iter_no_change`` is given.
    tol : float, default=1e-4
        Minimum decrease of the held-out loss that counts as an improvement.
    warm_start : bool, default=False
        Whether ``fit`` starts from the parameters of the previous call.
    callbacks : sequence of callable or dsmfast.Callback, default=None
        Callbacks of each pass; see :func:`dsmfast.train`.
    checkpoint : path-like, default=None
        File in which ``fit`` keeps its run; see :func:`dsmfast.train`.
    resume : bool, default=False
        Whether ``fit`` continues from ``checkpoint``, if that file exists. It requires an integer
        ``random_state``.
    random_state : int, RandomState or None, default=None
        Seed of the weights, the order of the rows and the noise. An integer is the ``seed`` of
        :func:`dsmfast.train`.
    threads : int, default=None
        Number of threads. The default is that of OpenMP, which joblib sets in its workers. The
        result is bit-identical for any number.
    verbose : int, default=0
        Whether to show progress: a bar on a terminal (needs tqdm), and elsewhere a line per second.

    Attributes
    ----------
    model_ : dsmfast.ScoreModel
        The trained model of rows multiplied by ``scale_``, with its normaliser if
        ``normalize=True``.
    scale_ : float
        Factor by which rows are multiplied before they are passed to the model; 1 if
        ``replicas=None``.
    components_ : ndarray of shape (n_components, n_features)
        Weights W of the model.
    intercept_hidden_, intercept_visible_ : ndarray
        Biases b and c of the model.
    sigma_ : float
        Standard deviation of the noise in the unit of the data, as a number also for
        ``sigma="auto"``. If sigma varies between passes, it is that of the last pass.
    history_ : dict of str to ndarray
        Losses and seconds of each pass.
    n_iter_ : int
        Number of passes made.
    n_features_in_ : int
        Number of features of the data.
    feature_names_in_ : ndarray
        Names of the features, if the data have any.

    See Also
    --------
    dsmfast.train : Training without scikit-learn.
    dsmfast.sklearn.OutlierDetector : Outlier detection.

    Notes
    -----
    Ctrl-C ends ``fit`` with a KeyboardInterrupt, so that a search over many fits ends too. The
    attributes then hold the state so far.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from dsmfast.sklearn import DenoisingAutoencoder
    >>> X = load_digits().data / 16
    >>> features = DenoisingAutoencoder(64, sigma=0.3, max_iter=20, random_state=0)
    >>> features.fit_transform(X).shape
    (1797, 64)
    >>> features.score_samples(X).shape  # high where digits are likely
    (1797,)
    """

    def __init__(
        self,
        n_components: int = 128,
        *,
        sigma: SigmaSchedule = 0.3,
        sigma_max: float | str | None = "auto",
        replicas: int | None = 1,
        objective: str = "dsm",
        max_iter: int = 100,
        batch_size: int = 256,
        optimizer: str | Optimizer = "adam",
        learning_rate: float | None = None,
        schedule: Any = "linear",
        draws: int = 1,
        antithetic: bool = False,
        path: str = "auto",
        coarse: float = 0.5,
        coarse_target: str = "posterior",
        scale_exponent: float | None = None,
        reference: int | str | None = None,
        curvature_penalty: float = 0.0,
        corruption: str = "gaussian",
        corruption_level: float | None = None,
        hidden_bias: float = -3.0,
        normalize: bool = False,
        n_iter_no_change: int | None = None,
        validation_fraction: float = 0.1,
        tol: float = 1e-4,
        warm_start: bool = False,
        callbacks: Sequence[Listener] | None = None,
        checkpoint: Any = None,
        resume: bool = False,
        random_state: Any = None,
        threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.sigma = sigma
        self.sigma_max = sigma_max
        self.replicas = replicas
        self.objective = objective
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.draws = draws
        self.antithetic = antithetic
        self.path = path
        self.coarse = coarse
        self.coarse_target = coarse_target
        self.scale_exponent = scale_exponent
        self.reference = reference
        self.curvature_penalty = curvature_penalty
        self.corruption = corruption
        self.corruption_level = corruption_level
        self.hidden_bias = hidden_bias
        self.normalize = normalize
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.resume = resume
        self.random_state = random_state
        self.threads = threads
        self.verbose = verbose

    def fit(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> DenoisingAutoencoder:
        """Train on rows of data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. Memory-mapped files, h5py or zarr data, and arrays of narrow dtypes are read
            window by window, as by :func:`dsmfast.train`, if they have more than 2**25 values and
            ``n_iter_no_change`` does not hold out rows at random.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows. A row of weight 0 has no effect but keeps its place in
            the batches.

        Returns
        -------
        DenoisingAutoencoder
            The fitted estimator.

        Raises
        ------
        dsmfast.DivergenceError
            If the loss or the parameters become infinite or NaN. Its ``result`` holds the last
            finite state.
        ValueError, TypeError
            If a parameter or the data are invalid.

        Warns
        -----
        dsmfast.DensityWarning
            If the score fits the rows worse than a score of zero, as happens if ``sigma`` is far
            below the spread of the data, or if no hidden unit varies over the rows, as happens if
            their mean is many times their spread: the estimator does not subtract it. Also if an
            energy trained with ``sigma_max`` has a mode away from the rows (see
            :func:`dsmfast.spurious_modes`), or its normaliser is not reliable.
        """
        two = self.n_iter_no_change is not None or isinstance(self.sigma, str)
        rows = self._data(X, sample_weight, two=two)
        start = self.model_ if self.warm_start and hasattr(self, "model_") else None
        if start is not None:
            rows = rows.in_precision(start.dtype)
            check_columns(X, "X", start.feature_names)
        self._seed = self._draw_seed()
        self._set_unit(rows, self.max_iter)
        stopping: dict[str, Any] = {}
        if self.n_iter_no_change is not None:
            stopping = {
                "validation": self.validation_fraction,
                "patience": self.n_iter_no_change,
                "tolerance": self.tol,
            }
        with in_own_words():
            result = train(
                rows.X,
                self.n_components,
                epochs=self.max_iter,
                init=start,
                checkpoint=self.checkpoint,
                resume=self.resume,
                **stopping,
                **self._options(rows),
            )
        self._is_stream = False
        self._take(result, result.history, rows)
        return self

    def partial_fit(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> DenoisingAutoencoder:
        """Continue training with one pass over these rows, at a constant learning rate.

        Repeated calls with the same rows are bit-identical to ``fit`` with ``schedule="constant"``
        and that many passes. Rows that arrive in blocks are trained on block by block. The first
        block determines the initial parameters, and sigma and ``sigma_max`` if they are "auto".

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        y : Ignored
            Not used, present for API consistency by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of the block, relative to one another.

        Returns
        -------
        DenoisingAutoencoder
            The fitted estimator.
        """
        first = not hasattr(self, "model_")
        if has_schedule(self.sigma):
            raise ValueError(
                "sigma: expected a number or 'auto' for partial_fit, which has no last pass, "
                f"got {describe(self.sigma)}"
            )
        rows = self._data(X, sample_weight, reset=first, two=first and isinstance(self.sigma, str))
        if first:
            self._seed = self._draw_seed()
            self._set_unit(rows, 1)
        else:
            rows = rows.in_precision(self.model_.dtype)
        with in_own_words():
            result = train(
                rows.X,
                self.n_components,
                epochs=1,
                init=None if first else getattr(self, "_result", self.model_),
                **{**self._options(rows, first=first), "schedule": "constant"},
            )
        history = result.history
        if not first:
            columns = ("loss", "seconds")
            history = {n: np.append(self.history_[n], history[n]) for n in columns}
        self._is_stream = True
        self._take(result, history, rows)
        return self

    def transform(self, X: npt.ArrayLike) -> Array:
        """Return the hidden units sigmoid(W x + b) of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
        """
        return self._of_rows(X, lambda rows: self.model_.hidden(rows, threads=self.threads))

    def inverse_transform(self, X: npt.ArrayLike) -> Array:
        """Return the reconstruction W' h + c of hidden values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Hidden values.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self, "model_")
        values = check_array(as_table_free(X, "X"), dtype=self.model_.dtype)
        return self._in_unit_of_data(self.model_.decode(values, threads=self.threads))

    def denoise(self, X: npt.ArrayLike) -> Array:
        """Return the reconstruction W' sigmoid(W x + b) + c of noisy rows.

        It removes noise of standard deviation ``sigma_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data with noise.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """

        def of(rows: Array) -> Array:
            return self._in_unit_of_data(self.model_.denoise(rows, threads=self.threads))

        return self._of_rows(X, of)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds; after ``fit``, the weights once.

        What the optimizer remembers, three times as much, is kept where ``partial_fit`` goes on
        from it to the same bits.
        """
        state: dict[str, Any] = dict(super().__getstate__())
        if not getattr(self, "_is_stream", False):
            state.pop("_result", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        """Number of features that :meth:`transform` makes."""
        return self.model_.n_hidden
