"""The parameters of a model as a value: checked, copied in, read-only, and kept in files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import (
    Array,
    as_feature_names,
    as_real_array,
    as_scalar,
    as_shape,
    as_sigma,
    describe,
)
from dsmfast._density.normalizer import Normalizer
from dsmfast._system.build import __version__
from dsmfast._system.files import read, write

__all__ = ["FILE", "FORMAT", "Parameters", "file_of"]

FORMAT = "dsmfast-model-1"  # of files
FILE = "model.safetensors"  # what ``dsmfast train`` calls it in its directory


def file_of(path: str | os.PathLike[str]) -> Path:
    """Return the file of a model: itself, or that in the directory of a run."""
    place = Path(path)
    if not place.is_dir():
        return place
    if not (place / FILE).exists():
        raise ValueError(
            f"{place}: expected {FILE} in the directory, as dsmfast train writes it, got none"
        )
    return place / FILE


def _as_record(training: object) -> str:
    """Return a record of training as JSON, which nobody can write to."""
    if training is None:
        return "{}"
    if not isinstance(training, Mapping):
        raise TypeError(f"training: expected a dict of options, got {describe(training)}")
    try:
        return json.dumps(dict(training), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"training: expected values that JSON can represent: {error}") from None


class Parameters:
    """W, b, c and sigma, and what is kept beside them; see :class:`dsmfast.ScoreModel`."""

    __slots__ = ("W", "_training", "b", "c", "feature_names", "log_normalizer", "sigma")

    W: Array
    b: Array
    c: Array
    sigma: float
    log_normalizer: Normalizer | None
    feature_names: tuple[str, ...] | None
    _training: str

    def __init__(
        self,
        W: npt.ArrayLike,
        b: npt.ArrayLike,
        c: npt.ArrayLike,
        sigma: float,
        *,
        training: Mapping[str, Any] | None = None,
        log_normalizer: Normalizer | str | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        weights = as_real_array(W, "W")
        if weights.dtype.newbyteorder("=") not in (np.float32, np.float64):
            raise TypeError(f"W: expected dtype float32 or float64, got {weights.dtype}")
        if weights.ndim != 2 or 0 in weights.shape:
            raise ValueError(f"W: expected shape (n_hidden, n_features), got {weights.shape}")
        dtype = weights.dtype.newbyteorder("=")
        h, d = weights.shape
        for name, value, shape in (("W", weights, (h, d)), ("b", b, (h,)), ("c", c, (d,))):
            copied = as_shape(value, name, dtype, shape).tobytes()  # which nobody can write to
            array = np.frombuffer(copied, dtype).reshape(shape)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "sigma", as_sigma(sigma, dtype))
        object.__setattr__(self, "_training", _as_record(training))
        log_normalizer = as_scalar(log_normalizer)  # type: ignore[assignment]
        if isinstance(log_normalizer, str):
            log_normalizer = Normalizer.of_text(log_normalizer)
        if not (log_normalizer is None or isinstance(log_normalizer, Normalizer)):
            raise TypeError(
                f"log_normalizer: expected a Normalizer or None, got {describe(log_normalizer)}"
            )
        if log_normalizer is not None:
            log_normalizer.check_of(self)
        object.__setattr__(self, "log_normalizer", log_normalizer)
        object.__setattr__(self, "feature_names", as_feature_names(feature_names, d))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"ScoreModel is immutable: build a new one to change {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"ScoreModel is immutable: {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        """Whether another model is the same function; how either came to be does not count."""
        if not isinstance(other, Parameters):
            return NotImplemented
        return (
            (self.sigma, self.dtype, self.log_normalizer)
            == (other.sigma, other.dtype, other.log_normalizer)
            and np.array_equal(self.c, other.c)
            and np.array_equal(self.b, other.b)
            and np.array_equal(self.W, other.W)
        )

    def __hash__(self) -> int:
        # Some values tell models apart; adding 0 makes 0 of -0, which equals it.
        some = ((values + 0).tobytes() for values in (self.W[0], self.b, self.c))
        return hash((self.sigma, self.dtype, *some))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self._beside()), (self.W, self.b, self.c, self.sigma)

    def _beside(self) -> dict[str, Any]:
        """Return what a model has beside its parameters."""
        names = ("training", "log_normalizer", "feature_names")
        return {name: getattr(self, name) for name in names}

    @property
    def training(self) -> dict[str, Any]:
        """Options that the model was trained with, as :func:`train` recorded them; a copy."""
        record: dict[str, Any] = json.loads(self._training)
        return record

    @property
    def n_features(self) -> int:
        """Number of features d."""
        return int(self.W.shape[1])

    @property
    def n_hidden(self) -> int:
        """Number of hidden units h."""
        return int(self.W.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the parameters and of everything computed with them."""
        return self.W.dtype

    def to_dict(self) -> dict[str, Any]:
        """Return W, b, c and sigma as a dict of plain values, and what else belongs to the model.

        NumPy alone can compute everything from them (in ``float64`` if the data are far from 0)::

            a = x @ W.T + b
            energy = (0.5 * (x * x).sum(1) - x @ c - np.logaddexp(0, a).sum(1)) / sigma**2
            score = ((1 / (1 + np.exp(-a))) @ W + c - x) / sigma**2

        ``ScoreModel(**values)`` makes the model again, also from a file written by ``numpy.savez``.
        The record of training is left out; :meth:`save` keeps it.

        Returns
        -------
        dict
            Arrays ``"W"``, ``"b"`` and ``"c"``, and the number ``"sigma"``. If the model has a
            normaliser, also ``"log_normalizer"``, its entries as JSON in a str. If features have
            names, also ``"feature_names"``, an array of str.
        """
        values: dict[str, Any] = {name: np.array(getattr(self, name)) for name in ("W", "b", "c")}
        values["sigma"] = self.sigma
        if self.log_normalizer is not None:
            values["log_normalizer"] = self.log_normalizer.text()
        if self.feature_names is not None:
            values["feature_names"] = np.array(self.feature_names)
        return values

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a safetensors file, which :func:`dsmfast.load` reads.

        The model is written to a temporary file, which then replaces ``path``. An interrupted call
        therefore leaves the old file intact.

        Parameters
        ----------
        path : path-like
            File to write.

        Raises
        ------
        OSError
            If the file cannot be written.
        ImportError
            If safetensors is not installed (extra ``files``).
        """
        record = {
            "format": FORMAT,
            "version": __version__,
            "sigma": self.sigma,
            "objective": self.training.get("objective"),
            "training": self.training,
        }
        if self.log_normalizer is not None:
            record["log_normalizer"] = self.log_normalizer.record()
        if self.feature_names is not None:
            record["feature_names"] = list(self.feature_names)
        write(path, {"W": self.W, "b": self.b, "c": self.c}, record)

    @classmethod
    def _from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote, as :func:`dsmfast.load` does."""
        path = file_of(path)
        tensors, record = read(path, FORMAT)
        if set(tensors) != {"W", "b", "c"}:
            held = ", ".join(sorted(tensors)) or "nothing"
            raise ValueError(f"{path}: expected tensors W, b, c, got {held}")
        try:
            found = record.get("log_normalizer")
            return cls(
                **tensors,
                sigma=record["sigma"],
                training=record.get("training"),
                log_normalizer=None if found is None else Normalizer.of_record(found),
                feature_names=record.get("feature_names"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a valid model: {error}") from None
