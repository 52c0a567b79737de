"""The gram path: parity, the root of W W', gradients, precision, bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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

GRAM = {name: case for name, case in CASES.items() if name != "esm_smoothed"}

# The root is that of K + 2^-32: where K is singular, its condition multiplies rounding by 4e9, and
# what the noise has of it is 1e-5 of that. Seen: 1.5e-10, where no product fuses its roundings.
DRAWN = {"float32": 1e-5, "float64": 4e-10}


@pytest.fixture(params=GRAM)
def case(request):
    return GRAM[request.param]


def exact(model, x, options):
    return reference.loss_and_grad(oracle(model), x.astype(np.float64), path="gram", **options)


def assert_parity(model, x, options, tolerance):
    value, gradient = dsmfast.loss_and_grad(model, x, path="gram", **options)
    expected, correct = exact(model, x, options)
    curved = options["objective"].startswith("ism")
    magnitude = abs(expected) + curved * x.shape[1] / model.sigma**2
    assert abs(value - expected) <= tolerance * magnitude
    assert gradient_error(gradient, correct) <= tolerance
    assert dsmfast.loss(model, x, path="gram", **options) == value


def test_parity_with_reference(case, shape, dtype):
    model, x = problem(*shape, dtype)
    options = {**case, "seed": 5, "step": 7}
    assert_parity(model, x, options, DRAWN[dtype])
    if case["objective"] not in NOISELESS:
        assert_parity(model, x, {**options, "draws": 3}, DRAWN[dtype])
        assert_parity(model, x, {**options, "draws": 4, "antithetic": True}, DRAWN[dtype])


def test_groups_of_draws_and_chunks_of_rows(case, dtype):
    """More draws than are worked on at a time, and more rows."""
    if case["objective"] not in NOISELESS:
        model, x = problem(500, 40, 100, dtype)
        assert_parity(model, x, {**case, "draws": 7}, DRAWN[dtype])
    model, x = problem(5000, 6, 5, dtype)
    assert_parity(model, x, case, DRAWN[dtype])


@pytest.mark.parametrize("size", [(97, 33, 64), (5, 8, 65), (200, 300, 20), (1, 1, 1)], ids=str)
def test_given_noise_is_the_explicit_path_but_for_the_zero_mean_term(case, size, dtype):
    """Loss, db and dc agree; so does dW where there is no noise, and else it must not."""
    model, x = problem(*size, dtype)
    options = dict(case)
    noisy = case["objective"] not in NOISELESS
    if noisy:
        noise = np.random.default_rng(2).standard_normal((2, *x.shape)).astype(dtype)
        options["noise"] = noise
    explicit, e = dsmfast.loss_and_grad(model, x, path="explicit", **options)
    gram, g = dsmfast.loss_and_grad(model, x, path="gram", **options)
    magnitude = abs(explicit) + x.shape[1] / model.sigma**2
    assert abs(gram - explicit) <= PARITY[dtype] * magnitude
    scale = max(np.abs(part).max() for part in e)
    for name in ("b", "c") if noisy else ("W", "b", "c"):
        assert np.abs(getattr(g, name) - getattr(e, name)).max() <= PARITY[dtype] * scale
    if noisy:
        assert np.abs(g.W - e.W).max() > 1e-4 * scale
        assert_parity(model, x, options, PARITY[dtype])


def weights_of_every_kind(dtype):
    rng = np.random.default_rng(0)
    plain = rng.standard_normal((40, 60))
    kinds = {
        "plain": plain,
        "one unit": plain[:1],
        "more units than features": rng.standard_normal((90, 7)),
        "one feature": rng.standard_normal((33, 1)),
        "zero": np.zeros((5, 9)),
        "a zero unit": np.vstack([plain[:3], 0 * plain[:1], plain[3:6]]),
        "repeated units": np.repeat(plain[:10], 4, axis=0),
        "almost repeated": np.repeat(plain[:10], 4, axis=0) + 1e-5 * plain,
        "all scales": plain * np.logspace(-12, 6, 40)[:, None],
        "tiny": plain * 1e-18,
        "long": rng.standard_normal((20, 3000)),
    }
    return {name: W.astype(dtype) for name, W in kinds.items()}


@pytest.mark.parametrize("kind", weights_of_every_kind("float64"))
def test_root(kind, dtype):
    """L L' = W W' to rounding of the precision, next to the scales of the units."""
    W = weights_of_every_kind(dtype)[kind]
    L = _core.root(W, 2)
    assert np.array_equal(L, np.tril(L))
    K = W.astype(np.float64) @ W.T.astype(np.float64)
    scale = np.sqrt(np.diag(K))
    error = np.abs(L.astype(np.float64) @ L.T.astype(np.float64) - K)
    # Each entry of L is rounded once; the jitter is 2^-32 of the diagonal.
    allowed = 2 * np.finfo(dtype).eps + 2.0**-32
    assert (error <= 1.01 * allowed * np.outer(scale, scale)).all()
    correct = reference.root(W)
    assert (np.abs(L - correct) <= (1e-5 if dtype == "float32" else 1e-6) * scale[:, None]).all()
    assert np.array_equal(L, _core.root(W, 1))
    assert np.array_equal(L, _core.root(W, 8))


@pytest.mark.parametrize("kind", ["zero", "repeated units", "all scales", "one feature"])
def test_training_through_singular_weights(kind, dtype):
    W = weights_of_every_kind(dtype)[kind]
    h, d = W.shape
    X = np.random.default_rng(1).standard_normal((300, d)).astype(dtype)
    init = dsmfast.ScoreModel(W, np.zeros(h, dtype), np.zeros(d, dtype), 0.5)
    options = {"optimizer": dsmfast.Adam(learning_rate=1e-3), "epochs": 40, "dtype": dtype}
    result = dsmfast.train(X, h, 0.5, init=init, path="gram", batch_size=100, **options)
    assert result.path == "gram"
    assert result.history["loss"][-1] < result.history["loss"][0]


@pytest.mark.parametrize("size", [(1, 1, 1), (9, 5, 4), (70, 3, 33), (20, 17, 2)], ids=str)
def test_gradient_against_central_differences(case, size):
    """b and c, and W too where there is no noise."""
    model, x = problem(*size, "float64")
    options = {**case, "path": "gram", "seed": 1}
    _, gradient = dsmfast.loss_and_grad(model, x, **options)
    parameters = {"W": model.W, "b": model.b, "c": model.c}
    noisy = case["objective"] not in NOISELESS
    for name in ("b", "c") if noisy else ("W", "b", "c"):
        numeric = central_differences(
            lambda p: dsmfast.loss(dsmfast.ScoreModel(**p, sigma=0.7), x, **options),
            parameters,
            name,
        )
        assert relative_error(getattr(gradient, name), numeric) <= 1e-7


def test_antithetic_draws_cancel_what_is_odd(dtype):
    """Both paths: draw 2m + 1 is draw 2m turned around, and little noise cancels."""
    model, x = problem(40, 12, 6, dtype, sigma=0.01)
    z = np.stack([reference.normals(3, 2, m, range(40), 12, dtype) for m in (0, 0, 2, 2)])
    z[1::2] *= -1
    options = {"objective": "dae", "seed": 3, "step": 2, "path": "explicit"}
    value = dsmfast.loss(model, x, draws=4, antithetic=True, **options)
    given = dsmfast.loss(model, x, "dae", noise=z, path="explicit")
    assert value == pytest.approx(given, rel=PARITY[dtype])
    # At the optimum of sigma = 0 in c, say, the first order is all there is.
    for path in ("explicit", "gram"):
        spread = {}
        for antithetic in (False, True):
            values = [
                dsmfast.loss_and_grad(
                    model, x, "dae", draws=2, antithetic=antithetic, path=path, step=step
                )[1].W
                for step in range(20)
            ]
            spread[antithetic] = np.var(values, axis=0).sum()
        assert spread[True] < 0.05 * spread[False]


@pytest.fixture(scope="module")
def perfect():
    """A model, points that it reconstructs, their spread, and directions away from them."""
    rng = np.random.default_rng(0)
    d, h, B = 300, 40, 200
    W = rng.standard_normal((h, d)) / np.sqrt(d)
    b, c = rng.standard_normal(h), rng.standard_normal(d)
    # Fixed points of x -> W' sigmoid(W x + b) + c, found by iteration: W is not too large.
    W *= 1.6
    x = c + rng.standard_normal((B, d))
    for _ in range(400):
        x = reference.sigmoid(x @ W.T + b) @ W + c
    spread = np.linalg.norm(x - c, axis=1).mean() / np.sqrt(d)
    model = dsmfast.ScoreModel(*(p.astype("float32") for p in (W, b, c)), 0.5)
    return model, x, spread * rng.standard_normal(x.shape)


@pytest.mark.parametrize("residual", [1e-1, 1e-2, 1e-3, 1e-4])
def test_nearly_perfect_reconstruction(residual, perfect):
    """In float32 the loss is a small difference of large numbers: it stays positive and right.

    Without noise. The loss is measured from the residuals where it is small, and is as good as
    theirs. The gradient is a difference of sums over the batch, each rounded by its own size, some
    10 eps of it: it is lost where residuals are 1e-5 of the data.
    """
    model, there, away = perfect
    x = (there + residual * away).astype("float32")
    options = {"objective": "esm", "score": np.zeros_like(x)}
    value, gradient = dsmfast.loss_and_grad(model, x, path="gram", **options)
    expected, correct = reference.loss_and_grad(
        oracle(model), x.astype(np.float64), "esm", score=np.zeros(x.shape)
    )
    assert value > 0
    assert value == pytest.approx(expected, rel=3e-9 / residual + 2e-6)
    assert gradient_error(gradient, correct) <= 2e-5 / residual


def test_path_auto_is_what_choose_path_says(dtype):
    for B, d, h in [(512, 400, 16), (40, 6, 30)]:
        path = dsmfast.choose_path(B, d, h, dtype=dtype)
        assert path == ("gram" if d == 400 else "explicit")
        model, x = problem(B, d, h, dtype)
        assert dsmfast.loss(model, x) == dsmfast.loss(model, x, path=path)
        result = dsmfast.train(x, h, 0.5, epochs=1, batch_size=B, dtype=dtype)
        assert result.path == path
        forced = dsmfast.train(x, h, 0.5, epochs=1, batch_size=B, dtype=dtype, path=path)
        assert np.array_equal(result.model.W, forced.model.W)
        noise = np.zeros_like(x)
        assert dsmfast.loss(model, x, noise=noise) == dsmfast.loss(
            model, x, noise=noise, path="explicit"
        )


def test_choose_path_refuses_what_training_refuses():
    with pytest.raises(ValueError, match="curvature_penalty: objective 'dsm' does not take it"):
        dsmfast.choose_path(10, 10, 1, "dsm", curvature_penalty=0.1)
    with pytest.raises(ValueError, match="draws: objective 'ism' does not take it"):
        dsmfast.choose_path(10, 10, 1, "ism", draws=3)


@pytest.mark.parametrize(("precision", "big"), [("float32", 1e20), ("float64", 1e160)])
def test_weights_whose_squares_overflow(precision, big):
    """W W' has to be finite: an error, not a value with a gradient that is NaN."""
    W = np.full((5, 6), 0.1, precision)
    W[0] = big
    model = dsmfast.ScoreModel(W, np.zeros(5, precision), np.zeros(6, precision), 0.1)
    x = np.full((50, 6), -5.0, precision)
    assert np.isfinite(dsmfast.loss(model, x, path="explicit"))
    for call in (dsmfast.loss, dsmfast.loss_and_grad):
        with pytest.raises(ValueError, match=r"not a number: squares of .* weights are more than"):
            call(model, x, path="gram")


