"""The tied-weight score model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import (
    Array,
    as_dtype,
    as_integer,
    as_real_of,
    as_rows,
    as_seed,
    as_threads,
    bad_row_error,
    check_width,
)
from dsmfast._arguments.frames import check_columns
from dsmfast._density.normalizer import DensityWarning, Normalizer
from dsmfast._parameters import FORMAT, Parameters
from dsmfast._rows.blocks import in_blocks, is_by_blocks
from dsmfast._rows.streamed import Reader
from dsmfast._system.warn import warn
from dsmfast.likelihood import log_normalizer as find_normalizer
from dsmfast.sampling import independent_sample

__all__ = ["FORMAT", "ScoreModel", "load"]


class ScoreModel(Parameters):
    r"""Energy, score and denoiser of a tied-weight autoencoder (Vincent 2010).

    .. math::

        E(x) = -\frac{1}{\sigma^2}\Big(\langle c, x\rangle - \tfrac12\|x\|^2
               + \sum_j \mathrm{softplus}(W_j x + b_j)\Big), \qquad
        -\nabla E(x) = \frac{W^T \mathrm{sigmoid}(W x + b) + c - x}{\sigma^2}

    The energy defines an unnormalised density, proportional to :math:`e^{-E(x)}`. Its negative
    gradient is the score: the displacement of x by the denoiser, divided by the noise variance. If
    the model was trained at one noise scale, its energies are meaningful near the data only.
    Training with ``sigma_max`` makes them meaningful far from the data too.

    A model is immutable. It holds read-only copies of its parameters. Two models are equal if their
    parameters and normalisers are equal, whatever their training records.

    Parameters
    ----------
    W : array_like, shape (n_hidden, n_features)
        Weights, ``float32`` or ``float64``. Their precision is the precision of the model.
    b : array_like, shape (n_hidden,)
        Hidden biases.
    c : array_like, shape (n_features,)
        Visible biases.
    sigma : float
        Standard deviation of the noise, in units of the data. It is greater than 0, and its fourth
        power, which scales the losses, must be a normal number of the precision.
    training : mapping, optional
        Options that the model was trained with, by name; values must be representable in JSON.
        :func:`train` writes this record and files keep it. No result depends on it.
    log_normalizer : Normalizer or str, optional
        Normaliser of these parameters, as :meth:`normalized` finds it, or the text that
        :meth:`to_dict` makes of it. A normaliser of other parameters is an error.
    feature_names : sequence of str, optional
        Distinct names of the features. :func:`train` takes them from the columns of a table, and
        files keep them. Tables that are passed to the model must have the same columns in the same
        order. The commands select columns of files by these names.

    Raises
    ------
    ValueError, TypeError
        If shapes do not agree, values are not finite, or the dtype is another one.

    See Also
    --------
    dsmfast.train : Fit a model to rows of data.
    dsmfast.load : Read a model from a file.

    Notes
    -----
    All methods take rows, one point per row, as an array or as a table of pandas, polars or
    pyarrow. Narrower dtypes are widened to the precision of the model. Wider ones raise an error
    and are never rounded. Rows are measured from c, so data that lie far from 0 keep the digits in
    which they differ.

    A row gives bit-identical results alone and in a large batch, on one thread and on many.
    Memory-mapped files, data of h5py and zarr, and narrow dtypes are read and widened block by
    block. ``threads`` is the number of threads; the default is that of OpenMP.

    Examples
    --------
    >>> import numpy as np, dsmfast
    >>> model = dsmfast.ScoreModel.initialize(n_features=2, n_hidden=16, sigma=0.5, seed=1)
    >>> x = np.zeros((3, 2), dtype=np.float32)
    >>> model.energy(x).shape, model.score(x).shape
    ((3,), (3, 2))
    >>> displacement = (model.denoise(x) - x) / model.sigma**2
    >>> bool(np.allclose(model.score(x), displacement, atol=1e-6))
    True
    """

    __slots__ = ()

    @classmethod
    def initialize(
        cls,
        n_features: int,
        n_hidden: int,
        sigma: float,
        *,
        seed: int = 0,
        dtype: npt.DTypeLike = "float32",
        weight_scale: float = 4.0,
        hidden_bias: float = -3.0,
    ) -> ScoreModel:
        """Make an untrained model: W is normal, b constant and c zero.

        Parameters
        ----------
        n_features, n_hidden : int
            Numbers of features and of hidden units.
        sigma : float
            Standard deviation of the noise.
        seed : int
            Seed of the weights. They are drawn from the noise stream, so a seed gives the same
            weights on every machine.
        dtype : {"float32", "float64"}
            Precision of the model.
        weight_scale : float
            Scale of the weights. The standard deviation of W is ``weight_scale / (sqrt(n_features)
            + sqrt(n_hidden))``; the denominator is about the largest singular value of a standard
            normal matrix of that shape.
        hidden_bias : float
            Initial value of every hidden bias. With a value well below zero, hidden units start in
            the curved part of the sigmoid. Around zero, they start in its linear part.

        Returns
        -------
        ScoreModel
        """
        d = as_integer(n_features, "n_features", low=1, high=2**31)
        h = as_integer(n_hidden, "n_hidden", low=1, high=2**31)
        precision = as_dtype(dtype)
        scale = as_real_of(weight_scale, "weight_scale", precision)
        bias = as_real_of(hidden_bias, "hidden_bias", precision, low=-np.inf)
        single = precision == np.float32
        draw = _core.normals_float32 if single else _core.normals_float64
        rows = np.arange(h, dtype=np.int64)
        W = draw(as_seed(seed), 0, 0, rows, d, _core.Stream.initial, 0)
        with np.errstate(over="ignore"):  # what overflows is refused below
            W *= precision.type(scale / (np.sqrt(d) + np.sqrt(h)))
        return cls(W, np.full(h, bias, dtype=precision), np.zeros(d, dtype=precision), sigma)

    def __repr__(self) -> str:
        return (
            f"ScoreModel(n_features={self.n_features}, n_hidden={self.n_hidden}, "
            f"sigma={self.sigma:g}, dtype={str(self.dtype)!r})"
        )

    def hidden(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Return the hidden units sigmoid(W x + b) of points.

        Parameters
        ----------
        x : array_like, shape (n, n_features)
            Points.
        threads : int, optional
            Number of threads. The default is that of OpenMP.

        Returns
        -------
        ndarray, shape (n, n_hidden)
        """
        return self._evaluate(_core.Quantity.hidden, x, "x", threads)

    def energy(self, x: npt.ArrayLike, *, threads: int | None = None) -> npt.NDArray[np.float64]:
        """Return the energy of points; points of lower energy are more likely.

        Parameters
        ----------
        x : array_like, shape (n, n_features)
            Points.
        threads : int, optional
            Number of threads. The default is that of OpenMP.

        Returns
        -------
        ndarray of float64, shape (n,)
            ``float64`` for models of either precision: only differences of energies have a meaning,
            and they are small relative to the energies themselves if the data are far from 0.

        Raises
        ------
        ValueError
            If an energy overflows the precision of the model.
        """
        values = self._evaluate(_core.Quantity.energy, x, "x", threads)
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(
                f"x: expected squares over sigma**2 that {self.dtype} can hold, but those of row "
                f"{row} (counted from 0) overflow; scale the data and sigma"
            )
        return values

    def score(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Return the score -dE/dx, the gradient of the log-density, at points.

        Parameters
        ----------
        x : array_like, shape (n, n_features)
            Points.
        threads : int, optional
            Number of threads. The default is that of OpenMP.

        Returns
        -------
        ndarray, shape (n, n_features)
        """
        return self._evaluate(_core.Quantity.score, x, "x", threads)

    def denoise(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Return the reconstruction W' sigmoid(W x + b) + c of noisy points.

        Parameters
        ----------
        x : array_like, shape (n, n_features)
            Points with noise of standard deviation sigma.
        threads : int, optional
            Number of threads. The default is that of OpenMP.

        Returns
        -------
        ndarray, shape (n, n_features)
        """
        return self._evaluate(_core.Quantity.denoise, x, "x", threads)

    def decode(self, h: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Return the reconstruction W' h + c of hidden values.

        Parameters
        ----------
        h : array_like, shape (n, n_hidden)
            Hidden values.
        threads : int, optional
            Number of threads. The default is that of OpenMP.

        Returns
        -------
        ndarray, shape (n, n_features)
        """
        return self._evaluate(_core.Quantity.decode, h, "h", threads)

    def sample(
        self,
        n: int,
        *,
        temperatures: int = 300,
        burn_in: int = 100,
        seed: int = 0,
        progress: bool | None = None,
        threads: int | None = None,
    ) -> Array:
        """Draw independent points from the density.

        Each point is the last state of its own Markov chain. The chain is annealed from a Gaussian
        to the model and then runs for ``burn_in`` steps. Point i does not depend on how many points
        are drawn.

        Samples resemble the data if the model was trained with ``sigma_max``. A model trained at
        one noise scale has most of its probability elsewhere. Samples contain noise of standard
        deviation sigma, which :meth:`denoise` removes.

        Parameters
        ----------
        n : int
            Number of points.
        temperatures : int
            Number of annealing steps of each chain.
        burn_in : int
            Number of steps of each chain after annealing.
        seed : int
            Seed of the chains.
        progress : bool, optional
            Whether to show progress. True shows a bar on a terminal (needs tqdm) and writes a line
            per second to stderr elsewhere. By default, a bar is shown on a terminal if tqdm is
            installed.
        threads : int, optional
            Number of threads. The default is that of OpenMP. The result is bit-identical for any
            number.

        Returns
        -------
        ndarray, shape (n, n_features)

        See Also
        --------
        dsmfast.sample : Chains with diagnostics, and samples given some of the features.
        """
        return independent_sample(
            self,
            n,
            temperatures=temperatures,
            burn_in=burn_in,
            seed=seed,
            progress=progress,
            threads=threads,
        )

    def normalized(self, log_normalizer: Normalizer | None = None, **options: Any) -> ScoreModel:
        """Return a copy of the model with its normaliser, which :meth:`log_density` needs.

        Parameters
        ----------
        log_normalizer : Normalizer, optional
            Result of :func:`dsmfast.log_normalizer` for this model. By default this method computes
            it.
        **options
            Passed to :func:`dsmfast.log_normalizer`. Pass the training rows as ``data`` to have the
            normaliser checked against them.

        Returns
        -------
        ScoreModel

        Raises
        ------
        ValueError
            If both ``log_normalizer`` and options are given, or the normaliser is one of other
            parameters.

        Warns
        -----
        DensityWarning
            If the normaliser is not reliable.
        """
        if log_normalizer is None:
            log_normalizer = find_normalizer(self, **options)
        elif options:
            raise ValueError(f"log_normalizer: expected no options with it, got {sorted(options)}")
        if isinstance(log_normalizer, Normalizer) and not log_normalizer.is_reliable:
            warn(str(log_normalizer), DensityWarning)
        beside = {**self._beside(), "log_normalizer": log_normalizer}
        return ScoreModel(self.W, self.b, self.c, self.sigma, **beside)

    def with_feature_names(self, feature_names: Sequence[str] | None) -> ScoreModel:
        """Return a copy of the model with other names of its features.

        Parameters
        ----------
        feature_names : sequence of str, or None
            Distinct names, one per feature. None removes the names.

        Returns
        -------
        ScoreModel
        """
        beside = {**self._beside(), "feature_names": feature_names}
        return ScoreModel(self.W, self.b, self.c, self.sigma, **beside)

    def log_density(
        self, x: npt.ArrayLike, *, threads: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the log-density -E(x) - log Z of points, in nats.

        The density is that of points with noise of standard deviation sigma. It refers to the unit
        of the model: if all points are multiplied by s, the log-density decreases by ``n_features *
        log(s)``.

        Parameters
        ----------
        x : array_like, shape (n, n_features)
            Points.
        threads : int, optional
            Number of threads. The default is that of OpenMP.

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        ValueError
            If the model has no normaliser. :meth:`normalized` returns a model that has one.
        """
        if self.log_normalizer is None:
            raise ValueError(
                "the model has no normaliser, so its log-density is known only up to a constant; "
                "use model = model.normalized(data=X), where X are the training rows"
            )
        return -self.energy(x, threads=threads) - self.log_normalizer.value

    def _evaluate(
        self, quantity: _core.Quantity, x: npt.ArrayLike, name: str, threads: int | None
    ) -> Array:
        width = self.n_hidden
        if quantity is not _core.Quantity.decode:
            width = self.n_features
            check_columns(x, name, self.feature_names)
        if is_by_blocks(x) and x.shape[1] == width:  # type: ignore[union-attr]
            check_width(x.dtype, name, self.dtype)  # type: ignore[union-attr]
            reader = Reader(x, name, self.dtype, 1.0)
            return in_blocks(reader, lambda part: self._evaluate(quantity, part, name, threads))
        rows = as_rows(x, name, self.dtype, width)
        values, bad_row = _core.evaluate(
            quantity, self.W, self.b, self.c, self.sigma, rows, as_threads(threads)
        )
        if values is None:
            raise bad_row_error(rows, name, bad_row)
        return values


def load(path: str | os.PathLike[str]) -> ScoreModel:
    """Read a model that :meth:`ScoreModel.save` wrote.

    Parameters
    ----------
    path : path-like
        A safetensors file, or a directory that ``dsmfast train`` wrote.

    Returns
    -------
    ScoreModel

    Raises
    ------
    ValueError
        If the file is not a dsmfast model, is truncated or was modified, or holds values that are
        not finite, or if a directory has no model in it.
    ImportError
        If safetensors is not installed (extra ``files``).

    Examples
    --------
    >>> import os, tempfile
    >>> import dsmfast
    >>> model = dsmfast.ScoreModel.initialize(4, 8, sigma=0.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     again = dsmfast.load(path)
    >>> again == model
    True
    """
    return ScoreModel._from_file(path)
