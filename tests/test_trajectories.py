"""Training: the trajectories of the reference, of every objective, and the bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsmfast
from dsmfast import reference
from problems import CASES, NOISELESS, relative_error

# Rounding grows along a trajectory; Adam divides by gradients that may be next to nothing.
TRAJECTORY = {"float32": 1e-4, "float64": 1e-11}

OPTIMIZERS = [
    dsmfast.SGD(momentum=0.0),
    dsmfast.SGD(momentum=0.9, nesterov=False),
    dsmfast.SGD(momentum=0.9, nesterov=True, weight_decay=0.1),
    dsmfast.Adam(),
    dsmfast.Adam(learning_rate=0.003, beta1=0.8, beta2=0.99, epsilon=1e-3, weight_decay=0.1),
]


def rows(n=500, d=6, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


# 37 units on 21 features: on the path "gram", W W' is singular, and its root, of condition 1e9, is
# that of the reference to 1e-7 of what the noise has of it.
SINGULAR = {"float32": 1e-4, "float64": 1e-9}
PATHS = ("explicit", "gram")


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize("path", PATHS)
def test_trajectory_of_the_reference(optimizer, draws, path, dtype):
    X = rows(170, 21, dtype)
    start = dsmfast.ScoreModel.initialize(21, 37, 0.5, dtype=dtype)
    result = dsmfast.train(
        X,
        37,
        0.5,
        init=start,
        objective="dae",
        optimizer=optimizer,
        schedule="constant",
        epochs=3,
        batch_size=64,  # 64, 64 and 42
        draws=draws,
        antithetic=draws == 2,
        path=path,
        dtype=dtype,
        seed=11,
    )
    options = {"draws": draws, "antithetic": draws == 2, "path": path, "seed": 11}
    model, losses = reference.train(
        X, start, optimizer=optimizer, epochs=3, batch_size=64, **options
    )
    allowed = (TRAJECTORY if path == "explicit" else SINGULAR)[dtype]
    assert result.steps == 9
    assert relative_error(result.history["loss"], losses) <= allowed
    for name in ("W", "b", "c"):
        actual, expected = getattr(result.model, name), getattr(model, name)
        assert actual.dtype == dtype
        assert relative_error(actual, expected) <= allowed


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("dae", "dsm")])
@pytest.mark.parametrize("path", PATHS)
def test_trajectory_of_every_objective(name, path, dtype):
    if (name, path) == ("esm_smoothed", "gram"):
        pytest.skip("the posterior mean has no gram path")
    X = rows(170, 21, dtype)
    start = dsmfast.ScoreModel.initialize(21, 37, 0.8, dtype=dtype)
    options = {"epochs": 2, "batch_size": 64, "seed": 11, "optimizer": dsmfast.SGD(), "path": path}
    options |= CASES[name]
    allowed = (TRAJECTORY if path == "explicit" else SINGULAR)[dtype]
    result = dsmfast.train(X, 37, 0.8, init=start, schedule="constant", dtype=dtype, **options)
    model, losses = reference.train(X, start, **options)
    assert relative_error(result.history["loss"], losses) <= allowed
    for parameter in ("W", "b", "c"):
        actual, expected = getattr(result.model, parameter), getattr(model, parameter)
        assert relative_error(actual, expected) <= allowed


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("path", PATHS)
def test_every_objective_has_the_same_bits_on_any_number_of_threads(name, path):
    X = rows(500, 30)
    options = {"epochs": 2, "batch_size": 200, "validation": X[:50], **CASES[name]}
    options["path"] = path if name != "esm_smoothed" else "auto"
    one = dsmfast.train(X, 70, 0.5, threads=1, **options)
    for threads in (2, 3, 8):
        many = dsmfast.train(X, 70, 0.5, threads=threads, **options)
        assert np.array_equal(one.model.W, many.model.W)
        assert np.array_equal(one.history["loss"], many.history["loss"])
        assert np.array_equal(one.history["validation_loss"], many.history["validation_loss"])


@pytest.mark.parametrize("name", CASES)
def test_validation_loss_is_the_objective_on_other_rows(name):
    X, held_out = rows(60, 4, "float64"), rows(30, 4, "float64", seed=1)
    options = {"epochs": 1, "validation": held_out, "dtype": "float64", **CASES[name]}
    result = dsmfast.train(X, 5, 0.8, learning_rate=1e-300, seed=3, **options)
    drawn = reference.normals(3, 0, 0, range(30), 4, "float64", stream="validation")
    noise = {} if CASES[name]["objective"] in NOISELESS else {"noise": drawn}
    expected = dsmfast.loss(result.model, held_out, **CASES[name], **noise)
    assert result.history["validation_loss"][0] == pytest.approx(expected, rel=1e-12)


def test_sigma_follows_a_schedule():
    X = rows(300, 3)
    widths = np.geomspace(1.0, 0.1, 5)
    seen = []
    options = {"epochs": 5, "callbacks": [lambda e: seen.append((e.sigma, e.model.sigma))]}
    of_sequence = dsmfast.train(X, 8, widths, **options)
    assert of_sequence.model.sigma == widths[-1]
    assert np.array_equal(of_sequence.history["sigma"], widths)
    assert seen == [(s, s) for s in widths]
    of_function = dsmfast.train(X, 8, lambda epoch: widths[epoch - 1], epochs=5)
    assert np.array_equal(of_function.model.W, of_sequence.model.W)
    assert "sigma" not in dsmfast.train(X, 8, 0.5, epochs=1).history
    # The first epoch is that of a run at its sigma: noise and targets follow it.
    constant = dsmfast.train(X, 8, 1.0, epochs=5)
    assert constant.history["loss"][0] == of_sequence.history["loss"][0]
    assert dsmfast.train(X, 8, lambda epoch: 0.7, epochs=0).model.sigma == 0.7


@pytest.mark.parametrize("objective", ["esm", "ism", "esm_smoothed", "ism_smoothed"])
def test_a_schedule_is_the_pieces_one_after_the_other(objective):
    """SGD without momentum remembers nothing: two epochs are one at each sigma."""
    X = rows(64, 3, "float64")
    options = {
        "objective": objective,
        "optimizer": dsmfast.SGD(momentum=0.0),
        "batch_size": 64,
        "schedule": "constant",
        "dtype": "float64",
    }
    if objective == "esm":
        options["score"] = lambda x: -x
    both = dsmfast.train(X, 6, [0.9, 0.4], epochs=2, **options)
    first = dsmfast.train(X, 6, 0.9, epochs=1, **options).model
    # The second epoch's step is step 1 of the noise; in one batch, the order of rows is nothing.
    where = {} if objective in NOISELESS else {"seed": 0, "step": 1}
    score = {"score": lambda x: -x} if objective == "esm" else {}
    at = dsmfast.ScoreModel(first.W, first.b, first.c, 0.4)
    _, gradient = dsmfast.loss_and_grad(at, X, objective, **where, **score)
    step = 0.01 * 2 * 0.4**4
    assert relative_error(both.model.W, first.W - step * gradient.W) < 1e-12
    assert relative_error(both.model.c, first.c - step * gradient.c) < 1e-12


def test_sigma_auto_is_the_width_of_the_parzen_density():
    X = rows(200, 3)
    result = dsmfast.train(X, 8, "auto", epochs=1)
    assert result.model.sigma == dsmfast.select_sigma(X)


def test_score_and_data_of_another_precision_are_converted_like_the_rows():
    X = rows(80, 3, "float64")
    of_double = dsmfast.train(X, 6, 0.5, objective="esm", score=-X, epochs=2)
    of_single = dsmfast.train(
        X.astype(np.float32), 6, 0.5, objective="esm", score=-X.astype(np.float32), epochs=2
    )
    assert np.array_equal(of_double.model.W, of_single.model.W)
    smoothed = dsmfast.train(X, 6, 0.5, objective="esm_smoothed", data=X[:40], epochs=2)
    assert smoothed.model.dtype == np.float32


@pytest.mark.parametrize("corruption", ["masking", "salt_and_pepper"])
def test_training_on_overwritten_features(corruption):
    """It learns to fill in what is missing: better than the mean, and than the corrupted point."""
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((2000, 2)) @ rng.standard_normal((2, 12))).astype(np.float32)
    options = {"corruption": corruption, "corruption_level": 0.25}
    result = dsmfast.train(X, 40, 0.5, objective="dae", epochs=60, **options)
    assert result.history["loss"][-1] < 0.25 * 0.25 * X.var(axis=0).sum() * 2


def test_adam_against_torch():
    torch = pytest.importorskip("torch")
    X = rows(64, 5, "float64")
    start = dsmfast.ScoreModel.initialize(5, 7, 0.5, dtype="float64")
    result = dsmfast.train(
        X,
        7,
        0.5,
        init=start,
        learning_rate=0.01,
        schedule="constant",
        epochs=4,
        batch_size=64,
        dtype="float64",
    )
    W, b, c = (torch.tensor(p.copy(), requires_grad=True) for p in (start.W, start.b, start.c))
    adam = torch.optim.Adam([W, b, c], lr=0.01)
    for step in range(4):
        order = reference.shuffled_rows(0, step + 1, 64)
        x = torch.tensor(X[order])
        noisy = x + 0.5 * torch.tensor(reference.normals(0, step, 0, order, 5, "float64"))
        adam.zero_grad()
        ((torch.sigmoid(noisy @ W.T + b) @ W + c - x) ** 2).sum(1).mean().backward()
        adam.step()
    assert relative_error(result.model.W, W.detach().numpy()) < 1e-12


@given(
    n=st.integers(1, 60),
    d=st.integers(1, 20),
    h=st.integers(1, 20),
    batch_size=st.integers(1, 80),
    draws=st.integers(1, 2),
    adam=st.booleans(),
    path=st.sampled_from(PATHS),
    double=st.booleans(),
)
def test_same_bits_on_any_number_of_threads_and_again(
    n, d, h, batch_size, draws, adam, path, double
):
    options = {
        "epochs": 2,
        "batch_size": batch_size,
        "draws": draws,
        "path": path,
        "optimizer": "adam" if adam else "sgd",
        "learning_rate": 0.001,
        "dtype": "float64" if double else "float32",
    }
    X = rows(n, d)
    first = dsmfast.train(X, h, 0.5, threads=1, **options)
    for threads in (1, 2, 3, 8):
        other = dsmfast.train(X, h, 0.5, threads=threads, **options)
        for name in ("W", "b", "c"):
            assert np.array_equal(getattr(first.model, name), getattr(other.model, name))
        assert np.array_equal(first.history["loss"], other.history["loss"])


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("path", PATHS)
def test_same_bits_at_sizes_that_use_the_threads(threads, path, dtype):
    X = rows(600, 300, dtype)
    options = {"epochs": 1, "batch_size": 256, "dtype": dtype, "sigma": 0.4, "n_hidden": 150}
    options |= {"path": path, "draws": 2, "antithetic": True}
    one = dsmfast.train(X, threads=1, **options)
    many = dsmfast.train(X, threads=threads, **options)
    assert np.array_equal(one.model.W, many.model.W)
    assert np.array_equal(one.history["loss"], many.history["loss"])


@pytest.mark.parametrize("path", PATHS)
def test_batches_of_several_chunks_follow_the_reference(path):
    """5000 rows a step do not fit a chunk: the gradient is summed over several."""
    X = rows(5000, 10, "float64")
    start = dsmfast.ScoreModel.initialize(10, 6, 0.5, dtype="float64")
    rule = dsmfast.SGD(learning_rate=0.01)
    result = dsmfast.train(
        X,
        6,
        0.5,
        init=start,
        optimizer=rule,
        schedule="constant",
        epochs=2,
        batch_size=4900,
        dtype="float64",
        objective="dae",
        path=path,
    )
    model, losses = reference.train(X, start, optimizer=rule, epochs=2, batch_size=4900, path=path)
    assert relative_error(result.model.W, model.W) < 1e-12
    assert relative_error(result.history["loss"], losses) < 1e-12
