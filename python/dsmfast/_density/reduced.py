r"""The model in the directions of its weights.

With :math:`W = L Q`, the rows of Q orthonormal, :math:`y = Q x` has a density of the same kind, of
L, b, Q c and sigma, and whatever x has beside it is :math:`N(c, \sigma^2 I)`, independent of y:

.. math:: x = Q^T y + (I - Q^T Q)(c + \sigma e)

So chains and normalisers cost as many features as there are hidden units, whatever x has. L is
lower triangular, which halves that once more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import Array, not_a_model
from dsmfast._arguments.frames import check_columns

__all__ = ["Energy", "Reduced", "check_energy", "trials_of"]

BLOCK = 32  # rows that are made orthonormal together
NOTHING = 1e-12  # of a row's length, which is taken for rounding


class Energy(Protocol):
    """What is read of a model."""

    @property
    def W(self) -> Array:
        """Weights (h, d)."""

    @property
    def b(self) -> Array:
        """Hidden biases (h,)."""

    @property
    def c(self) -> Array:
        """Visible biases (d,)."""

    @property
    def sigma(self) -> float:
        """The noise."""


def check_energy(model: object, **tables: object) -> None:
    """Refuse what is no model, and tables by their names whose columns are not its features."""
    if not all(hasattr(model, name) for name in ("W", "b", "c", "sigma")):
        raise not_a_model(model)
    for name, table in tables.items():
        check_columns(table, name, getattr(model, "feature_names", None))


def trials_of(sigma: float) -> int | None:
    """Return n = 1 / sigma^2 where it is an integer, but for rounding."""
    precision = 1 / sigma**2
    nearest = max(1, round(precision))
    return nearest if abs(precision - nearest) <= 1e-9 * nearest else None


def _row_basis(W: Array, threads: int) -> tuple[Array, Array]:
    """Return L (h, r) and Q (r, d), W = L Q, by Gram and Schmidt, twice.

    Not by LAPACK, whose bits depend on the number of its threads.
    """
    h, d = W.shape
    Q, L = np.zeros((0, d)), np.zeros((h, min(h, d)))
    for begin in range(0, h, BLOCK):
        rest = W[begin : begin + BLOCK].copy()
        for _ in range(2 if len(Q) else 0):
            along = _core.product(rest, np.ascontiguousarray(Q.T), threads)
            rest -= _core.product(along, Q, threads)
            L[begin : begin + BLOCK, : len(Q)] += along
        found = _orthonormal(rest, np.linalg.norm(W[begin : begin + BLOCK], axis=1), d - len(Q))
        # What is left of a row lies in the directions that this block found.
        L[begin : begin + BLOCK, len(Q) : len(Q) + len(found)] = np.einsum("id,kd->ik", rest, found)
        Q = np.concatenate([Q, found])
    if len(Q) == 0:  # W is 0, and any direction will do
        Q = np.eye(1, d)
    return np.tril(L[:, : len(Q)]), Q


def _orthonormal(rows: Array, lengths: Array, most: int) -> Array:
    """Return an orthonormal basis (k, d) of rows, in their order."""
    found = np.zeros((0, rows.shape[1]))
    for row, length in zip(rows, lengths, strict=True):
        if len(found) == most:
            break
        left = row
        for _ in range(2):
            left = left - np.einsum("k,kd->d", np.einsum("kd,d->k", found, left), found)
        size = math.sqrt(float(np.einsum("d,d->", left, left)))
        if size > NOTHING * length:
            found = np.concatenate([found, left[None] / size])
    return found


@dataclass(frozen=True)
class Reduced:
    """W (h, r), b, c and sigma of y, and the way back to x; in double or the model's precision."""

    W: Array
    b: Array
    c: Array
    sigma: float
    Q: Array | None  # (r, d); None: y is x
    rest: Array  # (d,): c beside the rows of Q

    @classmethod
    def of(cls, model: Energy, dtype: np.dtype[Any], threads: int = 0) -> Reduced:
        """Reduce a model, where it has fewer hidden units than features."""
        h, d = model.W.shape
        if h >= d:
            return cls.same(model, dtype)
        W, b, c = (part.astype(np.float64) for part in (model.W, model.b, model.c))
        L, Q = _row_basis(W, threads)
        y = np.einsum("rd,d->r", Q, c)
        rest = c - np.einsum("r,rd->d", y, Q)
        parts = (L, b, y, Q, rest)
        L, b, y, Q, rest = (np.ascontiguousarray(part, dtype=dtype) for part in parts)
        return cls(L, b, y, model.sigma, Q, rest)

    @classmethod
    def same(cls, model: Energy, dtype: np.dtype[Any]) -> Reduced:
        """Take a model as it is."""
        W, b, c = (np.ascontiguousarray(part, dtype=dtype) for part in (model.W, model.b, model.c))
        return cls(W, b, c, model.sigma, None, np.zeros_like(c))

    @property
    def is_lower(self) -> bool:
        """Whether W is lower triangular."""
        return self.Q is not None

    @property
    def features(self) -> int:
        """Features r of y."""
        return int(self.W.shape[1])

    @property
    def log_normalizer_of_rest(self) -> float:
        """Logarithm of the integral over what x has beside y."""
        square = float(np.einsum("d,d->", self.rest, self.rest, dtype=np.float64))
        return self.beside / 2 * math.log(2 * math.pi * self.sigma**2) + square / (
            2 * self.sigma**2
        )

    def project(self, x: Array, threads: int) -> Array:
        """Return y (n, r) of x (n, d)."""
        if self.Q is None:
            return np.ascontiguousarray(x, dtype=self.W.dtype)
        rows = np.ascontiguousarray(x, dtype=self.Q.dtype)
        return _core.product(rows, np.ascontiguousarray(self.Q.T), threads)

    @property
    def beside(self) -> int:
        """Features that x has beyond those of y."""
        return len(self.rest) - self.features

    def energy_beside(self, square: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return what the energy of x has beyond that of y, of the square of the normals there."""
        fixed = float(np.einsum("d,d->", self.rest, self.rest, dtype=np.float64))
        return square / 2 - fixed / (2 * self.sigma**2)
