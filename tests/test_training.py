"""Training: the trajectory, the bits, and every way it ends."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsmfast
from dsmfast import data, reference
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


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("draws", [1, 2])
def test_trajectory_of_the_reference(optimizer, draws, dtype):
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
        dtype=dtype,
        seed=11,
    )
    model, losses = reference.train(
        X, start, optimizer=optimizer, epochs=3, batch_size=64, draws=draws, seed=11
    )
    assert result.steps == 9
    assert relative_error(result.history["loss"], losses) <= TRAJECTORY[dtype]
    for name in ("W", "b", "c"):
        actual, expected = getattr(result.model, name), getattr(model, name)
        assert actual.dtype == dtype
        assert relative_error(actual, expected) <= TRAJECTORY[dtype]


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("dae", "dsm")])
def test_trajectory_of_every_objective(name, dtype):
    X = rows(170, 21, dtype)
    start = dsmfast.ScoreModel.initialize(21, 37, 0.8, dtype=dtype)
    options = {"epochs": 2, "batch_size": 64, "seed": 11, "optimizer": dsmfast.SGD(), **CASES[name]}
    result = dsmfast.train(X, 37, 0.8, init=start, schedule="constant", dtype=dtype, **options)
    model, losses = reference.train(X, start, **options)
    assert relative_error(result.history["loss"], losses) <= TRAJECTORY[dtype]
    for parameter in ("W", "b", "c"):
        actual, expected = getattr(result.model, parameter), getattr(model, parameter)
        assert relative_error(actual, expected) <= TRAJECTORY[dtype]


@pytest.mark.parametrize("name", CASES)
def test_every_objective_has_the_same_bits_on_any_number_of_threads(name):
    X = rows(500, 30)
    options = {"epochs": 2, "batch_size": 200, "validation": X[:50], **CASES[name]}
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
    double=st.booleans(),
)
def test_same_bits_on_any_number_of_threads_and_again(n, d, h, batch_size, draws, adam, double):
    options = {
        "epochs": 2,
        "batch_size": batch_size,
        "draws": draws,
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
def test_same_bits_at_sizes_that_use_the_threads(threads, dtype):
    X = rows(600, 300, dtype)
    options = {"epochs": 1, "batch_size": 256, "dtype": dtype, "sigma": 0.4, "n_hidden": 150}
    one = dsmfast.train(X, threads=1, **options)
    many = dsmfast.train(X, threads=threads, **options)
    assert np.array_equal(one.model.W, many.model.W)
    assert np.array_equal(one.history["loss"], many.history["loss"])


def test_batches_of_several_chunks_follow_the_reference():
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
    )
    model, losses = reference.train(X, start, optimizer=rule, epochs=2, batch_size=4900)
    assert relative_error(result.model.W, model.W) < 1e-12
    assert relative_error(result.history["loss"], losses) < 1e-12


def test_it_learns():
    X = data.spiral(2000)
    result = dsmfast.train(X, 64, 0.3, validation=X[:500])
    assert result.stop_reason == "finished"
    assert result.steps == 20 * 8
    assert set(result.history) == {"loss", "seconds", "validation_loss"}
    assert all(len(values) == 20 for values in result.history.values())
    assert result.history["validation_loss"][-1] < 0.5 * result.history["validation_loss"][0]
    assert np.all(result.history["seconds"] > 0)


def test_objective_changes_what_is_reported_not_what_is_learned():
    X = rows()
    dae = dsmfast.train(X, 8, 0.5, objective="dae", epochs=2)
    dsm = dsmfast.train(X, 8, 0.5, objective="dsm", epochs=2)
    assert np.array_equal(dae.model.W, dsm.model.W)
    assert np.allclose(dae.history["loss"] / (2 * 0.5**4), dsm.history["loss"], rtol=1e-12)


def test_history_is_the_loss_of_the_steps():
    """With a rate of next to nothing, an epoch's loss is that of the start on the same noise."""
    X = rows(100, 4, "float64")
    start = dsmfast.ScoreModel.initialize(4, 5, 0.5, dtype="float64")
    result = dsmfast.train(
        X, 5, 0.5, init=start, learning_rate=1e-300, epochs=1, batch_size=100, dtype="float64"
    )
    assert result.history["loss"][0] == pytest.approx(dsmfast.loss(start, X), rel=1e-12)


def test_validation_noise_stays_the_same():
    X = rows()
    result = dsmfast.train(X, 8, 0.5, learning_rate=1e-30, epochs=3, validation=X)
    assert np.ptp(result.history["validation_loss"]) == 0
    assert np.ptp(result.history["loss"]) > 0


def test_default_start():
    """At the mean of the data: pre-activations are hidden_bias, the reconstruction is the mean."""
    X = rows(300, 9, "float64") + 5
    start = dsmfast.train(X, 30, 0.5, epochs=0, dtype="float64", hidden_bias=-2.0).model
    mean = X.mean(axis=0)[None]
    assert np.allclose(start.hidden(mean), 1 / (1 + np.exp(2.0)), rtol=1e-12)
    assert np.allclose(start.denoise(mean), mean, rtol=1e-12)


def test_epochs_continue_where_init_stops():
    X = rows()
    first = dsmfast.train(X, 8, 0.5, epochs=2)
    again = dsmfast.train(X, 8, 0.5, epochs=0, init=first.model)
    assert np.array_equal(again.model.W, first.model.W)
    warmer = dsmfast.train(X, 8, 0.7, epochs=0, init=first.model)
    assert warmer.model.sigma == 0.7


