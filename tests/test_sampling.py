"""Samples: their law against what is known exactly, the seed's bits, and what comes in."""

import math

import numpy as np
import pytest
from scipy import stats

import dsmfast
from dsmfast import _core
from dsmfast._density.chains import Step, Walk
from dsmfast._density.reduced import Reduced
from dsmfast.sampling import impute, sample
from problems import relative_error

SEEDS = (0, 1, 2)
LEVEL = 1e-3  # of a whole test, shared out among its comparisons


def model_of(d, h, precision, seed=0, dtype="float64", scale=1.2):
    rng = np.random.default_rng([seed, d, h])
    W = scale * rng.standard_normal((h, d)) / math.sqrt(precision)
    b, c = rng.standard_normal(h) - 1, rng.standard_normal(d) / math.sqrt(precision)
    parts = (part.astype(dtype) for part in (W, b, c))
    return dsmfast.ScoreModel(*parts, precision**-0.5)


class Grid:
    """The law of a model of one or two features, by quadrature."""

    def __init__(self, model):
        points = 3001 if model.n_features == 1 else 401
        reach = np.abs(model.W).sum(axis=0).max() + np.abs(model.c).max() + 7 * model.sigma
        self.axis = np.linspace(-reach, reach, points)
        x = np.stack(np.meshgrid(*[self.axis] * model.n_features, indexing="ij"), axis=-1)
        energy = model.energy(x.reshape(-1, model.n_features))
        weight = np.exp(energy.min() - energy)
        self.weight = (weight / weight.sum()).reshape(x.shape[:-1])
        self.mean = [self.moment(k, lambda v: v) for k in range(model.n_features)]
        self.variance = [
            self.moment(k, lambda v, m=m: (v - m) ** 2) for k, m in enumerate(self.mean)
        ]

    def marginal(self, k):
        return self.weight.sum(axis=tuple(i for i in range(self.weight.ndim) if i != k))

    def moment(self, k, function):
        return float(self.marginal(k) @ function(self.axis))

    def cdf(self, k):
        half = (self.axis[1] - self.axis[0]) / 2
        below = np.concatenate([[0.0], np.cumsum(self.marginal(k))])
        ends = np.concatenate([[self.axis[0] - half], self.axis + half])
        return lambda x: np.interp(x, ends, below)


def ends_of(model, method, seed, chains=2000, steps=150, reduced=None):
    """Points of chains that are long over their beginning, one of each."""
    reduced = Reduced.same(model, model.dtype) if reduced is None else reduced
    start = np.random.default_rng(seed).standard_normal((chains, reduced.features))
    step = Step.of(method, model.sigma, reduced.features)
    walk = Walk(reduced, step, reduced.c + 2 * model.sigma * start, seed=seed)
    walk.advance(steps)
    return walk.x.astype(np.float64)


PRECISIONS = {"gibbs": (1, 3, 1.4, 2.6, 11.1), "shifted": (1.4, 2.6, 11.1), "mala": (0.3, 1, 2.6)}
LAWS = [(method, n) for method, all_n in PRECISIONS.items() for n in all_n]


@pytest.mark.parametrize(("method", "precision"), LAWS)
@pytest.mark.parametrize("d", [1, 2])
def test_chains_have_the_law_of_the_model(method, precision, d):
    """Kolmogorov and Smirnov, mean and variance of each feature; three seeds."""
    level = LEVEL / (len(LAWS) * 2 * len(SEEDS) * d * 3)
    for seed in SEEDS:
        model = model_of(d, 3, precision, seed)
        law, x = Grid(model), ends_of(model, method, seed)
        for k in range(d):
            assert stats.kstest(x[:, k], law.cdf(k)).pvalue > level
            mean, variance = law.mean[k], law.variance[k]
            fourth = law.moment(k, lambda v, m=mean: (v - m) ** 4)
            error = math.sqrt(variance / len(x))
            assert 2 * stats.norm.sf(abs(x[:, k].mean() - mean) / error) > level
            error = math.sqrt((fourth - variance**2) / len(x))
            spread = ((x[:, k] - mean) ** 2).mean()
            assert 2 * stats.norm.sf(abs(spread - variance) / error) > level


