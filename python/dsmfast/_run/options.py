"""What a user says of a run of training."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast._arguments.checks import as_flag, as_integer, as_real, as_scalar, as_seed
from dsmfast._arguments.options import option, take
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions
from dsmfast._objective.scales import ScaleOptions, Scales
from dsmfast._rows.options import RowOptions
from dsmfast._run.schedules import SCHEDULES, as_schedule
from dsmfast.optimizers import Optimizer

__all__ = [
    "CheckpointOptions",
    "StepOptions",
    "StoppingOptions",
    "TrainingOptions",
]


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """The model's size and start, and the steps that are taken; see :func:`dsmfast.train`."""

    n_hidden: int = option(
        128, "number of hidden units", type=int, flag="--hidden", metavar="HIDDEN"
    )
    epochs: int = option(20, "number of passes over the rows", type=int)
    batch_size: int = option(256, "number of rows per step", type=int)
    optimizer: Optimizer = option("adam", "optimizer", choices=("adam", "sgd"))
    learning_rate: float | None = option(
        None, "learning rate of the first step (default: that of the optimizer)", type=float
    )
    schedule: str | Callable[[float], float] = option(
        "linear", "how the learning rate decreases", choices=SCHEDULES
    )
    hidden_bias: float = option(
        -3.0, "initial pre-activation of hidden units at the mean of the data", type=float
    )
    dtype: np.dtype[Any] = option(
        "float32", "precision of training", choices=("float32", "float64")
    )
    seed: int = option(0, "seed of the split, weights, order and noise", type=int)
    threads: int = option(
        None, "number of threads (default: that of OpenMP)", type=int
    )  # 0: the default

    def __post_init__(self) -> None:
        rate = self.learning_rate
        as_schedule(self.schedule)
        schedule = as_scalar(self.schedule)
        take(
            self,
            schedule=schedule if callable(schedule) else str(schedule),
            n_hidden=as_integer(self.n_hidden, "n_hidden", low=1, high=2**31),
            epochs=as_integer(self.epochs, "epochs", low=0, high=2**32 - 1),
            batch_size=as_integer(self.batch_size, "batch_size", low=1, high=2**40),
            learning_rate=None if rate is None else as_real(rate, "learning_rate"),
            hidden_bias=as_real(self.hidden_bias, "hidden_bias", low=-np.inf),
            seed=as_seed(self.seed),
        )

    def rate(self, n_features: int) -> float:
        """Return the learning rate of the first step."""
        if self.learning_rate is not None:
            return self.learning_rate
        return self.optimizer.rate_for(n_features, self.n_hidden)

    def record(self, n_features: int) -> dict[str, Any]:
        """Return what a record of training says of it."""
        rule = self.optimizer
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": {"name": type(rule).__name__, **asdict(rule)},
            "learning_rate": self.rate(n_features),
            "schedule": self.schedule if isinstance(self.schedule, str) else "function",
            "hidden_bias": self.hidden_bias,
            "seed": self.seed,
        }


@dataclass(frozen=True, kw_only=True)
class StoppingOptions:
    """Early stopping; see :func:`dsmfast.train`."""

    patience: int | None = option(
        None,
        "stop after this many epochs without a lower held-out loss, and keep the best model",
        type=int,
    )
    tolerance: float = option(
        0.0, "minimum decrease of the held-out loss that counts as lower", type=float
    )

    def __post_init__(self) -> None:
        tolerance = as_real(self.tolerance, "tolerance", inclusive=True)
        patience = self.patience
        if patience is None and tolerance > 0:
            raise ValueError("tolerance: expected patience with it, for early stopping")
        if patience is not None:
            patience = as_integer(patience, "patience", low=1, high=2**32)
        take(self, patience=patience, tolerance=tolerance)

    def check(self, *, validated: bool, moving_sigma: bool) -> None:
        """See that there are losses to judge by."""
        if self.patience is None:
            return
        if not validated:
            raise ValueError(
                "patience: needs validation (rows or a fraction of X), whose loss it monitors"
            )
        if moving_sigma:
            raise ValueError(
                "patience: expected one sigma; losses at different sigma are not comparable"
            )


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """Where a run is kept, and how often; see :func:`dsmfast.train`."""

    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_seconds: float = 30.0
    resume: bool = option(
        False, "continue from the checkpoint, if there is one", action="store_true"
    )

    def __post_init__(self) -> None:
        path = self.checkpoint
        resume = as_flag(self.resume, "resume")
        if resume and path is None:
            raise ValueError("resume: needs checkpoint, the file to continue from")
        take(
            self,
            checkpoint=None if path is None else Path(path),
            checkpoint_seconds=as_real(self.checkpoint_seconds, "checkpoint_seconds"),
            resume=resume,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingOptions:
    """All of it."""

    objective: ObjectiveOptions
    noise: NoiseOptions
    scales: ScaleOptions
    rows: RowOptions
    steps: StepOptions
    stopping: StoppingOptions
    checkpoint: CheckpointOptions

    def __post_init__(self) -> None:
        self.noise.check(self.objective)
        self.scales.check(self.objective)

    def record(
        self, shape: tuple[int, int], window: int | None, scales: Scales | None
    ) -> dict[str, Any]:
        """Return how rows of this shape are trained on, as files keep it."""
        return {
            **self.objective.record(),
            "rows": shape[0],
            "window": window,
            "scale": self.rows.scale,
            **self.steps.record(shape[1]),
            "draws": self.noise.draws,
            "antithetic": self.noise.antithetic,
            "patience": self.stopping.patience,
            **({} if scales is None else scales.record()),
        }
