"""What is known of a normaliser, and how well."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dsmfast._arguments.checks import as_choice, as_real, describe
from dsmfast._density.reduced import Energy

__all__ = ["ESTIMATES", "DensityWarning", "Normalizer", "fingerprint"]

ESTIMATES = ("enumeration", "quadrature", "ais")

COUNTING = 0.1  # of the chains have to count
ERROR = 0.25  # nats that an estimate may be uncertain by
GAP = 0.5  # nats between the two estimates, beyond what their errors explain
FAR = 3.0  # nats, beyond which the two do not speak of the same
DEVIATION = 5.0  # of energies of data: models of digits and of tables have -0.1 to 1.4

ELSEWHERE = (
    "Nearly all of the model's probability is elsewhere than the data; train with sigma_max, or "
    "with a larger one"
)


class DensityWarning(UserWarning):
    """Warning that a trained model does not describe its data.

    Its energy is lower elsewhere than near the data, or its score fits the data worse than a score
    of zero, or no hidden unit varies over the data.

    Examples
    --------
    >>> import dsmfast, warnings
    >>> X = 10 * dsmfast.normals(seed=1, step=0, draw=0, rows=range(500), columns=3)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     result = dsmfast.train(X, 64, sigma=0.3, epochs=2)  # sigma far below the spread
    >>> [warning.category is dsmfast.DensityWarning for warning in caught]
    [True]
    """


def fingerprint(model: Energy) -> str:
    """Return what tells parameters from others."""
    digest = hashlib.sha256()
    for name in ("W", "b", "c"):
        array = np.ascontiguousarray(getattr(model, name))
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    digest.update(repr(float(model.sigma)).encode())
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class Normalizer:
    r"""The normaliser :math:`\log Z = \log \int e^{-E(x)} dx` of a model, and its error.

    The energy enters as it is, at temperature 1 (it contains the factor :math:`1/\sigma^2`), and x
    is in the unit of the model. If x is multiplied by s, log Z increases by ``n_features *
    log(s)``. Printing a normaliser shows its value, its error and all reasons to doubt it.

    Attributes
    ----------
    value : float
        Estimate of log Z. For annealed importance sampling, its exponential is unbiased, so
        ``value`` is a little below log Z on average.
    std_error : float
        Standard error of ``value``; 0 if it is exact.
    method : str
        ``"enumeration"`` or ``"quadrature"``, which are exact, or ``"ais"`` (annealed importance
        sampling).
    effective : float or None
        Effective number of chains, of ``chains``, in the mean of their weights.
    chains, temperatures : int or None
        Numbers of chains and annealing steps of annealed importance sampling.
    upper, upper_std_error : float or None
        Estimate from reverse chains, which start at rows of data, and its standard error. It is an
        upper estimate if those rows are distributed as the model says.
    deviation : float or None
        Difference between the mean energy of the rows with noise and that of the points where
        chains end, in standard deviations of the energies.
    least : float or None
        Lower bound of log Z: the integral over the largest mode that was found.
    fingerprint : str
        Identifier of the parameters that the normaliser belongs to.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> model = dsmfast.train(X, 32, sigma=0.5, epochs=50, sigma_max="auto").model
    >>> found = dsmfast.log_normalizer(model)
    >>> found.method, found.std_error, found.is_reliable
    ('quadrature', 0.0, True)
    """

    value: float
    std_error: float
    method: str
    effective: float | None = None
    chains: int | None = None
    temperatures: int | None = None
    upper: float | None = None
    upper_std_error: float | None = None
    deviation: float | None = None
    least: float | None = None
    fingerprint: str = ""

    @property
    def is_reliable(self) -> bool:
        """Whether no check contradicts the value; :attr:`problems` lists those that do."""
        return not self.problems

    @property
    def problems(self) -> tuple[str, ...]:
        """Reasons to doubt the value, as sentences."""
        found = []
        effective, chains = self.effective or 0.0, self.chains or 0
        if effective < COUNTING * chains:
            found.append(f"only {effective:.1f} of {chains} chains count: take more temperatures")
        if not self.std_error <= ERROR:
            found.append(f"its standard error is above {ERROR:g}: take more chains or temperatures")
        if self.least is not None and self.least > self.value + GAP + 3 * self.std_error:
            found.append(
                f"a mode of the energy alone holds {self.least - self.value:.4g} more, which no "
                f"chain has found. {ELSEWHERE}"
            )
        if self.upper is not None and self.upper_std_error is not None:
            error = math.hypot(self.std_error, self.upper_std_error)
            gap = self.upper - self.value
            if gap < -(GAP + 3 * error):
                why = f"they never reach most of the probability. {ELSEWHERE}"
                if gap > -FAR:
                    why = "the data are not quite what the model describes"
                found.append(f"the chains that start at the data find {-gap:.4g} less: {why}")
            elif gap > GAP + 3 * error:
                found.append(
                    f"the chains that start at the data find {gap:.4g} more: those from the "
                    "Gaussian miss some of the probability. Take more temperatures"
                )
        if self.deviation is not None and self.deviation > DEVIATION:
            found.append(
                "energies are higher at the data than where the chains end, by "
                f"{self.deviation:.3g} of their standard deviations: the probability mass is not "
                f"near the data. {ELSEWHERE}"
            )
        return tuple(found)

    def __str__(self) -> str:
        """Say what it is, and what is wrong with it."""
        text = f"log Z = {self.value:.6g}"
        if self.method == "ais":
            text += (
                f" ± {self.std_error:.2g}, by annealed importance sampling: {self.chains} chains, "
                f"of which {self.effective:.0f} count, {self.temperatures} temperatures"
            )
        else:
            text += f", exactly, by {self.method}"
        if self.upper is not None:
            text += f"; from the data {self.upper:.6g} ± {self.upper_std_error:.2g}"
        if self.problems:
            return f"{text}. Not reliable: {'; '.join(self.problems)}"
        return text

    def check_of(self, model: Energy) -> None:
        """Raise ValueError if the normaliser belongs to a model with other parameters."""
        if self.fingerprint != fingerprint(model):
            raise ValueError(
                "log_normalizer: expected the normaliser of these parameters, got one of others"
            )

    def text(self) -> str:
        """Return the normaliser as text, which :meth:`of_text` reads."""
        return json.dumps(self.record())

    @classmethod
    def of_text(cls, text: str) -> Normalizer:
        """Return the normaliser that :meth:`text` wrote."""
        try:
            record = json.loads(text)
        except ValueError as error:
            raise ValueError(
                f"log_normalizer: expected a Normalizer, or what to_dict makes of one: {error}"
            ) from None
        return cls.of_record(record)

    def record(self) -> dict[str, Any]:
        """Return the normaliser as a dict of values that JSON can represent."""
        return asdict(self)

    @classmethod
    def of_record(cls, record: object) -> Normalizer:
        """Return the normaliser that :meth:`record` described."""
        if not isinstance(record, Mapping):
            raise TypeError(f"log_normalizer: expected a record, got {describe(record)}")
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        if lacking := [name for name in ("value", "std_error", "method") if name not in known]:
            raise ValueError(
                "log_normalizer: expected a record with value, std_error and method, "
                f"got none of {', '.join(lacking)}"
            )
        found = cls(**known)
        as_real(found.value, "log_normalizer.value", low=-math.inf)
        as_real(found.std_error, "log_normalizer.std_error", inclusive=True)
        as_choice(found.method, "log_normalizer.method", ESTIMATES)
        return found
