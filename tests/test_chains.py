"""Chains of the kernels: parity with the reference, bits, the stream, and the law of counts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import dsmfast
from dsmfast import _core, reference
from dsmfast._density.chains import Path, Step, Walk
from dsmfast._density.reduced import Reduced
from problems import PARITY, oracle, relative_error

# (n, d, h): one of everything; around tiles of 96 rows, blocks of 64 units and panels.
SHAPES = [(1, 1, 1), (3, 2, 5), (5, 9, 64), (7, 5, 65), (97, 17, 130), (40, 33, 20), (2, 300, 70)]

METHODS = ("gibbs", "shifted", "mala", "langevin")


def model_of(d, h, precision=1.0, dtype="float64", seed=0):
    rng = np.random.default_rng([seed, d, h])
    W = (1.5 * rng.standard_normal((h, d)) / math.sqrt(d)).astype(dtype)
    b, c = rng.standard_normal(h).astype(dtype), rng.standard_normal(d).astype(dtype)
    return dsmfast.ScoreModel(W, b, c, precision**-0.5)


def walk_of(model, n, method="gibbs", dtype="float64", size=None, seed=3, **options):
    reduced = Reduced.same(model, np.dtype(dtype))
    step = Step.of(method, model.sigma, reduced.features, size)
    x = np.random.default_rng(1).standard_normal((n, model.n_features))
    return Walk(reduced, step, x, seed=seed, **options)


@pytest.mark.parametrize("precision", [1.0, 3.0, 24.0, 30.0, 0.4, 1.4, 2.6, 30.7])
@pytest.mark.parametrize("method", METHODS)
def test_steps_are_those_of_the_reference(method, precision):
    """Chains do not amplify rounding: x depends on what was by counts alone, or contracts.

    A count may still turn at a rounding, once in 1e12, and an acceptance likewise.
    """
    size = 0.3 if method in ("mala", "langevin") else None
    for n, d, h in SHAPES[:-1]:
        model = model_of(d, h, precision)
        walk = walk_of(model, n, method, size=size)
        oracle_of = reference.Chains(
            oracle(model), walk.x.copy(), method, seed=3, step_size=size or 1
        )
        for _ in range(3):
            oracle_of.step()
        walk.advance(3)
        assert relative_error(walk.x, oracle_of.x) <= PARITY["float64"]
        assert np.array_equal(walk.accepted, oracle_of.accepted)


@pytest.mark.parametrize("precision", [1.0, 2.6, 30.0])
def test_annealed_steps_and_weights_are_those_of_the_reference(precision):
    for n, d, h in SHAPES[:-1]:
        model = model_of(d, h, precision)
        rng = np.random.default_rng(d)
        b0, c0 = rng.standard_normal(h), rng.standard_normal(d)
        beta = np.array([0.0, 0.1, 0.4, 0.41, 1.0])
        walk = walk_of(model, n, "shifted")
        slow = reference.Chains(oracle(model), walk.x.copy(), "shifted", 3, b0=b0, c0=c0, beta=0.0)
        for next_beta in beta[1:]:
            slow.anneal(next_beta)
            slow.step()
        walk.advance(4, path=Path(beta, b0, c0))
        assert relative_error(walk.x, slow.x) <= PARITY["float64"]
        # A weight is a small difference of large sums.
        scale = np.abs(slow.log_density(slow.x)).max()
        assert np.abs(walk.log_weight - slow.log_weight).max() <= 10 * PARITY["float64"] * scale


@pytest.mark.parametrize("method", METHODS)
def test_observed_features_stay_to_the_bit(method):
    model = model_of(9, 30, 2.6)
    rng = np.random.default_rng(0)
    observed = rng.random((50, 9)) < 0.5
    size = 0.3 if method in ("mala", "langevin") else None
    walk = walk_of(model, 50, method, size=size, observed=observed)
    begin = walk.x.copy()
    slow = reference.Chains(
        oracle(model), begin.copy(), method, 3, step_size=size or 1, observed=observed
    )
    walk.advance(5)
    for _ in range(5):
        slow.step()
    assert np.array_equal(walk.x[observed], begin[observed])
    assert (walk.x[~observed] != begin[~observed]).any()
    assert relative_error(walk.x, slow.x) <= PARITY["float64"]


def test_float32_takes_the_same_random_numbers():
    """In law the same, and beside float64 until a count turns: at 1e-7 a unit and step."""
    model = model_of(20, 40, 3.0)
    double, single = walk_of(model, 96), walk_of(model, 96, dtype="float32")
    double.advance(1)
    single.advance(1)
    same = np.abs(double.x - single.x).max(axis=1) < 1e-4
    assert same.mean() > 0.98
    assert single.x.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", [1.0, 2.6, 40.0])
def test_a_chain_is_the_same_alone_and_among_many(dtype, method, precision):
    model = model_of(17, 70, precision)
    x = np.random.default_rng(1).standard_normal((230, 17)).astype(dtype)
    size = 0.3 if method in ("mala", "langevin") else None
    reduced = Reduced.same(model, np.dtype(dtype))
    step = Step.of(method, model.sigma, 17, size)

    def run(rows, threads, blocks=(6,)):
        walk = Walk(reduced, step, x[rows], seed=3, first_row=rows.start, threads=threads)
        kept = [walk.advance(steps, thin=2) for steps in blocks]
        return walk.x, np.concatenate([draws for draws, _ in kept], axis=1)

    everything = run(slice(0, 230), 1)
    for rows in (slice(0, 1), slice(100, 101), slice(90, 199)):
        for threads in (1, 2, 3):
            for part, whole in zip(run(rows, threads), everything, strict=True):
                assert np.array_equal(part, whole[rows])
    for part, whole in zip(run(slice(0, 230), 2, (2, 4)), everything, strict=True):
        assert np.array_equal(part, whole)


def test_draws_are_what_they_are_kept_at_and_energies_theirs():
    model = model_of(5, 30, 2.6)
    walk, again = walk_of(model, 10, "shifted"), walk_of(model, 10, "shifted")
    draws, energy = walk.advance(9, thin=2)
    assert draws.shape == (10, 4, 5)
    for kept in range(4):
        again.advance(2)
        assert np.array_equal(draws[:, kept], again.x)
        assert np.allclose(energy[:, kept], model.energy(again.x), rtol=1e-12)


@given(h=st.integers(1, 90), d=st.integers(1, 60), n=st.integers(1, 12), seed=st.integers(0, 99))
def test_reduced_models_have_the_same_energy(h, d, n, seed):
    """E(x) is E_y(Q x) and the Gaussian's beside it, whatever the rank."""
    rng = np.random.default_rng([h, d, n, seed])
    W = rng.standard_normal((h, d))
    W[rng.integers(h)] = W[0]
    model = dsmfast.ScoreModel(W, rng.standard_normal(h), rng.standard_normal(d), 0.7)
    reduced = Reduced.of(model, np.dtype(np.float64))
    y = rng.standard_normal((n, reduced.features))
    walk = Walk(reduced, Step.of("mala", 0.7, reduced.features), y, seed=seed)
    x, beside = (part[:, 0] for part in walk.lifted(y[:, None], np.array([8], dtype=np.uint32)))
    small = dsmfast.ScoreModel(reduced.W, reduced.b, reduced.c, model.sigma)
    assert np.allclose(model.energy(x), small.energy(y) + beside, rtol=1e-10, atol=1e-9)
    if reduced.Q is not None:
        assert np.allclose(reduced.W @ reduced.Q, W, atol=1e-12)
        assert np.array_equal(reduced.W, np.tril(reduced.W))
        assert np.allclose(reduced.Q @ reduced.Q.T, np.eye(reduced.features), atol=1e-12)
        assert np.allclose(reduced.project(x, 1), y, atol=1e-10)
        e = reference.normals(seed, 8, 2**16 - 1, range(n), d, np.float64, stream="chain")
        off = np.eye(d) - reduced.Q.T @ reduced.Q
        assert np.allclose(x, y @ reduced.Q + (model.c + 0.7 * e) @ off, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("trials", [1, 2, 7, 24, 25, 90, 4000, 10**6])
def test_counts_are_those_of_the_reference(dtype, trials):
    a = np.linspace(-12, 12, 150).astype(dtype)
    draw = getattr(_core, f"counts_{dtype}")
    fast = draw(5, 8, 77, trials, a, 1)
    place = {"seed": 5, "step": 8, "rows": np.array([77])}
    slow = reference.binomial_counts(a.astype(np.float64)[None], trials, **place)[0]
    # In float32 a chance has another last bit, and a count at a rounding is another.
    assert (fast == slow).mean() >= (1.0 if dtype == "float64" else 0.9)
    assert np.abs(fast - slow).max() <= max(1, 1e-5 * trials)


def test_ties_are_decided_by_a_second_word():
    """Chances that are a half word, and a rest that another word is compared with."""
    words = reference.noise.words_of(1, 4, 2, np.array([0]), 16, "chain")
    word = np.stack(words)[:, 0].reshape(-1).astype(np.int64)
    half = np.concatenate([word & 0xFFFF, word >> 16])  # of units 0 to 127
    below = half < 2**15
    for rest, expected in ((0.001, 0), (0.999, 1)):
        t = (half + rest) / 2.0**16
        a = np.log(t / (1 - t))
        counts = _core.counts_float64(1, 4, 0, 1, a, 1)
        assert (counts[below] == expected).mean() > 0.95


def binned(counts, trials, chance, bins=30):
    """Counts by bins of about equal probability, and what is expected."""
    law = stats.binom(trials, chance)
    ends = np.unique(law.ppf(np.linspace(0, 1, bins + 1)[1:-1]))
    below = np.concatenate([law.cdf(ends), [1.0]])
    expected = np.diff(below, prepend=0.0) * len(counts)
    found = np.bincount(np.searchsorted(ends, counts), minlength=len(expected))
    kept = expected > 1e-9
    return found[kept], expected[kept]


@pytest.mark.parametrize("trials", [1, 2, 3, 8, 24, 25, 60, 1000, 10**4, 10**6])
def test_the_law_of_counts(trials):
    """Against exact probabilities, three seeds, at 1e-3 over all of the comparisons."""
    chances, seeds = (1e-4, 0.03, 0.3, 0.5, 0.8, 0.9999), (0, 1, 2)
    level = 1e-3 / (len(chances) * len(seeds) * 10)
    for chance in chances:
        a = np.full(500, math.log(chance / (1 - chance)))
        for seed in seeds:
            counts = [_core.counts_float64(seed, s, 9, trials, a, 1) for s in range(40)]
            found, expected = binned(np.concatenate(counts), trials, chance)
            few = expected < 5
            found = np.append(found[~few], found[few].sum())
            expected = np.append(expected[~few], expected[few].sum())
            if len(found) > 1 and expected[-1] < 5:  # what is rare joins what is not
                found[-2] += found[-1]
                expected[-2] += expected[-1]
                found, expected = found[:-1], expected[:-1]
            if len(found) > 1:
                assert stats.chisquare(found, expected).pvalue > level, (chance, seed)


def test_many_trials_cover_the_whole_range():
    a = np.array([-800.0, -40.0, 0.0, 40.0, 800.0])
    for trials in (1, 24, 25, 10**6):
        counts = _core.counts_float64(0, 0, 0, trials, a, 1)
        assert counts[0] == 0
        assert counts[-1] == trials
        assert 0 <= counts[2] <= trials