def lifted_of(model, reduced, y, seed):
    walk = Walk(reduced, Step.of("mala", model.sigma, reduced.features), y, seed=seed)
    return walk.lifted(y[:, None], np.array([5], dtype=np.uint32))[0][:, 0]


def mixture_of(model):
    """Weights and means of the Gaussians that a model with an integer 1 / sigma^2 is."""
    n = round(model.sigma**-2)
    counts = np.stack(np.meshgrid(*[np.arange(n + 1)] * model.n_hidden), axis=-1)
    counts = counts.reshape(-1, model.n_hidden)
    choices = np.array([math.log(math.comb(n, k)) for k in range(n + 1)])
    means = model.c + counts @ model.W / n
    exponent = choices[counts].sum(axis=1) + counts @ model.b + n / 2 * (means**2).sum(axis=1)
    weight = np.exp(exponent - exponent.max())
    return weight / weight.sum(), means


def mixture_cdf(model, direction):
    weight, means = mixture_of(model)
    centres = means @ direction
    return lambda x: stats.norm.cdf((x[:, None] - centres) / model.sigma) @ weight


@pytest.mark.parametrize("precision", [1, 2, 5])
@pytest.mark.parametrize("h", [1, 2, 4])
def test_chains_have_the_law_of_the_enumerated_mixture(precision, h):
    """Along random directions of five features; and where chains run in those of W alone."""
    level = LEVEL / (9 * len(SEEDS) * 3 * 2)
    for seed in SEEDS:
        model = model_of(5, h, precision, seed)
        rng = np.random.default_rng(seed)
        reduced = Reduced.of(model, model.dtype) if h < 5 else None
        y = ends_of(model, "gibbs", seed, reduced=reduced)
        lifted = lifted_of(model, reduced, y, seed)
        for x in (ends_of(model, "gibbs", seed + 10), lifted):
            for _ in range(3):
                direction = rng.standard_normal(5)
                direction /= np.linalg.norm(direction)
                assert stats.kstest(x @ direction, mixture_cdf(model, direction)).pvalue > level


def drawn_exactly(model, count, seed):
    rng = np.random.default_rng(seed)
    weight, means = mixture_of(model)
    chosen = rng.choice(len(weight), count, p=weight)
    return means[chosen] + model.sigma * rng.standard_normal((count, model.n_features))


@pytest.mark.parametrize("method", ["gibbs", "mala"])
@pytest.mark.parametrize("precision", [1, 3])
def test_gewekes_joint_distribution(method, precision):
    """Features drawn in turn, each part given the other by one step, stay what they jointly are.

    From exact draws on, steps of chains whose other features are held fast must leave every moment
    as it is (Geweke 2004); a wrong conditional law would move them.
    """
    level = LEVEL / (4 * len(SEEDS) * 14)
    model = model_of(4, 3, precision, 5)
    step = Step.of(method, model.sigma, 4)
    exact = drawn_exactly(model, 200_000, 99)
    for seed in SEEDS:
        x = drawn_exactly(model, 4000, seed)
        for turn in range(30):
            observed = np.tile(np.arange(4) % 2 == turn % 2, (len(x), 1))
            reduced = Reduced.same(model, model.dtype)
            walk = Walk(reduced, step, x, seed=seed * 1000 + turn, observed=observed)
            walk.advance(1)
            x = walk.x
        functions = [x, x**2, np.stack([x[:, i] * x[:, j] for i in range(4) for j in range(i)], 1)]
        truth = [exact, exact**2]
        truth.append(np.stack([exact[:, i] * exact[:, j] for i in range(4) for j in range(i)], 1))
        for ours, known in zip(functions, truth, strict=True):
            error = np.sqrt(ours.var(axis=0) / len(ours) + known.var(axis=0) / len(known))
            z = (ours.mean(axis=0) - known.mean(axis=0)) / error
            assert (2 * stats.norm.sf(np.abs(z)) > level).all()


