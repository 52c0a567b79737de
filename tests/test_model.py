"""The model's functions: parity with the reference, calculus, range, rows, strides."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsmfast
from dsmfast import _core, reference
from problems import PARITY, oracle, problem, relative_error

QUANTITIES = ("hidden", "energy", "score", "denoise")


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_parity_with_reference(quantity, shape, dtype):
    model, x = problem(*shape, dtype)
    actual = getattr(model, quantity)(x)
    assert actual.dtype == (np.float64 if quantity == "energy" else dtype)
    expected = getattr(oracle(model), quantity)(x.astype(np.float64))
    assert relative_error(actual, expected) <= PARITY[dtype]


# A model of data around 0, moved with its data.
def moved(offset, dtype, d=3):
    rng = np.random.default_rng(3)
    W, b = rng.standard_normal((20, d)), rng.standard_normal(20)
    c, x = 0.3 * rng.standard_normal(d), rng.standard_normal((2000, d))
    values = (W, b - offset * W.sum(axis=1), c + offset)
    return dsmfast.ScoreModel(*(v.astype(dtype) for v in values), 0.5), (x + offset).astype(dtype)


@pytest.mark.parametrize("d", [3, 40])
@pytest.mark.parametrize("offset", [0.0, 1013.0, 1e4, 101_325.0])
def test_energies_far_from_zero_keep_their_differences(offset, d, dtype):
    """Rounded to float32, 2000 energies around 1013 had 44 values, and around 101 325 one."""
    model, x = moved(offset, dtype, d)
    W, b, c, points = (p.astype(np.longdouble) for p in (model.W, model.b, model.c, x))
    free = np.logaddexp(0, points @ W.T + b).sum(axis=1)
    exact = ((points**2).sum(axis=1) / 2 - points @ c - free) / np.longdouble(model.sigma) ** 2
    energy = model.energy(x)
    assert energy.dtype == np.float64
    of_mean = np.asarray(energy - exact.mean() - (exact - exact.mean()), np.float64)
    # What energies have in common is a double; their differences are as near 0.
    common = 4 * np.finfo(np.float64).eps * float(np.abs(exact).max())
    spread = float((exact - exact.mean()).std())
    assert np.abs(of_mean).max() <= PARITY[dtype] * spread + common
    assert len(np.unique(energy)) >= 0.99 * len(np.unique(x, axis=0))


@pytest.mark.parametrize("quantity", ["hidden", "score"])
def test_what_is_a_difference_is_one_far_from_zero(quantity, dtype):
    model, x = moved(1e4, dtype)
    expected = getattr(oracle(model), quantity)(x.astype(np.float64))
    assert relative_error(getattr(model, quantity)(x), expected) <= PARITY[dtype]


def test_the_reference_measures_from_c_as_well():
    model, x = moved(1e4, "float32")
    single = reference.ScoreModel(model.W, model.b, model.c, model.sigma)
    energy = single.energy(x)
    assert energy.dtype == np.float64
    error = energy - oracle(model).energy(x.astype(np.float64))
    assert np.abs(error).max() <= PARITY["float32"] * energy.std()
    assert relative_error(single.score(x), model.score(x)) <= PARITY["float32"]


def test_decode_parity(shape, dtype):
    model, _ = problem(*shape, dtype)
    h = np.random.default_rng(1).random((shape[0], shape[2])).astype(dtype)
    expected = oracle(model).decode(h.astype(np.float64))
    assert relative_error(model.decode(h), expected) <= PARITY[dtype]
    assert np.array_equal(model.decode(model.hidden(h @ model.W)), model.denoise(h @ model.W))


@given(m=st.integers(1, 130), n=st.integers(1, 70), k=st.integers(1, 600), double=st.booleans())
def test_product_at_any_shape(m, n, k, double):
    dtype = "float64" if double else "float32"
    rng = np.random.default_rng([m, n, k])
    A, B = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    exact = A.astype(np.longdouble) @ B.astype(np.longdouble)
    # |error| <= k eps sum |a||b|, and far below it for random signs
    bound = np.finfo(dtype).eps * (4 + k**0.5) * (np.abs(A) @ np.abs(B))
    assert np.all(np.abs(_core.product(A, B, 1) - exact) <= bound)


def test_score_is_minus_the_gradient_of_energy():
    model, x = problem(6, 5, 7, "float64")
    step = 1e-5
    for k in range(5):
        shift = np.zeros(5)
        shift[k] = step
        slope = (model.energy(x + shift) - model.energy(x - shift)) / (2 * step)
        assert np.allclose(model.score(x)[:, k], -slope, rtol=0, atol=1e-7)


def test_score_points_to_the_data():
    """A published peer has the sign of the energy, and so of the score, the wrong way round."""
    c = np.zeros(2)
    model = dsmfast.ScoreModel(np.zeros((1, 2)), np.zeros(1), c, 0.5)  # a Gaussian around c
    x = np.array([[3.0, 0.0]])
    assert model.score(x)[0, 0] < 0
    assert model.energy(x)[0] > model.energy(c[None])[0]


def test_sigma_stays_outside_the_sigmoid():
    """Another divides by sigma inside it."""
    model, x = problem(4, 3, 5, "float64", sigma=0.7)
    other = dsmfast.ScoreModel(model.W, model.b, model.c, 0.1)
    assert np.array_equal(model.hidden(x), other.hidden(x))
    assert np.allclose(model.score(x) * 0.7**2, other.score(x) * 0.1**2, rtol=1e-12, atol=1e-15)


def test_softplus_keeps_small_values_and_does_not_overflow(dtype):
    """E = -softplus(b) for W = c = 0 and sigma = 1, over the whole range of b."""
    zero = np.zeros((1, 1), dtype)
    tiny = {"float32": -85.0, "float64": -700.0}[dtype]
    for b in (tiny, -30.0, -1.0, 0.0, 1.0, 30.0, 1e4, 1e30):
        model = dsmfast.ScoreModel(zero, np.array([b], dtype), np.zeros(1, dtype), 1.0)
        exact = max(b, 0.0) + np.log1p(np.exp(-abs(b)))
        assert exact > 0
        assert model.energy(zero)[0] == pytest.approx(-exact, rel=10 * float(np.finfo(dtype).eps))


def test_sigmoid_and_softplus_are_exact_to_rounding(dtype):
    """Over the whole range: 1.5 and 2.2 units of the last place were seen.

    Below the least normal number, to what is left of its digits.
    """
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
    ends = {"float32": 110.0, "float64": 760.0}[dtype]
    rng = np.random.default_rng(0)
    b = np.concatenate([rng.uniform(-ends, ends, 20000), rng.uniform(-3, 3, 20000), [0.0, -0.0]])
    b = b.astype(dtype)
    model = dsmfast.ScoreModel(np.zeros((len(b), 1), dtype), b, np.zeros(1, dtype), 1.0)
    wide = b.astype(np.longdouble)
    exact = np.exp(np.minimum(wide, 0)) / (1 + np.exp(-np.abs(wide)))
    error = np.abs(model.hidden(np.zeros((1, 1), dtype))[0] - exact)
    assert np.all(error <= 2 * eps * exact + 2 * tiny)
    softplus = np.concatenate(
        [
            dsmfast.ScoreModel(
                np.zeros((1, 1), dtype), b[i : i + 1], np.zeros(1, dtype), 1.0
            ).energy(np.zeros((1, 1), dtype))
            for i in range(0, len(b), 40)
        ]
    )
    exact = np.logaddexp(0, wide[::40])
    assert np.all(np.abs(-softplus - exact) <= 3 * eps * exact + 2 * tiny)


def test_hidden_saturates_without_a_warning(dtype):
    W = np.array([[1.0]], dtype)
    model = dsmfast.ScoreModel(W, np.zeros(1, dtype), np.zeros(1, dtype), 1.0)
    x = np.array([[-1e30], [-60.0], [0.0], [60.0], [1e30]], dtype)
    values = model.hidden(x)[:, 0]
    assert values[0] <= np.finfo(dtype).tiny
    assert values[2:].tolist() == [0.5, 1.0, 1.0]
    assert values[1] == pytest.approx(np.exp(-60.0), rel=10 * float(np.finfo(dtype).eps))


def test_energy_keeps_its_digits_in_long_rows():
    """Sums over features and units are carried in double."""
    model, x = problem(3, 20_000, 3, "float32")
    assert relative_error(model.energy(x), oracle(model).energy(x.astype(float))) < 1e-6


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_row_has_the_same_bits_alone_and_among_100_000(quantity, dtype):
    model, x = problem(100_000, 7, 13, dtype)
    together = getattr(model, quantity)(x)
    for i in (0, 1, 47, 48, 94, 95, 96, 97, 50_000, 99_999):
        assert np.array_equal(getattr(model, quantity)(x[i : i + 1])[0], together[i])


@given(
    rows=st.integers(1, 60),
    columns=st.integers(1, 40),
    hidden=st.integers(1, 40),
    layout=st.sampled_from(["C", "F", "strided", "reversed", "broadcast", "read-only", "offset"]),
    double=st.booleans(),
)
def test_any_layout_gives_the_same_bits(rows, columns, hidden, layout, double):
    dtype = "float64" if double else "float32"
    model, x = problem(rows, columns, hidden, dtype)
    if layout == "F":
        view = np.asfortranarray(x)
    elif layout == "strided":
        wide = np.zeros((2 * rows, 3 * columns), dtype)
        wide[::2, ::3] = x
        view = wide[::2, ::3]
    elif layout == "reversed":
        view = x[::-1, ::-1].copy()[::-1, ::-1]
    elif layout == "broadcast":
        view = np.broadcast_to(x[:1], x.shape)
        x = view.copy()
    elif layout == "read-only":
        view = x.copy()
        view.flags.writeable = False
    elif layout == "offset":
        view = np.frombuffer(b"\0" + x.tobytes(), dtype, offset=1).reshape(x.shape)  # unaligned
    else:
        view = x
    before = view.copy()
    for quantity in QUANTITIES:
        assert np.array_equal(getattr(model, quantity)(view), getattr(model, quantity)(x))
    assert dsmfast.loss(model, view, seed=3) == dsmfast.loss(model, x, seed=3)
    assert np.array_equal(view, before)


@given(exponent=st.integers(-35, 35), double=st.booleans())
def test_huge_and_tiny_values(exponent, double):
    """Finite input gives what the reference gives, to the same relative error, or an error."""
    dtype = "float64" if double else "float32"
    model, x = problem(5, 3, 4, dtype)
    x = (x.astype(np.float64) * 10.0**exponent).astype(dtype)
    for quantity in ("hidden", "score", "denoise"):
        expected = getattr(oracle(model), quantity)(x.astype(np.float64))
        assert relative_error(getattr(model, quantity)(x), expected) <= PARITY[dtype]
    with np.errstate(over="ignore"):
        squares = (x - model.c) ** 2
        expected = oracle(model).energy(x.astype(np.float64))
    if np.isfinite(squares).all() and np.isfinite(expected).all():
        assert np.allclose(model.energy(x), expected, rtol=PARITY[dtype], atol=0)
    else:
        with pytest.raises(ValueError, match="x: expected squares over sigma"):
            model.energy(x)


def test_narrower_types_are_widened_and_wider_refused():
    model, _ = problem(1, 3, 4, "float32")
    ints = np.array([[1, 2, 3]], np.uint8)
    assert np.array_equal(model.score(ints), model.score(ints.astype(np.float32)))
    assert np.array_equal(model.score([[1, 2, 3]]), model.score(ints))
    half = np.array([[0.5, 0.25, 2]], np.float16)
    assert np.array_equal(model.score(half), model.score(half.astype(np.float32)))
    swapped = np.array([[1, 2, 3]], np.float32).astype(">f4")
    assert np.array_equal(model.score(swapped), model.score(ints))
    with pytest.raises(TypeError, match=r"x: expected dtype float32, got float64; convert"):
        model.score(np.ones((1, 3)))


def test_initialize_is_reproducible_and_scaled():
    a = dsmfast.ScoreModel.initialize(100, 400, 0.3, seed=5)
    b = dsmfast.ScoreModel.initialize(100, 400, 0.3, seed=5, dtype="float64")
    c = dsmfast.ScoreModel.initialize(100, 400, 0.3, seed=6)
    assert relative_error(a.W, b.W) <= 1e-6  # as the noise of both precisions
    assert a.W.std() == pytest.approx(4 / (np.sqrt(100) + np.sqrt(400)), rel=0.02)
    for other in (c.W[0], dsmfast.normals(5, 0, 0, [0], 100)[0]):  # another seed, another stream
        assert abs(np.corrcoef(a.W[0], other)[0, 1]) < 0.4  # four standard errors of 100
    bias = dsmfast.ScoreModel.initialize(100, 400, 0.3, hidden_bias=-3)
    assert np.all(bias.b == -3)
    assert np.all(bias.c == 0)


def test_a_model_is_a_value():
    W = np.ones((2, 3), np.float32)
    model = dsmfast.ScoreModel(W, [0, 0], [0, 0, 0], 0.5)
    W[:] = 7
    assert np.all(model.W == 1)
    with pytest.raises(ValueError, match="read-only"):
        model.W[0, 0] = 2
    with pytest.raises(ValueError, match="WRITEABLE"):
        model.W.flags.writeable = True
    with pytest.raises(AttributeError, match="immutable"):
        model.sigma = 2.0
    with pytest.raises(AttributeError, match="immutable"):
        del model.W
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.W, model.W)
    assert again.sigma == 0.5
    assert repr(model) == "ScoreModel(n_features=3, n_hidden=2, sigma=0.5, dtype='float32')"


MEMORY = """
import resource, sys
import numpy as np
import dsmfast

