"""Who takes part in bench/sampling.py: dsmfast, block Gibbs by hand, and samplers of libraries."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import dsmfast

ANNEALING = (300, 100)  # temperatures and steps after them, of independent draws

Draws = tuple[np.ndarray, np.ndarray]  # x (chains, draws, d), energies (chains, draws)


@dataclass
class Problem:
    """A model, and where chains begin."""

    model: dsmfast.ScoreModel
    start: np.ndarray  # (chains, d)
    threads: int

    @property
    def parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.model.W, self.model.b, self.model.c


class Dsmfast:
    """The public functions, from call to call; or without the draws, each call from the start."""

    def __init__(self, problem: Problem, energy_only: bool = False) -> None:
        self.problem, self.x, self.calls = problem, problem.start, 0
        self.energy_only = energy_only

    def run(self, draws: int, thin: int) -> Draws:
        self.calls += 1
        found = dsmfast.sample(
            self.problem.model,
            draws=draws,
            burn_in=0,
            thin=thin,
            init=self.x,
            method="gibbs",
            energy_only=self.energy_only,
            seed=self.calls,
            threads=self.problem.threads,
        )
        if not self.energy_only:
            self.x = found.x[:, -1]
        return found.x, found.energy

    def independent(self, n: int) -> np.ndarray:
        model, threads = self.problem.model, self.problem.threads
        self.calls += 1
        return model.energy(model.sample(n, seed=self.calls, threads=threads), threads=threads)


class NumPy:
    """Block Gibbs as one writes it: in all features."""

    def __init__(self, problem: Problem) -> None:
        from threadpoolctl import threadpool_limits

        self.W, self.b, self.c = problem.parameters
        self.rng = np.random.default_rng(0)
        self.limits = lambda: threadpool_limits(problem.threads)
        self.x = problem.start
        self.a = self.x @ self.W.T

    def step(self, beta: float = 1.0) -> None:
        p = self.a + self.b
        p *= np.float32(-beta)
        np.exp(p, out=p)
        p += 1
        np.reciprocal(p, out=p)
        k = (self.rng.random(p.shape, dtype=np.float32) < p).astype(np.float32)
        if beta != 1:
            k *= np.float32(beta)
        self.x = self.rng.standard_normal(self.x.shape, dtype=np.float32)
        self.x += k @ self.W
        self.x += self.c
        self.a = self.x @ self.W.T

    def energy(self) -> np.ndarray:
        linear = np.einsum("nd,nd->n", self.x, self.x / 2 - self.c)
        return linear - np.logaddexp(0, self.a + self.b).sum(axis=1)

    def run(self, draws: int, thin: int) -> Draws:
        x = np.empty((draws, *self.x.shape), np.float32)
        energy = np.empty((draws, len(self.x)))
        with self.limits():
            for draw in range(draws):
                for _ in range(thin):
                    self.step()
                x[draw], energy[draw] = self.x, self.energy()
        return x.swapaxes(0, 1), energy.T

    def independent(self, n: int) -> np.ndarray:
        kept = self.x, self.a
        with self.limits():
            self.x = self.rng.standard_normal((n, self.x.shape[1]), dtype=np.float32) + self.c
            self.a = self.x @ self.W.T
            for beta in np.linspace(0, 1, ANNEALING[0] + 1)[1:]:
                self.step(float(beta))
            for _ in range(ANNEALING[1]):
                self.step()
            energy = self.energy()
        self.x, self.a = kept
        return energy


class Torch:
    """The same in PyTorch."""

    def __init__(self, problem: Problem, compiled: bool = False) -> None:
        import torch

        self.torch = torch
        torch.set_num_threads(problem.threads)
        torch.manual_seed(0)
        W, b, c = (torch.tensor(part) for part in problem.parameters)

        def step(x: Any, beta: float) -> Any:
            p = torch.sigmoid(beta * torch.nn.functional.linear(x, W, b))
            k = (torch.rand_like(p) < p).to(x.dtype)
            return torch.addmm(c, k, W, alpha=beta) + torch.randn_like(x)

        def energy(x: Any) -> Any:
            a = torch.nn.functional.linear(x, W, b)
            return (x * (x / 2 - c)).sum(1) - torch.nn.functional.softplus(a).sum(1)

        if compiled:
            torch._dynamo.reset()
            step, energy = torch.compile(step, dynamic=False), torch.compile(energy, dynamic=False)
        self.step, self.energy, self.c = step, energy, c
        self.x = torch.from_numpy(problem.start)

    def run(self, draws: int, thin: int) -> Draws:
        x = self.torch.empty((draws, *self.x.shape))
        energy = self.torch.empty((draws, len(self.x)))
        with self.torch.inference_mode():
            for draw in range(draws):
                for _ in range(thin):
                    self.x = self.step(self.x, 1.0)
                x[draw], energy[draw] = self.x, self.energy(self.x)
        return x.numpy().swapaxes(0, 1), energy.numpy().T


class TorchCompiled(Torch):
    """The same, compiled: a step and an energy."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, compiled=True)


