"""Checkpoints: a run on disk, such that one that was killed ends in the bits of one that was not.

A file holds the state (parameters, what the optimizer remembers, where in the run it is), the
history, the best state of early stopping, and what the run was asked for, data included, by
fingerprints. It is written beside its name, synced and renamed, and the one before it is kept as
``<name>.previous``: at every moment one of the two is whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._arguments.frames import shortened
from dsmfast._rows.rows import Digests
from dsmfast._run.options import CheckpointOptions
from dsmfast._run.snapshot import Snapshot, Waiting
from dsmfast._system.extras import safetensors
from dsmfast._system.files import read, resolved, write
from dsmfast._system.warn import warn
from dsmfast.results import State

__all__ = ["Checkpoint", "check_resumed_names"]

FORMAT = "dsmfast-checkpoint-1"
SHARE = 0.01  # of the time, that writing may take
NAMES = ("W", "b", "c")


class Checkpoint:
    """Where a run is kept, and when.

    Parameters
    ----------
    options : CheckpointOptions
        The file, and the seconds between two writes; more where a write takes more than a hundredth
        of that.
    identity : mapping
        What a run has to be like to go on from it: options and fingerprints by name.
    digests : Digests, optional
        Of the windows that are read, which have to be the same then.
    feature_names : tuple of str, optional
        Of the columns, which have to be the same where both runs have them.
    """

    def __init__(
        self,
        options: CheckpointOptions,
        identity: Mapping[str, Any],
        digests: Digests | None = None,
        feature_names: tuple[str, ...] | None = None,
    ) -> None:
        safetensors()  # before the work, not after it
        assert options.checkpoint is not None
        self._path = resolved(options.checkpoint)
        self._seconds = options.checkpoint_seconds
        self._identity = json.loads(json.dumps(identity))  # as it comes back from a file
        self._feature_names = feature_names
        self._digests = digests or Digests()
        self._digests.wanted = True
        self._last = time.monotonic()
        self._cost = 0.0

    @property
    def _previous(self) -> Path:
        return self._path.with_name(self._path.name + ".previous")

    def is_due(self) -> bool:
        """Whether it is time to write."""
        since = time.monotonic() - self._last
        return since >= max(self._seconds, self._cost / SHARE)

    def save(self, snapshot: Snapshot) -> None:
        """Write a run; a failure leaves the last one as it was."""
        begin = time.monotonic()
        state, waiting = snapshot.state, snapshot.waiting
        best, entries = waiting.best, snapshot.entries
        columns = sorted({name for entry in entries for name in entry})
        table = [[entry.get(name, np.nan) for name in columns] for entry in entries]
        history = np.array(table, dtype=np.float64).reshape(len(table), len(columns))
        tensors = {"history": history, **_tensors(state, "")}
        states = {"": _place(state)}
        if best is not None:
            tensors.update(_tensors(best, "best."))
            states["best."] = _place(best)
        content = {
            "format": FORMAT,
            "run": self._identity,
            "windows": dict(self._digests.seen),
            "states": states,
            "columns": columns,
            "patience": _counts(waiting),
            "stop_reason": snapshot.stop_reason,
        }
        if self._feature_names is not None:
            content["feature_names"] = self._feature_names
        write(self._path, tensors, content, keep=self._previous)
        self._last = time.monotonic()
        self._cost = self._last - begin

    def load(self) -> Snapshot | None:
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
                warn(f"{damages[0]}; continuing from {path}")
                path.replace(self._path)  # or the next write would keep the damaged one
            return found
        if damages:
            raise ValueError("; ".join(damages))
        return None

    def _read(self, path: Path) -> Snapshot:
        try:
            tensors, content = read(path, FORMAT)
            identity, states = content["run"], content["states"]
            best = _state(tensors, "best.", states["best."]) if "best." in states else None
            rows = tensors["history"].tolist()
            entries = [dict(zip(content["columns"], row, strict=True)) for row in rows]
            state = _state(tensors, "", states[""])
            waiting = _waiting(best, content["patience"])
            count, last = max(0, len(entries) - 1), entries[-1] if entries else None
            ended = content["stop_reason"]
            snapshot = Snapshot(state, entries[:count], count, last, waiting, ended)
            windows = dict(content.get("windows", {}))  # files of 0.1.0 have none
            names = tuple(content.get("feature_names") or ())  # nor these
        except (KeyError, TypeError, AttributeError) as error:
            raise _DamagedError(f"{path}: not a valid checkpoint: {error}") from None
        except ValueError as error:
            raise _DamagedError(str(error)) from None
        self._compare(path, identity)
        check_resumed_names(str(path), names, self._feature_names)
        self._feature_names = self._feature_names or names or None
        self._digests.seen, self._digests.expected = dict(windows), windows
        return snapshot

    def _compare(self, path: Path, found: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of another run, and say what differs."""
        differences = [
            f"{name} was {found.get(name)!r} and is {self._identity.get(name)!r}"
            for name in {**found, **self._identity}
            if found.get(name) != self._identity.get(name)
        ]
        if differences:
            raise ValueError(f"resume: {path} is of another run: {'; '.join(differences)}")


def check_resumed_names(
    place: str, found: tuple[str, ...] | None, names: tuple[str, ...] | None
) -> None:
    """Refuse a run whose columns have other names than those now, where both have any."""
    if found and names and found != names:
        raise ValueError(
            f"resume: {place} is of another run: its columns were {shortened(found)} "
            f"and are {shortened(names)}"
        )


class _DamagedError(Exception):
    """A file that cannot be used, where another might."""


def _tensors(state: State, prefix: str) -> dict[str, Array]:
    tensors = {
        f"{prefix}{i}.{name}": array
        for i, triple in enumerate(state.arrays)
        for name, array in zip(NAMES, triple, strict=True)
    }
    return {**tensors, f"{prefix}sums": state.sums}


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
    return State(
        arrays,  # type: ignore[arg-type]
        sigma=place["sigma"],
        steps=place["steps"],
        epochs=place["epochs"],
        sums=np.array(tensors[f"{prefix}sums"]),
    )


def _counts(waiting: Waiting) -> dict[str, float]:
    least = {} if waiting.best is None else {"least": waiting.least}
    return {"waited": waiting.waited, **least}


def _waiting(best: State | None, counts: Mapping[str, float]) -> Waiting:
    return Waiting(best, float(counts.get("least", np.inf)), int(counts.get("waited", 0)))
