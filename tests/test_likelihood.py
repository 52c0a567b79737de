"""The normaliser: exact where it can be, within its errors where not, and what it says."""

import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import dsmfast
from dsmfast import Normalizer, data, log_normalizer, reference
from dsmfast._density.annealing import Annealing, Weights
from dsmfast._density.chains import Step
from dsmfast._density.normalizer import fingerprint
from dsmfast._density.reduced import Reduced
from problems import oracle


def model_of(d, h, precision, seed=0, dtype="float64"):
    rng = np.random.default_rng([seed, d, h])
    W = 1.3 * rng.standard_normal((h, d)) / math.sqrt(precision)
    b, c = rng.standard_normal(h) - 1, rng.standard_normal(d) / math.sqrt(precision)
    return dsmfast.ScoreModel(*(part.astype(dtype) for part in (W, b, c)), precision**-0.5)


def test_the_printed_model_of_pydeep():
    """Its documentation's Gaussian-binary RBM of two features: log Z 1.40422867, in its unit."""
    sigma = np.array([0.74241256, 0.73101419])
    W = [[-2.13559806, 0.75840129], [-0.71220501, -2.13979672]]
    W += [[0.64841691, 2.09910978], [2.17880554, -0.64721076]]
    b = np.array([-7.87792514, -7.60603139, -7.73935758, -7.722771])
    model = dsmfast.ScoreModel(np.array(W) / sigma, b, np.zeros(2), 1.0)
    known = 1.40422867 - np.log(sigma).sum()
    for method in ("enumeration", "quadrature"):
        found = log_normalizer(model, method=method)
        assert found.method == method
        assert found.std_error == 0
        assert abs(found.value - known) < 1e-8
    estimate = log_normalizer(model, method="ais")
    assert abs(estimate.value - known) < 4 * estimate.std_error


@pytest.mark.parametrize("precision", [1, 2, 5])
@pytest.mark.parametrize(("d", "h"), [(1, 1), (2, 3), (7, 4), (3, 6), (40, 2)])
def test_enumeration(d, h, precision):
    model = model_of(d, h, precision)
    known = reference.enumerated_log_normalizer(oracle(model))
    assert math.isclose(log_normalizer(model).value, known, rel_tol=1e-12)
    if min(d, h) <= 2:
        by_grid = log_normalizer(model, method="quadrature").value
        assert math.isclose(by_grid, known, rel_tol=1e-10, abs_tol=1e-10)


@pytest.mark.parametrize("precision", [0.3, 1.7, 30.0])
@pytest.mark.parametrize(("d", "h"), [(1, 5), (2, 30), (6, 2), (5, 1)])
def test_quadrature_where_nothing_can_be_enumerated(d, h, precision):
    """Against the trapezoidal rule, on the model itself in one feature and two."""
    model = model_of(d, h, precision)
    found = log_normalizer(model)
    few_counts = precision == 30.0 and d > 2
    assert found.method == ("enumeration" if few_counts else "quadrature")
    if d > 2:
        assert abs(found.value - log_normalizer(model, method="ais").value) < 0.1
        return
    reach = np.abs(model.W).sum(axis=0).max() + np.abs(model.c).max() + 8 * model.sigma
    axis = np.linspace(-reach, reach, 4001 if d == 1 else 801)
    x = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1).reshape(-1, d)
    energy = model.energy(x)
    known = np.log(np.exp(energy.min() - energy).sum()) - energy.min()
    assert abs(found.value - known - d * math.log(axis[1] - axis[0])) < 1e-6


def test_one_gaussian():
    """Without weights: n softplus(b) in all, and the integral of a Gaussian in any number of d."""
    b, c = np.array([-1.0, 0.5]), np.linspace(-1, 1, 50)
    model = dsmfast.ScoreModel(np.zeros((2, 50)), b, c, 0.5)
    known = 4 * np.logaddexp(0, b).sum() + 2 * (c @ c) + 25 * math.log(2 * math.pi / 4)
    assert math.isclose(log_normalizer(model).value, known, rel_tol=1e-12)
    estimate = log_normalizer(model, method="ais")  # from a Gaussian around a mean of a few chains
    assert abs(estimate.value - known) < 4 * estimate.std_error < 0.01


def random_problems():
    rng = np.random.default_rng(7)
    for seed in range(40):
        precision = float(rng.choice([1, 2, 4, 1.6, 3.3, 0.4]))
        d, h = (2, int(rng.integers(3, 12))) if precision % 1 else (int(rng.integers(2, 20)), 5)
        yield model_of(d, h, precision, seed), seed


