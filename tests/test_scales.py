"""Noise at several scales: the stream, parity, gradients, bits, and what refuses it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_gram import DRAWN
from test_trajectories import SINGULAR, TRAJECTORY

import dsmfast
from dsmfast import reference
from problems import (
    PARITY,
    central_differences,
    gradient_error,
    oracle,
    problem,
    relative_error,
)

# What a coarse visit is regressed on, on the paths that it has.
CASES = {
    "posterior": {"coarse_target": "posterior", "path": "explicit"},
    "row": {"coarse_target": "row", "path": "explicit"},
    "row, gram": {"coarse_target": "row", "path": "gram"},
    "esm_smoothed": {"objective": "esm_smoothed"},
}
SCALES = {"sigma_max": 2.5, "coarse": 0.6, "scale_exponent": 1.3}
# Few features and many, one of everything, and several chunks.
SIZES = [(1, 1, 1), (7, 1, 9), (97, 3, 40), (95, 17, 31), (130, 257, 70), (2100, 2, 33), (5, 8, 65)]


@pytest.fixture(params=CASES)
def case(request):
    return {**SCALES, **CASES[request.param]}


def tolerance_of(case, dtype):
    return (DRAWN if case.get("path") == "gram" else PARITY)[dtype]


def weights_of(n, dtype="float64"):
    """Weights of rows, some of them 0."""
    weights = np.random.default_rng(9).random(n).astype(dtype)
    weights[1 : n // 2 : 3] = 0
    return weights


# The stream.


def test_the_stream_is_the_reference(dtype):
    rows = np.array([0, 5, 2**32 + 1, 2**44 - 1, *range(100)])
    options = {"sigma": 0.3, "sigma_max": 7.0, "coarse": 0.4}
    for seed, step, draw in ((0, 0, 0), (2**64 - 1, 2**32 - 1, 2**16 - 1), (5, 7, 3)):
        place = (seed, step, draw, rows)
        scales = dsmfast.noise_scales(*place, **options, dtype=dtype)
        expected = reference.noise_scales(*place, **options, dtype="float64")
        assert scales.dtype == dtype
        assert np.abs(scales / expected - 1).max() <= {"float32": 1e-6, "float64": 1e-15}[dtype]
        assert np.array_equal(scales == np.dtype(dtype).type(0.3), expected == 0.3)


def test_the_law_of_the_scales():
    """A share is coarse, and the logarithm of the scale is uniform among these."""
    n, coarse = 100_000, 0.3
    scales = dsmfast.noise_scales(1, 0, 0, range(n), 0.5, 8.0, coarse, "float64")
    share = (scales > 0.5).mean()
    assert abs(share - coarse) < 4 * np.sqrt(coarse * (1 - coarse) / n)
    u = np.sort(np.log(scales[scales > 0.5] / 0.5) / np.log(16))
    steps = np.arange(len(u) + 1) / len(u)
    distance = max(np.abs(u - steps[1:]).max(), np.abs(u - steps[:-1]).max())
    assert distance < 1.63 / np.sqrt(len(u))  # Kolmogorov and Smirnov, 1 %


def test_scales_have_a_stream_of_their_own():
    """They say nothing of the noise that they multiply."""
    rows = range(20_000)
    scales = np.log(dsmfast.noise_scales(3, 1, 0, rows, 1.0, 5.0, 1.0, "float64"))
    noise = dsmfast.normals(3, 1, 0, rows, 4, "float64")
    correlations = [np.corrcoef(scales, f(e))[0, 1] for e in noise.T for f in (np.array, np.square)]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(len(scales))


def test_rows_keep_their_scales_in_any_order_and_on_any_threads():
    rows = np.random.default_rng(0).permutation(10_000)
    scales = dsmfast.noise_scales(1, 2, 3, rows, 0.1, 1.0, threads=1)
    assert np.array_equal(scales, dsmfast.noise_scales(1, 2, 3, rows, 0.1, 1.0, threads=8))
    alone = np.concatenate([dsmfast.noise_scales(1, 2, 3, [r], 0.1, 1.0) for r in rows[:50]])
    assert np.array_equal(scales[:50], alone)
    assert (dsmfast.noise_scales(1, 2, 3, rows, 0.1, 1.0, 0) == np.float32(0.1)).all()
    assert (dsmfast.noise_scales(1, 2, 3, rows, 0.1, 1.0, 1) > 0.1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma_max": 0.05}, "sigma_max: expected at least sigma=0.1, got 0.05"),
        ({"coarse": 1.5}, r"coarse: expected a number in \[0, 1\], got 1.5"),
        ({"coarse": -0.1}, "coarse: expected a finite number >= 0, got -0.1"),
        ({"sigma": 0}, "sigma: expected a finite number > 0, got 0"),
        ({"rows": [-1]}, "rows: expected at least one row number"),
        ({"draw": 2**16}, "draw: expected an integer of at most 65535"),
    ],
)
def test_bad_input_to_the_stream(change, message):
    good = {"seed": 0, "step": 0, "draw": 0, "rows": [1], "sigma": 0.1, "sigma_max": 1.0}
    with pytest.raises(ValueError, match=message):
        dsmfast.noise_scales(**{**good, **change})


# Values and gradients.


def assert_parity(model, x, options, tolerance):
    value, gradient = dsmfast.loss_and_grad(model, x, **options)
    in_double = {
        name: option.astype(np.float64) if isinstance(option, np.ndarray) else option
        for name, option in options.items()
    }
    expected, correct = reference.loss_and_grad(oracle(model), x.astype(np.float64), **in_double)
    # A value next to 0 is a small difference of squares of this size.
    magnitude = abs(expected) + x.shape[1] * PARITY["float32"]
    assert abs(value - expected) <= tolerance * magnitude
    assert gradient_error(gradient, correct) <= tolerance
    assert dsmfast.loss(model, x, **options) == value


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_parity_with_reference(case, size, weighted, dtype):
    model, x = problem(*size, dtype)
    options = {**case, "seed": 5, "step": 7}
    if weighted:
        options["sample_weight"] = weights_of(len(x), dtype)
    tolerance = tolerance_of(case, dtype)
    assert_parity(model, x, options, tolerance)
    assert_parity(model, x, {**options, "draws": 4, "antithetic": True}, tolerance)


def test_scales_are_drawn_where_the_noise_is_given(case, dtype):
    model, x = problem(60, 9, 20, dtype)
    noise = np.random.default_rng(0).standard_normal((2, *x.shape)).astype(dtype)
    options = {**case, "noise": noise, "seed": 3}
    assert_parity(model, x, options, PARITY[dtype])
    other = dsmfast.loss(model, x, **{**options, "seed": 4})
    assert other != dsmfast.loss(model, x, **options)


def test_a_sample_of_the_posterior(dtype):
    model, x = problem(40, 5, 7, dtype)
    data = problem(300, 5, 1, dtype, seed=3)[1]
    for objective in ("dae", "dsm", "esm_smoothed"):
        assert_parity(model, x, {**SCALES, "objective": objective, "data": data}, PARITY[dtype])


@pytest.mark.parametrize("size", [(1, 1, 1), (9, 5, 4), (30, 2, 33), (20, 17, 2)], ids=str)
def test_gradient_against_central_differences(case, size):
    """On the gram path, b and c: W is the gradient of the expectation."""
    model, x = problem(*size, "float64")
    options = {**case, "seed": 1, "sample_weight": weights_of(len(x))}
    _, gradient = dsmfast.loss_and_grad(model, x, **options)
    parameters = {"W": model.W, "b": model.b, "c": model.c}
    for name in ("b", "c") if case.get("path") == "gram" else ("W", "b", "c"):
        numeric = central_differences(
            lambda p: dsmfast.loss(dsmfast.ScoreModel(**p, sigma=model.sigma), x, **options),
            parameters,
            name,
        )
        assert relative_error(getattr(gradient, name), numeric) <= 1e-7


@pytest.mark.parametrize("target", ["posterior", "row"])
@pytest.mark.parametrize("size", [(12, 7, 9), (12, 2, 17)], ids=str)
def test_gradient_against_autograd(target, size):
    """The objective as the docs write it, noise and scales given."""
    torch = pytest.importorskip("torch")
    model, x = problem(*size, "float64")
    noise = np.random.default_rng(0).standard_normal(x.shape)
    omega = weights_of(len(x))
    place = {"seed": 2, "step": 3}
    s = dsmfast.noise_scales(
        *place.values(), 0, range(len(x)), model.sigma, SCALES["sigma_max"], 0.6, "float64"
    )
    parameters = [torch.tensor(p.copy(), requires_grad=True) for p in (model.W, model.b, model.c)]
    W, b, c = parameters
    rows, scales = torch.tensor(x), torch.tensor(s)[:, None]
    points = rows + scales * torch.tensor(noise)
    exponents = -(torch.cdist(points, rows) ** 2) / (2 * model.sigma**2)
    posterior = torch.softmax(exponents + torch.log(torch.tensor(omega)), dim=1) @ rows
    targets = torch.where((scales > model.sigma) & (target == "posterior"), posterior, rows)
    squares = ((torch.sigmoid(points @ W.T + b) @ W + c - targets) ** 2).sum(1)
    w = (model.sigma / scales[:, 0]) ** 1.3 * torch.tensor(omega / omega.mean())
    value = (w * squares).mean() / (2 * model.sigma**4)
    value.backward()
    options = {**SCALES, "coarse_target": target, "noise": noise, "sample_weight": omega}
    ours, gradient = dsmfast.loss_and_grad(model, x, **options, **place)
    assert ours == pytest.approx(value.item(), rel=1e-11)
    for name, parameter in zip(("W", "b", "c"), parameters, strict=True):
        assert relative_error(getattr(gradient, name), parameter.grad.numpy()) <= 1e-10


@given(
    n=st.integers(1, 200),
    d=st.integers(1, 40),
    h=st.integers(1, 70),
    name=st.sampled_from(sorted(CASES)),
    draws=st.sampled_from([1, 2, 3]),
    sigma_max=st.sampled_from([0.7, 0.9, 30.0, 1e4]),
    coarse=st.sampled_from([0.0, 1e-12, 0.3, 1.0]),
    exponent=st.sampled_from([0.0, 1.0, 2.5]),
    weighted=st.booleans(),
    layout=st.sampled_from(["C", "F", "strided", "read-only"]),
)
def test_any_shape_and_option(n, d, h, name, draws, sigma_max, coarse, exponent, weighted, layout):
    model, x = problem(n, d, h, "float64")
    options = {**CASES[name], "draws": draws, "seed": n}
    options |= {"sigma_max": sigma_max, "coarse": coarse, "scale_exponent": exponent}
    if weighted:
        options["sample_weight"] = weights_of(n) + (n < 3)
    value, gradient = dsmfast.loss_and_grad(model, x, threads=1, **options)
    expected, correct = reference.loss_and_grad(oracle(model), x, **options)
    # Points 1e4 away leave 8 digits of what is near.
    tolerance = max(tolerance_of(options, "float64"), 1e-14 * sigma_max)
    assert value == pytest.approx(expected, rel=tolerance, abs=1e-9)
    assert gradient_error(gradient, correct) <= tolerance
    other = {
        "C": x,
        "F": np.asfortranarray(x),
        "strided": np.repeat(x, 2, axis=1)[:, ::2],
        "read-only": x.copy(),
    }[layout]
    other.flags.writeable = layout != "read-only"
    again, same = dsmfast.loss_and_grad(model, other, threads=3, **options)
    assert again == value
    assert all(np.array_equal(a, b) for a, b in zip(gradient, same, strict=True))


# One scale.


@pytest.mark.parametrize("objective", ["dae", "dsm", "esm_smoothed"])
@pytest.mark.parametrize("change", [{"sigma_max": 0.7}, {"sigma_max": 3.0, "coarse": 0.0}], ids=str)
def test_one_scale_is_what_it_was(objective, change, dtype):
    """To the bit, in values, gradients and trainings, on both paths."""
    model, x = problem(70, 9, 13, dtype)
    for path in ("explicit", "gram") if objective != "esm_smoothed" else ("explicit",):
        options = {"objective": objective, "path": path, "draws": 2, "seed": 4}
        if path == "gram":
            change = {**change, "coarse_target": "row"}
        value, gradient = dsmfast.loss_and_grad(model, x, **options)
        same, other = dsmfast.loss_and_grad(model, x, **options, **change)
        assert value == same
        assert all(np.array_equal(a, b) for a, b in zip(gradient, other, strict=True))
        options |= {"epochs": 2, "batch_size": 30, "dtype": dtype, "validation": 0.2}
        one, two = (dsmfast.train(x, 13, 0.7, **options, **more) for more in ({}, change))
        assert np.array_equal(one.model.W, two.model.W)
        assert np.array_equal(one.history["loss"], two.history["loss"])


# Training.

REFERENCES = {None: None, "all": None, "batch": 64, 100: 100, 169: 169, 1000: None}


@pytest.mark.parametrize("reference_rows", REFERENCES)
@pytest.mark.parametrize("d", [3, 21])
def test_trajectory_with_each_reference(reference_rows, d, dtype):
    """The rows of a step's posterior: the batch, what follows it in the order, or all."""
    X = np.random.default_rng(0).standard_normal((170, d)).astype(dtype)
    start = dsmfast.ScoreModel.initialize(d, 37, 0.5, dtype=dtype)
    options = {"optimizer": dsmfast.SGD(momentum=0.9), "epochs": 3, "batch_size": 64, "seed": 11}
    options |= {"objective": "dsm", "sample_weight": weights_of(170), **SCALES}
    result = dsmfast.train(
        X,
        37,
        0.5,
        init=start,
        schedule="constant",
        dtype=dtype,
        reference=reference_rows,
        **options,
    )
    model, losses = reference.train(X, start, reference=REFERENCES[reference_rows], **options)
    allowed = TRAJECTORY[dtype]
    assert relative_error(result.history["loss"], losses) <= allowed
    for name in ("W", "b", "c"):
        assert relative_error(getattr(result.model, name), getattr(model, name)) <= allowed


