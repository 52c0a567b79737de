"""The regression kernel: parity, gradients three ways, the identities, threads, chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsmfast
from dsmfast import _core, reference
from problems import PARITY, oracle, problem, relative_error

OBJECTIVES = ("dae", "dsm")


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("given_noise", [False, True], ids=["drawn", "given"])
@pytest.mark.parametrize("draws", [1, 3])
def test_parity_with_reference(objective, given_noise, draws, shape, dtype):
    model, x = problem(*shape, dtype)
    options = {"seed": 5, "step": 7, "draws": draws}
    if given_noise:
        noise = np.random.default_rng(2).standard_normal((draws, *x.shape)).astype(dtype)
        options = {"noise": noise}
    value, gradient = dsmfast.loss_and_grad(model, x, objective, **options)
    expected, exact = reference.loss_and_grad(
        oracle(model), x.astype(np.float64), objective, **options
    )
    assert value == pytest.approx(expected, rel=PARITY[dtype])
    for name in ("W", "b", "c"):
        assert getattr(gradient, name).dtype == dtype
        assert relative_error(getattr(gradient, name), getattr(exact, name)) <= PARITY[dtype]
    assert dsmfast.loss(model, x, objective, **options) == value


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("size", [(1, 1, 1), (9, 5, 4), (70, 3, 33)], ids=str)
def test_gradient_against_central_differences(objective, size):
    model, x = problem(*size, "float64")
    options = {"seed": 1, "draws": 2}
    _, gradient = dsmfast.loss_and_grad(model, x, objective, **options)
    step = 1e-5
    parameters = {"W": model.W, "b": model.b, "c": model.c}
    for name, value in parameters.items():
        numeric = np.empty(value.shape)
        for place in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = value.copy()
                moved[place] += sign * step
                shifted = dsmfast.ScoreModel(**{**parameters, name: moved}, sigma=model.sigma)
                ends.append(dsmfast.loss(shifted, x, objective, **options))
            numeric[place] = (ends[0] - ends[1]) / (2 * step)
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
    noise = _core.Noise(sigma=0.0)

    def gradient(targets):
        return _core.regression(model.W, model.b, model.c, x, targets, noise, 0.5, True, 1)[1:]

    pulled = [a - b for a, b in zip(gradient(x), gradient(x + u), strict=True)]
    right = sum(float((p * w).sum()) for p, w in zip(pulled, v, strict=True))
    h = model.hidden(x)
    da = h * (1 - h) * (x @ v[0].T + v[1])
    pushed = da @ model.W + h @ v[0] + v[2]
    assert float((pushed * u).sum()) == pytest.approx(right, rel=1e-11)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradient_against_autograd(objective):
    torch = pytest.importorskip("torch")
    model, x = problem(50, 12, 9, "float64")
    noise = np.random.default_rng(0).standard_normal(x.shape)
    W, b, c = (torch.tensor(p.copy(), requires_grad=True) for p in (model.W, model.b, model.c))
    clean, sigma = torch.tensor(x), model.sigma
    noisy = clean + sigma * torch.tensor(noise)
    denoised = torch.sigmoid(noisy @ W.T + b) @ W + c
    if objective == "dae":
        value = ((denoised - clean) ** 2).sum(1).mean()
    else:
        score, target = (denoised - noisy) / sigma**2, (clean - noisy) / sigma**2
        value = (0.5 * (score - target) ** 2).sum(1).mean()
    value.backward()
    ours, gradient = dsmfast.loss_and_grad(model, x, objective, noise=noise)
    assert ours == pytest.approx(value.item(), rel=1e-12)
    for name, parameter in (("W", W), ("b", b), ("c", c)):
        assert relative_error(getattr(gradient, name), parameter.grad.numpy()) <= 1e-12


def test_dsm_is_dae_over_two_sigma_to_the_fourth(dtype):
    for sigma in (0.05, 0.7, 3.0):
        model, x = problem(33, 10, 12, dtype, sigma=sigma)
        dae, of_dae = dsmfast.loss_and_grad(model, x, "dae", seed=2)
        dsm, of_dsm = dsmfast.loss_and_grad(model, x, "dsm", seed=2)
        assert dsm == pytest.approx(dae / (2 * sigma**4), rel=1e-14)
        for a, b in zip(of_dae, of_dsm, strict=True):
            assert np.allclose(a / (2 * sigma**4), b, rtol=4 * float(np.finfo(dtype).eps), atol=0)


def test_dsm_is_the_textbook_definition():
    """Half, sums over features, means over rows: pinned, because published peers drop one."""
    model, x = problem(20, 6, 5, "float64")
    noise = np.random.default_rng(4).standard_normal(x.shape)
    noisy = x + model.sigma * noise
    target = (x - noisy) / model.sigma**2
    textbook = (0.5 * ((model.score(noisy) - target) ** 2).sum(axis=1)).mean()
    assert dsmfast.loss(model, x, "dsm", noise=noise) == pytest.approx(textbook, rel=1e-12)


def test_drawn_noise_is_the_public_stream(dtype):
    model, x = problem(37, 21, 6, dtype)
    rows = np.arange(len(x))
    noise = np.stack([dsmfast.normals(8, 3, m, rows, 21, dtype) for m in range(2)])
    drawn = dsmfast.loss_and_grad(model, x, seed=8, step=3, draws=2)
    given_ = dsmfast.loss_and_grad(model, x, noise=noise)
    assert drawn[0] == given_[0]
    for a, b in zip(drawn[1], given_[1], strict=True):
        assert np.array_equal(a, b)


def test_given_noise_of_one_draw_may_drop_the_axis():
    model, x = problem(5, 3, 4, "float32")
    noise = dsmfast.normals(0, 0, 0, range(5), 3)
    assert dsmfast.loss(model, x, noise=noise) == dsmfast.loss(model, x, noise=noise[None])


def test_same_bits_on_any_number_of_threads(shape, dtype):
    model, x = problem(*shape, dtype)
    value, gradient = dsmfast.loss_and_grad(model, x, draws=2, threads=1)
    for threads in (2, 3, 8):
        again, other = dsmfast.loss_and_grad(model, x, draws=2, threads=threads)
        assert again == value
        for a, b in zip(gradient, other, strict=True):
            assert np.array_equal(a, b)
        for quantity in ("energy", "score", "hidden", "denoise"):
            evaluate = getattr(model, quantity)
            assert np.array_equal(evaluate(x, threads=1), evaluate(x, threads=threads))


def test_targets_are_their_own_array():
    """What the objectives that regress on something else than x will use."""
    model, x = problem(60, 10, 7, "float64")
    t = np.random.default_rng(5).standard_normal((20, 60)).T[:, ::2]  # strided
    total, W, b, c = _core.regression(
        model.W, model.b, model.c, x, t, _core.Noise(sigma=0.0), 1.0, True, 2
    )
    expected, gradient = reference._regression(oracle(model), x, t)
    assert total == pytest.approx(expected, rel=1e-12)
    for actual, exact in zip((W, b, c), gradient, strict=True):
        assert relative_error(actual, exact) <= 1e-12


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
    value, gradient = dsmfast.loss_and_grad(model, x, "dae", draws=draws, threads=threads)
    noise = np.stack([dsmfast.normals(0, 0, m, range(B), d, dtype) for m in range(draws)])
    points = (x + x.dtype.type(sigma) * noise).reshape(-1, d).astype(np.float64)
    targets = np.tile(x, (draws, 1)).astype(np.float64)
    expected, exact = reference._regression(oracle(model), points, targets)
    n = B * draws
    assert value == pytest.approx(expected / n, rel=max(1.0, sigma) * PARITY[dtype])
    # Next to the largest entry of all three: where every unit is saturated, 1 - H is rounding.
    scale = max(np.abs(g).max() for g in exact) / n
    for name in ("W", "b", "c"):
        error = np.abs(getattr(gradient, name) - getattr(exact, name) / n).max()
        # x + sigma e is rounded once or twice, by size sigma, and the sigmoid passes that on.
        assert error <= max(1.0, sigma) * PARITY[dtype] * scale