@pytest.mark.parametrize("precision", [1, 2.6])
def test_reduced_chains_have_the_law_of_chains_in_all_features(precision):
    model = model_of(20, 6, precision, 3, scale=0.6)
    reduced = Reduced.of(model, model.dtype)
    level = LEVEL / (2 * len(SEEDS) * 4)
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        whole = ends_of(model, "shifted", seed)
        y = ends_of(model, "shifted", seed + 10, reduced=reduced)
        lifted = lifted_of(model, reduced, y, seed)
        assert stats.ks_2samp(model.energy(whole), model.energy(lifted)).pvalue > level
        for _ in range(3):
            direction = rng.standard_normal(20)
            assert stats.ks_2samp(whole @ direction, lifted @ direction).pvalue > level


def test_langevin_without_correction_is_a_little_off():
    """As its name says: the wider its steps, the more; and it goes to the law as they shrink."""
    model = model_of(1, 3, 1.0)
    law = Grid(model)

    def distance(size):
        reduced = Reduced.same(model, model.dtype)
        step = Step.of("langevin", model.sigma, 1, size)
        walk = Walk(reduced, step, np.zeros((20_000, 1)), seed=0)
        walk.advance(round(20 / size))
        return stats.kstest(walk.x[:, 0], law.cdf(0)).statistic

    assert distance(1.0) > 0.03 > 0.02 > distance(0.05)


@pytest.mark.parametrize("precision", [1.0, 11.1])
def test_independent_samples_have_the_law_of_the_model(precision):
    level = LEVEL / (2 * len(SEEDS) * 2)
    for seed in SEEDS:
        model = model_of(2, 5, precision, seed)
        law, x = Grid(model), model.sample(2000, seed=seed)
        for k in range(2):
            assert stats.kstest(x[:, k], law.cdf(k)).pvalue > level


def trained(rows=600, d=8, dtype="float32"):
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((rows, 2)) @ rng.standard_normal((2, d))).astype(dtype)
    X += 0.3 * rng.standard_normal((rows, d)).astype(dtype)
    return dsmfast.train(X, 12, 1.0, epochs=40, sigma_max="auto", dtype=dtype).model, X


def test_samples_are_the_same_however_many_and_on_any_threads():
    model = model_of(30, 9, 1.0, dtype="float32")
    many = model.sample(5000, seed=4, threads=1)
    assert many.shape == (5000, 30)
    assert many.dtype == np.float32
    for n, threads in ((1, 1), (70, 2), (4500, 3)):
        assert np.array_equal(model.sample(n, seed=4, threads=threads), many[:n])
    assert not np.array_equal(model.sample(5, seed=5), many[:5])


@pytest.mark.parametrize(("d", "h"), [(30, 9), (6, 40)])
def test_chains_are_the_same_however_many_draws_and_on_any_threads(d, h):
    model = model_of(d, h, 2.6, dtype="float32")
    whole = sample(model, 5, 400, thin=3, seed=1, threads=1)
    assert whole.x.shape == (5, 400, d)
    assert whole.method == "shifted"
    assert whole.rows.shape == (2000, d)
    part = sample(model, 5, 37, thin=3, seed=1, threads=2)
    assert np.array_equal(part.x, whole.x[:, :37])
    assert np.array_equal(part.energy, whole.energy[:, :37])
    alone = sample(model, 2, 400, thin=3, seed=1)
    assert np.array_equal(alone.x, whole.x[:2])
    assert relative_error(whole.energy.ravel(), model.energy(whole.rows)) < 1e-5
    assert (whole.acceptance > 0.5).all()
    assert (sample(model_of(d, h, 2), 2, 5).acceptance == 1).all()