rows, quantity = 100_000, sys.argv[1]
model = dsmfast.ScoreModel.initialize(784, 128, 0.3)
x = np.ones((rows, 128 if quantity == "decode" else 784), np.float32)
call = getattr(model, quantity)
call(x[:1000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
out = call(x)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) - out.nbytes)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read as Linux counts it")
@pytest.mark.parametrize("quantity", ["hidden", "energy", "score", "denoise", "decode"])
def test_evaluation_takes_little_memory_beside_its_arrays(quantity):
    command = [sys.executable, "-c", MEMORY, quantity]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 64 << 20


@pytest.mark.parametrize("large", [2e19, 1e30, 3e38])
def test_an_energy_that_does_not_fit_is_an_error(large):
    """As it is for `loss`: squares of float32 end at 3e38."""
    model = dsmfast.ScoreModel.initialize(3, 4, 0.5)
    x = np.zeros((5, 3), dtype=np.float32)
    x[3, 1] = large
    with pytest.raises(ValueError, match=r"x: expected squares over sigma\*\*2 that float32 can"):
        model.energy(x)
    wide = dsmfast.ScoreModel(*(p.astype(float) for p in (model.W, model.b, model.c)), 0.5)
    assert wide.energy(x.astype(float))[3] == pytest.approx(2 * float(x[3, 1]) ** 2, rel=1e-6)


