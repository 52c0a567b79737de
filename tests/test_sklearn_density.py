"""The estimator as a density: log-likelihoods, their search, samples and missing features."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.model_selection import GridSearchCV

import dsmfast
from dsmfast.sklearn import DenoisingAutoencoder


def rows(n=400, seed=0, dtype="float32"):
    loadings = np.random.default_rng(9).standard_normal((2, 5))
    rng = np.random.default_rng(seed)
    X = 1.5 * rng.standard_normal((n, 2)) @ loadings + 1
    return (X + 0.5 * rng.standard_normal((n, 5))).astype(dtype)


def estimator(**options):
    return DenoisingAutoencoder(
        **{"n_components": 64, "sigma": 0.8, "max_iter": 200, "random_state": 0, **options}
    )


@pytest.mark.parametrize("replicas", [1, 2.0, None])
def test_score_samples_is_a_log_density_in_the_unit_of_the_data(replicas):
    """That of the model, shifted by the logarithm of the scale once a feature."""
    fitted = estimator(replicas=replicas, normalize=True).fit(rows())
    model, X = fitted.model_, rows(50, 1)
    expected = model.log_density(X * np.float32(fitted.scale_)) + 5 * np.log(fitted.scale_)
    assert np.allclose(fitted.score_samples(X), expected, rtol=1e-5)
    # In another unit of the data the same model has a density of that unit.
    other = estimator(sigma=8.0, replicas=replicas, normalize=True).fit(10 * rows())
    if replicas is not None:
        shifted = other.score_samples(10 * X) + 5 * np.log(10)
        assert np.allclose(shifted, fitted.score_samples(X), atol=0.3)


def test_score_is_the_mean_log_density():
    fitted, X = estimator(normalize=True).fit(rows()), rows(50, 1)
    values = fitted.score_samples(X).astype(np.float64)
    weights = np.linspace(0, 1, 50)
    assert np.isclose(fitted.score(X), values.mean())
    assert np.isclose(fitted.score(X, sample_weight=weights), np.average(values, weights=weights))
    plain = estimator().fit(rows())
    assert np.allclose(plain.score_samples(X), -plain.model_.energy(X * np.float32(plain.scale_)))


@pytest.mark.slow
def test_a_search_by_held_out_likelihood_finds_the_noise():
    """Rows with noise of 0.5 about a plane: a sigma far above it is not taken."""
    grid = {"sigma": [0.5, 4.0], "n_components": [32, 64], "replicas": [1, 2]}
    search = GridSearchCV(estimator(normalize=True), grid, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dsmfast.DensityWarning)  # of some that are not chosen
        search.fit(rows(300))
    assert search.best_params_["sigma"] == 0.5
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # By the loss, which is that of another problem at another sigma, the largest is.
    by_loss = GridSearchCV(estimator(), {"sigma": [0.5, 4.0, 40.0]}, cv=2).fit(rows(300))
    assert by_loss.best_params_["sigma"] == 40.0


def test_samples_are_in_the_unit_of_the_data():
    X = rows(1000)
    fitted = estimator(max_iter=400).fit(X)
    x = fitted.sample(800)
    assert x.shape == (800, 5)
    spread = np.sqrt(X.var(axis=0) + 0.8**2)
    assert (np.abs(x.mean(axis=0) - X.mean(axis=0)) < 0.3 * spread).all()
    assert (np.abs(x.std(axis=0) / spread - 1) < 0.25).all()
    assert np.array_equal(fitted.sample(3), fitted.sample(5)[:3])
    assert not np.array_equal(fitted.sample(3, random_state=1), fitted.sample(3))


def test_missing_features_are_filled_in():
    X = rows(1000)
    fitted = estimator(max_iter=400).fit(X)
    held_out = rows(100, 1)
    missing = held_out.copy()
    missing[::2, 1] = np.nan
    missing[1::2, 3:] = np.nan
    filled = fitted.impute(missing)
    gaps = np.isnan(missing)
    assert np.array_equal(filled[~gaps], held_out[~gaps])
    by_mean = np.broadcast_to(X.mean(axis=0), X[:100].shape)[gaps]
    error = np.sqrt(((filled - held_out)[gaps] ** 2).mean())
    assert error < 0.6 * np.sqrt(((by_mean - held_out[gaps]) ** 2).mean())
    with pytest.raises(ValueError, match="infinity"):
        fitted.impute(np.full((1, 5), np.inf))


@pytest.mark.filterwarnings("ignore::dsmfast.DensityWarning")  # a pass or two make no density
def test_the_normaliser_follows_what_is_trained():
    fitted = estimator(normalize=True)
    fitted.partial_fit(rows())
    first = fitted.model_.log_normalizer
    fitted.partial_fit(rows())
    assert fitted.model_.log_normalizer != first
    with pytest.raises(TypeError, match="normalize: expected True or False, got 'yes'"):
        estimator(normalize="yes").fit(rows())