@pytest.mark.parametrize("beside", [1, 2, 3, 40, 1000])
def test_energies_alone_have_the_law_of_those_of_draws(beside):
    """Exactly chi-square beside y; the chain is the same, and so is the bits' independence."""
    model = model_of(3 + beside, 3, 1.0, scale=0.7)
    whole = sample(model, 400, 20, thin=5, seed=2)
    alone = sample(model, 400, 20, thin=5, seed=2, energy_only=True)
    assert alone.x.shape == (400, 0, 3 + beside)
    assert alone.energy.shape == (400, 20)
    assert stats.ks_2samp(whole.energy[:, -1], alone.energy[:, -1]).pvalue > LEVEL / 5
    part = sample(model, 50, 7, thin=5, seed=2, energy_only=True, threads=1)
    assert np.array_equal(part.energy, alone.energy[:50, :7])
    reduced = Reduced.of(model, model.dtype)
    walk = Walk(reduced, Step.of("gibbs", 1.0, 3), np.zeros((4000, 3)), seed=7)
    energy = walk.energies_beside(1, np.array([9], dtype=np.uint32))[:, 0]
    square = 2 * (energy - reduced.energy_beside(np.zeros(1)))
    assert stats.kstest(square, stats.chi2(beside).cdf).pvalue > LEVEL / 5


def test_chains_begin_where_they_are_told():
    model, X = trained()
    first = sample(model, draws=1, burn_in=0, init=X[:7], seed=2)
    assert first.x.shape == (7, 1, 8)
    one = sample(model, 3, 1, burn_in=0, init=X[0], seed=2)
    again = sample(model, 3, 1, burn_in=0, init=X[[0, 0, 0]], seed=2)
    assert np.array_equal(one.x, again.x)
    assert np.array_equal(one.x[0], first.x[0])


def test_given_features_stay_and_the_others_follow():
    model = model_of(2, 5, 1.0)
    law = Grid(model)
    level = LEVEL / (3 * len(SEEDS))
    for value in (-1.0, 0.0, 1.5):
        column = law.weight[np.abs(law.axis - value).argmin()]
        below = np.concatenate([[0.0], np.cumsum(column / column.sum())])
        half = (law.axis[1] - law.axis[0]) / 2
        ends = np.concatenate([[law.axis[0] - half], law.axis + half])
        known = float(law.axis[np.abs(law.axis - value).argmin()])
        for seed in SEEDS:
            chains = sample(model, 1500, 1, given=[known, np.nan], seed=seed)
            assert (chains.x[..., 0] == known).all()
            missing = chains.x[:, 0, 1]
            assert (
                stats.kstest(missing, lambda x, e=ends, b=below: np.interp(x, e, b)).pvalue > level
            )


def test_imputation_is_the_mean_given_the_rest():
    """Against quadrature, within the error of as many draws."""
    model = model_of(2, 5, 1.0)
    law = Grid(model)
    values = law.axis[[150, 180, 200, 230]]
    X = np.column_stack([np.tile(values, 25), np.full(100, np.nan)])
    X = np.concatenate([X, [[0.5, -0.5]]])
    filled = impute(model, X, draws=200, seed=3)
    assert np.array_equal(filled[:, 0], X[:, 0])
    assert np.array_equal(filled[100], X[100])
    for k, value in enumerate(values):
        column = law.weight[law.axis == value][0]
        mean = column @ law.axis / column.sum()
        found = filled[k:100:4, 1]
        assert abs(found.mean() - mean) < 4 * found.std() / math.sqrt(len(found)) + 1e-3
    assert np.array_equal(impute(model, X, draws=200, seed=3, threads=2), filled)


def test_observed_may_be_said_apart():
    model, X = trained()
    mask = np.zeros(8, dtype=bool)
    mask[:3] = True
    apart = sample(model, 4, 5, given=X[0], observed=mask, seed=1)
    marked = sample(model, 4, 5, given=np.where(mask, X[0], np.nan).astype("f4"), seed=1)
    assert np.array_equal(apart.x, marked.x)
    assert (apart.x[..., :3] == X[0, :3]).all()


