"""Is the trained energy a density? Its held-out log-density, and where its probability is.

    python bench/density.py plane                    # five sets in the plane, by quadrature
    python bench/density.py digits                   # digits, by annealed importance sampling
    python bench/density.py plane --options sigma_max=auto coarse=0.5
    python bench/density.py check                    # both methods, where log Z is known

A model of sigma describes rows with noise of that sigma, so all are judged by held-out rows with
such noise: mean log-density, in the user's unit. With --options, which train takes, the model is
set beside one that was trained without them. --replicas n takes the data in the unit in which
1/sigma^2 is n; lengths among the options are in the unit that is trained in.

Needs scikit-learn and SciPy.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import itertools
import math
import time
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.spatial import cKDTree
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import dsmfast
from dsmfast import ScoreModel, data

SETS = ("mixture", "spiral", "normal", "clusters", "ring")
BATCH = 256
PARTS = (1, 2, 3, 4, 6, 8, 10, 12, 15, 20, 25, 30, 35, 40)

Rows = tuple[np.ndarray, np.ndarray]  # to train on, and held out


def plane_sets(seed: int) -> dict[str, Rows]:
    """Return 2000 rows to train on and 1000 held out, of each set."""

    def drawn(count: int, part: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([seed, part])
        angle = rng.uniform(0, 2 * np.pi, count)
        radius = 2 + 0.1 * rng.standard_normal(count)
        corners = 4.0 * rng.integers(0, 2, (count, 2)) - 2
        rows = {
            "mixture": data.mixture(count, 2 * seed + part),
            "spiral": data.spiral(count, 2 * seed + part),
            "normal": rng.standard_normal((count, 2)),
            "clusters": corners + 0.3 * rng.standard_normal((count, 2)),
            "ring": radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]),
        }
        return {name: np.asarray(x, dtype=np.float64) for name, x in rows.items()}

    train, test = drawn(2000, 0), drawn(1000, 1)
    return {name: (train[name], test[name]) for name in SETS}


def fit(
    rows: np.ndarray, hidden: int, sigma: float, seed: int, epochs: int, **options: Any
) -> tuple[ScoreModel, float]:
    """Return a model and the seconds that it took; ``options`` are train's."""
    begin = time.perf_counter()
    options = {"batch_size": BATCH, "epochs": epochs, "seed": seed, **options}
    return dsmfast.train(rows, hidden, sigma, **options).model, time.perf_counter() - begin


def in_double(model: ScoreModel) -> ScoreModel:
    W, b, c = (np.asarray(part, dtype=np.float64) for part in (model.W, model.b, model.c))
    return ScoreModel(W, b, c, model.sigma)


class Quadrature:
    """log Z of a model of the plane by the midpoint rule, and its probability near the rows.

    exp(-energy) is as smooth as a sum of Gaussians of width sigma: the rule's error is far below
    rounding at a spacing of sigma / 4. D(x) lies in the box c + sum of [0, 1] W_j, and beyond it
    the density falls at least like such a Gaussian, so the box with a margin holds all of it.
    ``span`` cuts that off at [-span, span]^2.

    Most of the box is empty, and that can be known. On a square of side a the softplus terms,
    being convex, stay below what is interpolated from its corners, and -|x|^2 / 2 sigma^2 is at
    most a^2 / 4 sigma^2 above: where the corners are low enough, the square is left out.
    """

    SIDE = 8.0  # of a square, in sigma
    MARGIN = 9.0  # of the box, in sigma
    NEAR = 5.0  # in sigma: all but 4e-6 of the noise in the plane
    DEPTH = 40.0  # squares that are this many nats below the highest corner are left out

    def __init__(self, model: ScoreModel, rows: np.ndarray, span: float = math.inf) -> None:
        self.model = in_double(model)
        W, c, sigma = self.model.W, self.model.c, self.model.sigma
        side, points = self.SIDE * sigma, 4 * round(self.SIDE)
        low = np.maximum(c + np.minimum(W, 0).sum(axis=0) - self.MARGIN * sigma, -span)
        high = np.minimum(c + np.maximum(W, 0).sum(axis=0) + self.MARGIN * sigma, span)
        squares = self._squares(low, np.ceil((high - low) / side).astype(int), side)
        inner = (np.arange(points) + 0.5) * side / points
        offsets = np.stack(np.meshgrid(inner, inner, indexing="ij"), axis=-1).reshape(1, -1, 2)
        tree = cKDTree(rows)
        sums, sums_near = [], []
        for block in np.array_split(squares, math.ceil(len(squares) / 128)):
            x = (block[:, None, :] + offsets).reshape(-1, 2)
            value = np.where(np.abs(x).max(axis=1) < span, -self.model.energy(x), -math.inf)
            near = tree.query(x, distance_upper_bound=self.NEAR * sigma)[0] < math.inf
            sums.append(logsumexp(value))
            sums_near.append(logsumexp(value[near]) if near.any() else -math.inf)
        self.log_z = float(logsumexp(sums) + 2 * math.log(side / points))
        self.mass_near = float(np.exp(logsumexp(sums_near) - logsumexp(sums)))

    def _squares(self, low: np.ndarray, count: np.ndarray, side: float) -> np.ndarray:
        """Return the low corners (n, 2) of the squares that are not left out."""
        x, y = (start + side * np.arange(n + 1) for start, n in zip(low, count, strict=True))
        # A line of corners at a time: the grid of them may be large.
        lines = (np.column_stack([np.full_like(y, each), y]) for each in x)
        corners = np.stack([-self.model.energy(line) for line in lines])
        highest = sliding_window_view(corners, (2, 2)).max(axis=(2, 3))
        kept = np.nonzero(highest + self.SIDE**2 / 4 > corners.max() - self.DEPTH)
        return np.column_stack([x[kept[0]], y[kept[1]]])

    def log_density(self, x: np.ndarray) -> np.ndarray:
        return -self.model.energy(x) - self.log_z


