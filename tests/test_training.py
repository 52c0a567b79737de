"""Training: what it reports, how it starts, and every way it ends."""

import time

import numpy as np
import pytest

import dsmfast
from dsmfast import data, reference
from problems import relative_error

# Rounding grows along a trajectory; Adam divides by gradients that may be next to nothing.
TRAJECTORY = {"float32": 1e-4, "float64": 1e-11}


def rows(n=500, d=6, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def test_a_result_prints_in_a_line_without_its_history():
    X = rows()
    result = dsmfast.train(X, 4, 0.5, epochs=3, validation=X[:99])
    loss, held_out = (f"{result.history[name][-1]:.6g}" for name in ("loss", "validation_loss"))
    assert repr(result) == (
        "TrainingResult(ScoreModel(n_features=6, n_hidden=4, sigma=0.5, dtype='float32'), steps=6, "
        f"stop_reason='finished', loss={loss}, validation_loss={held_out})"
    )
    none = dsmfast.train(X, 4, 0.5, epochs=0)
    assert repr(none).endswith("steps=0, stop_reason='finished')")


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
    assert np.allclose(dae.history["loss"] / (2 * 0.5**4), dsm.history["loss"], rtol=1e-12, atol=0)


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
    assert np.allclose(start.hidden(mean), 1 / (1 + np.exp(2.0)), rtol=1e-12, atol=0)
    assert np.allclose(start.denoise(mean), mean, rtol=1e-12, atol=0)


def test_epochs_continue_where_init_stops():
    X = rows()
    first = dsmfast.train(X, 8, 0.5, epochs=2)
    again = dsmfast.train(X, 8, 0.5, epochs=0, init=first.model)
    assert np.array_equal(again.model.W, first.model.W)
    for init in (first, first.model):
        warmer = dsmfast.train(X, 8, 0.7, epochs=0, init=init)
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
            _, gradient = reference.regression(model, x + e, x)
            for p, g in zip((model.W, model.b, model.c), gradient, strict=True):
                p -= 0.1 * factors[step] * g / 4
            step += 1
    assert relative_error(result.model.c, model.c) < 1e-12


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
    order = reference.shuffled_rows(0, 1, 2048)
    start = dsmfast.train(X, 8, 0.5, epochs=0).model
    parameters = (start.W, start.b, start.c)
    velocity = tuple(map(np.zeros_like, parameters))
    arrays = tuple(p.copy() for p in parameters)
    landed = np.zeros(1, np.int64)
    dsmfast._core.train(
        [arrays, velocity],
        dsmfast.SGD().compiled(0),
        dsmfast._core.Regression(points=X, noise=dsmfast._core.Noise(sigma=0.5)),
        order,
        0,
        32 * result.steps,
        32,
        np.full(result.steps, 0.9),
        np.empty(result.steps),
        landed,
        dsmfast._core.WorkingMemory(),
        1,
    )
    assert landed[0] == result.steps
    for name, expected in zip(("W", "b", "c"), arrays, strict=True):
        assert np.array_equal(getattr(result.model, name), expected)


@pytest.mark.parametrize("path", ["explicit", "gram"])
@pytest.mark.parametrize("d", [2, 40])
def test_regions_of_a_step_add_up_to_no_more_than_its_time(path, d):
    X = rows(2000, d)
    start = dsmfast.ScoreModel.initialize(d, 16, 0.5)
    parameters = (start.W.copy(), start.b.copy(), start.c.copy())
    memory = dsmfast._core.WorkingMemory(timed=True)
    begin = time.perf_counter()
    dsmfast._core.train(
        [parameters],
        dsmfast.SGD(momentum=0.0).compiled(0),
        dsmfast._core.Regression(
            points=X, noise=dsmfast._core.Noise(sigma=0.5), path=dsmfast._core.Path[path]
        ),
        np.arange(2000),
        0,
        2000,
        100,
        np.full(20, 1e-3),
        np.empty(20),
        np.zeros(1, np.int64),
        memory,
        1,
    )
    seconds = memory.seconds()
    assert 0 < sum(seconds.values()) <= time.perf_counter() - begin
    used = {name for name, value in seconds.items() if value > 0}
    assert {"noise", "points", "gradient", "update"} <= used
    assert ("gram" in used) == (path == "gram")
    assert dsmfast._core.WorkingMemory().seconds() == {}


def steps_of_core(share=None):
    """Take 7 steps with the kernels' own arguments; return the state's arrays and the rest."""
    core = dsmfast._core
    X = rows(200, 6)
    start = dsmfast.ScoreModel.initialize(6, 9, 0.5)
    state = [tuple(p.copy() for p in (start.W, start.b, start.c)) for _ in range(3)]
    for moments in state[1:]:
        for array in moments:
            array[...] = 0
    sums, landed = np.full(7, np.nan), np.zeros(1, np.int64)
    core.train(
        state,
        dsmfast.Adam().compiled(0),
        core.Regression(points=X, noise=core.Noise(sigma=0.5)),
        np.arange(200),
        0,
        200,
        32,
        np.full(7, 1e-3),
        sums,
        landed,
        core.WorkingMemory(),
        2,
        share,
    )
    return state, sums, landed


def test_steps_that_ranks_take_are_those_of_one_where_there_is_one():
    expected, sums, landed = steps_of_core()
    assert landed[0] == 7
    calls = []
    begins = np.minimum(np.arange(8) * 32, 200)
    share = dsmfast._core.Share(
        begins=begins, rows=200, sum=lambda values: calls.append(values.size)
    )
    found, others, landed = steps_of_core(share)
    assert landed[0] == len(calls) == 7
    assert np.array_equal(sums.astype(np.float32), others)  # in the precision of the gradient
    for one, two in zip(expected, found, strict=True):
        for a, b in zip(one, two, strict=True):
            assert np.array_equal(a, b)


def test_a_sum_over_ranks_that_fails_is_raised():
    def failing(values):
        calls.append(values.size)
        if len(calls) == 3:
            raise OSError("the network is down")

    begins = np.minimum(np.arange(8) * 32, 200)
    calls = []
    with pytest.raises(OSError, match="the network is down"):
        steps_of_core(dsmfast._core.Share(begins=begins, rows=200, sum=failing))
    assert len(calls) == 3