def test_trajectory_of_the_reference(case, dtype):
    X = np.random.default_rng(0).standard_normal((170, 21)).astype(dtype)
    start = dsmfast.ScoreModel.initialize(21, 37, 0.5, dtype=dtype)
    options = {"optimizer": dsmfast.Adam(), "epochs": 2, "batch_size": 64, "seed": 11}
    options |= {"draws": 2, "antithetic": True, "objective": "dsm", **case}
    result = dsmfast.train(X, 37, 0.5, init=start, schedule="constant", dtype=dtype, **options)
    model, losses = reference.train(X, start, **options)
    allowed = (SINGULAR if case.get("path") == "gram" else TRAJECTORY)[dtype]
    assert relative_error(result.history["loss"], losses) <= allowed
    for name in ("W", "b", "c"):
        assert relative_error(getattr(result.model, name), getattr(model, name)) <= allowed


@pytest.mark.parametrize("d", [2, 30])
@pytest.mark.parametrize("reference_rows", ["batch", "all"])
def test_the_same_bits_on_any_number_of_threads(case, d, reference_rows):
    X = np.random.default_rng(0).standard_normal((500, d)).astype(np.float32)
    options = {"epochs": 1, "batch_size": 200, "sample_weight": weights_of(500), **case}
    if case.get("coarse_target") != "row":
        options["reference"] = reference_rows
    for draws in (1, 4) if reference_rows == "batch" else (1,):
        options |= {"draws": draws, "antithetic": draws == 4}
        one = dsmfast.train(X, 70, 0.5, threads=1, **options)
        for threads in (2, 3, 8):
            many = dsmfast.train(X, 70, 0.5, threads=threads, **options)
            assert np.array_equal(one.model.W, many.model.W)
            assert np.array_equal(one.history["loss"], many.history["loss"])


