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
independent draws: who samples another law is marked. Everybody keeps the draws too, but for
`dsmfast, energies alone`; keeping them costs the others a few percent.

Each contender takes the thinning, of powers of two, that gives it most; Langevin's step, which
nothing corrects, is the largest of powers of two that keeps the mean energy within a quarter of its
spread.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import math
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import dsmfast
from dsmfast._density.chains import Step, Walk
from dsmfast._density.reduced import Reduced
from report import product_rate, seconds
from samplers import BY_HAND, CONTENDERS, USUAL, Draws, Problem

SHAPES = [(64, 128), (784, 128), (3072, 256)]
MOST_DRAWN = 2**26  # values of draws of one call


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
    found = dsmfast.log_normalizer(model, data=rows)
    return model, f"{what}, trained with {options}; {found}"


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
    mine = {name: rates.pop(name) for name in list(rates) if name.startswith("dsmfast")}
    samplers = {name: rate for name, rate in rates.items() if name not in BY_HAND}
    for ours, rate in mine.items():
        for peers, what in ((samplers, "sampler of a library"), (rates, "of all")):
            if peers:
                best = max(peers, key=lambda name: peers[name])
                print(f"{ours} to the best {what} ({best}): {rate / peers[best]:.1f}")


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
    if args.of == "direction":
        args.only = [name for name in args.only if name != "dsmfast, energies alone"]
    names = [n for n in args.only if importlib.util.find_spec(CONTENDERS[n][0])]
    info = dsmfast.build_info()
    print(f"{args.threads} threads, float32, {info['instruction_set']}, {args.chains} chains")
    print(f"effective: draws of the mean of {args.of}")
    for shape in args.shapes:
        report(tuple(map(int, shape.split(","))), names, args)


if __name__ == "__main__":
    main()
