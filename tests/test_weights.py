"""Weights of rows: in objectives, training, and the Parzen density."""

import numpy as np
import pytest
from test_gram import DRAWN
from test_scales import weights_of
from test_trajectories import SINGULAR, TRAJECTORY

import dsmfast
from dsmfast import _core, reference
from problems import (
    CASES,
    NOISELESS,
    PARITY,
    central_differences,
    gradient_error,
    oracle,
    problem,
    relative_error,
)

SIZES = [(1, 1, 1), (7, 1, 9), (97, 3, 40), (95, 17, 31), (130, 257, 70), (64, 64, 300)]
PATHS = ("explicit", "gram")


def cases():
    for name, case in CASES.items():
        for path in PATHS:
            if (name, path) != ("esm_smoothed", "gram"):
                yield pytest.param({**case, "path": path}, id=f"{name}, {path}")


every_case = pytest.mark.parametrize("case", list(cases()))


@every_case
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_parity_with_reference(case, size, dtype):
    model, x = problem(*size, dtype)
    weights = weights_of(len(x), dtype)
    options = {**case, "seed": 5, "draws": 1 if case["objective"] in NOISELESS else 3}
    value, gradient = dsmfast.loss_and_grad(model, x, sample_weight=weights, **options)
    expected, correct = reference.loss_and_grad(
        oracle(model), x.astype(np.float64), sample_weight=weights.astype(np.float64), **options
    )
    tolerance = (DRAWN if case["path"] == "gram" else PARITY)[dtype]
    curved = case["objective"].startswith("ism")
    magnitude = abs(expected) + (curved + PARITY["float32"]) * x.shape[1] / model.sigma**2
    assert abs(value - expected) <= tolerance * magnitude
    assert gradient_error(gradient, correct) <= tolerance
    assert dsmfast.loss(model, x, sample_weight=weights, **options) == value


@every_case
def test_gradient_against_central_differences(case):
    model, x = problem(20, 4, 5, "float64")
    options = {**case, "seed": 1, "sample_weight": weights_of(20)}
    _, gradient = dsmfast.loss_and_grad(model, x, **options)
    parameters = {"W": model.W, "b": model.b, "c": model.c}
    whole = case["path"] == "explicit" or case["objective"] in NOISELESS
    for name in ("W", "b", "c") if whole else ("b", "c"):
        numeric = central_differences(
            lambda p: dsmfast.loss(dsmfast.ScoreModel(**p, sigma=model.sigma), x, **options),
            parameters,
            name,
        )
        assert relative_error(getattr(gradient, name), numeric) <= 1e-7


@every_case
def test_equal_weights_are_none(case):
    """Weights count next to each other: what they are multiplied by does not matter."""
    model, x = problem(150, 9, 13, "float64")
    value, gradient = dsmfast.loss_and_grad(model, x, **case)
    for weight in (1.0, 4.0, 2.0**-1000):
        weights = np.full(150, weight)
        same, other = dsmfast.loss_and_grad(model, x, sample_weight=weights, **case)
        assert same == pytest.approx(value, rel=1e-13)
        assert gradient_error(other, gradient) <= 1e-13


@every_case
def test_rows_of_weight_0_do_not_count(case):
    """Whatever they hold, the sum is that of the others."""
    model, x = problem(60, 6, 9, "float64")
    weights = weights_of(60)
    value, gradient = dsmfast.loss_and_grad(model, x, sample_weight=weights, **case)
    other = x.copy()
    other[weights == 0] = 1e3
    same, unmoved = dsmfast.loss_and_grad(model, other, sample_weight=weights, **case)
    assert same == pytest.approx(value, rel=1e-12)
    assert gradient_error(unmoved, gradient) <= 1e-10