@pytest.mark.parametrize("finished", [0, 1, 3])
def test_an_interrupted_run_hands_back_its_draws(monkeypatch, finished):
    model, _ = trained()
    monkeypatch.setattr("dsmfast._density.draws.KEPT_TOGETHER", 4 * 8 * 5)  # five draws at a time
    whole = sample(model, 4, 50, burn_in=0, seed=1)
    calls, advance = [], Walk.advance

    def interrupted(walk, steps, thin=0, **options):
        calls.append(thin)
        if thin > 0 and sum(t > 0 for t in calls) > finished:
            raise KeyboardInterrupt
        return advance(walk, steps, thin, **options)

    monkeypatch.setattr(Walk, "advance", interrupted)
    if finished == 0:
        with pytest.raises(KeyboardInterrupt):
            sample(model, 4, 50, burn_in=0, seed=1)
        return
    part = sample(model, 4, 50, burn_in=0, seed=1)
    assert not part.is_complete
    assert whole.is_complete
    assert np.array_equal(part.x, whole.x[:, : 5 * finished])


def test_progress_is_shown(capsys, monkeypatch):
    monkeypatch.setattr("dsmfast._system.progress.BETWEEN_LINES", 0.0)
    model, _ = trained()
    sample(model, 3, 50, progress=True)
    assert "dsmfast: step 150 of 150, " in capsys.readouterr().err
    model.sample(3, progress=True)
    assert "dsmfast: row 3 of 3, " in capsys.readouterr().err
    model.sample(3)
    assert capsys.readouterr().err == ""