def test_pieces_and_windows_do_not_matter_to_a_batch(monkeypatch, case):
    """Where a piece ends does not matter, also where the posterior goes on beyond it."""
    X = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    options = {"epochs": 2, "batch_size": 32, **case}
    if case.get("coarse_target") != "row":
        options["reference"] = 70
    whole = dsmfast.train(X, 9, 0.5, **options)
    monkeypatch.setattr("dsmfast._run.stepper.PIECE", 0.0)
    pieces = dsmfast.train(X, 9, 0.5, **options)
    assert np.array_equal(whole.model.W, pieces.model.W)
    assert np.array_equal(whole.history["loss"], pieces.history["loss"])


def test_a_posterior_over_a_window_is_over_its_rows():
    X = np.random.default_rng(0).standard_normal((120, 3))
    init = dsmfast.ScoreModel.initialize(3, 8, 0.5, dtype="float64")
    options = {"epochs": 1, "batch_size": 20, "dtype": "float64", "learning_rate": 1e-300}
    result = dsmfast.train(X, 8, 0.5, window=40, init=init, reference="all", **options, **SCALES)
    dsm = reference.objectives.OBJECTIVES["dsm"]
    total, step = 0.0, 0
    for window in dsmfast._core.shuffled_rows(0, 1, 3, 2**32 - 1):
        rows = X[40 * window : 40 * (window + 1)]
        order = dsmfast._core.shuffled_rows(0, 1, 40, window + 1)
        for part in (order[:20], order[20:]):
            place = {"rows": 40 * window + part, "step": step, "data": rows}
            total += reference.objectives.objective_sum(
                oracle(init), dsm, rows[part], **place, **SCALES
            )[0]
            step += 1
    assert result.history["loss"][0] == pytest.approx(total / (2 * 0.5**4) / 120, rel=1e-12)


