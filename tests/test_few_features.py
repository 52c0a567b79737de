"""Few features: the kernels that a step of points in a plane takes, at all of their edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsmfast
from dsmfast import reference
from problems import PARITY, central_differences, gradient_error, oracle, problem, relative_error

# One and two registers of units more or less; 16 rows draw their noise together, 96 make a tile,
# and from 2048 on a batch is more than one chunk.
UNITS = (1, 15, 16, 17, 31, 33, 64, 70)
ROWS = (1, 15, 16, 17, 33, 95, 96, 97, 193)


def options_of(kind, x):
    rng = np.random.default_rng(3)
    return {
        "dae": {"objective": "dae"},
        "draws": {"objective": "dsm", "draws": 3},
        "antithetic": {"objective": "dsm", "draws": 4, "antithetic": True},
        "given": {"objective": "dsm", "draws": 2, "noise": rng.standard_normal((2, *x.shape))},
        "masking": {"objective": "dae", "corruption": "masking", "corruption_level": 0.4},
        "ism": {"objective": "ism"},
        "ism_smoothed": {"objective": "ism_smoothed", "draws": 2},
        "penalty": {"objective": "ism", "curvature_penalty": 0.2},
        "esm": {"objective": "esm", "score": rng.standard_normal(x.shape)},
        # Of many rows, of which the reference holds a table of all against all, some.
        "esm_smoothed": {"objective": "esm_smoothed", **({"data": x[:99]} if len(x) > 999 else {})},
    }[kind]


KINDS = (
    *("dae", "draws", "antithetic", "given", "masking"),
    *("ism", "ism_smoothed", "penalty", "esm", "esm_smoothed"),
)


def check(B, d, h, kind, dtype, threads=None):
    model, x = problem(B, d, h, dtype)
    options = options_of(kind, x)
    cast = {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    value, gradient = dsmfast.loss_and_grad(model, x, path="explicit", threads=threads, **cast)
    if kind == "masking":
        cast = {"objective": "dae", "corruption": reference.Corruption(round(0.4 * 2**32))}
    exact = {k: v.astype("float64") if isinstance(v, np.ndarray) else v for k, v in cast.items()}
    expected, correct = reference.loss_and_grad(oracle(model), x.astype("float64"), **exact)
    # Exponents of the posterior are as wrong as their rounding: of |x|^2 / sigma^2 here.
    posterior = 1 + float((x.astype("float64") ** 2).sum(axis=1).max()) / model.sigma**2 / 10
    allowed = PARITY[dtype] * (posterior if kind == "esm_smoothed" else 1)
    curved = kind in ("ism", "ism_smoothed", "penalty")
    # Of one row the residual may be a small difference of points: what rounding leaves of them.
    left = 80 * np.finfo(dtype).eps * (1 + np.abs(x).max()) ** 2 * d / model.sigma**4
    assert abs(value - expected) <= allowed * (abs(expected) + curved * d / model.sigma**2) + left
    scale = max(np.abs(g).max() for g in correct)
    assert gradient_error(gradient, correct) <= allowed + left / scale


@pytest.mark.parametrize("d", range(1, 10))
@pytest.mark.parametrize("kind", KINDS)
def test_parity(kind, d, dtype):
    for B, h in ((33, 17), (97, 64), (2100, 9)):
        check(B, d, h, kind, dtype)


@given(
    B=st.sampled_from(ROWS),
    d=st.integers(1, 9),
    h=st.sampled_from(UNITS),
    kind=st.sampled_from(KINDS),
    threads=st.sampled_from((1, 2, 3)),
    double=st.booleans(),
)
def test_parity_at_every_edge(B, d, h, kind, threads, double):
    check(B, d, h, kind, "float64" if double else "float32", threads)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("objective", ["dae", "ism"])
def test_gradient_against_central_differences(objective, d):
    model, x = problem(19, d, 18, "float64")
    _, gradient = dsmfast.loss_and_grad(model, x, objective, path="explicit")
    parameters = {"W": model.W, "b": model.b, "c": model.c}

    def loss(moved):
        there = dsmfast.ScoreModel(**moved, sigma=model.sigma)
        return dsmfast.loss(there, x, objective, path="explicit")

    for name in parameters:
        expected = central_differences(loss, parameters, name)
        assert relative_error(getattr(gradient, name), expected) <= 1e-7


@pytest.mark.parametrize("d", [1, 2, 4, 8])
@pytest.mark.parametrize("B", [128, 2500])
def test_same_bits_on_any_number_of_threads(B, d, dtype):
    model, x = problem(B, d, 130, dtype)
    values = [
        dsmfast.loss_and_grad(model, x, "ism_smoothed", path="explicit", threads=n, draws=2)
        for n in (1, 2, 3, 8)
    ]
    for value, gradient in values[1:]:
        assert value == values[0][0]
        for actual, expected in zip(gradient, values[0][1], strict=True):
            assert np.array_equal(actual, expected)


@pytest.mark.parametrize("d", [2, 7])
def test_rows_in_any_layout(d):
    model, x = problem(50, d, 20, "float32")
    expected = dsmfast.loss_and_grad(model, x, path="explicit")
    wide = np.zeros((100, 3 * d), "float32")
    wide[::2, ::3] = x
    for same in (np.asfortranarray(x), wide[::2, ::3], x[::-1].copy()[::-1]):
        value, gradient = dsmfast.loss_and_grad(model, same, path="explicit")
        assert value == expected[0]
        assert all(np.array_equal(a, b) for a, b in zip(gradient, expected[1], strict=True))