def test_objectives_without_the_path_take_the_other():
    model, x = problem(512, 400, 16, "float32")
    assert dsmfast.choose_path(512, 400, 16, "esm_smoothed") == "explicit"
    options = {"corruption": "masking", "corruption_level": 0.3}
    assert dsmfast.loss(model, x, "dae", **options) == dsmfast.loss(
        model, x, "dae", path="explicit", **options
    )
    with pytest.raises(ValueError, match=r"path: expected 'explicit' or 'auto'.*'masking'"):
        dsmfast.loss(model, x, "dae", path="gram", **options)
    with pytest.raises(ValueError, match=r"path: .*'esm_smoothed' has none"):
        dsmfast.train(x, 16, 0.5, objective="esm_smoothed", path="gram")
    with pytest.raises(ValueError, match=r"path: expected .*'auto', 'explicit', 'gram'.*'fast'"):
        dsmfast.loss(model, x, path="fast")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 3, "antithetic": True}, r"antithetic: expected an even number .*draws=3"),
        ({"antithetic": True}, r"antithetic: expected an even number .*draws=1"),
        ({"draws": 2, "antithetic": 1}, r"antithetic: expected True or False, got 1"),
        ({"objective": "ism", "antithetic": True}, r"antithetic: objective 'ism' does not take"),
        (
            {
                "objective": "dae",
                "corruption": "masking",
                "corruption_level": 0.1,
                "draws": 2,
                "antithetic": True,
            },
            r"antithetic: corruption 'masking' has no opposite",
        ),
    ],
)
def test_antithetic_draws_that_make_no_sense(options, message):
    model, x = problem(5, 3, 4, "float32")
    for call in (dsmfast.loss, dsmfast.loss_and_grad):
        with pytest.raises((ValueError, TypeError), match=message):
            call(model, x, **options)
    with pytest.raises((ValueError, TypeError), match=message):
        dsmfast.train(x, 4, 0.5, **options)
    for value in (None, 0, "no"):
        with pytest.raises(TypeError, match="antithetic: expected True or False"):
            dsmfast.loss(model, x, noise=np.zeros((2, 5, 3), np.float32), antithetic=value)
    with pytest.raises(ValueError, match="antithetic: noise is given"):
        dsmfast.loss(model, x, noise=np.zeros((2, 5, 3), np.float32), antithetic=True)


