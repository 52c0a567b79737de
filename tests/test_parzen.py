"""The Parzen density: parity, tails, shapes, bits; and the choice of sigma."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsmfast
from dsmfast import _core, reference
from dsmfast._density.repeats import first_of_repeats, is_rounded, without_copies
from problems import PARITY, relative_error

SAMPLES = [
    # (n, N, d): tiles of 96 points and of 32 to 256 rows, panels of 4 to 32
    (1, 1, 1),
    (1, 2, 5),
    (3, 31, 1),
    (97, 33, 7),
    (95, 256, 16),
    (10, 257, 65),
    (200, 300, 33),
    (5, 100, 784),
]


def sample(n, N, d, dtype, seed=0):
    rng = np.random.default_rng([seed, n, N, d])
    x, data = 1.5 * rng.standard_normal((n, d)), rng.standard_normal((N, d)) + 3
    return (x + 3).astype(dtype), data.astype(dtype)


def allowed(x, data, sigma, dtype):
    """Exponents are sums of products of size |q| |y|, in units of sigma; so is their rounding.

    |q - centre| and |y - centre| are below; float32 rounds at 6e-8, float64 at 1.1e-16.
    """
    wide = x.astype(np.float64), data.astype(np.float64)
    q, y = (np.linalg.norm(a - wide[1].mean(axis=0), axis=1).max() / sigma for a in wide)
    return 4 * float(np.finfo(dtype).eps) * (1 + (q + y) * y) + PARITY[dtype] / 10


@pytest.mark.parametrize("size", SAMPLES, ids=str)
@pytest.mark.parametrize("sigma", [0.3, 1.0, 5.0])
def test_parity_with_reference(size, sigma, dtype):
    x, data = sample(*size, dtype)
    wide = x.astype(np.float64), data.astype(np.float64)
    tolerance = allowed(x, data, sigma, dtype)
    mean = dsmfast.parzen_denoise(x, data, sigma)
    score = dsmfast.parzen_score(x, data, sigma)
    density = dsmfast.parzen_log_density(x, data, sigma)
    assert mean.dtype == score.dtype == dtype
    assert relative_error(mean, reference.parzen_denoise(*wide, sigma)) <= tolerance
    assert relative_error(score, reference.parzen_score(*wide, sigma)) <= tolerance
    expected = reference.parzen_log_density(*wide, sigma)
    assert np.abs(density - expected).max() <= tolerance * (1 + np.abs(expected).max())


@given(
    n=st.integers(1, 150),
    N=st.integers(1, 300),
    d=st.integers(1, 40),
    sigma=st.floats(0.2, 20),
    threads=st.integers(1, 4),
    layout=st.sampled_from(["C", "F", "strided", "read-only"]),
    double=st.booleans(),
)
def test_parity_at_any_shape(n, N, d, sigma, threads, layout, double):
    dtype = "float64" if double else "float32"
    x, data = sample(n, N, d, dtype)
    views = {"F": np.asfortranarray(data), "strided": np.repeat(data, 2, axis=0)[::2]}
    view = views.get(layout, data)
    if layout == "read-only":
        view.flags.writeable = False
    expected = reference.parzen_denoise(x.astype(np.float64), data.astype(np.float64), sigma)
    actual = dsmfast.parzen_denoise(x, view, sigma, threads=threads)
    assert relative_error(actual, expected) <= allowed(x, data, sigma, dtype)


def test_exact_in_the_tails(dtype):
    """Fifty sigma from all data, every density underflows; the weights do not."""
    data = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype)
    x = np.array([[50.0, 0.0], [-50.0, -50.0], [40.0, 40.0]], dtype)
    mean = dsmfast.parzen_denoise(x, data, 1.0)
    wide = x.astype(np.float64), data.astype(np.float64)
    assert np.allclose(mean, reference.parzen_denoise(*wide, 1.0), rtol=0, atol=PARITY[dtype])
    assert np.allclose(mean, [[1, 0], [0, 0], [0.5, 0.5]], rtol=0, atol=PARITY[dtype])
    # 1 / exp(50^2 / 2) is no number of either precision.
    density = dsmfast.parzen_log_density(x, data, 1.0)
    assert np.allclose(
        density, reference.parzen_log_density(*wide, 1.0), rtol=PARITY[dtype], atol=0
    )
    assert np.all(density < -750)
    assert np.isfinite(dsmfast.parzen_score(1e6 * x, data, 1.0)).all()


class TestFarInUnitsOfSigma:
    """Rounding of |x|^2 / sigma^2 is not allowed to be what exponents are made of."""

    @staticmethod
    def problem(kind, d, dtype):
        """Points beside rows of a sample, the first as far from all others as kind says."""
        rng = np.random.default_rng([1, d])
        data = rng.standard_normal((700, d))
        x = data[:150] + 1e-3 * rng.standard_normal((150, d))
        single = dtype == "float32"
        sigma = 0.1
        if kind == "a coordinate far out":
            data[0, d // 2] = x[0, d // 2] = 1e6 if single else 1e14
        elif kind == "tiny sigma":
            sigma = 1e-5 if single else 1e-12
        elif kind == "far from zero":
            data, x = data + 3000, x + 3000
        elif kind == "two clusters":
            distance = 1e4 if single else 1e12
            data[::2] += distance
            x[::2] += distance
        return x.astype(dtype), data.astype(dtype), sigma

    KINDS = ("a coordinate far out", "tiny sigma", "far from zero", "two clusters")

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("d", [2, 17, 40])
    def test_it_is_as_by_the_distances(self, kind, d, dtype):
        """It was +1027 where 10.6 is the most."""
        x, data, sigma = self.problem(kind, d, dtype)
        wide = x.astype(np.longdouble), data.astype(np.longdouble)
        density = dsmfast.parzen_log_density(x, data, sigma)
        most = -d / 2 * np.log(2 * np.pi * sigma**2)
        assert density.max() <= most
        expected = np.asarray(reference.parzen_log_density(*wide, sigma), float)
        # Of points that are not so far, exponents keep two digits after the point, often four.
        assert np.allclose(density, expected, rtol=1e-6, atol=0.01)
        mean = dsmfast.parzen_denoise(x, data, sigma)
        expected = np.asarray(reference.parzen_denoise(*wide, sigma), float)
        of = 1 + np.abs(expected)
        assert (np.abs(mean - expected) <= 0.01 * sigma + 4 * np.finfo(dtype).eps * of).all()
        score = dsmfast.parzen_score(x, data, sigma)
        expected = np.asarray(reference.parzen_score(*wide, sigma), float)
        scale = np.abs(expected) + 1 / sigma
        assert (np.abs(score - expected) <= 0.01 * scale).all()

    def test_others_are_as_they_were(self, dtype):
        """A row far out has no say in the others: the centre stays among them."""
        x, data, sigma = self.problem("a coordinate far out", 17, dtype)
        density = dsmfast.parzen_log_density(x, data, sigma)[1:]
        without = dsmfast.parzen_log_density(x[1:], data[1:], sigma)
        assert np.allclose(density, without + np.log(699 / 700), rtol=1e-5, atol=1e-3)

    def test_weights_and_what_is_left_out(self, dtype):
        x, data, sigma = self.problem("tiny sigma", 5, dtype)
        weights = np.random.default_rng(2).integers(0, 3, len(data))
        weights[:2] = 0, 2
        wide = x.astype(float), data.astype(float)
        density = dsmfast.parzen_log_density(x, data, sigma, sample_weight=weights)
        expected = reference.parzen_log_density(*wide, sigma, weights.astype(float))
        assert np.allclose(density, expected, rtol=1e-6, atol=1e-6)
        own = np.arange(len(data))
        _, log_sum, _, largest = _core.parzen(data, data, None, sigma, "", own, 2)
        exponents = reference.exponents_of(wide[1], wide[1], sigma)
        np.fill_diagonal(exponents, -np.inf)
        assert np.allclose(largest, exponents.max(axis=1), rtol=1e-6)
        assert np.allclose(log_sum, largest, rtol=1e-6)

    def test_a_row_has_the_same_bits_alone(self, dtype):
        x, data, sigma = self.problem("two clusters", 17, dtype)
        x[1::4] = data[3] + sigma  # some far in units of sigma, some not
        for function in (dsmfast.parzen_score, dsmfast.parzen_denoise, dsmfast.parzen_log_density):
            together = function(x, data, sigma, threads=1)
            assert np.array_equal(function(x, data, sigma, threads=3), together)
            for i in (0, 1, 2, 5, 149):
                assert np.array_equal(function(x[i : i + 1], data, sigma), together[i : i + 1])


def test_one_row_is_a_gaussian():
    x = np.linspace(-3, 3, 50)[:, None]
    assert np.allclose(dsmfast.parzen_score(x, [[1.0]], 2.0), (1 - x) / 4, rtol=1e-14, atol=1e-15)
    scipy = pytest.importorskip("scipy.stats")
    expected = scipy.norm(1, 2).logpdf(x[:, 0])
    assert np.allclose(dsmfast.parzen_log_density(x, [[1.0]], 2.0), expected, rtol=1e-14, atol=0)


def test_density_integrates_to_one_and_the_score_is_its_slope():
    data = np.random.default_rng(1).standard_normal((20, 1))
    x = np.linspace(-9, 9, 4001)[:, None]
    log_density = dsmfast.parzen_log_density(x, data, 0.4)
    assert np.exp(log_density).sum() * (x[1, 0] - x[0, 0]) == pytest.approx(1, abs=1e-12)
    slope = np.gradient(log_density, x[:, 0], edge_order=2)[1:-1]
    assert np.allclose(dsmfast.parzen_score(x, data, 0.4)[1:-1, 0], slope, rtol=0, atol=2e-3)


@pytest.mark.parametrize("N", [100, 40_000])
def test_a_row_has_the_same_bits_alone_and_on_any_number_of_threads(N, dtype):
    """40 000 rows are two segments, which are summed apart."""
    x, data = sample(300, N, 5, dtype)
    for function in (dsmfast.parzen_score, dsmfast.parzen_log_density):
        expected = function(x, data, 0.7, threads=1)
        for threads in (2, 3, 8):
            assert np.array_equal(function(x, data, 0.7, threads=threads), expected)
        for i in (0, 100, 299):
            assert np.array_equal(function(x[i : i + 1], data, 0.7), expected[i : i + 1])


def test_segments_agree_with_the_whole():
    x, data = sample(50, 70_000, 3, "float64")
    parts = [reference.exponents_of(x, data[i : i + 7000], 0.5) for i in range(0, 70_000, 7000)]
    exponents = np.concatenate(parts, axis=1)
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    expected = weights @ data / weights.sum(axis=1, keepdims=True)
    assert relative_error(dsmfast.parzen_denoise(x, data, 0.5), expected) <= 1e-12


def test_precisions_meet_in_the_wider():
    x, data = sample(4, 5, 3, "float32")
    assert dsmfast.parzen_score(x, data, 1.0).dtype == np.float32
    assert dsmfast.parzen_score(x.astype(np.float64), data, 1.0).dtype == np.float64
    assert dsmfast.parzen_score(x, data.astype(np.int32), 1.0).dtype == np.float64
    assert dsmfast.parzen_score(x, data.astype(np.uint8), 1.0).dtype == np.float32


def leave_one_out(X, sigma):
    exponents = reference.exponents_of(X, X, sigma)
    np.fill_diagonal(exponents, -np.inf)
    top = exponents.max(axis=1)
    log_sum = top + np.log(np.exp(exponents - top[:, None]).sum(axis=1))
    return log_sum.mean() - X.shape[1] * np.log(sigma)


def test_leave_one_out_sums():
    X = np.random.default_rng(2).standard_normal((300, 4))
    own = np.arange(300)
    _, log_sum, mean, largest = _core.parzen(X, X, None, 0.8, "", own, 2)
    exponents = reference.exponents_of(X, X, 0.8)
    np.fill_diagonal(exponents, -np.inf)
    weights = np.exp(exponents)
    assert np.allclose(log_sum, np.log(weights.sum(axis=1)), rtol=1e-12, atol=0)
    np.fill_diagonal(exponents, 0)
    expected = (weights * exponents).sum(axis=1) / weights.sum(axis=1)
    assert np.allclose(mean, expected, rtol=1e-12, atol=0)
    np.fill_diagonal(exponents, -np.inf)
    assert np.allclose(largest, exponents.max(axis=1), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "kind", ["normal", "clusters", "two rows", "one feature", "line", "rounded"]
)
def test_select_sigma_finds_the_maximum(kind):
    rng = np.random.default_rng(6)
    normal = rng.standard_normal((200, 3))
    X = {
        "normal": normal,
        "clusters": normal * 0.01 + rng.integers(0, 4, (200, 1)) * 10.0,
        "two rows": normal[:2],
        "one feature": normal[:, :1],
        "line": normal[:, :1] * np.ones((1, 5)),
        "rounded": normal.round(2),
    }[kind]
    sigma = dsmfast.select_sigma(X)
    here = leave_one_out(X, sigma)
    assert here >= leave_one_out(X, 1.01 * sigma)
    assert here >= leave_one_out(X, 0.99 * sigma)
    grid = np.geomspace(sigma / 1e3, sigma * 1e3, 60)  # 26 % apart: to see other maxima
    with np.errstate(divide="ignore", invalid="ignore"):
        values = [leave_one_out(X, s) for s in grid]
    assert here >= np.nanmax(values) - 1e-6


@pytest.mark.parametrize(
    ("rows", "error"), [(2500, 0.2), pytest.param(10_000, 0.1, marks=pytest.mark.slow)]
)
def test_select_sigma_of_many_rows_is_that_of_all(rows, error, monkeypatch):
    """Two thirds of the rows tell the width of all, to four standard errors of 5 and 2.5 %."""
    monkeypatch.setattr("dsmfast._density.width.PAIRS", 2 * rows**2 // 3)
    X = np.random.default_rng(7).standard_normal((rows, 2))
    few = dsmfast.select_sigma(X)
    assert few == dsmfast.select_sigma(X) != dsmfast.select_sigma(X, seed=1)
    every = np.arange(len(X))

    def slope(sigma):
        return -2 * _core.parzen(X, X, None, sigma, "", every, 0)[2].mean() - 2

    assert slope((1 - error) * few) > 0 > slope((1 + error) * few)


def test_select_sigma_scales_and_does_not_depend_on_threads():
    X = dsmfast.normals(1, 0, 0, range(500), 6)
    sigma = dsmfast.select_sigma(X, threads=1)
    assert dsmfast.select_sigma(X, threads=3) == sigma
    assert dsmfast.select_sigma(1000 * X.astype(np.float64)) == pytest.approx(
        1000 * sigma, rel=2e-4
    )
    assert dsmfast.select_sigma(X + np.float32(5)) == pytest.approx(sigma, rel=1e-3)
    wide = X.astype(np.float64)
    assert dsmfast.select_sigma(wide + 1e7) == pytest.approx(sigma, rel=1e-8)  # what is left of it
    for unit in (1e-200, 1e200):
        assert dsmfast.select_sigma(unit * wide) == pytest.approx(unit * sigma, rel=2e-4)


class TestRepeats:
    """Rows that repeat are likely by each other at a sigma of 0, and say nothing of it."""

    @pytest.mark.parametrize("copied", [90, 450, 900])
    def test_copies_count_as_one_row(self, copied):
        """With 900 copies of 902 rows, sigma was 0.001."""
        rows = np.random.default_rng(0).standard_normal((902, 2))
        X = np.concatenate([rows, rows[:copied]])
        found = dsmfast.select_sigma(X)
        assert found == pytest.approx(dsmfast.select_sigma(rows), rel=0.08)
        weights = np.where(np.arange(902) < copied, 2, 1)
        assert found == pytest.approx(dsmfast.select_sigma(rows, sample_weight=weights), rel=1e-6)
        order = np.random.default_rng(1).permutation(len(X))
        assert dsmfast.select_sigma(X[order]) == pytest.approx(found, rel=2e-4)

    @pytest.mark.parametrize("rows", [200, 1000, 5000])
    def test_rounding_leaves_sigma_as_it_is(self, rows):
        """Of 1000 normals rounded to 0.1, sigma was 0.015; unrounded, it is 0.27.

        Where rounding is not much finer than sigma, there is a little more between them.
        """
        X = np.random.default_rng(0).standard_normal((rows, 1))
        found = dsmfast.select_sigma(X.round(1))
        dithered = X.round(1) + 0.1 * (np.random.default_rng(1).random(X.shape) - 0.5)
        assert found == pytest.approx(dsmfast.select_sigma(dithered), rel=0.2)
        if rows == 1000:
            assert found == pytest.approx(0.27, abs=0.02)

    def test_coarse_rounding_counts_distinct_rows(self):
        """As the Wisconsin data are; of half their benign rows, sigma was 0.59 for 0.82."""
        rng = np.random.default_rng(0)
        X = np.minimum(rng.geometric(0.8, (222, 9)), 10).astype(float)
        distinct = np.unique(X, axis=0)
        assert len(distinct) < 0.8 * len(X)
        assert dsmfast.select_sigma(X) == pytest.approx(dsmfast.select_sigma(distinct), rel=1e-3)
        weights = np.full(len(X), 3.0)
        assert dsmfast.select_sigma(X, sample_weight=weights) == pytest.approx(
            dsmfast.select_sigma(distinct), rel=1e-3
        )

    def test_twice_the_same_is_once(self):
        X = np.random.default_rng(5).standard_normal((60, 3))
        assert dsmfast.select_sigma(np.repeat(X, 2, axis=0)) == pytest.approx(
            dsmfast.select_sigma(X), rel=1e-4
        )
        zeros = np.concatenate([X, -X]) * 0.0
        zeros[:60, 0] = 1.0  # 0 and -0 are the same
        assert dsmfast.select_sigma(zeros) == pytest.approx(3**-0.5)

    @pytest.mark.parametrize("place", [0.0, 1013.0])
    @pytest.mark.parametrize("copied", [20, 450])
    @pytest.mark.parametrize("kind", ["float32", "float32 twice", "float64"])
    def test_copies_up_to_rounding_are_copies(self, kind, copied, place):
        """Of 450 rows and as many rounded copies, it was said that no rows differ."""
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((450, 3)) + place
        rows[:, 2] = np.maximum(rows[:, 2] - place - 1, 0)  # most of them 0
        rounded = {
            "float32": rows.astype(np.float32),
            "float32 twice": (255 * rows).astype(np.float32) / np.float32(255),
            "float64": rows * (1 + 1e-14 * rng.standard_normal(rows.shape)),
        }[kind]
        found = dsmfast.select_sigma(np.concatenate([rows, rounded[:copied]]))
        same = dsmfast.select_sigma(np.concatenate([rows, rows[:copied]]))
        assert found == pytest.approx(same, rel=1e-3)

    def test_near_rows_that_differ_are_no_copies(self):
        X = np.linspace(-2, 2, 400)[:, None]
        for near in (np.concatenate([X, X + 1e-5]), 1e9 + np.concatenate([X, X + 1e-3])):
            centre = near.mean(axis=0)
            assert len(first_of_repeats(near - centre, centre)[0]) == len(near)
        X[0] = 1e8  # a remote row, which says nothing of the rounding of others
        assert len(first_of_repeats(X - X.mean(), X.mean(axis=0))[0]) == len(X)
        two = [[1.0], [1.0 + 1e-15], [-1.0], [-1.0 - 1e-15]]
        assert dsmfast.select_sigma(two) == pytest.approx(dsmfast.select_sigma([[1.0], [-1.0]]))

    def test_many_rows_at_one_place_take_few_passes(self, monkeypatch):
        """A row is not compared with all others there: 4e8 pairs of them took a minute."""
        monkeypatch.setattr("dsmfast._density.repeats.PASSES", 20)
        X = np.repeat(np.eye(5), 20_000, axis=0)
        X += 1e-9 * np.random.default_rng(0).standard_normal(X.shape)
        first, owner = first_of_repeats(X - 0.2, np.full(5, 0.2))
        assert first.tolist() == [0, 20_000, 40_000, 60_000, 80_000]
        assert (owner == np.repeat(np.arange(5), 20_000)).all()

    @pytest.mark.parametrize("rows", [1_000, 50_000, 200_000])
    def test_continuous_values_are_not_rounded(self, rows):
        """Among very many some are close by chance, by no more than a rounding to float32 is."""
        X = np.random.default_rng(0).standard_normal((rows, 2))
        assert not is_rounded(X)
        assert is_rounded(X.round(3))
        assert np.array_equal(without_copies(np.concatenate([X, X])), X)


BAD = [
    (([1.0], [[1.0]], 1.0), ValueError, r"x: expected a 2-D array of shape \(n, 1\), got shape"),
    (([[1.0]], [[1.0, 2.0]], 1.0), ValueError, r"x: expected shape \(n, 2\), got \(1, 1\)"),
    (([[1.0]], np.ones((0, 1)), 1.0), ValueError, "data: expected at least one row"),
    (([[1.0]], [[np.nan]], 1.0), ValueError, "data: expected finite float64 values, got nan"),
    (([[np.inf]], [[1.0]], 1.0), ValueError, "x: expected finite float64 values, got inf"),
    (([[1.0]], [[1.0]], 0.0), ValueError, "sigma: expected a finite number > 0, got 0"),
    (([[1.0]], [["a"]], 1.0), TypeError, "data: expected real numbers"),
    (([[1e200]], [[1.0]], 1.0), ValueError, "expected squared distances over sigma"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_input(arguments, error, message):
    for function in (dsmfast.parzen_score, dsmfast.parzen_denoise, dsmfast.parzen_log_density):
        with pytest.raises(error, match=message):
            function(*arguments)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((1, 3)), "X: expected at least two rows, got 1"),
        (np.ones((5, 3)), "X: expected rows that differ, got rows that are equal up to rounding"),
        ([[1.0], [1.0 + 1e-15], [1.0 - 1e-15]], "X: expected rows that differ"),
        ([[1.0], [np.nan]], "X: expected finite float64 values, got nan in row 1"),
    ],
)
def test_select_sigma_of_bad_input(X, message):
    with pytest.raises(ValueError, match=message):
        dsmfast.select_sigma(X)


def test_select_sigma_of_one_row_that_outweighs_all():
    X = np.random.default_rng(0).standard_normal((300, 2))
    for weight, others in ((1.0, 0.0), (1e300, 1.0)):
        with pytest.raises(ValueError, match="X: expected at least two rows whose weights count"):
            dsmfast.select_sigma(X, sample_weight=np.r_[weight, np.full(299, others)])
    assert dsmfast.select_sigma(X, sample_weight=np.r_[1e15, np.ones(299)]) > 0


def test_select_sigma_checks_its_seed_whether_or_not_it_draws():
    with pytest.raises(ValueError, match="seed: expected an integer of at least 0, got -1"):
        dsmfast.select_sigma([[0.0], [1.0], [3.0]], seed=-1)