@pytest.mark.parametrize("view", ["F", "strided", "read-only", "float64"])
def test_data_in_any_layout(view):
    X = rows(200, 5)
    views = {
        "F": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=0)[::2],
        "read-only": X.copy(),
        "float64": X.astype(np.float64),
    }
    views["read-only"].flags.writeable = False
    expected = dsmfast.train(X, 8, 0.5, epochs=2)
    actual = dsmfast.train(views[view], 8, 0.5, epochs=2)
    assert np.array_equal(expected.model.W, actual.model.W)


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [1, 0.5 + 0.125**0.5, 0.5, 0.5 - 0.125**0.5]),
        (lambda progress: 2 - progress, [2, 1.75, 1.5, 1.25]),
    ],
)
def test_schedules(schedule, factors):
    """W = 0, c = 0 and no momentum: dc = k sum R, so c tells the rates that were used."""
    X = rows(8, 2, "float64")
    zero = dsmfast.ScoreModel(np.zeros((1, 2)), np.zeros(1), np.zeros(2), 1.0)
    rule = dsmfast.SGD(learning_rate=0.1, momentum=0.0)
    result = dsmfast.train(
        X,
        1,
        1.0,
        init=zero,
        optimizer=rule,
        schedule=schedule,
        epochs=2,
        batch_size=4,
        dtype="float64",
    )
    model = reference.ScoreModel(np.zeros((1, 2)), np.zeros(1), np.zeros(2), 1.0)
    step = 0
    for epoch in (1, 2):
        order = reference.shuffled_rows(0, epoch, 8)
        for begin in (0, 4):
            x = X[order[begin : begin + 4]]
            e = reference.normals(0, step, 0, order[begin : begin + 4], 2, "float64")
            _, gradient = reference._regression(model, x + e, x)
            for p, g in zip((model.W, model.b, model.c), gradient, strict=True):
                p -= 0.1 * factors[step] * g / 4
            step += 1
    assert relative_error(result.model.c, model.c) < 1e-12


def test_callbacks_see_each_epoch_and_can_stop():
    seen = []

    def listen(epoch):
        seen.append((epoch.number, epoch.loss, epoch.validation_loss, epoch.steps))
        assert epoch.seconds > 0
        assert isinstance(epoch.model, dsmfast.ScoreModel)
        if epoch.number == 3:
            epoch.stop()

    X = rows()
    result = dsmfast.train(X, 8, 0.5, epochs=10, validation=X, callbacks=[listen])
    assert result.stop_reason == "callback"
    assert [number for number, *_ in seen] == [1, 2, 3]
    assert [entry[1] for entry in seen] == result.history["loss"].tolist()
    assert [entry[2] for entry in seen] == result.history["validation_loss"].tolist()
    assert [entry[3] for entry in seen] == [2, 4, 6]


def test_a_callback_that_raises_is_heard():
    def fail(epoch):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        dsmfast.train(rows(), 8, 0.5, callbacks=[fail])


@pytest.mark.parametrize("rate", [1e3, 1e30, 1e300])
def test_divergence_hands_back_the_last_finite_state(rate, dtype):
    X = rows(512, 6, dtype)
    options = {
        "optimizer": "sgd",
        "schedule": "constant",
        "learning_rate": rate,
        "batch_size": 32,
        "dtype": dtype,
        "epochs": 5,
    }
    with pytest.raises(dsmfast.DivergenceError, match=r"diverged at step \d+.*smaller") as caught:
        dsmfast.train(X, 8, 0.5, **options)
    result = caught.value.result
    assert result.stop_reason == "diverged"
    assert all(np.isfinite(p).all() for p in (result.model.W, result.model.b, result.model.c))
    assert str(caught.value).startswith(f"training diverged at step {result.steps + 1}")
    assert len(result.history["loss"]) == result.steps // 16


def test_divergence_rewinds_to_the_very_state():
    """What comes back is the state after that many steps of the same run, to the bit."""
    X = rows(2048, 6)
    options = {"optimizer": "sgd", "schedule": "constant", "learning_rate": 0.9, "batch_size": 32}
    with pytest.raises(dsmfast.DivergenceError) as caught:
        dsmfast.train(X, 8, 0.5, epochs=50, **options)
    result = caught.value.result
    assert 1 < result.steps < 64
    # The same run, stopped in time: the first steps of epoch 1 are those of its first rows.
    order = reference.shuffled_rows(0, 1, 2048)[: 32 * result.steps]
    start = dsmfast.train(X, 8, 0.5, epochs=0).model
    arrays = (start.W.copy(), start.b.copy(), start.c.copy())
    velocity = tuple(map(np.zeros_like, arrays))
    dsmfast._core.train(
        arrays,
        velocity,
        None,
        dsmfast.SGD().compiled(0),
        dsmfast._core.Regression(points=X, noise=dsmfast._core.Noise(sigma=0.5)),
        order,
        32,
        np.full(result.steps, 0.9),
        np.empty(result.steps),
        1,
    )
    for name, expected in zip(("W", "b", "c"), arrays, strict=True):
        assert np.array_equal(getattr(result.model, name), expected)


def test_progress_bar_writes_to_stderr_alone(capsys):
    pytest.importorskip("tqdm")
    slow = [lambda epoch: time.sleep(0.06)]  # the bar is drawn at most ten times a second
    dsmfast.train(rows(), 8, 0.5, epochs=4, progress=True, callbacks=slow)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "epoch" in shown.err
    assert "loss=" in shown.err
    dsmfast.train(rows(), 8, 0.5, epochs=2)  # not a terminal: silence
    assert capsys.readouterr() == ("", "")