@given(
    B=st.integers(1, 120),
    d=st.integers(1, 50),
    h=st.integers(1, 50),
    draws=st.integers(1, 4),
    threads=st.integers(2, 8),
    sigma=st.floats(1e-3, 1e2),
    name=st.sampled_from(sorted(GRAM)),
    layout=st.sampled_from(["C", "F", "strided", "read-only"]),
    double=st.booleans(),
)
def test_parity_and_bits_at_any_shape(B, d, h, draws, threads, sigma, name, layout, double):
    dtype = "float64" if double else "float32"
    model, x = problem(B, d, h, dtype, sigma=sigma)
    case = GRAM[name]
    options = dict(case)
    if case["objective"] not in NOISELESS:
        options |= {"draws": draws, "antithetic": draws % 2 == 0}
    views = {"C": x, "F": np.asfortranarray(x), "strided": np.repeat(x, 2, axis=1)[:, ::2]}
    view = views.get(layout, x)
    if layout == "read-only":
        view.flags.writeable = False
    value, gradient = dsmfast.loss_and_grad(model, view, path="gram", threads=1, **options)
    again, other = dsmfast.loss_and_grad(model, x, path="gram", threads=threads, **options)
    assert again == value
    for a, b in zip(gradient, other, strict=True):
        assert np.array_equal(a, b)
    expected, correct = exact(model, x, options)
    # Next to the terms without cancellation: |x|^2, noise, curvature.
    n = (model.W.astype(np.float64) ** 2).sum() + d
    size = (np.abs(x).max() + sigma) ** 2 * d * 10 + sigma**2 * n
    magnitude = abs(expected) + size * (1 if case["objective"] == "dae" else 0.5 / sigma**4)
    magnitude += options.get("curvature_penalty", 0.0) * n**2 / d / sigma**4
    assert abs(value - expected) <= DRAWN[dtype] * magnitude
    scale = max(np.abs(g).max() for g in correct)
    for parameter in ("W", "b", "c"):
        error = np.abs(getattr(gradient, parameter) - getattr(correct, parameter)).max()
        assert error <= 10 * max(1.0, sigma) * DRAWN[dtype] * scale
