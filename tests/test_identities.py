"""The paper's identities, by quadrature and by Monte Carlo; and the mistakes of published code.

In one and two dimensions the expectations over noise are integrals, done by the trapezoidal rule:
for an analytic integrand that vanishes at both ends its error falls as exp(-2 pi a / step), a the
distance of the nearest pole from the real line.
"""

import itertools

import numpy as np
import pytest

import dsmfast
from dsmfast import data, reference
from problems import problem

STEP = {1: 0.2, 2: 0.4}  # seen: errors of 1e-11 in the plane, a hundredth of what is allowed


def grid(d):
    """Points (n, d) and weights of the standard normal."""
    nodes = np.arange(-8, 8 + STEP[d] / 2, STEP[d])
    points = np.array(list(itertools.product(nodes, repeat=d)))
    weights = np.exp(-(points**2).sum(axis=1) / 2) * (STEP[d] / np.sqrt(2 * np.pi)) ** d
    keep = weights > 1e-14
    return points[keep], weights[keep]


def smoothed(model, sample, objective, d):
    """An objective with noise, its expectation over the noise an integral."""
    options = {"data": sample} if objective == "esm_smoothed" else {}
    shape = (1, *sample.shape)
    return sum(
        weight
        * dsmfast.loss(
            model, sample, objective, noise=np.broadcast_to(node, shape), threads=1, **options
        )
        for node, weight in zip(*grid(d), strict=True)
    )


def models(d, count=3):
    """Random ones, none trained."""
    return [problem(1, d, 3, "float64", sigma=0.6, seed=seed)[0] for seed in range(count)]


@pytest.mark.parametrize("d", [1, 2])
def test_smoothed_objectives_differ_by_constants(d):
    sample = np.random.default_rng(3).uniform(-0.6, 0.6, (3, d))
    values = {
        name: np.array([smoothed(model, sample, name, d) for model in models(d)])
        for name in ("dsm", "esm_smoothed", "ism_smoothed")
    }
    for other in ("dsm", "ism_smoothed"):
        constants = values["esm_smoothed"] - values[other]
        assert np.ptp(constants) <= 1e-9
        assert np.ptp(values[other]) > 0.01  # the models do differ
    # And they are the constants that the theory says.
    points, weights = grid(d)
    noisy = (sample[:, None, :] + 0.6 * points).reshape(-1, d)
    of_rows = np.tile(weights, len(sample)) / len(sample)
    mean = reference.parzen_denoise(noisy, sample, 0.6)
    clean = np.repeat(sample, len(points), axis=0)
    against_dsm = -0.5 * (of_rows @ ((mean - clean) ** 2).sum(axis=1)) / 0.6**4
    against_ism = 0.5 * (of_rows @ ((mean - noisy) ** 2).sum(axis=1)) / 0.6**4
    assert values["esm_smoothed"] - values["dsm"] == pytest.approx(against_dsm, abs=1e-9)
    assert values["esm_smoothed"] - values["ism_smoothed"] == pytest.approx(against_ism, abs=1e-9)


def gaussian(x):
    """Score and density of N((1, ..., 1), 0.8^2 I)."""
    d = x.shape[1]
    density = np.exp(-((x - 1) ** 2).sum(axis=1) / (2 * 0.64)) / (2 * np.pi * 0.64) ** (d / 2)
    return (1 - x) / 0.64, density


