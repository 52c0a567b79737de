"""Samples a second of each library, on the same models: chains, and independent draws.

    python bench/sampling.py                                    # about 12 minutes
    python bench/sampling.py --only dsmfast numpy --shapes 64,128 --seconds 3

Needs scikit-learn, SciPy and arviz-stats; contenders whose library is not installed are left out.
The models are trained here, 1/sigma^2 = 1: on digits (64 features), and on digits made larger and,
for 3072 features, coloured. All contenders start at the same draws of the model, float32, and go on
to keep draws and compute their energies; what they adapt, they adapt before that. What counts is
the effective number of independent draws of the mean energy a second, by arviz-stats. In many
features that energy is mostly noise, which a Gibbs step draws anew; with --of direction what counts
is the direction in which hidden units move x most. The energy of each is set beside that of
independent draws: who samples another law is marked.

Each contender takes the thinning, of powers of two, that gives it most; Langevin's step, which
nothing corrects, is the largest of powers of two that keeps the mean energy within a quarter of its
spread.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import dsmfast
from dsmfast._density.chains import Step, Walk
from dsmfast._density.reduced import Reduced
from report import product_rate, seconds

SHAPES = [(64, 128), (784, 128), (3072, 256)]
MOST_DRAWN = 2**26  # values of draws of one call
ANNEALING = (300, 100)  # temperatures and steps after them, of independent draws

Draws = tuple[np.ndarray, np.ndarray]  # x (chains, draws, d), energies (chains, draws)


def made_rows(features: int) -> tuple[np.ndarray, str]:
    """Return rows to train on, about 12 sigma apart, and what they are."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    images = load_digits().images / 16
    side = {64: 8, 784: 28, 3072: 32}[features]
    if side > 8:
        images = np.stack([zoom(image, side / 8, order=1) for image in images])
    rows = images.reshape(len(images), -1)
    what = f"digits of {side} x {side}"
    if features == 3072:
        tint = np.random.default_rng(0).uniform(0.5, 1, (len(rows), 1, 3))
        rows = (rows[:, :, None] * tint).reshape(len(rows), -1)
        what += ", coloured"
    other = np.random.default_rng(0).permutation(len(rows))
    distance = np.linalg.norm(rows - rows[other], axis=1).mean()
    return (rows * (12.2 / distance)).astype(np.float32), what


