"""What a step of each objective costs, next to a step of "dae" and to PyTorch's exact divergence.

    python bench/objectives.py                 # ratios to dae, a grid of shapes
    python bench/objectives.py --divergence    # ism against vmap(jacrev) in PyTorch

Full SGD steps, noise included where the objective has it, in turns within one run; medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable

import dsmfast
from contenders import RATE, SHAPES, SIGMA, Problem, sized
from contenders import dsmfast as step
from report import seconds, settle

# The objectives are of different sizes: small enough for all of them.
SMALL_RATE = RATE * 1e-3

MORE_SHAPES = [
    (128, 1, 1024),
    (128, 1024, 1),
    (128, 16, 64),
    (128, 64, 16),
    (256, 64, 64),
    (256, 64, 1024),
    (256, 1024, 64),
    (512, 256, 256),
]


def jacrev_step(problem: Problem, threads: int) -> Callable[[], None]:
    """Implicit score matching as published packages do it: the divergence of each point's score."""
    import torch

    torch.set_num_threads(threads)
    X, W, b, c = (torch.from_numpy(a) for a in problem.arrays())
    parameters = [p.requires_grad_() for p in (W, b, c)]
    optimizer = torch.optim.SGD(parameters, lr=SMALL_RATE)
    B = problem.batch

    def score(x: torch.Tensor) -> torch.Tensor:
        return (torch.sigmoid(W @ x + b) @ W + c - x) / SIGMA**2

    values, jacobians = torch.vmap(score), torch.vmap(torch.func.jacrev(score))

    def run() -> None:
        for i in range(problem.steps):
            x = X[i * B : (i + 1) * B]
            divergence = jacobians(x).diagonal(dim1=1, dim2=2).sum(1)
            value = (0.5 * values(x).square().sum(1) + divergence).mean()
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    return run


def medians(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    for run in runs.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            settle(run)
            times[name].append(seconds(run))
    return {name: statistics.median(t) for name, t in times.items()}


def costs(args: argparse.Namespace) -> None:
    cases = {
        "dae": {"objective": "dae"},
        "ism": {"objective": "ism"},
        "ism, penalty": {"objective": "ism", "curvature_penalty": 0.01},
        "ism_smoothed": {"objective": "ism_smoothed"},
        "ism_smoothed, penalty": {"objective": "ism_smoothed", "curvature_penalty": 0.01},
    }
    print("| B, d, h | dae, µs | " + " | ".join(list(cases)[1:]) + " |")
    print("|---" * (len(cases) + 1) + "|")
    for B, d, h in SHAPES + MORE_SHAPES:
        problem = sized((B, d, h), args.dtype, most=2e10)
        runs = {
            name: step(problem, args.threads, SMALL_RATE, **case) for name, case in cases.items()
        }
        found = medians(runs, args.rounds)
        cells = [f"{found['dae'] / problem.steps * 1e6:.0f}"]
        cells += [f"{t / found['dae']:.2f}" for t in list(found.values())[1:]]
        print(f"| {B}, {d}, {h} | {' | '.join(cells)} |")


def divergences(args: argparse.Namespace) -> None:
    print("| B, d, h | ism, µs | PyTorch vmap(jacrev), µs | ratio |")
    print("|---|---|---|---|")
    for B, d, h in [(128, 16, 64), (128, 64, 64), (256, 64, 128)]:
        problem = Problem(B, d, h, 4, args.dtype)
        many = Problem(B, d, h, 100, args.dtype)
        found = medians(
            {
                "ism": step(many, args.threads, SMALL_RATE, objective="ism"),
                "torch": jacrev_step(problem, args.threads),
            },
            max(5, args.rounds // 3),
        )
        ours, theirs = found["ism"] / many.steps, found["torch"] / problem.steps
        print(f"| {B}, {d}, {h} | {ours * 1e6:.0f} | {theirs * 1e6:.0f} | {theirs / ours:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--divergence", action="store_true", help="against PyTorch")
    args = parser.parse_args()
    print(f"{args.threads} threads, {args.dtype}, {dsmfast.build_info()['instruction_set']}")
    (divergences if args.divergence else costs)(args)


if __name__ == "__main__":
    main()