def test_equal_models_are_equal():
    model, _ = problem(1, 5, 7, np.float32, sigma=0.25)
    values = model.to_dict()
    again = [copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    again.append(dsmfast.ScoreModel(**values, training={"objective": "dsm"}))
    assert len({model, *again}) == 1
    assert all(model == other for other in again)
    assert list(values) == ["W", "b", "c", "sigma"]
    for name in values:
        changed = {**values, name: values[name] * 2}
        assert dsmfast.ScoreModel(**changed) != model
    double = {name: np.asarray(value, np.float64) for name, value in values.items()}
    assert dsmfast.ScoreModel(**double) != model
    assert model != values
    # Zeros of either sign are equal, so their hash has to be.
    plus, minus = (
        dsmfast.ScoreModel(*(np.full_like(values[name], zero) for name in "Wbc"), 0.5)
        for zero in (0.0, -0.0)
    )
    assert plus == minus
    assert hash(plus) == hash(minus)


def test_the_normaliser_is_of_the_value():
    model = dsmfast.ScoreModel.initialize(2, 3, 1.0)
    normalized = model.normalized()
    assert normalized != model
    assert copy.deepcopy(normalized) == normalized == model.normalized()


def test_savez_is_a_way_there_and_back(tmp_path, dtype):
    model, x = problem(4, 5, 7, dtype, sigma=0.1)
    np.savez(tmp_path / "model.npz", **model.to_dict())
    with np.load(tmp_path / "model.npz") as values:
        again = dsmfast.ScoreModel(**values)
    assert again == model
    assert isinstance(again.sigma, float)
    assert np.array_equal(again.energy(x), model.energy(x))
    names = ("1", "ein Wort", "ä, ö", "", " ")[: model.n_features]
    for whole in (
        model.with_feature_names(names),
        model.normalized(chains=64, temperatures=50),
        model.with_feature_names(names).normalized(chains=64, temperatures=50),
    ):
        assert dsmfast.ScoreModel(**whole.to_dict()) == whole
        np.savez(tmp_path / "model.npz", **whole.to_dict())
        with np.load(tmp_path / "model.npz", allow_pickle=False) as values:
            again = dsmfast.ScoreModel(**values)
        assert again == whole
        assert again.log_normalizer == whole.log_normalizer
        assert again.feature_names == whole.feature_names


def test_what_is_no_normaliser_is_refused():
    values = dsmfast.ScoreModel.initialize(2, 3, 1.0).normalized().to_dict()
    for text in ("", "{", "[]", '{"value": 1}', values["log_normalizer"].replace("e", "x")):
        with pytest.raises((ValueError, TypeError), match=r"^log_normalizer"):
            dsmfast.ScoreModel(**{**values, "log_normalizer": text})
    with pytest.raises(ValueError, match="of these parameters"):
        dsmfast.ScoreModel(**{**values, "W": 2 * values["W"]})


def test_a_result_is_told_from_a_model():
    """Its repr, with the whole history, was what the message consisted of."""
    X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    result = dsmfast.train(X, 3, epochs=2)
    calls = [
        dsmfast.sample,
        lambda model: dsmfast.impute(model, X),
        dsmfast.log_normalizer,
        lambda model: dsmfast.loss(model, X),
        lambda model: dsmfast.loss_and_grad(model, X),
        lambda model: dsmfast.spurious_modes(model, X),
        lambda model: dsmfast.connection(model, X),
        lambda model: dsmfast.images.denoise(model, np.zeros((8, 8), np.float32)),
        dsmfast.plot.energy,
        lambda model: dsmfast.plot.denoising(model, X),
        dsmfast.plot.filters,
    ]
    for call in calls:
        with pytest.raises(TypeError) as caught:
            call(result)
        message = "model: expected a ScoreModel, got a TrainingResult; use result.model"
        assert str(caught.value) == message
    with pytest.raises(TypeError, match=r"^x: expected a ScoreModel, got a TrainingResult; use"):
        dsmfast.plot.samples(result)
    with pytest.raises(TypeError) as caught:
        dsmfast.loss(list(range(10**5)), X)
    assert len(str(caught.value)) < 300


def test_equal_results_are_equal():
    X = np.random.default_rng(0).standard_normal((50, 3))
    options = {"n_hidden": 3, "epochs": 2, "validation": X}
    result = dsmfast.train(X, **options)
    again = copy.deepcopy(result)
    assert again == result == pickle.loads(pickle.dumps(result))
    assert dsmfast.train(X, **options, seed=1) != result
    again.history["seconds"][:] = 0
    assert again != result
    with pytest.raises(TypeError, match="unhashable"):
        hash(result)
