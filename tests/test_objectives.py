"""Every objective on the explicit path: parity, gradients three ways, threads, both curvatures."""

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

OVERWRITING = {
    "masking": {"corruption": "masking", "corruption_level": 0.3},
    "salt_and_pepper": {
        "corruption": "salt_and_pepper",
        "corruption_level": 0.5,
        "corruption_range": (-1.0, 2.0),
    },
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def exact(model, x, options):
    """The reference in float64."""
    options = dict(options)
    if options.get("data") is not None:
        options["data"] = options["data"].astype(np.float64)
    return reference.loss_and_grad(oracle(model), x.astype(np.float64), **options)


def tolerance(options, dtype, x, sigma):
    """PARITY; the posterior's exponents, up to |x|^2 / sigma^2, are as wrong as their rounding."""
    if options["objective"] != "esm_smoothed":
        return PARITY[dtype]
    return PARITY[dtype] * (
        1 + float((x.astype(np.float64) ** 2).sum(axis=1).max()) / sigma**2 / 10
    )


def assert_parity(model, x, options, dtype):
    """Value and gradient against the reference in float64."""
    value, gradient = dsmfast.loss_and_grad(model, x, path="explicit", **options)
    expected, correct = exact(model, x, options)
    allowed = tolerance(options, dtype, x, model.sigma)
    # Implicit objectives subtract d / sigma^2.
    curved = options["objective"].startswith("ism")
    magnitude = abs(expected) + curved * x.shape[1] / model.sigma**2
    assert abs(value - expected) <= allowed * magnitude
    assert gradient_error(gradient, correct) <= allowed
    assert all(g.dtype == dtype for g in gradient)
    assert dsmfast.loss(model, x, path="explicit", **options) == value


def test_parity_with_reference(case, shape, dtype):
    model, x = problem(*shape, dtype)
    options = {**case, "seed": 5, "step": 7}
    if case["objective"] == "esm_smoothed":
        options["data"] = problem(40, shape[1], 1, dtype, seed=9)[1]
    for draws in (1,) if case["objective"] in NOISELESS else (1, 3):
        assert_parity(model, x, {**options, "draws": draws}, dtype)


@pytest.mark.parametrize("objective", ["dae", "dsm", "esm_smoothed", "ism_smoothed"])
def test_parity_with_given_noise(objective, dtype):
    model, x = problem(97, 33, 64, dtype)
    noise = np.random.default_rng(2).standard_normal((2, *x.shape)).astype(dtype)
    options = {"objective": objective, "noise": noise}
    assert_parity(model, x, options, dtype)


@pytest.mark.parametrize("size", [(60, 5, 40), (60, 40, 5), (2500, 3, 30), (2500, 30, 3)], ids=str)
@pytest.mark.parametrize("objective", ["ism", "ism_smoothed"])
def test_both_forms_of_the_curvature(size, objective, dtype):
    """Units far above features take one form, far below the other; and several chunks."""
    model, x = problem(*size, dtype)
    options = {"objective": objective, "curvature_penalty": 2.0}
    assert_parity(model, x, options, dtype)


@pytest.mark.parametrize("B", [8, 512])
@pytest.mark.parametrize("penalty", [10.0, 1e3])
@pytest.mark.parametrize("scatter", [0.0, 0.01])
def test_a_curvature_of_almost_nothing_is_not_lost_in_rounding(B, penalty, scatter, dtype):
    """A penalty drives V = S'(W o W) - 1 to 0; both forms (8 rows, 512) keep what is left of it.

    Rounding of S' and W alone is worth eps / V, and V is about 0.02 here. The form of 512 rows has
    terms of size penalty d / sigma^4, in float64, that cancel.
    """
    rng = np.random.default_rng(0)
    signs = np.sign(rng.standard_normal((32, 64)))
    W = (signs * 2 / 32**0.5 * (1 + scatter * rng.standard_normal((32, 64)))).astype(dtype)
    model = dsmfast.ScoreModel(W, np.zeros(32, dtype), np.zeros(64, dtype), 0.5)
    x = (0.1 * rng.standard_normal((B, 64))).astype(dtype)
    options = {"objective": "ism", "curvature_penalty": penalty}
    value, gradient = dsmfast.loss_and_grad(model, x, **options)
    expected, correct = exact(model, x, options)
    eps = float(np.finfo(dtype).eps)
    terms = penalty * 64 / 0.5**4
    assert abs(value - expected) <= 20 * eps * abs(expected) + 1e-15 * terms
    assert gradient_error(gradient, correct) <= {"float32": 50, "float64": 500}[dtype] * eps


@pytest.mark.parametrize("size", [(1, 1, 1), (9, 5, 4), (70, 3, 33), (20, 17, 2)], ids=str)
def test_gradient_against_central_differences(case, size):
    model, x = problem(*size, "float64")
    options = {**case, "seed": 1, "path": "explicit"}
    if case["objective"] == "esm_smoothed":
        options["data"] = problem(7, size[1], 1, "float64", seed=3)[1]
    _, gradient = dsmfast.loss_and_grad(model, x, **options)
    parameters = {"W": model.W, "b": model.b, "c": model.c}
    for name in parameters:
        numeric = central_differences(
            lambda p: dsmfast.loss(dsmfast.ScoreModel(**p, sigma=model.sigma), x, **options),
            parameters,
            name,
        )
        assert relative_error(getattr(gradient, name), numeric) <= 1e-7


@pytest.mark.parametrize("size", [(5, 3, 4), (40, 33, 20), (300, 65, 7)], ids=str)
def test_forward_and_backward_are_adjoint(size):
    """<J v, u> = <v, J' u>: the residual is linear in c, so its Jacobian is known on that side.

    For the regression with targets t and t + u, the gradients differ by -2 J' u exactly; and J v is
    the directional derivative of the residuals.
    """
    model, x = problem(*size, "float64")
    rng = np.random.default_rng(3)
    u = rng.standard_normal(x.shape)
    v = [rng.standard_normal(p.shape) for p in (model.W, model.b, model.c)]

    def gradient(targets):
        regression = _core.Regression(
            points=x, noise=_core.Noise(sigma=0.0), target=_core.Target.given, targets=targets
        )
        return _core.regression(model.W, model.b, model.c, regression, 0.5, True, 1)[1:]

    pulled = [a - b for a, b in zip(gradient(x), gradient(x + u), strict=True)]
    right = sum(float((p * w).sum()) for p, w in zip(pulled, v, strict=True))
    h = model.hidden(x)
    da = h * (1 - h) * (x @ v[0].T + v[1])
    pushed = da @ model.W + h @ v[0] + v[2]
    assert float((pushed * u).sum()) == pytest.approx(right, rel=1e-11)


@pytest.mark.parametrize("size", [(30, 6, 40), (30, 40, 6)], ids=str)
def test_curvature_forward_and_backward_are_adjoint(size):
    """The penalty alone is |V|^2 with V of known Jacobian: <V, J v> is half of <gradient, v>."""
    model, x = problem(*size, "float64", sigma=1.0)
    rng = np.random.default_rng(5)
    vW, vb = rng.standard_normal(model.W.shape), rng.standard_normal(model.b.shape)
    with_penalty = dsmfast.loss_and_grad(model, x, "ism", curvature_penalty=1.0)[1]
    without = dsmfast.loss_and_grad(model, x, "ism")[1]
    right = float(((with_penalty.W - without.W) * vW).sum())
    right += float(((with_penalty.b - without.b) * vb).sum())
    H = model.hidden(x)
    S = H * (1 - H)
    V = S @ model.W**2 - 1
    dS = S * (1 - 2 * H) * (x @ vW.T + vb)
    dV = dS @ model.W**2 + S @ (2 * model.W * vW)
    assert 2 * float((V * dV).sum()) / len(x) == pytest.approx(right, rel=1e-10)
    assert np.allclose(with_penalty.c, without.c, rtol=1e-12, atol=0)


def textbook(torch, case, x, parameters, sigma, noise, data):
    """The objective as books write it, the divergence by the Jacobian of the score."""
    W, b, c = parameters

    def score(point):
        return (torch.sigmoid(W @ point + b) @ W + c - point) / sigma**2

    name = case["objective"]
    noisy = x if name in NOISELESS else x + sigma * noise
    psi = torch.stack([score(point) for point in noisy])
    if name in ("dae", "dsm"):
        target = (x - noisy) / sigma**2
    elif name == "esm":
        target = torch.as_tensor(case["score"](x.numpy()))
    elif name == "esm_smoothed":
        weights = torch.softmax(-(torch.cdist(noisy, data) ** 2) / (2 * sigma**2), dim=1)
        target = (weights @ data - noisy) / sigma**2
    if name.startswith("ism"):
        jacobians = torch.stack(
            [torch.autograd.functional.jacobian(score, p, create_graph=True) for p in noisy]
        )
        diagonal = jacobians.diagonal(dim1=1, dim2=2)
        penalty = case.get("curvature_penalty", 0.0) * (diagonal**2).sum(1)
        return (0.5 * (psi**2).sum(1) + diagonal.sum(1) + penalty).mean()
    squares = ((psi - target) ** 2).sum(1).mean()
    return sigma**4 * squares if name == "dae" else 0.5 * squares


@pytest.mark.parametrize("size", [(12, 7, 9), (12, 4, 17), (9, 16, 3)], ids=str)
def test_gradient_against_autograd(case, size):
    torch = pytest.importorskip("torch")
    model, x = problem(*size, "float64")
    noise = np.random.default_rng(0).standard_normal(x.shape)
    data = problem(11, size[1], 1, "float64", seed=4)[1]
    parameters = [torch.tensor(p.copy(), requires_grad=True) for p in (model.W, model.b, model.c)]
    value = textbook(
        torch,
        case,
        torch.tensor(x),
        parameters,
        model.sigma,
        torch.tensor(noise),
        torch.tensor(data),
    )
    value.backward()
    options = dict(case)
    if case["objective"] not in NOISELESS:
        options["noise"] = noise
    if case["objective"] == "esm_smoothed":
        options["data"] = data
    ours, gradient = dsmfast.loss_and_grad(model, x, **options)
    assert ours == pytest.approx(value.item(), rel=1e-11, abs=1e-11)
    for name, parameter in zip(("W", "b", "c"), parameters, strict=True):
        assert relative_error(getattr(gradient, name), parameter.grad.numpy()) <= 1e-10


@pytest.mark.parametrize("kind", OVERWRITING)
def test_overwriting_corruptions(kind, shape, dtype):
    model, x = problem(*shape, dtype)
    options = OVERWRITING[kind]
    value, gradient = dsmfast.loss_and_grad(model, x, "dae", seed=3, step=2, draws=2, **options)
    between = options.get("corruption_range", (0.0, 0.0))
    corruption = reference.Corruption(round(options["corruption_level"] * 2**32), *between)
    expected, correct = exact(
        model, x, {"objective": "dae", "seed": 3, "step": 2, "draws": 2, "corruption": corruption}
    )
    assert value == pytest.approx(expected, rel=PARITY[dtype])
    for name in ("W", "b", "c"):
        assert relative_error(getattr(gradient, name), getattr(correct, name)) <= PARITY[dtype]


def test_overwritten_features_are_as_many_as_asked():
    """Standard error of a share over 10^6 features: 5e-4 at most."""
    x = np.full((1000, 1000), 0.5)
    for kind, low in (("masking", 0.0), ("salt_and_pepper", -1.0)):
        between = None if kind == "masking" else (-1.0, 2.0)
        corruption = reference.Corruption(round(0.3 * 2**32), *(between or (0.0, 0.0)))
        noisy = reference.overwritten(x, corruption, 1, 0, 0, np.arange(1000))
        assert (noisy != 0.5).mean() == pytest.approx(0.3, abs=2.5e-3)
        if kind == "salt_and_pepper":
            assert (noisy == low).mean() == pytest.approx(0.15, abs=2.5e-3)
            assert (noisy == 2.0).mean() == pytest.approx(0.15, abs=2.5e-3)


def test_everything_masked_leaves_the_bias():
    model, x = problem(30, 8, 5, "float64")
    zeros = np.zeros_like(x)
    expected = ((model.denoise(zeros) - x) ** 2).sum(axis=1).mean()
    value = dsmfast.loss(model, x, "dae", corruption="masking", corruption_level=1.0)
    assert value == pytest.approx(expected, rel=1e-12)


def test_drawn_noise_is_the_public_stream(dtype):
    model, x = problem(37, 21, 6, dtype)
    rows = np.arange(len(x))
    noise = np.stack([dsmfast.normals(8, 3, m, rows, 21, dtype) for m in range(2)])
    for objective in ("dsm", "esm_smoothed", "ism_smoothed"):
        drawn = dsmfast.loss_and_grad(model, x, objective, seed=8, step=3, draws=2)
        given_ = dsmfast.loss_and_grad(model, x, objective, noise=noise)
        assert drawn[0] == given_[0]
        for a, b in zip(drawn[1], given_[1], strict=True):
            assert np.array_equal(a, b)


def test_given_noise_of_one_draw_may_drop_the_axis():
    model, x = problem(5, 3, 4, "float32")
    noise = dsmfast.normals(0, 0, 0, range(5), 3)
    assert dsmfast.loss(model, x, noise=noise) == dsmfast.loss(model, x, noise=noise[None])


def test_score_as_an_array_or_a_function(dtype):
    model, x = problem(20, 6, 5, dtype)
    g = (-0.3 * x).astype(dtype)
    of_function = dsmfast.loss(model, x, "esm", score=lambda x: -0.3 * x)
    assert dsmfast.loss(model, x, "esm", score=g) == pytest.approx(of_function, rel=1e-6)
    assert dsmfast.loss(model, x, "esm", score=g) == dsmfast.loss(
        model, x, "esm", score=np.asfortranarray(g)
    )


@pytest.mark.parametrize("size", [(1, 1, 1), (97, 33, 64), (300, 65, 140), (2500, 9, 8)], ids=str)
def test_same_bits_on_any_number_of_threads(case, size, dtype):
    model, x = problem(*size, dtype)
    value, gradient = dsmfast.loss_and_grad(model, x, **case, threads=1)
    for threads in (2, 3, 8):
        again, other = dsmfast.loss_and_grad(model, x, **case, threads=threads)
        assert again == value
        for a, b in zip(gradient, other, strict=True):
            assert np.array_equal(a, b)


def test_targets_are_their_own_array():
    """Strided, and in another order than the points."""
    model, x = problem(60, 10, 7, "float64")
    t = np.random.default_rng(5).standard_normal((20, 60)).T[:, ::2]
    regression = _core.Regression(
        points=x, noise=_core.Noise(sigma=0.0), target=_core.Target.given, targets=t
    )
    total, W, b, c = _core.regression(model.W, model.b, model.c, regression, 1.0, True, 2)
    expected, gradient = reference.regression(oracle(model), x, t)
    assert total == pytest.approx(expected, rel=1e-12)
    for actual, correct in zip((W, b, c), gradient, strict=True):
        assert relative_error(actual, correct) <= 1e-12


@given(
    B=st.integers(1, 120),
    d=st.integers(1, 50),
    h=st.integers(1, 50),
    draws=st.integers(1, 3),
    threads=st.integers(1, 4),
    sigma=st.floats(1e-3, 1e2),
    double=st.booleans(),
)
def test_parity_at_any_shape(B, d, h, draws, threads, sigma, double):
    dtype = "float64" if double else "float32"
    model, x = problem(B, d, h, dtype, sigma=sigma)
    options = {"draws": draws, "threads": threads, "path": "explicit"}
    value, gradient = dsmfast.loss_and_grad(model, x, "dae", **options)
    noise = np.stack([dsmfast.normals(0, 0, m, range(B), d, dtype) for m in range(draws)])
    points = (x + x.dtype.type(sigma) * noise).reshape(-1, d).astype(np.float64)
    targets = np.tile(x, (draws, 1)).astype(np.float64)
    expected, correct = reference.regression(oracle(model), points, targets)
    n = B * draws
    assert value == pytest.approx(expected / n, rel=max(1.0, sigma) * PARITY[dtype])
    # Next to the largest entry of all three: where every unit is saturated, 1 - H is rounding.
    scale = max(np.abs(g).max() for g in correct) / n
    for name in ("W", "b", "c"):
        error = np.abs(getattr(gradient, name) - getattr(correct, name) / n).max()
        # x + sigma e is rounded once or twice, by size sigma, and the sigmoid passes that on.
        assert error <= max(1.0, sigma) * PARITY[dtype] * scale


@given(
    B=st.integers(1, 120),
    d=st.integers(1, 50),
    h=st.integers(1, 50),
    sigma=st.floats(0.05, 10),
    penalty=st.sampled_from([0.0, 1e-3, 1.0, 100.0]),
    layout=st.sampled_from(["C", "F", "strided", "read-only"]),
    double=st.booleans(),
)
def test_implicit_parity_at_any_shape(B, d, h, sigma, penalty, layout, double):
    dtype = "float64" if double else "float32"
    model, x = problem(B, d, h, dtype, sigma=sigma)
    options = {"objective": "ism", "curvature_penalty": penalty}
    expected, correct = exact(model, x, options)
    views = {"C": x, "F": np.asfortranarray(x), "strided": np.repeat(x, 2, axis=1)[:, ::2]}
    view = views.get(layout, x)
    if layout == "read-only":
        view.flags.writeable = False
    value, gradient = dsmfast.loss_and_grad(model, view, **options)
    # Terms of either sign: next to what they would be without cancellation.
    n = (model.W.astype(np.float64) ** 2).sum(axis=1)
    V = n.sum() + d
    magnitude = abs(expected) + V / sigma**2 + penalty * V**2 / d / sigma**4
    assert abs(value - expected) <= PARITY[dtype] * magnitude
    scale = max(np.abs(g).max() for g in correct)
    for name in ("W", "b", "c"):
        error = np.abs(getattr(gradient, name) - getattr(correct, name)).max()
        assert error <= 10 * PARITY[dtype] * scale