def ways(model, seed):
    """Log weights of chains to a model, those of chains back from it, and log Z at their ends."""
    reduced = Reduced.of(model, np.dtype(np.float64))
    step = Step.of("auto", model.sigma, reduced.features)
    annealing = Annealing(reduced, step, 60, seed=seed, threads=1)
    there, back = annealing.walk(300), annealing.walk(300, 2**20)
    there.advance(60, path=annealing.path)
    back.advance(60, path=annealing.path)
    back.advance(1000)  # to points that are the model's: 200 are too few for one of them
    back.log_weight[:] = 0
    back.advance(60, path=annealing.backward)
    base = annealing.log_normalizer_of_base + reduced.log_normalizer_of_rest
    return there.log_weight, back.log_weight, base


@pytest.mark.slow
def test_annealing_is_within_its_errors():
    """On 40 models whose log Z is known, three times: z-scores of a standard normal.

    And on average the weights' logarithms are below the truth and above it, by Jensen.
    """
    z, below, above = [], [], []
    for model, number in random_problems():
        known = log_normalizer(model).value
        for seed in (number, number + 100, number + 200):
            there, back, base = ways(model, seed)
            forward, backward = Weights.of(there), Weights.of(back)
            z.append((base + forward.log_mean - known) / forward.std_error)
            z.append((base - backward.log_mean - known) / backward.std_error)
            below.append(base + there.mean() - known)
            above.append(base - back.mean() - known)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert 5e-4 < stats.chi2.cdf(np.sum(np.square(z)), len(z)) < 1 - 5e-4
    assert np.mean(below) < 0 < np.mean(above)


@pytest.fixture(scope="module")
def digits():
    return data.digits().astype(np.float64)


def test_one_scale_is_told_to_be_no_density(digits):
    """Trained at sigma alone, the probability of a model of digits is elsewhere."""
    model = dsmfast.train(digits.astype(np.float32), 128, 0.25, epochs=100).model
    found = log_normalizer(model, data=digits, chains=64, temperatures=300)
    assert not found.is_reliable
    assert found.deviation > 100
    assert "Not reliable: " in str(found)
    assert (
        "the probability mass is not near the data. Nearly all of the model's probability is"
        in str(found)
    )
    with pytest.warns(
        dsmfast.DensityWarning, match="elsewhere than the data; train with sigma_max"
    ):
        model.normalized(found)


def test_forward_and_backward_agree_on_many_scales(digits):
    """In the unit in which sigma is 1, within 0.2 nats."""
    X = 4 * digits
    options = {"epochs": 150, "sigma_max": "auto", "dtype": "float32"}
    model = dsmfast.train(X.astype(np.float32), 128, 1.0, **options).model
    found = log_normalizer(model, data=X)
    assert found.is_reliable
    assert abs(found.upper - found.value) < 0.2
    assert found.effective > 0.5 * found.chains
    assert found.least < found.value
    assert "Not reliable" not in str(found)


def test_an_exact_normaliser_tells_of_data_elsewhere_too():
    rows = data.mixture(1000).astype(np.float64)
    one = dsmfast.train(rows, 256, 0.3, epochs=300).model
    found = log_normalizer(one, data=rows)
    assert found.method == "quadrature"
    assert "the probability mass is not near the data" in str(found)
    many = dsmfast.train(rows / 0.3, 64, 1.0, epochs=200, sigma_max="auto").model
    assert log_normalizer(many, data=rows / 0.3).is_reliable


def test_a_mode_that_no_chain_finds_is_told_of():
    """Far away, and holding more than all there is elsewhere: denoising from far away finds it."""
    h, d = 60, 80
    W = np.zeros((h, d))
    W[:, 0] = 1.0
    model = dsmfast.ScoreModel(W, np.full(h, -29.0), np.zeros(d), 1.0)  # one at 0, one at 60
    found = log_normalizer(model, method="ais", chains=32, temperatures=50)
    truth = log_normalizer(model, method="quadrature").value
    assert found.value < truth - 50
    assert truth - 5 < found.least <= truth
    assert not found.is_reliable
    assert "a mode of the energy alone holds" in str(found)


def test_what_is_wrong_is_said_in_words():
    good = Normalizer(10.0, 0.01, "ais", 90.0, 100, 1000, upper=10.05, upper_std_error=0.02)
    assert good.is_reliable
    assert str(good) == (
        "log Z = 10 ± 0.01, by annealed importance sampling: 100 chains, of which 90 count, "
        "1000 temperatures; from the data 10.05 ± 0.02"
    )
    wrong = {
        "only 3.0 of 100 chains count": replace(good, effective=3.0),
        "its standard error is above": replace(good, std_error=0.5),
        "find 8.5 less: they never reach most of the probability": replace(good, upper=1.5),
        "find 1.5 less: the data are not quite what": replace(good, upper=8.5),
        "find 8.5 more: those from the Gaussian miss": replace(good, upper=18.5),
        "energies are higher at the data than where": replace(good, deviation=30.0),
        "a mode of the energy alone holds 5 more": replace(good, least=15.0),
    }
    for words, found in wrong.items():
        assert not found.is_reliable
        assert words in str(found)
        assert len(found.problems) == 1
    exact = Normalizer(2.0, 0.0, "enumeration")
    assert exact.is_reliable
    assert str(exact) == "log Z = 2, exactly, by enumeration"


