"""The estimator: what users call, and what its parameters are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._checks import Array, describe
from dsmfast._run.schedules import SigmaSchedule, has_schedule
from dsmfast.callbacks import Listener
from dsmfast.optimizers import Optimizer
from dsmfast.sklearn.density import Density
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

    Fits :func:`dsmfast.train` behind the interface of scikit-learn: features from
    :meth:`transform`, log-densities up to a constant from :meth:`score_samples`, noise taken off by
    :meth:`denoise`. By default the noise has many scales, and the unit is that of sigma, so that
    the energy is low beside the data and high everywhere else. ``float32`` data are worked on in
    ``float32``, twice as fast; all others in ``float64``.

    Parameters
    ----------
    n_components : int, default=128
        Hidden units.
    sigma : float, "auto", sequence of float, or callable, default=0.3
        Standard deviation of the noise, in units of the data: scale them, or "auto", the width of
        the best kernel density estimate of the training data (:func:`dsmfast.select_sigma`). A
        sequence has one entry for each of ``max_iter`` passes of ``fit``, and a function is given
        the number of the pass, from 1, as for :func:`dsmfast.train`; the model has the last.
    objective : {"dsm", "dae", "ism", "esm_smoothed", "ism_smoothed"}, default="dsm"
        What is minimised; see :func:`dsmfast.loss`.
    max_iter : int, default=100
        Passes over the data.
    schedule : {"linear", "cosine", "constant"} or callable, default="linear"
        How the learning rate falls over ``fit``. ``partial_fit``, which knows no end, keeps it.
    sigma_max : float, "auto" or None, default="auto"
        The largest scale of the noise that training sees beside ``sigma``, so that the energy is
        high wherever no data are; see :func:`dsmfast.train`. "auto" is four times the spread of the
        data, for the objectives that take it ("dsm", "dae" with Gaussian noise, "esm_smoothed").
        None trains at ``sigma`` alone: its energy is right beside the data and arbitrary elsewhere.
        A number is in units of the data, like ``sigma``.
    replicas : int or None, default=1
        What :math:`1/\sigma^2` is in the unit that the model works in: rows are multiplied by
        :math:`1/(\sigma\sqrt{replicas})` before it sees them (``scale_``), and what comes back is
        in the unit of the data. The energy is that of a product of experts each of which counts so
        many times; 1 describes most data best. None takes the data as they are.
    batch_size, optimizer, learning_rate, draws, antithetic, path
        As for :func:`dsmfast.train`.
    coarse, coarse_target, scale_exponent, reference
        As for :func:`dsmfast.train`; of ``sigma_max``. The rule for ``scale_exponent`` goes by
        sigma in the unit of the model.
    curvature_penalty, corruption, corruption_level, hidden_bias
        As for :func:`dsmfast.train`.
    normalize : bool, default=False
        Whether ``fit`` also finds the normaliser of the density (:func:`dsmfast.log_normalizer`,
        with the rows), so that :meth:`score_samples` is the log-density and :meth:`score` its mean,
        by which models of any sigma, size and unit can be compared.
    n_iter_no_change : int, default=None
        End training after so many passes without a better held-out loss, and keep the best model.
        By default all passes are taken, and nothing is held out.
    validation_fraction : float, default=0.1
        Of the rows, to hold out for ``n_iter_no_change``.
    tol : float, default=1e-4
        By how much a held-out loss has to be lower to be better.
    warm_start : bool, default=False
        Whether ``fit`` starts from the parameters of the last one.
    callbacks : sequence of callable or dsmfast.Callback, default=None
        Called after each pass; see :func:`dsmfast.train`.
    checkpoint : path-like, default=None
        File that ``fit`` keeps its run in; see :func:`dsmfast.train`.
    resume : bool, default=False
        Whether ``fit`` goes on from that file, if it is there. Needs an integer ``random_state``.
    random_state : int, RandomState or None, default=None
        Of weights, order and noise. An integer is ``seed`` of :func:`dsmfast.train`.
    threads : int, default=None
        By default what OpenMP says, which joblib sets in its workers. The result does not depend
        on it.
    verbose : int, default=0
        Whether to show progress, on a terminal as a bar (needs tqdm), elsewhere a line a second.

    Attributes
    ----------
    model_ : dsmfast.ScoreModel
        The trained model, of rows times ``scale_``; with its normaliser, where that was asked for.
    scale_ : float
        What rows are multiplied by before the model sees them; 1 where ``replicas=None``.
    components_ : ndarray of shape (n_components, n_features)
        Weights W of the model.
    intercept_hidden_, intercept_visible_ : ndarray
        Its biases b and c.
    sigma_ : float
        Standard deviation of the noise in the unit of the data, a number also where
        ``sigma="auto"``; where it has a schedule, that of the last pass taken.
    history_ : dict of str to ndarray
        Losses and seconds of each pass.
    n_iter_ : int
        Passes taken.
    n_features_in_ : int
        Features of the data.
    feature_names_in_ : ndarray
        Their names, where the data had some.

    Notes
    -----
    Ctrl-C ends ``fit`` with a KeyboardInterrupt, as a search over many fits needs; the attributes
    are those of the state so far.

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
            Data. A mapped file, h5py or zarr data, or an array of a narrow type with more than
            2**25 values is read by windows, as by :func:`dsmfast.train`, unless
            ``n_iter_no_change`` holds out rows at random.
        y : Ignored
            Not used, present for the interface.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts, at least 0, next to the others. A row of weight 0 takes its
            place in the batches, and has no effect.

        Raises
        ------
        dsmfast.DivergenceError
            When training leaves the finite numbers; its ``result`` has the last finite state.
        ValueError, TypeError
            For parameters and data that do not fit.

        Warns
        -----
        dsmfast.DensityWarning
            When the score is worse on the rows than one of zero, as where ``sigma`` is far below
            the spread of the data; when the energy that was trained with ``sigma_max`` has a mode
            away from the rows (see :func:`dsmfast.spurious_modes`), or its normaliser is not
            reliable.
        """
        two = self.n_iter_no_change is not None or isinstance(self.sigma, str)
        rows = self._data(X, sample_weight, two=two)
        start = self.model_ if self.warm_start and hasattr(self, "model_") else None
        if start is not None:
            rows = rows.in_precision(start.dtype)
        self._seed = self._draw_seed()
        self._set_unit(rows, self.max_iter)
        stopping: dict[str, Any] = {}
        if self.n_iter_no_change is not None:
            stopping = {
                "validation": self.validation_fraction,
                "patience": self.n_iter_no_change,
                "tolerance": self.tol,
            }
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
        """Go on training by one pass over these rows, at a constant learning rate.

        So many calls with the same rows are ``fit`` with ``schedule="constant"``, to the bit; rows
        that come in blocks are trained on block by block. The first block sets sigma and
        ``sigma_max`` (where they are "auto") and the start.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        y : Ignored
            Not used, present for the interface.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row of the block counts next to its others.
        """
        first = not hasattr(self, "model_")
        if has_schedule(self.sigma):
            raise ValueError(
                "sigma: expected a number or 'auto' for partial_fit, which knows of no last pass, "
                f"got {describe(self.sigma)}"
            )
        rows = self._data(X, sample_weight, reset=first, two=first and isinstance(self.sigma, str))
        if first:
            self._seed = self._draw_seed()
            self._set_unit(rows, 1)
        else:
            rows = rows.in_precision(self.model_.dtype)
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
        """Hidden units sigmoid(W x + b) of each row.

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
        """Reconstruction W' h + c of hidden values.

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
        """Noise of standard deviation ``sigma_`` taken off each row: W' sigmoid(W x + b) + c.

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
