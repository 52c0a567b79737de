"""The tied-weight score model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._checks import (
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
from dsmfast._density.normalizer import DensityWarning, Normalizer
from dsmfast._frames import check_columns
from dsmfast._parameters import FORMAT, Parameters
from dsmfast._rows.blocks import in_blocks, is_by_blocks
from dsmfast._rows.streamed import Reader
from dsmfast.likelihood import log_normalizer as find_normalizer
from dsmfast.sampling import independent_sample

__all__ = ["FORMAT", "ScoreModel", "load"]


class ScoreModel(Parameters):
    r"""Energy, score and denoiser of a tied-weight autoencoder (Vincent 2010).

    .. math::

        E(x) = -\frac{1}{\sigma^2}\Big(\langle c, x\rangle - \tfrac12\|x\|^2
               + \sum_j \mathrm{softplus}(W_j x + b_j)\Big), \qquad
        -\nabla E(x) = \frac{W^T \mathrm{sigmoid}(W x + b) + c - x}{\sigma^2}

    The energy is that of an unnormalised density. Trained at one scale of noise it is lower where
    data is more likely, beside the data; trained with ``sigma_max`` also far from it. Its negative
    gradient, the score, is the displacement of the denoiser over the noise variance.

    A model is a value: its parameters are copied in and read-only, and two with equal parameters
    and normaliser are equal, whatever is recorded of their training.

    Parameters
    ----------
    W : array_like, shape (n_hidden, n_features)
        Weights, ``float32`` or ``float64``; their precision is the model's.
    b : array_like, shape (n_hidden,)
        Hidden biases.
    c : array_like, shape (n_features,)
        Visible biases.
    sigma : float
        Standard deviation of the noise, in units of the data. Greater than 0; its fourth power,
        by which losses are scaled, must be a normal number of the precision.
    training : mapping, optional
        How the model came to be: options by name, of values that JSON has. :func:`train` writes
        it, files keep it, nothing depends on it.
    log_normalizer : Normalizer, optional
        What :meth:`normalized` found for these parameters, which it is checked to be of.
    feature_names : sequence of str, optional
        What the features are called, each by another name. Files keep it; :func:`train` takes the
        names of the columns of a table. Tables that come later must have the same columns in the
        same order; the commands find the columns of files by their names.

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit, values that are not finite, or another dtype.

    Notes
    -----
    All methods take rows, one point each, in the model's precision (narrower types are widened;
    wider ones are refused, never rounded), also as tables of pandas, polars or pyarrow, and measure
    them from c: data far from 0, beside which they differ by little, keep the digits of their
    differences. They take ``threads``, by default what OpenMP says. A row has the same bits alone
    and in a large batch, on one thread and on many. Mapped files, data of h5py and zarr, and narrow
    types are read and widened block by block.

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
        """Make a model to start training from: W normal, b constant, c zero.

        Parameters
        ----------
        n_features, n_hidden : int
            Sizes of the data and of the hidden layer.
        sigma : float
            Standard deviation of the noise.
        seed : int
            Of the weights; drawn from the noise stream, so the same everywhere.
        dtype : {"float32", "float64"}
            Precision of the model.
        weight_scale : float
            Standard deviation of W times sqrt(n_features) + sqrt(n_hidden), which is about the
            largest singular value of a standard normal matrix of that shape.
        hidden_bias : float
            Start of every hidden bias. Well below zero, hidden units begin in the curved part of
            the sigmoid; around zero they begin linear.
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
        """Hidden units sigmoid(W x + b), shape (n, n_hidden), of points x (n, n_features)."""
        return self._evaluate(_core.Quantity.hidden, x, "x", threads)

    def energy(self, x: npt.ArrayLike, *, threads: int | None = None) -> npt.NDArray[np.float64]:
        """Energy, shape (n,), of points x (n, n_features): lower is more likely.

        ``float64`` of models of either precision: what energies differ by, which alone has a
        meaning, is small beside them where data are far from 0.
        """
        values = self._evaluate(_core.Quantity.energy, x, "x", threads)
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(
                f"x: expected squares over sigma**2 that {self.dtype} can hold, which those of row "
                f"{row} (counted from 0) are not; scale the data and sigma"
            )
        return values

    def score(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Score -dE/dx, shape (n, n_features), of points x (n, n_features)."""
        return self._evaluate(_core.Quantity.score, x, "x", threads)

    def denoise(self, x: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Reconstruction W' sigmoid(W x + b) + c, shape (n, n_features), of noisy points x."""
        return self._evaluate(_core.Quantity.denoise, x, "x", threads)

    def decode(self, h: npt.ArrayLike, *, threads: int | None = None) -> Array:
        """Reconstruction W' h + c, shape (n, n_features), of hidden values h (n, n_hidden)."""
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
        """Draw independent points (n, n_features) from the density.

        Each is the end of a chain of its own, from a Gaussian to the model by ``temperatures``, and
        ``burn_in`` steps on. Point i is the same however many are drawn. A model has to be trained
        with ``sigma_max`` for its points to be like the data: at one scale, its probability is
        elsewhere. They have the noise of sigma; :meth:`denoise` takes it off. For chains, their
        diagnostics, and points given some of their features see :func:`dsmfast.sample`.

        Parameters
        ----------
        n : int
            Points.
        temperatures, burn_in : int
            Steps of each chain.
        seed : int
            Of the chains.
        progress : bool, optional
            A bar on a terminal, by default if tqdm is there; True shows lines where there is none.
        threads : int, optional
            By default what OpenMP says. The bits do not depend on it.
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
        """Return the model with its normaliser, so that it has :meth:`log_density`.

        Parameters
        ----------
        log_normalizer : Normalizer, optional
            What :func:`dsmfast.log_normalizer` found for it; by default it is found here.
        **options
            As for :func:`dsmfast.log_normalizer`: give it ``data``, the rows it was trained on.

        Warns
        -----
        DensityWarning
            Where the normaliser is not reliable.
        """
        if log_normalizer is None:
            log_normalizer = find_normalizer(self, **options)
        elif options:
            raise ValueError(f"log_normalizer: is given, and so {sorted(options)} have no use")
        if isinstance(log_normalizer, Normalizer) and not log_normalizer.is_reliable:
            warnings.warn(str(log_normalizer), DensityWarning, stacklevel=2)
        beside = {**self._beside(), "log_normalizer": log_normalizer}
        return ScoreModel(self.W, self.b, self.c, self.sigma, **beside)

    def with_feature_names(self, feature_names: Sequence[str] | None) -> ScoreModel:
        """Return the model with names of its features, each another, or with none."""
        beside = {**self._beside(), "feature_names": feature_names}
        return ScoreModel(self.W, self.b, self.c, self.sigma, **beside)

    def log_density(
        self, x: npt.ArrayLike, *, threads: int | None = None
    ) -> npt.NDArray[np.float64]:
        """Log-density in nats, shape (n,), of points x (n, n_features): -energy - log Z.

        ``float64``, as energies are. In the unit of the model, as densities are: that of points
        times s is smaller by ``n_features * log(s)``. It describes points with noise of sigma.

        Raises
        ------
        ValueError
            Where the model has no normaliser; :meth:`normalized` gives it one.
        """
        if self.log_normalizer is None:
            raise ValueError(
                "the model has no normaliser, so its log-density is known up to a constant only: "
                "model = model.normalized(data=X), X the rows it was trained on"
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
        A safetensors file.

    Returns
    -------
    ScoreModel

    Raises
    ------
    ValueError
        If the file is not a dsmfast model, is cut short, was changed since, or holds values that
        are not finite.
    ImportError
        Without safetensors (extra ``files``).

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