class TorchEager(Torch):
    """The same, with independent draws by temperatures."""

    def independent(self, n: int) -> np.ndarray:
        torch = self.torch
        with torch.inference_mode():
            x = torch.randn((n, len(self.c))) + self.c
            for beta in np.linspace(0, 1, ANNEALING[0] + 1)[1:]:
                x = self.step(x, float(beta))
            for _ in range(ANNEALING[1]):
                x = self.step(x, 1.0)
            return self.energy(x).numpy()


def energy_module(problem: Problem, base: type, analytic: bool) -> Any:
    """Return the energy as a module; torchebm takes a gradient that is given."""
    import torch

    class Energy(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, value in zip("Wbc", problem.parameters, strict=True):
                self.register_buffer(name, torch.tensor(value))

        def forward(self, x: Any) -> Any:
            a = torch.nn.functional.linear(x, self.W, self.b)
            return (x * (x / 2 - self.c)).sum(1) - torch.nn.functional.softplus(a).sum(1)

    if analytic:

        def gradient(self: Any, x: Any, model_kwargs: Any = None) -> Any:
            h = torch.sigmoid(torch.nn.functional.linear(x, self.W, self.b))
            return x - torch.addmm(self.c, h, self.W)

        Energy.gradient = gradient  # type: ignore[attr-defined]
    return Energy()


class TorchEBM:
    """Langevin without correction; its step is tuned to be as large as its bias allows."""

    def __init__(self, problem: Problem) -> None:
        import torch
        from torchebm.core import BaseModel

        self.torch = torch
        torch.set_num_threads(problem.threads)
        torch.manual_seed(0)
        self.energy = energy_module(problem, BaseModel, analytic=True)
        self.x = torch.from_numpy(problem.start)
        exact = problem.model.energy(problem.start)
        for power in range(12):
            self.tune(2.0**-power)
            _, energy = self.run(4, max(4, 2 << power))
            self.note = f"step {2.0**-power:.3g}"
            if abs(energy[:, 1:].mean() - exact.mean()) < exact.std() / 4:
                break

    def tune(self, step: float) -> None:
        from torchebm.samplers import LangevinDynamics

        self.sampler = LangevinDynamics(self.energy, step_size=step)

    def run(self, draws: int, thin: int) -> Draws:
        x = self.sampler.sample(x=self.x, n_steps=draws * thin, thin=thin, return_trajectory=True)
        self.x = x[:, -1].contiguous()
        with self.torch.inference_mode():
            energy = self.energy(x.reshape(-1, x.shape[2])).reshape(x.shape[:2])
        return x.numpy(), energy.numpy()


class Ebmkit:
    """A sampler of ebmkit, adapted by ebmkit."""

    def __init__(self, problem: Problem, sampler: Any) -> None:
        import torch

        self.torch = torch
        torch.set_num_threads(problem.threads)
        torch.manual_seed(0)
        self.energy = energy_module(problem, torch.nn.Module, analytic=False)
        self.x = torch.from_numpy(problem.start)
        self.sampler = sampler
        self.x = self.sampler.sample(self.energy, self.x, steps=1)
        self.sampler.warmup = 0
        self.note = f"step {self.sampler.step_size:.3g}"

    def run(self, draws: int, thin: int) -> Draws:
        torch = self.torch
        x = torch.empty((draws, *self.x.shape))
        for draw in range(draws):
            self.x = self.sampler.sample(self.energy, self.x, steps=thin)
            x[draw] = self.x
        with torch.inference_mode():
            energy = self.energy(x.reshape(-1, x.shape[2])).reshape(x.shape[:2])
        return x.numpy().swapaxes(0, 1), energy.numpy().T


def ebmkit_mala(problem: Problem) -> Ebmkit:
    """Langevin with correction, its step by dual averaging."""
    from ebm import AdaptiveMALA

    return Ebmkit(problem, AdaptiveMALA(0.05, warmup=200))


def ebmkit_nuts(problem: Problem) -> Ebmkit:
    """Trajectories that end where they turn, their step by dual averaging."""
    from ebm import NUTS

    return Ebmkit(problem, NUTS(0.2, warmup=50))


class BlackJAX:
    """A sampler of BlackJAX over all chains at once, its step by BlackJAX's dual averaging."""

    ADAPTED = 200  # steps
    BLOCK = 8  # draws of one call: it is compiled once

    def __init__(self, problem: Problem, algorithm: str, target: float, **options: Any) -> None:
        import blackjax
        import jax
        import jax.numpy as jnp
        from blackjax.adaptation.step_size import dual_averaging_adaptation

        if len(os.sched_getaffinity(0)) != problem.threads:
            raise RuntimeError(
                f"JAX uses all processors: restrict it, with taskset, to {problem.threads}"
            )
        W, b, c = (jnp.asarray(part) for part in problem.parameters)
        count, d = problem.start.shape

        def log_density(x: Any) -> Any:
            return jax.nn.softplus(W @ x + b).sum() - (x * (x / 2 - c)).sum()

        method = getattr(blackjax, algorithm)
        if algorithm != "mala":  # one sigma is the scale of every feature
            options["inverse_mass_matrix"] = jnp.ones(d)

        def move(state: Any, key: Any, size: Any) -> Any:
            kernel = method(log_density, step_size=size, **options)
            return jax.vmap(kernel.step)(jax.random.split(key, count), state)

        begin, update, final = dual_averaging_adaptation(target)

        @jax.jit
        def adapt(state: Any, key: Any) -> Any:
            def one(carry: Any, key: Any) -> Any:
                state, adaptation = carry
                state, info = move(state, key, jnp.exp(adaptation.log_step_size))
                return (state, update(adaptation, info.acceptance_rate.mean())), None

            keys = jax.random.split(key, self.ADAPTED)
            (state, adaptation), _ = jax.lax.scan(one, (state, begin(0.2)), keys)
            return state, final(adaptation)

        @jax.jit
        def steps(state: Any, key: Any, size: Any, thin: Any) -> Any:
            def draw(state: Any, key: Any) -> Any:
                def one(i: Any, state: Any) -> Any:
                    return move(state, jax.random.fold_in(key, i), size)[0]

                state = jax.lax.fori_loop(0, thin, one, state)
                return state, (state.position, -state.logdensity)

            return jax.lax.scan(draw, state, jax.random.split(key, self.BLOCK))

        kernel = method(log_density, step_size=0.1, **options)
        state = jax.vmap(kernel.init)(jnp.asarray(problem.start))
        self.jax, self.key = jax, jax.random.key(0)
        self.state, self.size = adapt(state, jax.random.key(1))
        self.steps = steps
        self.note = f"step {float(self.size):.3g}"

    def run(self, draws: int, thin: int) -> Draws:
        found = []
        for _ in range(draws // self.BLOCK):
            self.key, use = self.jax.random.split(self.key)
            self.state, kept = self.steps(self.state, use, self.size, thin)
            found.append([np.asarray(part) for part in kept])
        x, energy = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return x.swapaxes(0, 1), energy.T


def ebmkit_hmc(problem: Problem) -> Ebmkit:
    """Trajectories of a quarter turn, by the largest step that is accepted often enough."""
    from ebm import HMC

    size = 1.0
    while True:
        sampler = HMC(size, leapfrog_steps=quarter_turn(size))
        sampler.warmup = 0
        found = Ebmkit(problem, sampler)
        found.run(5, 1)
        if sampler.last_accept_rate >= 0.75 or size < 1e-3:
            found.note += f", {sampler.leapfrog_steps} of them"
            return found
        size *= 0.9


def blackjax_hmc(problem: Problem) -> BlackJAX:
    """The same; its step by dual averaging, first of a guess at how many there should be."""
    steps = quarter_turn(float(BlackJAX(problem, "hmc", 0.8, num_integration_steps=3).size))
    found = BlackJAX(problem, "hmc", 0.8, num_integration_steps=steps)
    found.note += f", {steps} of them"
    return found


def quarter_turn(size: float) -> int:
    """Return steps that decorrelate a Gaussian of width sigma, which most directions are."""
    return max(1, round(math.pi / 2 / size))


CONTENDERS: dict[str, tuple[str, Callable[[Problem], Any]]] = {  # module it needs, and it
    "dsmfast": ("dsmfast", Dsmfast),
    "dsmfast, energies alone": ("dsmfast", lambda p: Dsmfast(p, energy_only=True)),
    "numpy": ("threadpoolctl", NumPy),
    "torch": ("torch", TorchEager),
    "torch.compile": ("torch", TorchCompiled),
    "torchebm Langevin": ("torchebm", TorchEBM),
    "ebmkit MALA": ("ebm", ebmkit_mala),
    "ebmkit HMC": ("ebm", ebmkit_hmc),
    "ebmkit NUTS": ("ebm", ebmkit_nuts),
    "blackjax MALA": ("blackjax", lambda p: BlackJAX(p, "mala", 0.574)),
    "blackjax HMC": ("blackjax", blackjax_hmc),
    "blackjax NUTS": ("blackjax", lambda p: BlackJAX(p, "nuts", 0.8)),
}


# Trees that many chains build together cost more than they give here: by name alone.
USUAL = [name for name in CONTENDERS if "NUTS" not in name]


BY_HAND = ("numpy", "torch", "torch.compile")  # block Gibbs, which no library has for this model
