"""Checkpoints: a run on disk, such that one that was killed ends in the bits of one that was not.

A file holds the state (parameters, what the optimizer remembers, where in the run it is), the
history, the best state of early stopping, and what the run was asked for, data included, by
fingerprints. It is written beside its name, synced and renamed, and the one before it is kept as
``<name>.previous``: at every moment one of the two is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast.arrays import Array
from dsmfast.extras import safetensors
from dsmfast.steps import State
from dsmfast.storage import read, write

__all__ = ["Checkpoint", "Kept", "fingerprint"]

FORMAT = "dsmfast-checkpoint-1"
SECONDS = 30.0  # between two writes, unless the user says
SHARE = 0.01  # of the time, that writing may take
WHOLE = 2**24  # values of data up to which a fingerprint is of all of them
NAMES = ("W", "b", "c")


def fingerprint(X: Any) -> str:
    """Return what tells data from other data: shape, type, and a digest of values.

    Of data of more than 2**24 values the digest is of 4096 rows, spread evenly, the first and the
    last among them.
    """
    shape = tuple(X.shape)
    digest = hashlib.blake2b(f"{shape} {np.dtype(X.dtype).str}".encode())
    n = shape[0]
    if np.prod(shape, dtype=float) <= WHOLE:
        for first in range(0, n, 4096):
            digest.update(np.ascontiguousarray(X[first : first + 4096]).data)
    else:
        for row in np.unique(np.linspace(0, n - 1, 4096).astype(np.int64)):
            digest.update(np.ascontiguousarray(X[int(row) : int(row) + 1]).data)
    return f"{' x '.join(map(str, shape))} {np.dtype(X.dtype).name} {digest.hexdigest()[:16]}"


@dataclass
class Kept:
    """What is kept of a run.

    Attributes
    ----------
    state : State
        What moves.
    best : State or None
        The best so far, of early stopping.
    patience : dict of str to float
        What else early stopping remembers.
    entries : list of dict
        The history, epoch by epoch.
    stop_reason : str or None
        Why it ended, if it has.
    """

    state: State
    best: State | None
    patience: dict[str, float]
    entries: list[dict[str, float]]
    stop_reason: str | None


class Checkpoint:
    """Where a run is kept, and when.

    Parameters
    ----------
    path : path-like
        The file.
    seconds : float
        Between two writes; more where a write takes more than a hundredth of that.
    identity : mapping
        What a run has to be like to go on from it: options and fingerprints by name.
    """

    def __init__(
        self, path: str | os.PathLike[str], seconds: float, identity: Mapping[str, Any]
    ) -> None:
        safetensors()  # before the work, not after it
        self._path = Path(path)
        self._seconds = seconds
        self._identity = json.loads(json.dumps(identity))  # as it comes back from a file
        self._last = time.monotonic()
        self._cost = 0.0

    @property
    def _previous(self) -> Path:
        return self._path.with_name(self._path.name + ".previous")

    def is_due(self) -> bool:
        """Whether it is time to write."""
        since = time.monotonic() - self._last
        return since >= max(self._seconds, self._cost / SHARE)

    def save(self, kept: Kept) -> None:
        """Write a run; a failure leaves the last one as it was."""
        begin = time.monotonic()
        state, best = kept.state, kept.best
        columns = sorted({name for entry in kept.entries for name in entry})
        table = [[entry.get(name, np.nan) for name in columns] for entry in kept.entries]
        history = np.array(table, dtype=np.float64).reshape(len(table), len(columns))
        tensors = {"history": history, **_tensors(state, "")}
        states = {"": _place(state)}
        if best is not None:
            tensors.update(_tensors(best, "best."))
            states["best."] = _place(best)
        content = {
            "format": FORMAT,
            "run": self._identity,
            "states": states,
            "columns": columns,
            "patience": kept.patience,
            "stop_reason": kept.stop_reason,
        }
        write(self._path, tensors, content, keep=self._previous)
        self._last = time.monotonic()
        self._cost = self._last - begin

    def load(self) -> Kept | None:
        """Return the last run that is whole, or None where there is none at all."""
        damages = []
        for path in (self._path, self._previous):
            if not path.exists():
                continue
            try:
                found = self._read(path)
            except _DamagedError as error:
                damages.append(str(error))
                continue
            if damages:
                warnings.warn(f"{damages[0]}; going on from {path}", stacklevel=4)
                path.replace(self._path)  # or the next write would keep the damaged one
            return found
        if damages:
            raise ValueError("; ".join(damages))
        return None

    def _read(self, path: Path) -> Kept:
        try:
            tensors, content = read(path, FORMAT)
            identity, states = content["run"], content["states"]
            best = _state(tensors, "best.", states["best."]) if "best." in states else None
            rows = tensors["history"].tolist()
            entries = [dict(zip(content["columns"], row, strict=True)) for row in rows]
            state = _state(tensors, "", states[""])
            kept = Kept(state, best, content["patience"], entries, content["stop_reason"])
        except (KeyError, TypeError, AttributeError) as error:
            raise _DamagedError(f"{path}: not a valid checkpoint: {error}") from None
        except ValueError as error:
            raise _DamagedError(str(error)) from None
        self._compare(path, identity)
        return kept

    def _compare(self, path: Path, found: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of another run, and say what differs."""
        differences = [
            f"{name} was {found.get(name)!r} and is {self._identity.get(name)!r}"
            for name in {**found, **self._identity}
            if found.get(name) != self._identity.get(name)
        ]
        if differences:
            raise ValueError(f"resume: {path} is of another run: {'; '.join(differences)}")


class _DamagedError(Exception):
    """A file that cannot be used, where another might."""


def _tensors(state: State, prefix: str) -> dict[str, Array]:
    tensors = {
        f"{prefix}{i}.{name}": array
        for i, triple in enumerate(state.arrays)
        for name, array in zip(NAMES, triple, strict=True)
    }
    return {**tensors, f"{prefix}sums": np.array(state.sums, dtype=np.float64)}


def _place(state: State) -> dict[str, Any]:
    return {
        "sigma": state.sigma,
        "steps": state.steps,
        "epochs": state.epochs,
        "arrays": len(state.arrays),
    }


def _state(tensors: Mapping[str, Array], prefix: str, place: Mapping[str, Any]) -> State:
    arrays = [
        tuple(np.array(tensors[f"{prefix}{i}.{name}"]) for name in NAMES)
        for i in range(place["arrays"])
    ]
    return State.at(
        arrays,  # type: ignore[arg-type]
        sigma=place["sigma"],
        steps=place["steps"],
        epochs=place["epochs"],
        sums=tensors[f"{prefix}sums"].tolist(),
    )