def trained(features: int, hidden: int) -> tuple[dsmfast.ScoreModel, str]:
    """Return a model whose energy is a density, and how it came about."""
    rows, what = made_rows(features)
    options: dict[str, Any] = {"sigma_max": "auto", "epochs": 100}
    if features > hidden:
        options = {"sigma_max": 30.0, "scale_exponent": 1.0, "coarse": 0.7}
        options |= {"learning_rate": 3e-3, "epochs": 60 if features < 1000 else 15}
    model = dsmfast.train(rows, hidden, sigma=1.0, **options).model
    noise = np.random.default_rng(0).standard_normal(rows.shape, dtype=np.float32)
    found = dsmfast.log_normalizer(model, data=rows + noise)
    return model, f"{what}, trained with {options}; {found}"


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
    """The public functions, from call to call."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.x, self.calls = problem, problem.start, 0

    def run(self, draws: int, thin: int) -> Draws:
        self.calls += 1
        found = dsmfast.sample(
            self.problem.model,
            draws=draws,
            burn_in=0,
            thin=thin,
            init=self.x,
            method="gibbs",
            seed=self.calls,
            threads=self.problem.threads,
        )
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


def effective(values: np.ndarray) -> float:
    """Return the effective number of draws of the mean of (chains, draws)."""
    from arviz_stats.base import array_stats

    return float(array_stats.ess(values, chain_axis=0, draw_axis=1, method="mean"))


@dataclass
class Run:
    """A contender on a problem: how it is called, and what came of it."""

    name: str
    sampler: Any
    direction: np.ndarray | None  # whose mean counts; None: the energy's
    thin: int = 1
    draws: int = 4
    seconds: list[float] = field(default_factory=list)
    energies: list[np.ndarray] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    independent: list[float] = field(default_factory=list)

    def once(self, draws: int, thin: int) -> tuple[float, np.ndarray, np.ndarray]:
        """Return seconds, energies, and what counts."""
        found: list[Draws] = []
        took = seconds(lambda: found.append(self.sampler.run(draws, thin)))
        x, energy = found[0]
        energy = np.asarray(energy, dtype=np.float64)
        along = self.direction
        return took, energy, energy if along is None else (x @ along).astype(np.float64)

    def plan(self, budget: float, chains: int, d: int) -> None:
        """Choose the thinning that gives most, and draws of about ``budget`` seconds a call."""

        def fitting(draws: float) -> int:
            return 8 * max(2, int(min(draws, MOST_DRAWN / (chains * d)) / 8))

        best = 0.0
        self.once(8, 1)  # compiled, warm
        for power in range(8):
            thin = 1 << power
            took = self.once(8, thin)[0]
            draws = fitting(8 * budget / 3 / took)
            took, _, values = self.once(draws, thin)
            rate = effective(values) / took
            if rate > best:
                best, self.thin, self.draws = rate, thin, fitting(draws * budget / took)
            elif rate < 0.8 * best or took > 2 * budget:
                break

    def measure(self) -> None:
        took, energy, values = self.once(self.draws, self.thin)
        self.seconds.append(took)
        self.energies.append(energy)
        self.values.append(values)

    @property
    def energy(self) -> np.ndarray:
        return np.concatenate(self.energies, axis=1)

    @property
    def rate(self) -> float:
        """Effective draws a second: of all draws, at the median time of a call."""
        took = statistics.median(self.seconds) * len(self.seconds)
        return effective(np.concatenate(self.values, axis=1)) / took


def kernel_rate(problem: Problem) -> tuple[float, float]:
    """Return chain steps a second of the kernel alone, and operations of its products."""
    reduced = Reduced.of(problem.model, np.dtype(np.float32), problem.threads)
    y, threads = reduced.project(problem.start, problem.threads), problem.threads
    walk = Walk(reduced, Step.of("gibbs", 1.0, reduced.features), y, seed=1, threads=threads)
    h, r = reduced.W.shape
    # One product into the hidden units and one back; of a triangle, half.
    operations = 2.0 * r * (2 * h - r + 1) if reduced.is_lower else 4.0 * h * r
    block = max(10, int(1e9 / (operations * len(y))))
    walk.advance(block)
    took = min(seconds(lambda: walk.advance(block)) for _ in range(9))
    return block * len(y) / took, block * len(y) * operations / took


def report(shape: tuple[int, int], names: list[str], args: argparse.Namespace) -> None:
    d, h = shape
    model, what = trained(d, h)
    print(f"\n## {d} features, {h} hidden units\n\n{what}\n", flush=True)
    start = model.sample(args.chains, seed=10**6, threads=args.threads)
    exact = model.energy(model.sample(4096, seed=10**6 + 1, threads=args.threads))
    problem = Problem(model, start, args.threads)
    # The direction in which hidden units move x most, which chains have most to do for.
    direction = (
        np.linalg.svd(model.W, full_matrices=False)[2][0] if args.of == "direction" else None
    )
    runs = []
    for name in names:
        begin = time.perf_counter()
        try:
            run = Run(name, CONTENDERS[name][1](problem), direction)
            run.plan(args.seconds / args.rounds, args.chains, d)
            runs.append(run)
        except RuntimeError as error:
            print(f"{name} is left out: {error}")
        if args.verbose:
            print(f"{name}: prepared in {time.perf_counter() - begin:.0f} s", flush=True)
    for _ in range(args.rounds):
        for run in runs:
            gc.collect()
            time.sleep(0.05)  # as in report.settle: the threads of the one before fall asleep
            run.once(8, 1)  # wakes its threads
            run.measure()
            if hasattr(run.sampler, "independent"):
                took = seconds(lambda s=run.sampler: s.independent(args.chains))
                run.independent.append(args.chains / took)
    print_runs(runs, exact, args.chains)
    reached, products = [], []
    for _ in range(3):  # a shared machine has slow and fast seconds
        products.append(product_rate(args.threads, "float32", 2)["dsmfast"])
        reached.append(kernel_rate(problem))
    (steps, rate), product = max(reached), max(products)
    print(
        f"\nThe chain kernel alone: {steps:.3g} steps a second of one chain, {rate / 1e9:.1f} "
        f"GFLOP/s; `_core.product` {product / 1e9:.1f}: {rate / product:.2f} of it",
        flush=True,
    )


def print_runs(runs: list[Run], exact: np.ndarray, chains: int) -> None:
    print(
        "| | thin | chain steps a second | effective a step | effective a second "
        "| independent a second | mean energy | off by, errors |"
    )
    print("|---" * 8 + "|")
    mean, variance = exact.mean(), exact.var() / len(exact)
    for run in runs:
        took = statistics.median(run.seconds)
        energy = run.energy
        error = math.sqrt(energy.var() / effective(energy) + variance)
        off = (energy.mean() - mean) / error
        note = getattr(run.sampler, "note", "")
        steps = chains * run.draws * run.thin
        alone = f"{statistics.median(run.independent):.3g}" if run.independent else ""
        print(
            f"| {run.name}{', ' + note if note else ''} | {run.thin} | {steps / took:.3g} "
            f"| {run.rate * took / steps:.3g} | {run.rate:.3g} | {alone} "
            f"| {energy.mean():.2f} | {off:+.1f}{' (another law)' if abs(off) > 5 else ''} |"
        )
    print(f"\nIndependent draws: mean energy {mean:.2f}, spread {exact.std():.2f}.")
    rates = {run.name: run.rate for run in runs}
    ours = rates.pop("dsmfast", None)
    samplers = {name: rate for name, rate in rates.items() if name not in BY_HAND}
    for peers, what in ((samplers, "sampler of a library"), (rates, "of all")):
        if ours and peers:
            best = max(peers, key=lambda name: peers[name])
            print(f"dsmfast to the best {what} ({best}): {ours / peers[best]:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=USUAL)
    parser.add_argument("--shapes", nargs="+", help="d,h", default=[f"{d},{h}" for d, h in SHAPES])
    parser.add_argument("--of", choices=("energy", "direction"), default="energy")
    parser.add_argument("--chains", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=7.0, help="for each contender")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    names = [n for n in args.only if importlib.util.find_spec(CONTENDERS[n][0])]
    info = dsmfast.build_info()
    print(f"{args.threads} threads, float32, {info['instruction_set']}, {args.chains} chains")
    print(f"effective: draws of the mean of {args.of}")
    for shape in args.shapes:
        report(tuple(map(int, shape.split(","))), names, args)


if __name__ == "__main__":
    main()