def held_out_noisy(rows: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    return rows + sigma * np.random.default_rng([seed, 2]).standard_normal(rows.shape)


def rivals(rows: Rows, sigma: float, seed: int) -> str:
    """Held-out log-density of other densities: Parzen, Gaussians and their number, one Gaussian.

    The Gaussians are fitted to rows without noise, and sigma^2 is added to their variances: what
    rows with all the noise there is would give, but for the shares. On rows with a few draws each
    they fit those draws. A fifth of the rows, with noise, chooses how many of them.
    """

    def fitted(parts: int, rows: np.ndarray) -> GaussianMixture:
        mixture = GaussianMixture(parts, reg_covar=sigma**2, max_iter=300, random_state=seed)
        return mixture.fit(rows)

    train, noisy = rows[0], held_out_noisy(rows[1], sigma, seed)
    order = np.random.default_rng([seed, 3]).permutation(len(train))
    judged, kept = np.split(train[order], [len(train) // 5])
    judged = held_out_noisy(judged, sigma, 1000 + seed)
    parts = max(PARTS, key=lambda count: fitted(count, kept).score(judged))
    parzen = dsmfast.parzen_log_density(noisy, train, sigma).mean()
    mixture, one = fitted(parts, train).score(noisy), fitted(1, train).score(noisy)
    return f"{parzen:.3f} | {mixture:.3f} ({parts}) | {one:.3f}"


class Problem:
    """Rows in the unit that is trained in, and what takes a log-density back to the user's."""

    def __init__(self, rows: Rows, sigma: float, seed: int, replicas: int | None = None) -> None:
        self.sigma = sigma if replicas is None else 1 / math.sqrt(replicas)
        unit = self.sigma / sigma
        self.train, self.test = (unit * part for part in rows)
        self.noisy = unit * held_out_noisy(rows[1], sigma, seed)
        self.to_user = self.train.shape[1] * math.log(unit)

    def models(self, hidden: int, seed: int, args: Any) -> list[tuple[str, ScoreModel, float]]:
        """Return label, model and seconds of training: as asked, and with no options if it was."""
        epochs = args.epochs or max(1, round(args.steps * BATCH / len(self.train)))
        asked = {"as asked": dict(args.options)} if args.options else {}
        wanted = {**asked, "one scale": {}}.items()
        common = (self.train, hidden, self.sigma, seed, epochs)
        return [(label, *fit(*common, **options)) for label, options in wanted]

    def loss(self, model: ScoreModel) -> float:
        return dsmfast.loss(model, self.test.astype(model.dtype), "dsm", draws=16, seed=9)


def print_row(*cells: object) -> None:
    shown = (f"{cell:.5g}" if isinstance(cell, float) else str(cell) for cell in cells)
    print("| " + " | ".join(shown) + " |", flush=True)


def print_header(*names: str) -> None:
    print_row(*names)
    print("|---" * len(names) + "|", flush=True)


def plane(args: argparse.Namespace) -> None:
    print_header(
        *("set", "sigma", "hidden", "seed", "log-density", "one scale's", "Parzen"),
        *("Gaussians", "one Gaussian", "mass near", "one scale's", "dsm / one scale's", "seconds"),
    )
    sets = [plane_sets(seed) for seed in range(args.seeds)]
    for name, sigma in itertools.product(args.sets, args.sigma):
        cases = [
            (Problem(rows[name], sigma, seed, args.replicas), rivals(rows[name], sigma, seed))
            for seed, rows in enumerate(sets)
        ]
        for hidden, (seed, (problem, others)) in itertools.product(args.hidden, enumerate(cases)):
            models = problem.models(hidden, seed, args)
            found = []
            for _, model, _ in models:
                quadrature = Quadrature(model, problem.train)
                log_density = problem.to_user + float(quadrature.log_density(problem.noisy).mean())
                found.append((log_density, quadrature.mass_near, problem.loss(model)))
            (ours, near, loss), (one, one_near, one_loss) = found[0], found[-1]
            figures = (near, one_near, loss / one_loss, models[0][2])
            print_row(name, sigma, hidden, seed, ours, one, others, *figures)


def digits(args: argparse.Namespace) -> None:
    rows = data.split(data.digits().astype(np.float64), 0.2)
    print_header(
        *("sigma", "hidden", "seed", "training", "log-density", "its error", "chains that count"),
        *("by backward chains", "Parzen", "Gaussians", "one Gaussian", "dsm", "seconds"),
    )
    for sigma, seed in itertools.product(args.sigma, range(args.seeds)):
        problem, others = Problem(rows, sigma, seed, args.replicas), rivals(rows, sigma, seed)
        for hidden in args.hidden:
            for label, model, seconds in problem.models(hidden, seed, args):
                found = dsmfast.log_normalizer(
                    model,
                    method="ais",
                    chains=args.chains,
                    temperatures=args.temperatures,
                    data=problem.test,
                    seed=seed,
                )
                energy = float(in_double(model).energy(problem.noisy).mean()) - problem.to_user
                ours, by_backward = (-energy - log_z for log_z in (found.value, found.upper))
                figures = (ours, found.std_error, found.effective, by_backward, others)
                print_row(sigma, hidden, seed, label, *figures, problem.loss(model), seconds)


def check(args: argparse.Namespace) -> None:
    """Print log Z where it is known, and what other methods find beyond it."""
    print_header("model", "log Z", "quadrature", "AIS", "AIS backward, from rows")

    def line(name: str, model: ScoreModel, known: float | None, rows: np.ndarray | None) -> None:
        by_quadrature = Quadrature(model, model.c[None]).log_z
        found = dsmfast.log_normalizer(
            in_double(model),
            method="ais",
            chains=args.chains,
            temperatures=args.temperatures,
            data=rows,
        )
        known = by_quadrature if known is None else known
        beyond = [f"{found.value - known:+.4f} ± {found.std_error:.4f}"]
        if rows is not None:
            beyond.append(f"{found.upper - known:+.4f} ± {found.upper_std_error:.4f}")
        print_row(name, f"{known:.6f}", f"{by_quadrature - known:.0e}", *beyond)

    rng = np.random.default_rng(0)
    for n in (1, 2, 4, 9):
        b, c, sigma = rng.standard_normal(4) - 1, rng.standard_normal(2), 1 / math.sqrt(n)
        one = n * np.logaddexp(0, b).sum() + n / 2 * float(c @ c) + math.log(2 * math.pi / n)
        line(f"one Gaussian, n = {n}", ScoreModel(np.zeros((4, 2)), b, c, sigma), one, None)
        model = ScoreModel(2 * rng.standard_normal((4, 2)), b, c, sigma)
        exact = dsmfast.log_normalizer(model, method="enumeration").value
        line(f"4 units, n = {n}, enumerated", model, exact, None)
    for n in (1, 4):
        problem = Problem(plane_sets(0)["ring"], 0.3, 0, n)
        model, _ = fit(problem.train, 16, problem.sigma, 0, epochs=200)
        line(f"ring, 16 units, n = {n}", model, None, problem.train)


def option(text: str) -> tuple[str, Any]:
    """Read key=value; a value that is no number, None, True or False is a word."""
    key, value = text.split("=", 1)
    with contextlib.suppress(ValueError, SyntaxError):
        return key, ast.literal_eval(value)
    return key, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="{plane,digits,check}")
    defaults: dict[Any, dict[str, Any]] = {
        plane: {"sigma": [0.1, 0.3], "hidden": [64, 128, 256, 512], "seeds": 3},
        digits: {"sigma": [0.25], "hidden": [256], "seeds": 1, "replicas": 1},
        check: {},
    }
    for run, values in defaults.items():
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run, **values)
        command.add_argument("--threads", type=int, default=1)
        if run is not plane:
            command.add_argument("--chains", type=int, default=200)
            command.add_argument("--temperatures", type=int, default=2000)
        if run is check:
            continue
        if run is plane:
            command.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
        command.add_argument("--sigma", type=float, nargs="+")
        command.add_argument("--hidden", type=int, nargs="+")
        command.add_argument("--seeds", type=int)
        command.add_argument("--replicas", type=int, help="1 / sigma^2 in the unit of training")
        command.add_argument("--steps", type=int, default=6000, help=f"of {BATCH} rows")
        command.add_argument("--epochs", type=int, help="in place of --steps")
        command.add_argument("--options", type=option, nargs="+", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    with threadpool_limits(args.threads):
        args.run(args)


if __name__ == "__main__":
    main()