@every_case
def test_trajectory_of_the_reference(case, dtype):
    X = np.random.default_rng(0).standard_normal((170, 21)).astype(dtype)
    start = dsmfast.ScoreModel.initialize(21, 37, 0.8, dtype=dtype)
    options = {"epochs": 2, "batch_size": 64, "seed": 11, "optimizer": dsmfast.SGD(), **case}
    options["sample_weight"] = weights_of(170)
    result = dsmfast.train(X, 37, 0.8, init=start, schedule="constant", dtype=dtype, **options)
    model, losses = reference.train(X, start, **options)
    allowed = (TRAJECTORY if case["path"] == "explicit" else SINGULAR)[dtype]
    assert relative_error(result.history["loss"], losses) <= allowed
    for name in ("W", "b", "c"):
        assert relative_error(getattr(result.model, name), getattr(model, name)) <= allowed


@every_case
def test_the_same_bits_on_any_number_of_threads(case):
    X = np.random.default_rng(0).standard_normal((500, 30)).astype(np.float32)
    options = {"epochs": 1, "batch_size": 200, "sample_weight": weights_of(500), **case}
    one = dsmfast.train(X, 70, 0.5, threads=1, **options)
    for threads in (2, 5):
        many = dsmfast.train(X, 70, 0.5, threads=threads, **options)
        assert np.array_equal(one.model.W, many.model.W)
        assert np.array_equal(one.history["loss"], many.history["loss"])


def test_the_start_is_at_the_weighted_mean():
    X = np.random.default_rng(0).standard_normal((50, 3))
    weights = weights_of(50)
    model = dsmfast.train(X, 5, 0.5, epochs=0, sample_weight=weights, dtype="float64").model
    mean = np.average(X, axis=0, weights=weights)
    assert np.allclose(model.denoise(mean[None]), mean, rtol=1e-12)
    assert np.allclose(model.W @ mean + model.b, -3)


def test_a_part_that_is_held_out_keeps_its_weights():
    X = np.random.default_rng(0).standard_normal((100, 3))
    weights = weights_of(100)
    options = {"epochs": 1, "dtype": "float64", "learning_rate": 1e-300, "seed": 3}
    result = dsmfast.train(X, 5, 0.5, sample_weight=weights, validation=0.3, **options)
    rows, held_out = dsmfast.data.split(X, 0.3, 3)
    own, others = dsmfast.data.split(weights, 0.3, 3)
    same = dsmfast.train(rows, 5, 0.5, sample_weight=own, **options)
    assert np.array_equal(result.history["loss"], same.history["loss"])
    noise = reference.normals(3, 0, 0, range(30), 3, "float64", stream="validation")
    expected = dsmfast.loss(result.model, held_out, noise=noise, sample_weight=others)
    assert result.history["validation_loss"][0] == pytest.approx(expected, rel=1e-12)


def test_weights_come_by_windows():
    """They are over the mean of all, not of the window."""
    X = np.random.default_rng(0).standard_normal((120, 3))
    weights = np.repeat([1.0, 2.0, 6.0], 40)
    options = {"epochs": 1, "batch_size": 40, "dtype": "float64", "learning_rate": 1e-300}
    result = dsmfast.train(X, 5, 0.5, window=40, sample_weight=weights, **options)
    total = 0.0
    for step, i in enumerate(_core.shuffled_rows(0, 1, 3, 2**32 - 1)):
        noise = dsmfast.normals(0, step, 0, range(40 * i, 40 * i + 40), 3, "float64")
        rows = X[40 * i : 40 * i + 40]
        total += weights[40 * i] / 3 * dsmfast.loss(result.model, rows, noise=noise)
    assert result.history["loss"][0] == pytest.approx(total / 3, rel=1e-12)


# The Parzen density.

N_SHAPES = [(5, 1, 1), (40, 3, 7), (33, 20, 300), (7, 70, 1200), (2, 2, 40_000)]


