"""Modes of an energy that are elsewhere than the data, and who is told of them."""

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp

import dsmfast
from dsmfast._density.modes import affordable_starts, least_log_mass


def rows(n=1000, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal((n, 2)).astype(dtype)


def planted(depth, place=(20.0, -5.0), sigma=0.5):
    """One Gaussian at 0, and a unit that makes another one at a place, so much more probable."""
    place = np.array(place)
    W = np.array([place])
    # At x = 0 the unit is off; at its place on: E = -|place|^2 / 2 sigma^2 - b / sigma^2.
    b = np.array([-(place @ place) / 2 + depth * sigma**2])
    return dsmfast.ScoreModel(W, b, np.zeros(2), sigma)


def log_mass(model, centre, reach=6.0, points=400):
    """log of the integral of exp(-E) over a square, by the midpoint rule."""
    side = np.linspace(-reach, reach, points, endpoint=False) + reach / points
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2) + centre
    return logsumexp(-model.energy(grid)) + 2 * np.log(2 * reach / points)


def test_a_mode_that_was_planted_is_found():
    X = 0.01 * rows(dtype="float64")
    model = planted(4.0)
    found = dsmfast.spurious_modes(model, X)
    assert found
    assert found.points.shape == (1, 2)  # where all that found it came to rest
    assert np.allclose(found.points, [20.0, -5.0], atol=1e-2)
    assert np.allclose(found.energy, model.energy(np.array([[20.0, -5.0]])), atol=1e-3)
    # The ratio is a bound from below; here both are Gaussians of the same width.
    truth = log_mass(model, [20.0, -5.0]) - log_mass(model, [0.0, 0.0])
    assert truth == pytest.approx(4.0, abs=1e-6)
    assert (found.log_ratio <= truth + 1e-9).all()
    assert found.log_ratio[0] > truth - 0.5


@pytest.mark.parametrize("depth", [-4.0, -0.5])
def test_one_that_holds_less_is_not(depth):
    assert not dsmfast.spurious_modes(planted(depth), 0.01 * rows(dtype="float64"))


def test_modes_beside_the_rows_are_not():
    X = np.concatenate([0.01 * rows(500), [20.0, -5.0] + 0.01 * rows(500)]).astype(np.float32)
    assert not dsmfast.spurious_modes(planted(4.0), X)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_the_bound_of_what_a_mode_holds(sigma):
    """It is below the integral, at modes and anywhere else, on models of every kind."""
    from dsmfast.modes import _Search

    rng = np.random.default_rng(0)
    for _ in range(6):
        h = rng.integers(1, 5)
        W, b, c = rng.standard_normal((h, 2)), rng.standard_normal(h), rng.standard_normal(2)
        model = dsmfast.ScoreModel(W, b, c, sigma)
        search = _Search(model, rng.standard_normal((5, 2)), 0, None)
        points = 3 * rng.standard_normal((50, 2))
        reach = np.abs(W).sum(axis=0).max() + np.abs(c).max() + 8 * sigma
        whole = log_mass(model, [0.0, 0.0], reach, 800)
        assert (least_log_mass(search.double, points, 0) <= whole + 1e-6).all()


def test_denoising_is_descent():
    model = dsmfast.train(rows(), 64, 0.3, epochs=50).model
    x = np.random.default_rng(1).standard_normal((200, 2)).astype(np.float32) * 10
    for _ in range(30):
        ahead = model.denoise(x)
        before = model.energy(x)
        assert (model.energy(ahead) <= before + 1e-5 * np.abs(before)).all()
        x = ahead


def test_one_scale_and_many():
    X = rows(2000)
    one = dsmfast.train(X, 256, 0.3, epochs=200).model
    found = dsmfast.spurious_modes(one, X)
    assert found
    assert found.energy[0] < one.energy(X).min()
    assert np.linalg.norm(found.points[0]) > 4
    assert "the energy has a mode away from the rows, at (" in str(found)
    many = dsmfast.train(X, 256, 0.3, epochs=200, sigma_max="auto").model
    found = dsmfast.spurious_modes(many, X)
    assert not found
    assert found.points.shape == (0, 2)
    assert str(found) == "no spurious mode found: the energy is lowest beside the rows"


def test_training_says_so_where_a_density_was_asked_for():
    X = rows(2000)
    options = {"epochs": 200, "coarse": 0.01}
    with pytest.warns(dsmfast.DensityWarning, match="has a mode away from the rows") as warned:
        dsmfast.train(X, 256, 0.3, sigma_max=0.4, **options)
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dsmfast.train(X, 256, 0.3, epochs=200)  # it was not asked for
        dsmfast.train(X, 256, 0.3, epochs=200, sigma_max="auto")


def test_the_same_on_any_number_of_threads_and_in_any_precision_of_rows():
    X = rows(6000)
    model = dsmfast.train(X, 256, 0.3, epochs=50).model
    one = dsmfast.spurious_modes(model, X, threads=1)
    for other in (
        dsmfast.spurious_modes(model, X, threads=3),
        dsmfast.spurious_modes(model, X.astype(np.float64)),
    ):
        assert np.array_equal(one.points, other.points)
        assert np.array_equal(one.log_ratio, other.log_ratio)


def test_what_it_costs_is_bounded():
    small = dsmfast.ScoreModel.initialize(2, 16, 0.5)
    large = dsmfast.ScoreModel.initialize(3072, 2000, 0.5)
    assert affordable_starts(small) == 256
    assert affordable_starts(large) == 16


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "model: expected a ScoreModel, got 3"),
        ({"X": np.ones((5, 3))}, ValueError, r"X: expected shape \(n, 2\), got \(5, 3\)"),
        ({"X": np.full((5, 2), np.nan)}, ValueError, "X: expected finite float64 values"),
        ({"starts": 0}, ValueError, "starts: expected an integer of at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed: expected an integer of at least 0"),
    ],
)
def test_bad_input(change, error, message):
    model = dsmfast.ScoreModel.initialize(2, 4, 0.5)
    good = {"model": model, "X": np.ones((5, 2))}
    with pytest.raises(error, match=message):
        dsmfast.spurious_modes(**{**good, **change})


def test_rows_that_are_all_alike():
    model = dsmfast.ScoreModel.initialize(2, 4, 0.5)
    assert isinstance(dsmfast.spurious_modes(model, np.ones((5, 2))), dsmfast.SpuriousModes)
    assert isinstance(dsmfast.spurious_modes(model, np.ones((1, 2))), dsmfast.SpuriousModes)