def test_validation_losses_are_those_at_sigma():
    """What held-out rows can say, comparable whatever the scales are."""
    X = np.random.default_rng(0).standard_normal((200, 3))
    options = {"epochs": 2, "validation": 0.25, "dtype": "float64", "learning_rate": 1e-300}
    one = dsmfast.train(X, 8, 0.5, **options)
    many = dsmfast.train(X, 8, 0.5, **options, sigma_max=3.0)
    assert np.array_equal(one.history["validation_loss"], many.history["validation_loss"])
    assert not np.array_equal(one.history["loss"], many.history["loss"])


def test_the_record_says_it(tmp_path):
    X = np.random.default_rng(0).standard_normal((100, 3))
    result = dsmfast.train(X, 8, 0.5, epochs=1, sigma_max=4, reference="batch", batch_size=50)
    expected = {"sigma_max": 4.0, "coarse": 0.5, "coarse_target": "posterior", "reference": 50}
    assert expected.items() <= result.model.training.items()
    assert json.dumps(result.model.training)
    result.save(tmp_path / "model.safetensors")
    assert dsmfast.load(tmp_path / "model.safetensors").training == result.model.training
    assert "sigma_max" not in dsmfast.train(X, 8, 0.5, epochs=1).model.training


def test_a_checkpoint_of_other_scales_is_refused(tmp_path):
    X = np.random.default_rng(0).standard_normal((100, 3))
    options = {"epochs": 2, "checkpoint": tmp_path / "run", "resume": True}
    weights = weights_of(100)
    whole = dsmfast.train(X, 8, 0.5, sigma_max=4, sample_weight=weights, **options)
    again = dsmfast.train(X, 8, 0.5, sigma_max=4, sample_weight=2 * weights, **options)
    assert np.array_equal(whole.model.W, again.model.W)
    for change, message in (
        ({"sigma_max": 3}, "sigma_max was 4.0 and is 3.0"),
        ({"scale_exponent": 0.5}, "scale_exponent was"),
        ({"sample_weight": weights[::-1]}, "sample_weight was"),
        ({"sample_weight": None}, "sample_weight was"),
    ):
        with pytest.raises(ValueError, match=message):
            dsmfast.train(
                X, 8, 0.5, **{"sigma_max": 4, "sample_weight": weights, **options, **change}
            )