@pytest.mark.parametrize("size", N_SHAPES, ids=str)
def test_parzen_density(size, dtype):
    n, d, N = size
    rng = np.random.default_rng([n, d, N])
    x, data = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((N, d)).astype(dtype)
    weights = np.ones(1) if N == 1 else weights_of(N)
    options = {"sample_weight": weights}
    for name in ("parzen_denoise", "parzen_score", "parzen_log_density"):
        actual = getattr(dsmfast, name)(x, data, 0.6, **options)
        expected = getattr(reference, name)(
            x.astype(np.float64), data.astype(np.float64), 0.6, **options
        )
        assert relative_error(actual, expected) <= {"float32": 3e-5, "float64": 1e-12}[dtype]
        assert np.array_equal(actual, getattr(dsmfast, name)(x, data, 0.6, threads=3, **options))


def test_a_weight_is_a_number_of_rows():
    rng = np.random.default_rng(0)
    x, data = rng.standard_normal((20, 4)), rng.standard_normal((50, 4))
    counts = rng.integers(0, 4, 50)
    for name in ("parzen_denoise", "parzen_score", "parzen_log_density"):
        function = getattr(dsmfast, name)
        repeated = function(x, np.repeat(data, counts, axis=0), 0.5)
        assert relative_error(function(x, data, 0.5, sample_weight=counts), repeated) <= 1e-12
        assert np.array_equal(
            function(x, data, 0.5, sample_weight=np.full(50, 3.0)), function(x, data, 0.5)
        )


def test_a_row_without_weight_is_not_there_however_near():
    x, data = [[0.0, 0.0]], [[0.0, 0.0], [50.0, 0.0], [0.0, 60.0]]
    nearest = dsmfast.parzen_denoise(x, data, 0.1, sample_weight=[0, 1, 1])
    assert np.allclose(nearest, [[50.0, 0.0]], rtol=0, atol=1e-13)


def test_select_sigma():
    """The root of the slope of the weighted mean, by brute force."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 2))
    weights = weights_of(80)

    def likelihood(sigma):
        squares = ((X[:, None] - X[None]) ** 2).sum(axis=2)
        kernel = np.exp(-squares / (2 * sigma**2)) * (1 - np.eye(80))
        kept = weights > 0
        return np.average(np.log(kernel @ weights)[kept], weights=weights[kept]) - 2 * np.log(sigma)

    sigma = dsmfast.select_sigma(X, sample_weight=weights)
    slope = (likelihood(1.001 * sigma) - likelihood(sigma / 1.001)) / 0.002
    assert abs(slope) < 1e-3
    assert likelihood(sigma) >= max(map(likelihood, np.geomspace(0.05, 3, 50)))
    assert sigma != dsmfast.select_sigma(X)
    kept = weights > 0
    assert sigma == pytest.approx(
        dsmfast.select_sigma(X[kept], sample_weight=weights[kept]), rel=1e-9
    )
    assert dsmfast.select_sigma(X, sample_weight=np.full(80, 0.5)) == pytest.approx(
        dsmfast.select_sigma(X), rel=1e-6
    )


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (np.ones(3), ValueError, r"sample_weight: expected shape \(20,\), got \(3,\)"),
        (np.ones((20, 1)), ValueError, r"sample_weight: expected shape \(20,\), got \(20, 1\)"),
        (np.zeros(20), ValueError, "sample_weight: expected a weight above 0, got none"),
        (
            -np.ones(20),
            ValueError,
            "sample_weight: expected finite numbers >= 0, got -1.0 in",
        ),
        (np.full(20, np.nan), ValueError, "sample_weight: expected finite numbers >= 0, got nan"),
        (["a"] * 20, TypeError, "sample_weight: expected real numbers, got dtype"),
    ],
)
def test_bad_weights(weights, error, message):
    X = np.random.default_rng(0).standard_normal((20, 3))
    model = dsmfast.ScoreModel.initialize(3, 4, 0.5, dtype="float64")
    for call in (
        lambda: dsmfast.loss(model, X, sample_weight=weights),
        lambda: dsmfast.train(X, 4, 0.5, sample_weight=weights),
        lambda: dsmfast.parzen_denoise(X, X, 0.5, sample_weight=weights),
        lambda: dsmfast.select_sigma(X, sample_weight=weights),
    ):
        with pytest.raises(error, match=message):
            call()