BAD = [
    ({"method": "hmc"}, "method: expected one of 'auto', 'gibbs', 'shifted', 'mala', 'langevin'"),
    (
        {"method": "gibbs", "step_size": 0.1},
        "step_size: only 'mala' and 'langevin' take it, not 'gibbs'",
    ),
    ({"method": "mala", "step_size": 2.0}, "step_size: expected a number below 2, got 2"),
    ({"method": "mala", "step_size": -1}, "step_size: expected a finite number > 0"),
    ({"chains": 0}, "chains: expected an integer of at least 1, got 0"),
    ({"draws": 0}, "draws: expected an integer of at least 1"),
    ({"thin": 0}, "thin: expected an integer of at least 1"),
    ({"draws": 2**30, "thin": 8}, r"draws, thin: expected fewer than 2\*\*32 steps"),
    ({"burn_in": -1}, "burn_in: expected an integer of at least 0"),
    ({"seed": -1}, "seed: expected an integer of at least 0"),
    (
        {"init": np.zeros((2, 8), "f4"), "chains": 3},
        "init: expected one row, or one for each of 3 chains",
    ),
    ({"init": np.zeros(7, "f4")}, r"init: expected shape \(n, 8\)"),
    ({"init": np.full(8, np.nan, "f4")}, "init: expected finite float32 values, got nan"),
    ({"observed": np.ones(8, bool)}, "observed: expected given with it"),
    (
        {"given": np.zeros(8, "f4"), "observed": np.ones(7, bool)},
        "observed: expected booleans like given",
    ),
    (
        {"given": np.zeros(8, "f4"), "observed": np.ones(8)},
        "observed: expected booleans like given",
    ),
    (
        {"given": np.zeros((2, 8), "f4"), "chains": 3},
        "given: expected one row, or one for each of 3",
    ),
    ({"given": np.full(8, np.inf, "f4")}, "given: expected finite"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options(options, message):
    model = model_of(8, 4, 1.0, dtype="float32")
    with pytest.raises((ValueError, TypeError), match=message):
        sample(model, **{"draws": 5, **options})


def test_other_bad_input():
    model = model_of(8, 4, 1.0, dtype="float32")
    for call in (sample, impute, dsmfast.log_normalizer):
        with pytest.raises(TypeError, match="model: expected a ScoreModel, got 3"):
            call(3, *([[1.0]] if call is impute else []))
    with pytest.raises(ValueError, match="n: expected an integer of at least 1, got 0"):
        model.sample(0)
    with pytest.raises(ValueError, match=r"X: expected shape \(n, 8\)"):
        impute(model, np.zeros((3, 7), dtype="f4"))
    with pytest.raises(ValueError, match="X: expected finite"):
        impute(model, np.full((3, 8), np.inf, dtype="f4"))
    with pytest.raises(TypeError, match="X: expected"):
        impute(model, np.array([["a"] * 8]))


def test_diagnostics_by_arviz():
    pytest.importorskip("arviz_stats")
    model, _ = trained()
    chains = sample(model, 4, 200)
    assert 50 < chains.ess() <= 1600
    assert chains.ess("x").shape == (8,)
    assert 0.99 < chains.r_hat() < 1.05
    assert chains.r_hat("x").shape == (8,)
    with pytest.raises(ValueError, match="of: expected 'energy' or 'x'"):
        chains.ess("y")
    with pytest.raises(ValueError, match="expected at least 4 draws"):
        sample(model, 4, 3).ess()
    pytest.importorskip("arviz_base")
    tree = chains.to_arviz()
    assert tree["posterior"]["x"].shape == (4, 200, 8)
    assert tree["sample_stats"]["energy"].shape == (4, 200)
    alone = sample(model, 4, 200, energy_only=True)
    assert "draws=200" in repr(alone)
    assert alone.to_arviz()["sample_stats"]["energy"].shape == (4, 200)


def test_without_arviz_the_error_says_what_to_install(monkeypatch):
    import sys

    model, _ = trained()
    monkeypatch.setitem(sys.modules, "arviz_stats", None)
    monkeypatch.setitem(sys.modules, "arviz_stats.base", None)
    with pytest.raises(ImportError, match=r"needs arviz-stats: pip install 'dsmfast\[arviz\]'"):
        sample(model, 2, 10).ess()


def test_extreme_models_stay_finite():
    """Weights and biases that saturate every unit, and one of everything."""
    for scale in (1e-20, 1.0, 1e4):
        for d, h in ((1, 1), (1, 40), (40, 1)):
            model = model_of(d, h, 1.0, dtype="float32", scale=scale)
            x = model.sample(20)
            assert np.isfinite(x).all()
            assert np.isfinite(sample(model, 2, 5).energy).all()


def test_chains_run_beside_each_other():
    """The kernels keep nothing between calls: two walks taken in turns are as each alone."""
    model = model_of(5, 9, 1.0)
    reduced, step = Reduced.same(model, model.dtype), Step.of("gibbs", 1.0, 5)
    x = np.zeros((10, 5))
    walks = [Walk(reduced, step, x, seed=seed) for seed in (0, 1)]
    alone = [Walk(reduced, step, x, seed=seed) for seed in (0, 1)]
    for _ in range(3):
        for walk in walks:
            walk.advance(2)
    for walk, other in zip(walks, alone, strict=True):
        other.advance(6)
        assert np.array_equal(walk.x, other.x)
    assert _core.Stream.chain.value == 5


def test_lists_have_the_precision_of_the_model():
    model = dsmfast.ScoreModel.initialize(2, 3, 0.5)
    row = np.array([[0.25, np.nan]], model.dtype)
    options = {"chains": 1, "draws": 2, "burn_in": 3}
    for name, array in (("init", np.full((1, 2), 0.3, model.dtype)), ("given", row)):
        one, two = (
            dsmfast.sample(model, **{name: value}, **options) for value in (array, array.tolist())
        )
        assert np.array_equal(one.x, two.x)
    assert np.array_equal(*(dsmfast.impute(model, x, draws=5) for x in (row, row.tolist())))


@pytest.mark.parametrize("d", [3, 40])  # fewer features than hidden units, and more
def test_energies_of_draws_far_from_zero(d):
    """In float32, those around 1e4 were off by 24 and 106, of a spread of 1.2 and 4.6."""
    rng = np.random.default_rng(3)
    W, b = rng.standard_normal((20, d)) / d**0.5, rng.standard_normal(20)
    c = 0.3 * rng.standard_normal(d)
    moved = (W, b - 1e4 * W.sum(axis=1), c + 1e4)
    model = dsmfast.ScoreModel(*(part.astype(np.float32) for part in moved), 0.5)
    chains = dsmfast.sample(model, 4, draws=50, burn_in=10, seed=1)
    expected = model.energy(chains.x.reshape(-1, d)).reshape(4, 50)
    assert len(np.unique(chains.energy)) == 200
    error = chains.energy - expected
    assert np.abs(error - error.mean()).max() < 0.02 * expected.std()
