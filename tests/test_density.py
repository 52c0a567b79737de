"""Where the probability of a trained model is, and that far points are not what it finds likely."""

import sys
from pathlib import Path

import numpy as np
import pytest

import dsmfast
from dsmfast import data

pytest.importorskip("sklearn")

from sklearn import datasets
from sklearn.preprocessing import StandardScaler

from dsmfast.sklearn import DenoisingAutoencoder

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
density = pytest.importorskip("density")


def standardized(rows):
    return StandardScaler().fit_transform(rows)


SETS = {
    "normal": lambda: np.random.default_rng(0).standard_normal((2000, 2)),
    "mixture": lambda: data.mixture(2000).astype(np.float64),
    "digits": lambda: data.digits().astype(np.float64),
    "breast cancer": lambda: standardized(datasets.load_breast_cancer().data),
    "wine": lambda: standardized(datasets.load_wine().data),
    "iris": lambda: datasets.load_iris().data,
}


def directions(n, d, seed=1):
    v = np.random.default_rng(seed).standard_normal((n, d))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@pytest.mark.parametrize("name", SETS)
def test_far_points_have_high_energies(name):
    """With the estimator's defaults: higher than 99 % of the rows', from 6 spreads to 200."""
    X = SETS[name]()
    model = DenoisingAutoencoder(random_state=0).fit(X)
    energies = -model.score_samples(X)
    spread = np.sqrt(X.var(axis=0).sum())
    for distance in (6, 10, 20, 50, 100, 200):
        far = X.mean(axis=0) + distance * spread * directions(300, X.shape[1])
        assert (-model.score_samples(far)).min() > np.quantile(energies, 0.99), distance


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_gross_errors_among_the_rows_rank_last(name, seed):
    """One row in a hundred is 5 to 20 spreads away: all of them are beyond 98 % of the others."""
    X = SETS[name]().copy()
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(X), max(1, len(X) // 100), replace=False)
    spread = np.sqrt(X.var(axis=0).sum())
    away = rng.uniform(5, 20, (len(wrong), 1)) * spread
    X[wrong] = X.mean(axis=0) + away * directions(len(wrong), X.shape[1], seed)
    energies = -DenoisingAutoencoder(random_state=seed).fit(X).score_samples(X)
    others = np.delete(energies, wrong)
    assert energies[wrong].min() > np.quantile(others, 0.98)


@pytest.mark.parametrize("units", [8, 16, 128])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_gross_error_is_the_most_abnormal(units, seed):
    X = np.random.default_rng(seed).standard_normal((2000, 2))
    X = np.concatenate([X, [[50.0, 50.0]]])
    model = DenoisingAutoencoder(units, random_state=seed).fit(X)
    assert np.argmin(model.score_samples(X)) == 2000


def mass_near(rows, hidden, sigma, seed, **options):
    epochs = round(3000 * 256 / len(rows))
    options = {"epochs": epochs, "seed": seed, "sigma_max": "auto", **options}
    model = dsmfast.train(rows.astype(np.float32), hidden, sigma, **options).model
    return density.Quadrature(model, rows, span=30).mass_near


LEAST = {0.3: 0.998, 0.1: 0.99}


@pytest.mark.parametrize("name", density.SETS)
def test_the_mass_is_near_the_rows(name):
    rows = density.plane_sets(0)[name][0]
    assert mass_near(rows, 128, 0.3, 0) >= LEAST[0.3]


@pytest.mark.slow
@pytest.mark.parametrize("sigma", LEAST)
@pytest.mark.parametrize("hidden", [64, 512])
@pytest.mark.parametrize("name", density.SETS)
def test_the_mass_is_near_the_rows_each_time(name, hidden, sigma):
    """In the user's unit, and in that in which 1/sigma^2 is 1."""
    for seed in range(3):
        rows = density.plane_sets(seed)[name][0]
        assert mass_near(rows, hidden, sigma, seed) >= LEAST[sigma]
    assert mass_near(rows / sigma, hidden, 1.0, seed) >= LEAST[sigma]