def test_log_density_integrates_to_one():
    model = model_of(2, 9, 1.7).normalized()
    axis = np.linspace(-15, 15, 901)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.exp(model.log_density(x)).sum() * (axis[1] - axis[0]) ** 2
    assert abs(mass - 1) < 1e-6
    assert np.allclose(model.log_density(x[:5]), -model.energy(x[:5]) - model.log_normalizer.value)


def test_a_normaliser_goes_with_its_model(tmp_path):
    model = model_of(3, 4, 1.0, dtype="float32")
    with pytest.raises(ValueError, match=r"has no normaliser.*model.normalized\(data=X\)"):
        model.log_density(np.zeros((1, 3), "f4"))
    ready = model.normalized()
    ready.save(tmp_path / "m.safetensors")
    for again in (dsmfast.load(tmp_path / "m.safetensors"), pickle.loads(pickle.dumps(ready))):
        assert again.log_normalizer == ready.log_normalizer
        assert np.array_equal(again.log_density(again.W), ready.log_density(again.W))
    model.save(tmp_path / "plain.safetensors")
    assert dsmfast.load(tmp_path / "plain.safetensors").log_normalizer is None
    other = model_of(3, 4, 1.0, seed=1, dtype="float32")
    with pytest.raises(ValueError, match="expected the normaliser of these parameters, got one of"):
        other.normalized(ready.log_normalizer)
    with pytest.raises(TypeError, match="log_normalizer: expected a Normalizer or None, got 3"):
        dsmfast.ScoreModel(model.W, model.b, model.c, 1.0, log_normalizer=3)
    with pytest.raises(
        ValueError, match=r"log_normalizer: expected no options with it, got \['chains'\]"
    ):
        model.normalized(ready.log_normalizer, chains=3)


def test_parameters_have_fingerprints():
    model = model_of(3, 4, 1.0)
    assert fingerprint(model) == fingerprint(model_of(3, 4, 1.0))
    for other in (
        model_of(3, 4, 1.0, seed=1),
        model_of(3, 4, 2.0),
        model_of(3, 4, 1, 0, "float32"),
    ):
        assert fingerprint(other) != fingerprint(model)


def test_records_are_read_with_care():
    found = log_normalizer(model_of(3, 4, 1.0), method="ais", chains=8, temperatures=20)
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert Normalizer.of_record(record) == found
    for change in ({"value": "x"}, {"method": "guess"}, {"std_error": -1.0}, {"value": math.inf}):
        with pytest.raises((ValueError, TypeError), match="log_normalizer"):
            Normalizer.of_record({**record, **change})
    del record["value"]
    with pytest.raises(ValueError, match=r"log_normalizer: expected a record.* got none of value$"):
        Normalizer.of_record(record)
    with pytest.raises(TypeError, match="log_normalizer: expected a record"):
        Normalizer.of_record(3)


def test_the_same_on_any_threads_and_by_the_same_seed():
    model, X = model_of(30, 12, 2.6), np.random.default_rng(0).standard_normal((50, 30))
    options = {"method": "ais", "chains": 40, "temperatures": 50, "data": X}
    one = log_normalizer(model, threads=1, **options)
    assert log_normalizer(model, threads=3, **options) == one
    assert log_normalizer(model, seed=1, **options) != one


def test_progress_is_shown(capsys, monkeypatch):
    monkeypatch.setattr("dsmfast._system.progress.BETWEEN_LINES", 0.0)
    options = {"method": "ais", "chains": 8, "temperatures": 30}
    log_normalizer(model_of(5, 6, 1.0), progress=True, **options)
    assert "dsmfast: step 30 of 30, " in capsys.readouterr().err
    log_normalizer(model_of(5, 6, 1.0), **options)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "guess"}, "method: expected one of 'auto', 'enumeration', 'quadrature', 'ais'"),
        ({"method": "enumeration"}, "method: 'enumeration' needs an integer n = 1 / sigma"),
        ({"method": "quadrature"}, "method: 'quadrature' needs at most two features"),
        ({"chains": 1}, "chains: expected an integer of at least 2, got 1"),
        ({"temperatures": 0}, "temperatures: expected an integer of at least 1, got 0"),
        ({"data": np.zeros((3, 4))}, r"data: expected shape \(n, 5\)"),
        ({"data": np.full((3, 5), np.nan)}, "data: expected finite"),
        ({"seed": -1}, "seed: expected an integer of at least 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        log_normalizer(model_of(5, 6, 1.3), **options)