def mixture(x):
    """Score and density of two Gaussians of width 0.7 around (-1, ..., -1) and (1, ..., 1)."""
    d = x.shape[1]
    densities = [
        weight * np.exp(-((x - mean) ** 2).sum(axis=1) / (2 * 0.49)) / (2 * np.pi * 0.49) ** (d / 2)
        for weight, mean in ((0.3, -1.0), (0.7, 1.0))
    ]
    density = densities[0] + densities[1]
    pulls = [p[:, None] * (mean - x) / 0.49 for p, mean in zip(densities, (-1.0, 1.0), strict=True)]
    return (pulls[0] + pulls[1]) / density[:, None], density


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("q", [gaussian, mixture])
def test_explicit_and_implicit_differ_by_a_constant(q, d):
    step = 0.25 if d == 2 else 0.05
    line = np.arange(-7, 8, step)
    x = np.array(list(itertools.product(line, repeat=d)))
    score, density = q(x)
    weights = density * step**d
    keep = weights > 1e-14
    x, score, weights = x[keep], score[keep], weights[keep]
    differences = []
    for model in models(d):
        explicit = [
            dsmfast.loss(model, x[i : i + 1], "esm", score=score[i : i + 1], threads=1)
            for i in range(len(x))
        ]
        implicit = [dsmfast.loss(model, x[i : i + 1], "ism", threads=1) for i in range(len(x))]
        differences.append(weights @ (np.array(explicit) - np.array(implicit)))
    assert np.ptp(differences) <= 1e-9
    assert differences[0] == pytest.approx(0.5 * weights @ (score**2).sum(axis=1), abs=1e-9)


def test_dsm_is_dae_over_two_sigma_to_the_fourth(dtype):
    for sigma in (0.05, 0.7, 3.0):
        model, x = problem(33, 10, 12, dtype, sigma=sigma)
        dae, of_dae = dsmfast.loss_and_grad(model, x, "dae", seed=2)
        dsm, of_dsm = dsmfast.loss_and_grad(model, x, "dsm", seed=2)
        assert dsm == pytest.approx(dae / (2 * sigma**4), rel=1e-14)
        for a, b in zip(of_dae, of_dsm, strict=True):
            assert np.allclose(a / (2 * sigma**4), b, rtol=4 * float(np.finfo(dtype).eps), atol=0)


