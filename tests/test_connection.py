"""dsmfast.connection: values, constants, errors, and that it can say no."""

import dataclasses

import numpy as np
import pytest

import dsmfast
from dsmfast import data, reference
from dsmfast.noise import Use, choice
from problems import oracle, problem


def test_values_are_those_of_loss():
    model, x = problem(60, 4, 7, "float64")
    found = dsmfast.connection(model, x, score=lambda x: -x, draws=3, seed=5)
    assert list(found.values) == ["dae", "dsm", "esm", "ism", "esm_smoothed", "ism_smoothed"]
    for name, value in found.values.items():
        noisy = {} if name in ("esm", "ism") else {"draws": 3}
        score = {"score": -x} if name == "esm" else {}
        assert value == dsmfast.loss(model, x, name, seed=5, **noisy, **score)
        assert found.errors[name] > 0
    assert found.bound == pytest.approx(-4 / 0.49)
    assert (found.rows, found.draws, found.sigma) == (60, 3, 0.7)


def test_constants_are_those_of_the_theory():
    model, x = problem(50, 3, 6, "float64")
    found = dsmfast.connection(model, x, score=-x, draws=2)
    noise = np.stack([dsmfast.normals(0, 0, m, range(50), 3, "float64") for m in range(2)])
    noisy = (x + 0.7 * noise).reshape(-1, 3)
    mean = reference.parzen_denoise(noisy, x, 0.7)
    clean = np.tile(x, (2, 1))
    exact, against_dsm, against_ism, explicit = found.identities
    assert exact.constant == exact.error == 0
    expected = -0.5 * ((mean - clean) ** 2).sum(axis=1).mean() / 0.7**4
    assert against_dsm.constant == pytest.approx(expected, rel=1e-12)
    expected = 0.5 * ((mean - noisy) ** 2).sum(axis=1).mean() / 0.7**4
    assert against_ism.constant == pytest.approx(expected, rel=1e-12)
    assert explicit.constant == pytest.approx(0.5 * (x**2).sum(axis=1).mean(), rel=1e-12)
    model64 = oracle(model)
    apart = ((model64.score(x) + x) ** 2).sum(axis=1)
    expected = 0.5 * apart.std(ddof=1) / np.sqrt(50)
    assert found.errors["esm"] == pytest.approx(expected, rel=1e-12)


def test_constants_do_not_depend_on_the_model():
    X = data.mixture(300)
    found = [
        dsmfast.connection(dsmfast.ScoreModel.initialize(2, 9, 0.5, seed=seed), X)
        for seed in range(3)
    ]
    for others in zip(*(each.identities for each in found), strict=True):
        assert len({identity.constant for identity in others}) == 1
        assert len({identity.difference for identity in others[1:]}) > 1 or others[0].error == 0


def test_differences_scatter_as_their_errors_say():
    """Over 60 seeds the errors, in standard errors, have variance 1: within 5 of its own."""
    X = data.mixture(150)
    model = dsmfast.ScoreModel.initialize(2, 16, 0.5, seed=1)
    scores = []
    for seed in range(60):
        found = dsmfast.connection(model, X, draws=3, seed=seed)
        assert found.holds
        scores.append([(i.difference - i.constant) / i.error for i in found.identities[1:]])
    variance = np.mean(np.square(scores), axis=0)
    assert np.all(np.abs(variance - 1) < 5 * np.sqrt(2 / 60))


def test_a_subset_of_the_rows_is_a_sample_of_them():
    X = data.mixture(3000)
    model = dsmfast.ScoreModel.initialize(2, 16, 0.5, seed=1)
    scores = []
    for seed in range(40):
        found = dsmfast.connection(model, X, points=100, draws=2, seed=seed)
        assert found.rows == 100
        scores.append([(i.difference - i.constant) / i.error for i in found.identities[1:]])
    variance = np.mean(np.square(scores), axis=0)
    assert np.all(np.abs(variance - 1) < 5 * np.sqrt(2 / 40))


def test_a_wrong_score_is_found_out():
    X = data.mixture(2000)
    model = dsmfast.ScoreModel.initialize(2, 16, 0.5, seed=1)
    assert dsmfast.connection(model, X, score=data.mixture_score).holds
    found = dsmfast.connection(model, X, score=lambda x: -data.mixture_score(x))
    assert [identity.holds for identity in found.identities] == [True, True, True, False]
    assert not found.holds
    assert "FAILS" in str(found)


def test_a_value_below_its_bound_is_found_out():
    model, x = problem(30, 3, 4, "float64")
    found = dsmfast.connection(model, x)
    low = dataclasses.replace(found, values={**found.values, "ism": 1.01 * found.bound})
    assert found.is_bounded
    assert not low.is_bounded
    assert not low.holds


