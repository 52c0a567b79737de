"""The gram path: its gradient is that of the expected loss, and has less variance."""

import math

import numpy as np
import pytest

import dsmfast
from problems import CASES, NOISELESS, central_differences, problem, relative_error

# dae is dsm but for a factor, which test_identities has.
NOISY = [
    name
    for name, case in CASES.items()
    if name not in ("dae", "esm_smoothed") and case["objective"] not in NOISELESS
]


@pytest.mark.parametrize("name", NOISY)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 1), (2, 3)], ids=str)
def test_gradient_is_that_of_the_expected_loss(name, size):
    """The expectation over the noise by Gauss and Hermite, the derivative by central differences.

    This is the proof of the term that stands for the noise: dW of a single draw is not the gradient
    of that draw's loss.
    """
    d, h = size
    model, x = problem(1, d, h, "float64")
    nodes, weights = np.polynomial.hermite_e.hermegauss(60 if d == 1 else 20)
    grid = np.stack(np.meshgrid(*[nodes] * d, indexing="ij"), axis=-1).reshape(-1, d)
    weight = np.prod(np.meshgrid(*[weights] * d, indexing="ij"), axis=0).ravel()
    weight /= weight.sum()
    options = {**CASES[name], "path": "gram", "threads": 1}

    def of_nodes(function, p):
        at = dsmfast.ScoreModel(**p, sigma=0.7)
        return [function(at, x, noise=e[None, None], **options) for e in grid]

    parameters = {"W": model.W, "b": model.b, "c": model.c}
    gradients = [g for _, g in of_nodes(dsmfast.loss_and_grad, parameters)]
    for parameter in parameters:
        mean = sum(w * getattr(g, parameter) for w, g in zip(weight, gradients, strict=True))
        numeric = central_differences(
            lambda p: float(weight @ of_nodes(dsmfast.loss, p)), parameters, parameter, 1e-4
        )
        assert relative_error(mean, numeric) <= 1e-6


# (B, d, h, sigma): h below, at and above d, noise from little to much, and near-singular W.
UNBIASED = {
    "h < d, little noise": (4, 8, 3, 0.05, None),
    "h < d": (3, 9, 4, 0.4, None),
    "h = d": (3, 5, 5, 0.7, None),
    "h > d": (3, 4, 9, 1.0, None),
    "much noise": (4, 6, 4, 3.0, None),
    "near-singular": (3, 7, 5, 0.3, 1e-4),
    "repeated and zero units": (3, 6, 5, 0.5, 0.0),
}
DRAWS = 4096


def samples(model, x, path, **options):
    """Value and gradient of independent draws: (DRAWS, 1 + h d + h + d)."""
    found = []
    for step in range(DRAWS):
        value, g = dsmfast.loss_and_grad(model, x, path=path, step=step, threads=1, **options)
        found.append(np.concatenate([[value], g.W.ravel(), g.b, g.c]))
    return np.array(found)


def unbiased_problem(name):
    B, d, h, sigma, spread = UNBIASED[name]
    model, x = problem(B, d, h, "float64", sigma=sigma, seed=4)
    W = 1.5 * model.W
    if spread is not None:
        W[1] = W[0] + spread * W[1]
        W[2] *= spread
    return dsmfast.ScoreModel(W, model.b, model.c, sigma), x


SCALES = {
    "objective": "dsm",
    "sigma_max": 3.5,
    "coarse": 0.7,
    "coarse_target": "row",
    "scale_exponent": 1.0,
}
# A case more where weights and scales are: one of each kind of W.
KINDS = [
    *((name, objective) for objective in ("dsm", "ism_smoothed") for name in UNBIASED),
    *((name, "scales and weights") for name in ("h < d", "h > d", "near-singular")),
]


@pytest.mark.parametrize(("name", "objective"), KINDS)
def test_unbiased_and_of_lower_variance(name, objective):
    """Mean value and gradient of both paths agree, and the z-scores are standard normal.

    Entries of a gradient are correlated: the z-scores are those of its principal components.
    """
    model, x = unbiased_problem(name)
    options = {"objective": objective}
    if objective == "scales and weights":
        options = {**SCALES, "sample_weight": np.arange(1.0, len(x) + 1)}
    explicit = samples(model, x, "explicit", seed=1, **options)
    gram = samples(model, x, "gram", seed=2, **options)
    scale = explicit.std(axis=0) + gram.std(axis=0)
    moving = scale > 1e-12 * scale.max()
    explicit, gram = explicit[:, moving] / scale[moving], gram[:, moving] / scale[moving]
    difference = gram.mean(axis=0) - explicit.mean(axis=0)
    values, vectors = np.linalg.eigh((np.cov(gram.T) + np.cov(explicit.T)) / DRAWS)
    kept = values > 1e-9 * values.max()
    z = (difference @ vectors)[kept] / np.sqrt(values[kept])
    n = len(z)
    assert n >= 10
    # What is left of the difference, in the directions that no draw moves in.
    assert np.abs((difference @ vectors)[~kept]).max(initial=0.0) < 1e-5
    assert np.abs(z).max() < 4.5
    assert abs((z**2).sum() - n) < 4 * np.sqrt(2 * n)
    cdf = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in np.sort(z)])
    steps = np.arange(n + 1) / n
    distance = max(np.abs(cdf - steps[1:]).max(), np.abs(cdf - steps[:-1]).max())
    assert distance < 1.63 / np.sqrt(n)  # Kolmogorov and Smirnov, 1 %
    if objective != "ism_smoothed":
        of_gradient = np.flatnonzero(moving) > 0
        back = scale[moving][of_gradient] ** 2
        summed = [(s[:, of_gradient].var(axis=0) * back).sum() for s in (gram, explicit)]
        assert summed[0] < summed[1]
