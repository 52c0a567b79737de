"""A walk of many chains, block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.checks import Array, as_choice, as_real
from dsmfast._density.reduced import Reduced, trials_of

__all__ = ["METHODS", "Path", "Step", "Walk", "chain_normals"]

METHODS = ("auto", "gibbs", "shifted", "mala", "langevin")

LIFTED = 2**16 - 1  # the draw that the normals beside y are of
ATTEMPTS = 64  # draws before that, at chi-squares: each is taken nineteen times of twenty


@dataclass(frozen=True)
class Step:
    """What a chain does at each step; see ``Transition`` of the kernels."""

    transition: _core.Transition
    trials: int = 1
    excess: float = 0.0
    size: float = 1.0

    @property
    def is_corrected(self) -> bool:
        """Whether a step may be refused."""
        if self.transition in (_core.Transition.gibbs, _core.Transition.shifted):
            return self.excess != 0
        return self.transition is _core.Transition.mala

    @classmethod
    def of(cls, method: object, sigma: float, features: int, size: object = None) -> Step:
        """Return the step of a method, at a temperature of sigma squared."""
        name = as_choice(method, "method", METHODS)
        whole = trials_of(sigma)
        precision = 1 / sigma**2 if whole is None else whole
        nearest = max(1, round(precision))
        if name == "auto":
            # Measured on models of the plane and of digits: a plain proposal is accepted at 0.2 to
            # 0.97, a shifted one at 0.7 to 0.99; far below 1, neither is.
            name = "shifted" if precision > 1 else "mala"
            name = name if whole is None else "gibbs"
        if name in ("gibbs", "shifted"):
            if size is not None:
                raise ValueError(f"step_size: only 'mala' and 'langevin' take it, not {name!r}")
            transition = _core.Transition[name]
            return cls(transition, nearest, float(precision - nearest))
        # A Gaussian of width sigma is then accepted at 0.57, whatever its features.
        usual = min(1.0, 1.36 * features ** (-1 / 3)) if name == "mala" else 0.1
        value = usual if size is None else as_real(size, "step_size")
        if value >= 2:
            raise ValueError(f"step_size: expected a number below 2, got {value:g}")
        return cls(_core.Transition[name], 1, precision - 1, value)


@dataclass(frozen=True)
class Path:
    """From a Gaussian to the model: temperatures, and the biases at the first of them."""

    beta: npt.NDArray[np.float64]
    b: Array
    c: Array


class Walk:
    """Chains of a reduced model, each of them a row of the stream."""

    def __init__(
        self,
        model: Reduced,
        step: Step,
        x: Array,
        *,
        seed: int,
        first_row: int = 0,
        observed: Array | None = None,
        threads: int = 0,
    ) -> None:
        self.model = model
        self.x = np.array(x, dtype=model.W.dtype, order="C")
        self.steps = 0
        self.log_weight = np.zeros(len(x))
        self.accepted = np.zeros(len(x))
        self.step = step
        self.seed = seed
        self.first_row = first_row
        self.threads = threads
        self._observed = observed

    def advance(
        self, steps: int, thin: int = 0, path: Path | None = None, *, weigh: bool = True
    ) -> tuple[Array, Array]:
        """Take steps; return every so many of them (n, steps // thin, r), and their energies.

        Along a path, ``weigh`` adds to the logarithms of the weights.
        """
        model, step = self.model, self.step
        kept: tuple[Array, Array] = _core.chains(
            model.W,
            model.b,
            model.c,
            self.x,
            transition=step.transition,
            trials=step.trials,
            excess=step.excess,
            step_size=step.size,
            lower=model.is_lower,
            seed=self.seed,
            first_row=self.first_row,
            first_step=self.steps + 1,
            steps=steps,
            thin=thin,
            beta=None if path is None else path.beta,
            b0=None if path is None else path.b,
            c0=None if path is None else path.c,
            log_weight=self.log_weight if weigh else None,
            observed=self._observed,
            accepted=self.accepted,
            threads=self.threads,
        )
        self.steps += steps
        return kept

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Rows (n,) of the stream that the chains are."""
        return np.arange(self.first_row, self.first_row + len(self.x), dtype=np.int64)

    def lifted(self, y: Array, steps: npt.NDArray[np.uint32]) -> tuple[Array, Array]:
        """Return x (n, m, d) of draws y (n, m, r) at m steps, and what of its energy y lacks."""
        chains, draws, r = y.shape
        Q = self.model.Q
        if Q is None:
            return y, np.zeros((chains, draws))
        rows, at = np.repeat(self.rows, draws), np.tile(steps, chains)
        place = (self.seed, LIFTED, rows, at, self.threads)
        flat = np.ascontiguousarray(y.reshape(-1, r))
        x, square = _core.lift(Q, self.model.rest, flat, self.model.sigma, *place)
        beside = self.model.energy_beside(square)
        return x.reshape(chains, draws, Q.shape[1]), beside.reshape(chains, draws)

    def energies_beside(self, draws: int, steps: npt.NDArray[np.uint32]) -> Array:
        """Return the same energies (n, m) without the draws: halves of chi-squares.

        Those are of as many degrees of freedom as x has features beyond y, by Marsaglia and Tsang's
        rejection (2000) of normals; a uniform is exp of minus half the square of two of them.
        """
        chains = len(self.x)
        shape = self.model.beside / 2
        if shape == 0:
            return np.zeros((chains, draws))
        d = (shape + 1 if shape < 1 else shape) - 1 / 3
        rows, at = np.repeat(self.rows, draws), np.tile(steps, chains)
        value, pending = np.empty(len(rows)), np.arange(len(rows))
        for attempt in range(ATTEMPTS):
            draw, double = LIFTED - 1 - attempt, np.empty(0)
            of = (rows[pending], double, 6, self.threads)
            z = chain_normals(self.seed, at[pending], draw, *of)
            v = np.maximum(1 + z[:, 0] / math.sqrt(9 * d), 0.0) ** 3
            with np.errstate(divide="ignore"):
                bound = z[:, 0] ** 2 / 2 + d * (1 - v + np.log(v))
            taken = -(z[:, 1] ** 2 + z[:, 2] ** 2) / 2 < bound
            value[pending] = d * v
            if shape < 1:  # of a shape greater by one, times a uniform to the power of 1 / shape
                value[pending] *= np.exp(-(z[:, 3] ** 2 + z[:, 4] ** 2) / 2 / shape)
            pending = pending[~taken]
            if len(pending) == 0:
                break
        energy: Array = self.model.energy_beside(2 * value).reshape(chains, draws)
        return energy

    def change_step(self, step: Step) -> None:
        """Go on by steps of another kind."""
        self.step = step

    def forget_acceptance(self) -> None:
        """Count accepted steps from here."""
        self.accepted[:] = 0

    def acceptance(self, steps: int) -> npt.NDArray[np.float64]:
        """Return the share (n,) of the last steps that were accepted."""
        if not self.step.is_corrected:
            return np.ones(len(self.x))
        return self.accepted / max(1, steps)

    def affordable_steps(self, seconds: float = 0.1) -> int:
        """Return how many steps take about so long, at 50 GFLOP/s."""
        h, r = self.model.W.shape
        operations = len(self.x) * (4.0 * h * r + 40.0 * (h + r))
        return max(1, int(seconds * 5e10 / operations))


def chain_normals(
    seed: int,
    steps: int | npt.NDArray[np.uint32],
    draw: int,
    rows: npt.NDArray[np.int64],
    like: Array,
    columns: int,
    threads: int,
) -> Array:
    """Return normals (n, columns) of chains' rows, at one step or each at its own."""
    draw_normals = _core.normals_float32 if like.dtype == np.float32 else _core.normals_float64
    at = steps if isinstance(steps, int) else 0
    of_rows = None if isinstance(steps, int) else steps
    return draw_normals(seed, at, draw, rows, columns, _core.Stream.chain, threads, of_rows)