@pytest.mark.parametrize("penalty", [0.0, 0.5])
@pytest.mark.parametrize("objective", ["ism", "ism_smoothed"])
def test_implicit_objectives_are_bounded_below(objective, penalty):
    """Divergence of the score >= -d / sigma^2, whatever the parameters."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        d, h, sigma = rng.integers(1, 20), rng.integers(1, 40), rng.uniform(0.05, 3)
        model, x = problem(30, d, h, "float64", sigma=sigma, seed=seed)
        if seed % 3 == 0:  # the worst case: W = 0 and c = x
            model = dsmfast.ScoreModel(0 * model.W, model.b, x[0], sigma)
            x = x[:1]
        value = dsmfast.loss(model, x, objective, curvature_penalty=penalty)
        bound = -d / sigma**2
        assert value >= bound - 1e-12 * abs(bound)


def test_identities_on_digits():
    pytest.importorskip("sklearn")
    X = data.digits()
    for model in (
        dsmfast.ScoreModel.initialize(64, 50, 0.4, seed=1),
        dsmfast.train(X, 50, 0.4, epochs=10).model,
    ):
        found = dsmfast.connection(model, X)
        assert found.rows == 1797
        assert found.holds
        for identity in found.identities[1:]:
            # The error is small enough to see a mistake: 3 % of what the constant says.
            assert identity.error < 0.03 * abs(identity.constant)


class TestPublishedErrors:
    """Mistakes that public implementations make, each by its name; none of them passes here."""

    model, x = problem(40, 6, 5, "float64", sigma=0.5)
    sigma = 0.5

    def divergence(self):
        """Sum of the diagonal of the score's Jacobian, by central differences."""
        total = np.zeros(len(self.x))
        for i in range(6):
            step = 1e-5 * np.eye(6)[i]
            ahead, behind = self.model.score(self.x + step), self.model.score(self.x - step)
            total += (ahead - behind)[:, i] / 2e-5
        return total

    def implicit(self):
        return dsmfast.loss(self.model, self.x, "ism")

    def test_sign_of_the_score(self):
        """The score points where the energy falls: +grad E is the score of another density."""
        step = 1e-6 * np.ones(6)
        slope = (self.model.energy(self.x + step) - self.model.energy(self.x - step)) / 2e-6
        score = self.model.score(self.x).sum(axis=1)
        assert np.allclose(score, -slope, rtol=1e-6, atol=0)
        assert not np.allclose(score, slope, rtol=1e-1)

    def test_trace_is_a_sum_not_divided_by_d(self):
        squares = 0.5 * (self.model.score(self.x) ** 2).sum(axis=1)
        trace = self.divergence()
        assert self.implicit() == pytest.approx((squares + trace).mean(), rel=1e-8)
        assert abs(self.implicit() - (squares + trace / 6).mean()) > 0.1

    def test_sigma_is_outside_the_sigmoid(self):
        """It scales score and energy, not the pre-activation, as in sigmoid((W x + b) / sigma)."""
        W, b, c = self.model.W, self.model.b, self.model.c
        hidden = 1 / (1 + np.exp(-(self.x @ W.T + b)))
        score = (hidden @ W + c - self.x) / self.sigma**2
        assert np.allclose(self.model.score(self.x), score, rtol=1e-12, atol=0)
        inside = 1 / (1 + np.exp(-(self.x @ W.T + b) / self.sigma**2))
        assert not np.allclose(self.model.hidden(self.x), inside, rtol=1e-2)

    @pytest.mark.parametrize("objective", ["dsm", "esm", "ism", "esm_smoothed", "ism_smoothed"])
    def test_the_half_is_there(self, objective):
        """Without it the constants are wrong, and implicit score matching has another minimum."""
        noise = np.random.default_rng(4).standard_normal(self.x.shape)
        noisy = self.x + self.sigma * noise
        targets = {
            "dsm": (self.x - noisy) / self.sigma**2,
            "esm": -self.x,
            "esm_smoothed": reference.parzen_score(noisy, self.x, self.sigma),
        }
        options = {"score": lambda x: -x} if objective == "esm" else {}
        if objective not in ("esm", "ism"):
            options["noise"] = noise
        points = self.x if objective in ("esm", "ism") else noisy
        difference = self.model.score(points) - targets.get(objective, 0.0)
        squares = (difference**2).sum(axis=1)
        rest = 0.0
        if objective.startswith("ism"):
            curvature = reference.ScoreModel(
                self.model.W, self.model.b, self.model.c, self.sigma
            ).curvature(points)
            rest = (curvature / self.sigma**2).sum(axis=1)
        value = dsmfast.loss(self.model, self.x, objective, **options)
        assert value == pytest.approx((0.5 * squares + rest).mean(), rel=1e-12)
        assert abs(value - (squares + rest).mean()) > 0.1

    @pytest.mark.parametrize("objective", ["dae", "dsm"])
    def test_sums_over_features_not_means(self, objective):
        """Twice the features, with the same in each half, twice the loss."""
        W, b, c = self.model.W, self.model.b, self.model.c
        noise = np.random.default_rng(5).standard_normal(self.x.shape)
        twice = dsmfast.ScoreModel(np.hstack([W, 0 * W]), b, np.hstack([c, c]), self.sigma)
        alone = dsmfast.ScoreModel(0 * W, b, c, self.sigma)
        both = np.hstack([self.x, self.x])
        value = dsmfast.loss(twice, both, objective, noise=np.hstack([noise, noise]))
        parts = [dsmfast.loss(m, self.x, objective, noise=noise) for m in (self.model, alone)]
        assert value == pytest.approx(sum(parts), rel=1e-12)

    def test_means_over_rows_and_draws_not_sums(self):
        noise = np.random.default_rng(6).standard_normal((3, *self.x.shape))
        value = dsmfast.loss(self.model, self.x, "dsm", noise=noise)
        one_by_one = [
            dsmfast.loss(self.model, self.x[i : i + 1], "dsm", noise=noise[m, i][None])
            for m in range(3)
            for i in range(len(self.x))
        ]
        assert value == pytest.approx(np.mean(one_by_one), rel=1e-12)

    def test_penalty_is_on_the_diagonal_of_the_jacobian(self):
        """Kingma & LeCun: the sum of squared second derivatives, not the square of their sum."""
        diagonal = reference.ScoreModel(
            self.model.W, self.model.b, self.model.c, self.sigma
        ).curvature(self.x)
        diagonal = diagonal / self.sigma**2
        with_penalty = dsmfast.loss(self.model, self.x, "ism", curvature_penalty=0.3)
        expected = 0.3 * (diagonal**2).sum(axis=1).mean()
        assert with_penalty - self.implicit() == pytest.approx(expected, rel=1e-10)