# What refuses it.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"objective": "ism"},
            ValueError,
            "sigma_max: objective 'ism' does not take it, because it has no noise",
        ),
        (
            {"objective": "ism_smoothed"},
            ValueError,
            "sigma_max: objective 'ism_smoothed' does not take it, because it is",
        ),
        (
            {"objective": "dae", "corruption": "masking", "corruption_level": 0.2},
            ValueError,
            "sigma_max: corruption 'masking' does not take it",
        ),
        (
            {"objective": "esm_smoothed", "coarse_target": "row"},
            ValueError,
            "coarse_target: expected 'posterior' with objective 'esm_smoothed'",
        ),
        ({"path": "gram"}, ValueError, "path: expected .* but coarse_target 'posterior' has none"),
        ({"sigma_max": 0.1}, ValueError, "sigma_max: expected at least sigma=0.5, got 0.1"),
        ({"sigma_max": -1}, ValueError, "sigma_max: expected a finite number > 0, got -1"),
        ({"sigma_max": "wide"}, ValueError, "sigma_max: expected one of 'auto', got 'wide'"),
        ({"coarse": 2}, ValueError, r"coarse: expected a number in \[0, 1\], got 2"),
        ({"scale_exponent": -1}, ValueError, "scale_exponent: expected a finite number >= 0"),
        ({"coarse_target": "x"}, ValueError, "coarse_target: expected one of 'posterior', 'row'"),
        ({"reference": "x"}, ValueError, "reference: expected one of 'all', 'batch', got 'x'"),
        ({"reference": 0}, ValueError, "reference: expected a finite number > 0, got 0"),
        (
            {"reference": 5, "coarse_target": "row"},
            ValueError,
            "reference: expected None with coarse_target='row'",
        ),
        (
            {"reference": 5, "data": np.zeros((3, 4))},
            ValueError,
            "reference: expected None with data",
        ),
        (
            {"coarse_target": "row", "data": np.zeros((3, 4))},
            ValueError,
            "data: objective 'dsm' takes it only with sigma_max",
        ),
        *(
            (
                {"sigma_max": None, name: value},
                ValueError,
                f"{name}: expected sigma_max with it, for noise at several scales",
            )
            for name, value in (
                ("reference", 5),
                ("coarse", 0.3),
                ("coarse_target", "row"),
                ("scale_exponent", 1.0),
            )
        ),
    ],
)
def test_what_does_not_fit_is_refused(options, error, message):
    X = np.random.default_rng(0).standard_normal((50, 4))
    model = dsmfast.ScoreModel.initialize(4, 5, 0.5, dtype="float64")
    options = {"sigma_max": 3.0, **options}
    with pytest.raises(error, match=message):
        dsmfast.loss(model, X, **options)
    with pytest.raises(error, match=message):
        dsmfast.train(X, 5, 0.5, epochs=1, dtype="float64", **options)