def test_it_prints_a_table():
    model, x = problem(30, 3, 4, "float32")
    text = str(dsmfast.connection(model, x, draws=1))
    lines = text.splitlines()
    assert lines[0] == "30 rows, 1 draw of noise each, sigma 0.7"
    for name in ("dae", "dsm", "ism", "esm_smoothed - dsm", "ism >= -d / sigma^2"):
        assert any(line.startswith(name) for line in lines)
    assert lines[-1] == "esm needs the score of the data, which is not known here"
    assert max(map(len, lines)) <= 90
    explained = str(dsmfast.connection(model, x, score=-x))
    assert "esm - ism" in explained
    assert "not known" not in explained


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"points": 1}, ValueError, "points: expected an integer of at least 20, got 1"),
        ({"X": np.ones((1, 3))}, ValueError, "X: expected at least 20 rows, to estimate Mont"),
        ({"draws": 0}, ValueError, "draws: expected an integer of at least 1, got 0"),
        ({"score": np.ones(3)}, ValueError, r"score: expected shape \(30, 3\), got \(3,\)"),
        ({"score": lambda x: x[:5]}, ValueError, r"score\(x\): expected shape \(30, 3\), got"),
        ({"X": np.ones((4, 2))}, ValueError, r"X: expected shape \(n, 3\), got \(4, 2\)"),
        ({"X": [[np.nan, 0, 0]]}, ValueError, "X: expected finite float64 values, got nan"),
        ({"model": None}, TypeError, "model: expected a ScoreModel, got None"),
    ],
)
def test_bad_input(option, error, message):
    model, x = problem(30, 3, 4, "float64")
    arguments = {"model": model, "X": x, **option}
    with pytest.raises(error, match=message):
        dsmfast.connection(**arguments)


def test_few_degrees_of_freedom_widen_what_is_allowed():
    stats = pytest.importorskip("scipy.stats")
    from dsmfast._objective.identities import _allowed

    for degrees in (19, 30, 100, 10_000):
        exact = stats.t.isf(stats.norm.sf(4.0), degrees)
        assert _allowed(2.0, degrees, 0.5) == pytest.approx(2 * exact + 0.5, rel=0.03)


def test_few_points_raise_no_alarm():
    X = data.mixture(3000)
    model = dsmfast.ScoreModel.initialize(2, 16, 0.5, seed=1)
    found = [dsmfast.connection(model, X, points=20, draws=2, seed=seed) for seed in range(100)]
    assert all(one.holds for one in found)


def test_what_was_not_tested_is_not_said_to_hold():
    """Noise far below the distances of the rows: nothing can be told from it."""
    model = dsmfast.ScoreModel.initialize(2, 8, 1e-7, dtype="float64")
    found = dsmfast.connection(model, data.mixture(200))
    assert not any(one.is_tested for one in found.identities[1:])
    assert "unclear" in str(found)
    assert " holds" in str(found)  # dsm and dae
    model = dsmfast.ScoreModel.initialize(2, 8, 1e-70, dtype="float64")
    with pytest.raises(ValueError, match="sigma: at 1e-70 the objectives are more than float64"):
        dsmfast.connection(model, data.mixture(200))


@pytest.mark.parametrize(("points", "degrees"), [(40, 3 * 40), (30, 29)])
def test_errors_are_of_the_noise_alone_where_all_rows_are_used(points, degrees):
    """And what is allowed is the quantile of Student's t as rare as 4 is for the normal."""
    stats = pytest.importorskip("scipy.stats")
    model, X = problem(40, 3, 5, "float64")
    found = dsmfast.connection(model, X, draws=4, points=points)
    x = X
    if points < 40:
        x = X[np.sort(choice(0, Use.connection, 40, points))]
    noise = [dsmfast.normals(0, 0, m, range(points), 3, "float64") for m in range(4)]
    misses = np.stack([((model.denoise(x + 0.7 * e) - x) ** 2).sum(axis=1) for e in noise])
    of_noise = np.sqrt(misses.var(axis=0, ddof=1).sum() / 4) / points
    of_rows = misses.mean(axis=0).std(ddof=1) / np.sqrt(points)
    error = of_noise if points == 40 else of_rows
    assert found.errors["dae"] == pytest.approx(error, rel=1e-10)
    quantile = stats.t.isf(stats.norm.sf(4), degrees)
    # By four terms of an expansion in 1 / degrees; at 29 the next is 1e-4, and the last is 2e-3.
    expected = pytest.approx(quantile, rel=5e-4)
    for identity in found.identities[1:]:
        assert identity.allowed / identity.error == expected
