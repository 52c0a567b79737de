"""A large W: cut by its panels on several threads, with the bits of one thread."""

import numpy as np
import pytest

import dsmfast
from dsmfast import reference
from problems import PARITY, gradient_error, oracle, problem, relative_error

# More than 256 KiB of W, with panels that are not whole; rows up to two tiles, and too many.
FEATURES, UNITS = 331, 217
ROWS = (1, 2, 5, 17, 31, 95, 96, 97, 128, 129)
# More than 4 MiB of W; rows of several tiles, and of two chunks.
LARGE = (1051, 1013)
MANY_ROWS = (129, 289, 600)
KINDS = {
    "dae": {"objective": "dae"},
    "masking": {"objective": "dae", "corruption": "masking", "corruption_level": 0.4},
    "draws": {"objective": "dsm", "draws": 2},
    "esm": {"objective": "esm", "score": lambda x: -0.3 * x},
    "scales": {"objective": "dsm", "sigma_max": 4.0, "coarse_target": "row"},
    "ism": {"objective": "ism"},
    "posterior": {"objective": "esm_smoothed"},
    "ism, penalty": {"objective": "ism", "curvature_penalty": 0.1},  # which is not cut so
}


def results(kind, rows, dtype, threads, weights, shape=(FEATURES, UNITS)):
    model, x = problem(rows, *shape, dtype)
    options = {"path": "explicit", "seed": 3, **KINDS[kind]}
    if weights:
        options["sample_weight"] = np.random.default_rng(1).random(rows) + 0.1
    return dsmfast.loss_and_grad(model, x, threads=threads, **options)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", ROWS)
def test_the_same_bits_on_any_number_of_threads(rows, kind, weights, dtype):
    loss, gradient = results(kind, rows, dtype, 1, weights)
    for threads in (2, 3, 7):
        again, other = results(kind, rows, dtype, threads, weights)
        assert loss == again
        for one, two in zip(gradient, other, strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize(("kind", "weights"), [("dae", False), ("draws", True), ("ism", True)])
@pytest.mark.parametrize("rows", MANY_ROWS)
def test_of_many_rows_too(rows, kind, weights, dtype):
    loss, gradient = results(kind, rows, dtype, 1, weights, LARGE)
    for threads in (2, 3):
        again, other = results(kind, rows, dtype, threads, weights, LARGE)
        assert loss == again
        for one, two in zip(gradient, other, strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize(
    ("rows", "shape"), [(n, (FEATURES, UNITS)) for n in ROWS] + [(n, LARGE) for n in MANY_ROWS]
)
def test_parity_with_the_reference(rows, shape, dtype):
    model, x = problem(rows, *shape, dtype)
    noise = np.random.default_rng(2).standard_normal(x.shape).astype(dtype)
    options = {"objective": "dae", "noise": noise}
    loss, gradient = dsmfast.loss_and_grad(model, x, path="explicit", threads=2, **options)
    wide = {**options, "noise": noise.astype(np.float64)}
    expected, exact = reference.loss_and_grad(oracle(model), x.astype(np.float64), **wide)
    assert relative_error(loss, expected) < PARITY[dtype]
    assert gradient_error(gradient, exact) < PARITY[dtype]


def test_training_has_the_same_bits(dtype):
    x = np.random.default_rng(0).random((300, FEATURES)).astype(dtype)
    options = {"epochs": 2, "batch_size": 32, "path": "explicit", "dtype": dtype}
    one, two = (dsmfast.train(x, UNITS, 0.4, threads=n, **options) for n in (1, 2))
    assert np.array_equal(one.model.W, two.model.W)
    assert np.array_equal(one.history["loss"], two.history["loss"])
