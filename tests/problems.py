"""Problems and tolerances that the tests share."""

from __future__ import annotations

import numpy as np

import dsmfast
from dsmfast import reference

DTYPES = ("float32", "float64")

# Largest error relative to the largest value. Sums of up to some thousand terms, each rounded once:
# float32 rounds at 6e-8 and float64 at 1.1e-16, and the sigmoid costs a few units more.
PARITY = {"float32": 1e-5, "float64": 1e-12}


def relative_error(actual, expected):
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-300)


def gradient_error(actual, expected):
    """Largest error over the largest entry of all three: one of them may be a small difference."""
    scale = max(np.abs(e).max() for e in expected)
    return max(
        np.abs(np.asarray(a, np.float64) - e).max() / scale
        for a, e in zip(actual, expected, strict=True)
    )


def problem(B, d, h, dtype, sigma=0.7, seed=0):
    """Return a random model, and points around its data."""
    rng = np.random.default_rng([seed, B, d, h])
    W = (rng.standard_normal((h, d)) / np.sqrt(d)).astype(dtype)
    b, c = rng.standard_normal(h).astype(dtype), rng.standard_normal(d).astype(dtype)
    x = rng.standard_normal((B, d)).astype(dtype)
    return dsmfast.ScoreModel(W, b, c, sigma), x


def oracle(model, sigma=None):
    """Return the reference model in float64."""
    W, b, c = (p.astype(np.float64) for p in (model.W, model.b, model.c))
    return reference.ScoreModel(W, b, c, sigma or model.sigma)


# Every objective, with every option that changes the mathematics.
CASES = {
    "dae": {"objective": "dae"},
    "dsm": {"objective": "dsm"},
    "esm": {"objective": "esm", "score": lambda x: -0.3 * x},
    "ism": {"objective": "ism"},
    "ism-penalty": {"objective": "ism", "curvature_penalty": 0.7},
    "esm_smoothed": {"objective": "esm_smoothed"},
    "ism_smoothed": {"objective": "ism_smoothed"},
    "ism_smoothed-penalty": {"objective": "ism_smoothed", "curvature_penalty": 0.02},
}
NOISELESS = ("esm", "ism")


# (B, d, h): one of everything; around the tiles (96 rows, panels of 4 to 32, blocks of 6 and 8,
# depth 256); several chunks; few features and many, h below, at and above d.
SHAPES = [
    (1, 1, 1),
    (1, 5, 3),
    (7, 1, 9),
    (3, 2, 1),
    (5, 8, 65),
    (95, 17, 31),
    (96, 16, 32),
    (97, 33, 64),
    (130, 257, 70),
    (64, 64, 300),
    (200, 784, 20),
    (97, 3, 40),
    (2100, 2, 33),
    (2500, 9, 8),
]


# A small problem to spoil.
X = np.random.default_rng(0).random((20, 3), dtype=np.float32)
W, b, c = np.ones((4, 3), np.float32), np.zeros(4, np.float32), np.zeros(3, np.float32)


def with_value(value, place=(12, 1)):
    x = X.copy()
    x[place] = value
    return x


def central_differences(function, parameters, name, step=1e-5):
    """Derivative of function(parameters) by the parameter of that name."""
    value = parameters[name]
    numeric = np.empty(value.shape)
    for place in np.ndindex(value.shape):
        ends = []
        for sign in (1, -1):
            moved = value.copy()
            moved[place] += sign * step
            ends.append(function({**parameters, name: moved}))
        numeric[place] = (ends[0] - ends[1]) / (2 * step)
    return numeric
