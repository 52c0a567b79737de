"""The scikit-learn estimator (extra ``sklearn``)."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._checks import Array, narrowed
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions
from dsmfast._objective.table import OBJECTIVES
from dsmfast._options import names_of
from dsmfast._run.options import StepOptions
from dsmfast.callbacks import Listener
from dsmfast.objectives import loss
from dsmfast.optimizers import Optimizer
from dsmfast.results import TrainingResult
from dsmfast.training import train

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_array, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"dsmfast.sklearn needs scikit-learn 1.6 or newer: pip install 'dsmfast[sklearn]' ({error})"
    ) from None

__all__ = ["DenoisingAutoencoder"]


class DenoisingAutoencoder(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    r"""Tied-weight denoising autoencoder, which is a score model (Vincent 2010).

    Fits :func:`dsmfast.train` behind the interface of scikit-learn: features from
    :meth:`transform`, densities up to a constant from :meth:`score_samples`, noise taken off by
    :meth:`denoise`. ``float32`` data are worked on in ``float32``, twice as fast; all others in
    ``float64``.

    Parameters
    ----------
    n_components : int, default=128
        Hidden units.
    sigma : float or "auto", default=0.3
        Standard deviation of the noise, in units of the data: scale them, or "auto", the width of
        the best kernel density estimate of the training data (:func:`dsmfast.select_sigma`).
    objective : {"dsm", "dae", "ism", "esm_smoothed", "ism_smoothed"}, default="dsm"
        What is minimised; see :func:`dsmfast.loss`.
    max_iter : int, default=100
        Passes over the data.
    schedule : {"linear", "cosine", "constant"} or callable, default="linear"
        How the learning rate falls over ``fit``. ``partial_fit``, which knows no end, keeps it.
    batch_size, optimizer, learning_rate, draws, antithetic, path
        As for :func:`dsmfast.train`.
    curvature_penalty, corruption, corruption_level, hidden_bias
        As for :func:`dsmfast.train`.
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
        The trained model.
    components_ : ndarray of shape (n_components, n_features)
        Weights W.
    intercept_hidden_, intercept_visible_ : ndarray
        Biases b and c.
    sigma_ : float
        Standard deviation of the noise, a number also where ``sigma="auto"``.
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
    >>> features.score_samples(X).shape  # log-density, up to a constant
    (1797,)
    """

    def __init__(
        self,
        n_components: int = 128,
        *,
        sigma: float | str = 0.3,
        objective: str = "dsm",
        max_iter: int = 100,
        batch_size: int = 256,
        optimizer: str | Optimizer = "adam",
        learning_rate: float | None = None,
        schedule: Any = "linear",
        draws: int = 1,
        antithetic: bool = False,
        path: str = "auto",
        curvature_penalty: float = 0.0,
        corruption: str = "gaussian",
        corruption_level: float | None = None,
        hidden_bias: float = -3.0,
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
        self.objective = objective
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.draws = draws
        self.antithetic = antithetic
        self.path = path
        self.curvature_penalty = curvature_penalty
        self.corruption = corruption
        self.corruption_level = corruption_level
        self.hidden_bias = hidden_bias
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

    def fit(self, X: npt.ArrayLike, y: object = None) -> DenoisingAutoencoder:
        """Train on rows of data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Raises
        ------
        dsmfast.DivergenceError
            When training leaves the finite numbers; its ``result`` has the last finite state.
        ValueError, TypeError
            For parameters and data that do not fit.
        """
        two = self.n_iter_no_change is not None or self.sigma == "auto"
        rows = validate_data(
            self, X, dtype=[np.float64, np.float32], ensure_min_samples=2 if two else 1
        )
        start = self.model_ if self.warm_start and hasattr(self, "model_") else None
        if start is not None:
            rows = narrowed(rows, start.dtype)
        self._seed = self._draw_seed()
        stopping: dict[str, Any] = {}
        if self.n_iter_no_change is not None:
            stopping = {
                "validation": self.validation_fraction,
                "patience": self.n_iter_no_change,
                "tolerance": self.tol,
            }
        result = train(
            rows,
            self.n_components,
            self.sigma,
            epochs=self.max_iter,
            init=start,
            checkpoint=self.checkpoint,
            resume=self.resume,
            **stopping,
            **self._options(rows),
        )
        self._is_stream = False
        self._take(result, result.history)
        return self

    def partial_fit(self, X: npt.ArrayLike, y: object = None) -> DenoisingAutoencoder:
        """Go on training by one pass over these rows, at a constant learning rate.

        So many calls with the same rows are ``fit`` with ``schedule="constant"``, to the bit; rows
        that come in blocks are trained on block by block. The first block sets sigma (where it is
        "auto") and the start.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        """
        first = not hasattr(self, "model_")
        two = first and self.sigma == "auto"
        rows = validate_data(
            self,
            X,
            dtype=[np.float64, np.float32],
            reset=first,
            ensure_min_samples=2 if two else 1,
        )
        if first:
            self._seed = self._draw_seed()
        else:
            rows = narrowed(rows, self.model_.dtype)
        result = train(
            rows,
            self.n_components,
            self.sigma if first else self.sigma_,
            epochs=1,
            init=None if first else getattr(self, "_result", self.model_),
            **{**self._options(rows), "schedule": "constant"},
        )
        history = result.history
        if not first:
            columns = ("loss", "seconds")
            history = {n: np.append(self.history_[n], history[n]) for n in columns}
        self._is_stream = True
        self._take(result, history)
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
        rows = self._rows(X)
        return self.model_.hidden(rows, threads=self.threads)

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
        check_is_fitted(self)
        values = check_array(X, dtype=self.model_.dtype)
        return self.model_.decode(values, threads=self.threads)

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
        rows = self._rows(X)
        return self.model_.denoise(rows, threads=self.threads)

    def score_samples(self, X: npt.ArrayLike) -> Array:
        """Log-density of each row with noise, up to a constant that is the same for all: -energy.

        Ranks rows, as for anomalies, and its differences are log-ratios of densities; it is not
        normalised, and those of two models cannot be compared.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        rows = self._rows(X)
        return -self.model_.energy(rows, threads=self.threads)

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Minus the objective on these rows, on noise that is always the same: higher is better.

        Comparable between models of one sigma. To choose sigma, judge by what the model is for: a
        classifier behind it in a pipeline, say.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data that were not trained on.

        Returns
        -------
        float
        """
        rows = self._rows(X)
        options = self._objective()
        if OBJECTIVES[self.objective].noisy:
            options["draws"] = 8
        return -loss(self.model_, rows, threads=self.threads, **options)

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

    def _rows(self, X: npt.ArrayLike) -> Array:
        """Return rows to use the model on, in its precision."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return narrowed(rows, self.model_.dtype)

    def _draw_seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31))

    def _named(self, *classes: type[Any]) -> dict[str, Any]:
        """Return the parameters that have the names of options."""
        names = names_of(*classes)
        return {n: value for n, value in self.get_params(deep=False).items() if n in names}

    def _objective(self) -> dict[str, Any]:
        if self.objective == "esm":
            raise ValueError(
                "objective: 'esm' needs the score of the data, which an estimator is not given; "
                "use dsmfast.train"
            )
        return self._named(ObjectiveOptions)

    def _options(self, rows: Array) -> dict[str, Any]:
        """Return what ``fit`` and ``partial_fit`` train with alike."""
        return {
            **self._objective(),
            **self._named(NoiseOptions, StepOptions),
            "callbacks": () if self.callbacks is None else self.callbacks,
            "progress": bool(self.verbose),
            "dtype": rows.dtype,
            "seed": self._seed,
        }

    def _take(self, result: TrainingResult, history: dict[str, Array]) -> None:
        """Set the fitted attributes."""
        self._result = result
        self.model_ = result.model
        self.components_ = result.model.W
        self.intercept_hidden_ = result.model.b
        self.intercept_visible_ = result.model.c
        self.sigma_ = result.model.sigma
        self.history_ = history
        self.n_iter_ = len(history["loss"])
        if result.stop_reason == "interrupted":
            raise KeyboardInterrupt
