"""The outlier detector: scikit-learn's own checks, what it ranks by, and its p-values."""

import pickle
from datetime import date

import numpy as np
import pytest

import dsmfast

pytest.importorskip("sklearn", minversion="1.6")

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from dsmfast.sklearn import DenoisingAutoencoder, OutlierDetector

MODEL_RANKINGS = ("model_displacement", "energy", "log_density")


def rows(n=200, d=4, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def with_outliers(normal=190, scattered=10):
    """Return rows in the plane, the last of them scattered far and wide, and which those are."""
    angle = np.random.default_rng(3).uniform(0, 2 * np.pi, scattered)
    length = np.random.default_rng(4).uniform(5, 30, (scattered, 1))
    far = length * np.column_stack([np.cos(angle), np.sin(angle)])
    return np.vstack([rows(normal, 2), far]), np.repeat([1, -1], [normal, scattered])


def plain(**options):
    """Return a detector of one density, of rows as they are."""
    return OutlierDetector(**{"sigma": 0.4, "scaling": "none", "random_state": 0, **options})


def small(ranking, **options):
    """Return a detector that trains in no time."""
    model = DenoisingAutoencoder(8, max_iter=8, random_state=0, **options)
    return OutlierDetector(ranking, estimator=model, random_state=0)


@parametrize_with_checks(
    [
        OutlierDetector(),
        OutlierDetector(contamination=0.1, calibration_fraction=None, sigma=1, scaling="standard"),
        small("model_displacement"),
        small("energy"),
    ],
    legacy=True,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


class TestRanking:
    @pytest.mark.parametrize("sigma", [0.2, 0.4, 2.0])
    def test_is_the_displacement_of_the_parzen_density_and_its_curvature(self, sigma):
        """By the density alone: its gradient, and its Laplacian from second differences."""
        X, x = rows(), 2 * rows(seed=1)
        detector = plain(sigma=sigma).fit(X)
        displaced = x - dsmfast.parzen_denoise(x, X, sigma)
        step = 1e-3 * sigma

        def log_density(shift):
            return dsmfast.parzen_log_density(x + shift, X, sigma)

        steps = step * np.eye(4)
        second = [log_density(e) - 2 * log_density(0) + log_density(-e) for e in steps]
        laplacian = np.sum(second, axis=0) / step**2
        squares = (displaced**2).sum(axis=1) + sigma**4 * np.maximum(laplacian, 0)
        assert sigma == 2.0 or (laplacian > 0).any()
        np.testing.assert_allclose(detector.score_samples(x), -np.log(squares) / 2, atol=1e-5)
        explained = detector.explain(x) * X.std(axis=0)
        np.testing.assert_allclose(explained, displaced, rtol=1e-9)

    def test_of_several_is_the_mean(self):
        X, x = rows(), 2 * rows(seed=1)
        each = [
            plain(sigma=sigma, scaling=scaling).fit(X)
            for sigma in (0.2, 0.7)
            for scaling in ("standard", "robust")
        ]
        both = plain(sigma=(0.2, 0.7), scaling=("standard", "robust")).fit(X)
        for method in ("score_samples", "explain"):
            mean = np.mean([getattr(one, method)(x) for one in each], axis=0)
            np.testing.assert_allclose(getattr(both, method)(x), mean, rtol=1e-9)

    def test_default_is_six_densities(self):
        X, x = rows(), rows(seed=1)
        parts = {"sigma": (0.3, 0.5), "scaling": ("standard", "robust", "whitened")}
        same = OutlierDetector(**parts).fit(X).score_samples(x)
        assert np.array_equal(OutlierDetector().fit(X).score_samples(x), same)

    @pytest.mark.parametrize("scaling", ["standard", "robust", "whitened"])
    def test_units_do_not_matter(self, scaling):
        X, x = rows(), 2 * rows(seed=1)
        unit, away = np.array([1e-6, 1.0, 1e3, 1e8]), np.array([0.0, -3.0, 1e4, 1e9])
        detector = plain(scaling=scaling)
        expected = detector.fit(X).score_samples(x), detector.explain(x)
        detector.fit(X * unit + away)
        np.testing.assert_allclose(detector.score_samples(x * unit + away), expected[0], rtol=1e-5)
        np.testing.assert_allclose(detector.explain(x * unit + away), expected[1], atol=1e-4)

    def test_whitened_takes_away_half_of_the_correlations(self):
        from dsmfast.sklearn.scaling import Scaling

        X = rows(5000, 3) @ np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 7.0]])
        standard, whitened = Scaling.fitted("standard", X), Scaling.fitted("whitened", X)
        covariance = np.cov(whitened(X).T, ddof=0)
        # Up to the shrinkage of the covariance.
        np.testing.assert_allclose(covariance @ covariance, np.corrcoef(X.T), atol=3e-3)
        np.testing.assert_allclose(
            whitened.back(whitened(X[:9]) - whitened(X[9:18])), X[:9] - X[9:18]
        )
        numbers = np.log(np.abs(np.linalg.det(whitened.root))) - np.log(standard.unit).sum()
        assert whitened.log_volume == pytest.approx(numbers)

    @pytest.mark.parametrize("ranking", MODEL_RANKINGS)
    def test_of_a_model(self, ranking):
        X, x = 5 + 2 * rows(d=2), 5 + 4 * rows(d=2, seed=1)
        detector = small(ranking).fit(X)
        scaler = StandardScaler().fit(X)
        model = DenoisingAutoencoder(
            8, max_iter=8, random_state=0, normalize=ranking == "log_density"
        )
        model.fit(scaler.transform(X))
        points = scaler.transform(x)
        displaced = points - model.denoise(points)
        expected = {
            "model_displacement": -np.log(np.linalg.norm(displaced, axis=1)),
            "energy": -model.model_.energy(points * model.scale_),
            "log_density": model.score_samples(points) - np.log(scaler.scale_).sum(),
        }[ranking]
        np.testing.assert_allclose(detector.score_samples(x), expected, rtol=1e-6)
        explained = detector.explain(x)
        np.testing.assert_allclose(explained, displaced, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("ranking", ["displacement", *MODEL_RANKINGS])
    def test_tells_outliers_from_normal_rows(self, ranking):
        X = rows(400, 2)
        options = {"estimator": None if ranking == "displacement" else DenoisingAutoencoder(32)}
        detector = OutlierDetector(ranking, random_state=0, **options).fit(X)
        far = 5 * rows(100, 2, seed=2)
        new = rows(300, 2, seed=3)
        is_normal = np.repeat([1, 0], [len(new), len(far)])
        assert roc_auc_score(is_normal, detector.decision_function(np.vstack([new, far]))) > 0.85

    @pytest.mark.parametrize(("d", "gap"), [(1, 4), (1, 12), (2, 4), (2, 12), (5, 12)])
    def test_finds_rows_between_clusters(self, d, gap):
        """A displacement is 0 half-way between two clusters, the least likely place there is."""
        ends = gap * np.eye(d)[0] * np.where(np.arange(1500) % 2, 1, -1)[:, None]
        normal, between = rows(1500, d) + ends, rows(500, d, seed=1)
        detector = OutlierDetector(random_state=0).fit(normal[:1000])
        scores = detector.decision_function(np.vstack([normal[1000:], between]))
        least = 0.85 if d == 5 else 0.95  # by five nearest neighbours .85, and .99
        assert roc_auc_score(np.repeat([1, 0], 500), scores) > least
        assert d == 5 or detector.predict(np.zeros((1, d))) == -1

    def test_finds_the_middle_of_a_ring(self):
        angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 1000)
        ring = np.column_stack([np.cos(angle), np.sin(angle)]) + 0.05 * rows(1000, 2)
        detector = OutlierDetector(random_state=0).fit(ring)
        assert detector.predict([[0.0, 0.0]]) == -1
        assert detector.p_values([[0.0, 0.0]]) < 0.01

    @pytest.mark.parametrize(("size", "count"), [(1e2, 1), (1e3, 1), (1e6, 1), (1e3, 6), (-999, 6)])
    def test_errors_among_the_rows_do_not_decide_the_unit(self, size, count):
        """Of 600 rows; rows between clusters would else be the most normal of all."""
        ends = 5 * np.arange(2)[np.arange(900) % 2, None] * np.array([2, 0])
        normal, between = 0.5 * rows(900, 2) + ends, 0.5 * rows(300, 2, seed=1) + [5, 0]
        errors = np.full((count, 2), size) * [1, 0]
        detector = OutlierDetector(random_state=0).fit(np.vstack([normal[:600], errors]))
        new = np.vstack([normal[600:], between])
        assert roc_auc_score(np.repeat([1, 0], 300), detector.score_samples(new)) > 0.99
        assert (detector.predict(between) == -1).mean() > 0.9

    def test_errors_among_the_rows_do_not_hide_correlations(self):
        X = rows(900, 1) + 0.2 * rows(900, 4, seed=1)
        wrong, which = X[600:].copy(), np.arange(300) % 4
        wrong[np.arange(300), which] += 1.2
        X[:3, 0] = -999
        detector = OutlierDetector(random_state=0).fit(X[:600])
        is_normal = np.repeat([1, 0], 300)
        assert roc_auc_score(is_normal, detector.score_samples(np.vstack([X[600:], wrong]))) > 0.98
        assert (np.abs(detector.explain(wrong)).argmax(axis=1) == which).mean() > 0.9

    def test_one_error_among_the_rows_hides_nothing(self):
        """With a value of 1e3 in the first feature, whose standard deviation is then 30."""
        X = np.vstack([rows(1000), [[1e3, 0, 0, 0]]])
        normal, planted = rows(500, seed=1), rows(100, seed=2) + np.array([5, 0, 0, 0])
        is_normal = np.repeat([1, 0], [500, 100])
        detector = OutlierDetector(random_state=0).fit(X)
        new = np.vstack([normal, planted])
        assert roc_auc_score(is_normal, detector.score_samples(new)) > 0.9
        robust = OutlierDetector(scaling="robust", random_state=0).fit(X)
        assert roc_auc_score(is_normal, robust.score_samples(new)) > 0.99
        assert (np.abs(robust.explain(planted)).argmax(axis=1) == 0).mean() > 0.9

    @pytest.mark.parametrize(("n", "d", "most"), [(50, 50, 0.15), (100, 100, 0.1), (200, 100, 0.1)])
    def test_threshold_with_few_rows_for_the_features(self, n, d, most):
        """New rows are called outliers nearly as often as one in twenty."""
        shares = []
        for seed in range(4):
            both = rows(n + 300, d, seed=seed)
            detector = OutlierDetector(calibration_fraction=None).fit(both[:n])
            shares.append((detector.predict(both[n:]) == -1).mean())
        assert np.mean(shares) < most

    @pytest.mark.parametrize("scale", [1e-162, 1e-100, 1e100])
    def test_any_scale(self, scale):
        X = rows()
        expected = OutlierDetector(random_state=0).fit(X)
        detector = OutlierDetector(random_state=0).fit(X * scale)
        x = np.vstack([rows(seed=1), np.full((1, 4), 50)])
        assert np.array_equal(detector.predict(x * scale), expected.predict(x))

    def test_a_value_beyond_all_is_an_outlier(self):
        X = rows()
        detector = OutlierDetector().fit(X)
        absurd = np.zeros((1, 4))
        absurd[0, 2] = 1e300
        assert detector.predict(absurd) == -1
        assert np.abs(detector.explain(absurd)).argmax() == 2

    def test_features_that_do_not_vary(self):
        X = rows()
        X[:, 1] = 0.1
        X[: len(X) - 3, 2] = 7.0  # quartiles that are one
        detector = OutlierDetector().fit(X)
        x = X[:3].copy()
        x[1, 1] = 5.0
        scores = detector.score_samples(x)
        assert np.isfinite(scores).all()
        assert scores.argmin() == 1
        assert np.abs(detector.explain(x)[1]).argmax() == 1


class TestRowsOfFit:
    """They are judged by the others."""

    def test_one_by_one(self):
        X = rows(40)
        detector = plain(calibration_fraction=None).fit(X)
        alone = [
            plain(calibration_fraction=None)
            .fit(np.delete(X, i, axis=0))
            .score_samples(X[i : i + 1])
            for i in range(len(X))
        ]
        np.testing.assert_allclose(detector.score_samples(X), np.concatenate(alone), rtol=1e-9)

    def test_copies_of_an_outlier_do_not_hide_it(self):
        far = [[9.0, 9, 9, 9]]
        once = plain(contamination=0.1).fit(np.vstack([rows(40), far]))
        twice = plain(contamination=0.1).fit(np.vstack([rows(40), far, far]))
        assert twice.score_samples(far) == once.score_samples(far)
        assert twice.predict(far) == -1

    @pytest.mark.parametrize("copies", ["all twice", "bootstrap", "rounded", "once more rounded"])
    def test_copies_do_not_make_new_rows_abnormal(self, copies):
        """The share is that without copies; a twentieth of 1000 is off by .02 once in 300 times.

        It was .65 with copies that were rounded, which were not taken for copies.
        """
        X = rows(500, 6)
        more = {
            "all twice": X,
            "bootstrap": X[np.random.default_rng(1).integers(0, 500, 500)],
            "rounded": X.astype(np.float32),
            "once more rounded": X * (1 + 1e-15),
        }[copies]
        detector = OutlierDetector(random_state=0).fit(np.vstack([X, more]))
        assert (detector.predict(rows(1000, 6, seed=2)) == -1).mean() < 0.07

    @pytest.mark.parametrize("copied", ["rounded", "rounded to float32", "beside a frequent row"])
    def test_copies_of_any_kind_are_copies(self, copied):
        X, new = rows(500, 6), rows(1000, 6, seed=2)
        if copied == "rounded":
            X, new = X.round(2), new.round(2)
        more = X.astype(np.float32) if copied == "rounded to float32" else X
        often = np.zeros((13 if copied == "beside a frequent row" else 0, 6))
        detector = OutlierDetector(random_state=0).fit(np.vstack([X, more, often]))
        assert (detector.predict(new) == -1).mean() < 0.08

    @pytest.mark.parametrize("shape", [(2, 1), (4, 2), (5, 2), (13, 2), (12, 5), (100, 200)])
    def test_rows_that_are_all_equal(self, shape):
        detector = OutlierDetector(calibration_fraction=None).fit(np.ones(shape))
        assert np.array_equal(detector.predict(np.ones(shape)), np.ones(len(np.ones(shape))))
        if shape[0] >= 4:
            p = OutlierDetector(random_state=0).fit(np.ones(shape)).p_values(np.ones(shape))
            assert np.array_equal(p, np.ones(shape[0]))

    @pytest.mark.parametrize("events", [15, 19, 20, 21, 25, 40])
    def test_rare_events_are_not_errors(self, events):
        """Of a feature that is mostly 0, the deviation is that of all values."""
        amount = np.zeros(1000)
        amount[:events] = np.random.default_rng(0).uniform(50, 100, events)
        X = np.column_stack([amount, rows(1000, 3)])
        detector = OutlierDetector(random_state=0).fit(X)
        found = np.abs(detector.explain(X[:events])[:, 0])
        assert found.max() < 150 / amount.std()

    def test_transformed_counts_are_no_copies(self):
        from dsmfast._density.repeats import without_copies

        X = np.log1p(np.random.default_rng(0).negative_binomial(2, 0.1, 3000))[:, None]
        assert without_copies(X) is X

    def test_an_outlier_that_is_there_twice_among_rounded_rows(self):
        X = rows(1000, 6).round(2)
        X[0] = 8
        detector = OutlierDetector(random_state=0).fit(np.vstack([X, X[:1]]))
        assert detector.predict(X[:1]) == -1

    @pytest.mark.parametrize(
        "draw", ["binary", "categories", "indicators", "answers", "counts", "tenths"]
    )
    def test_repeats_of_discrete_rows_are_no_copies(self, draw):
        from dsmfast._density.repeats import without_copies

        generator = np.random.default_rng(0)
        X = {
            "binary": generator.integers(0, 2, (2000, 10)),
            "categories": generator.integers(0, 6, (2000, 4)),
            "indicators": np.eye(6)[generator.integers(0, 6, (2000, 4))].reshape(2000, 24),
            # Of people who agree or disagree with nearly everything.
            "answers": np.clip(np.round(3 + 1.5 * rows(500, 1) + 0.5 * rows(500, 6, 1)), 1, 5),
            "counts": generator.poisson(2, (2000, 3)),
            "tenths": rows(900, 2).round(1),
        }[draw].astype(float)
        assert len(np.unique(X, axis=0)) < len(X)
        assert without_copies(X) is X

    def test_rows_that_occur_often_stay(self):
        """A fifth of the rows are what an instrument writes where it sees nothing."""
        X, new = rows(500, 3), rows(200, 3, seed=1)
        X[:100] = new[:40] = 4.0
        detector = OutlierDetector(random_state=0).fit(X)
        assert (detector.predict(new) == -1).mean() < 0.12
        assert (detector.predict(new[:40]) == 1).all()

    def test_repeats_of_rounded_rows_stay(self):
        X = np.random.default_rng(0).integers(0, 3, (300, 3)).astype(float)
        X[0] = 9.0
        x = X[1:2]
        others = X[(x != X).any(axis=1)]
        assert len(others) < len(X) - 2
        scores = plain().fit(X).score_samples(X)
        assert scores.argmin() == 0
        assert scores[1] > plain().fit(others).score_samples(x) + 0.5

    def changed(self, X, how):
        """Return rows that come back rounded, and all that is known of them is this."""
        turn = np.linalg.qr(rows(X.shape[1], X.shape[1], seed=9))[0]
        return {
            "float32": X.astype(np.float32),
            "a rounding": X * (1 + 2e-16),
            "turned there and back": X @ turn @ turn.T,
        }[how]

    @pytest.mark.parametrize("how", ["float32", "a rounding", "turned there and back"])
    @pytest.mark.parametrize("away", [0.0, 1e3, 1e5])
    def test_are_recognised_after_rounding(self, how, away):
        X = away + rows(400, 6)
        detector = OutlierDetector(random_state=0, contamination=0.1).fit(X)
        again = self.changed(X, how)
        assert (detector.predict(again) == -1).mean() == pytest.approx(0.1)
        assert np.array_equal(detector.score_samples(again), detector.score_samples(X))

    def test_are_recognised_one_by_one_behind_a_rotation(self):
        from sklearn.decomposition import PCA

        X = np.vstack([rows(400, 6), [[9, 9, -9, 9, 9, 9.0]]])
        model = make_pipeline(PCA(), OutlierDetector(random_state=0)).fit(X)
        assert model.predict(X)[-1] == model.predict(X[-1:])[0] == -1

    def test_rows_near_them_are_new_rows(self):
        X = 1e9 + rows(400, 3)  # a float64 has steps of 1e-7 there
        detector = plain().fit(X)
        near = X + 0.01
        expected = -np.log(np.linalg.norm(near - dsmfast.parzen_denoise(near, X, 0.4), axis=1))
        assert (detector.score_samples(near) <= expected + 1e-6).all()
        assert not np.array_equal(detector.score_samples(near), detector.score_samples(X))

    def test_zeros_are_equal_whatever_their_sign(self):
        X = rows(40)
        X[0] = 0.0
        detector = plain().fit(X)
        assert detector.score_samples(-X[:1]) == detector.score_samples(X[:1])

    def test_have_scores_like_new_rows(self):
        """The mean difference, over its standard error, of eight fits: 4.5 is a chance of 1e-5."""
        z = []
        for seed in range(8):
            both = rows(600, 3, seed=seed)
            X, new = both[:300], both[300:]
            detector = OutlierDetector(calibration_fraction=None).fit(X)
            of_fit, of_new = detector.score_samples(X), detector.score_samples(new)
            error = np.sqrt((of_fit.var() + of_new.var()) / 300)
            z.append((of_fit.mean() - of_new.mean()) / error)
        assert abs(np.mean(z)) * np.sqrt(8) < 4.5

    def test_outliers_among_them_are_found(self):
        X, _ = with_outliers()
        detector = OutlierDetector(contamination=0.05)
        labels = detector.fit_predict(X)
        assert (labels[190:] == -1).mean() >= 0.8
        assert (labels == -1).sum() == 10
        assert np.array_equal(labels, detector.predict(X))


class TestThreshold:
    @pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
    def test_contamination_is_a_share_of_the_rows_of_fit(self, share):
        X = rows()
        detector = OutlierDetector(contamination=share).fit(X)
        assert (detector.predict(X) == -1).sum() == share * len(X)
        difference = detector.score_samples(X) - detector.decision_function(X)
        np.testing.assert_allclose(difference, detector.offset_)

    def test_auto_is_one_in_twenty(self):
        X = rows()
        assert (
            OutlierDetector().fit(X).offset_ == OutlierDetector(contamination=0.05).fit(X).offset_
        )


class TestPValues:
    def test_are_uniform_on_normal_rows(self):
        """Of 200 fits, the p-value of one new row each: a conformal p-value is uniform.

        With 19 rows held out it is one of 0.05, 0.1, ... 1 with equal chances. A chi-square of 19
        degrees beyond 60.9 has a chance of 2.5e-6, and the seed is fixed.
        """
        X = np.exp(rows(400 * 76, 2)).reshape(400, 76, 2)
        p = [
            OutlierDetector(sigma=0.5, scaling="standard", random_state=i)
            .fit(each[:75])
            .p_values(each[75:])[0]
            for i, each in enumerate(X)
        ]
        counts = np.bincount(np.round(np.array(p) * 20).astype(int), minlength=21)[1:]
        assert counts.sum() == len(p)
        expected = len(p) / 20
        assert ((counts - expected) ** 2 / expected).sum() < 60.9

    def test_are_small_where_rows_are_abnormal(self):
        detector = OutlierDetector(random_state=0).fit(rows(400))
        assert np.array_equal(detector.p_values(np.full((1, 4), 9.0)), [1 / 101])
        assert (detector.p_values(rows(400, seed=1)) > 1 / 101).mean() > 0.9

    def test_false_discoveries_are_as_few_as_said(self):
        """Benjamini-Hochberg at 0.2, mean over 60 fits: at most 0.2 x the share of normal rows.

        Four standard errors are allowed above it.
        """
        stats = pytest.importorskip("scipy.stats")
        shares = []
        for seed in range(60):
            both = rows(300, 2, seed=seed)
            detector = OutlierDetector(sigma=0.5, scaling="standard", random_state=0)
            detector.set_params(calibration_fraction=0.5).fit(both[:200])
            x = np.vstack([both[200:280], 4 + both[280:]])
            found = stats.false_discovery_control(detector.p_values(x)) <= 0.2
            shares.append(found[:80].sum() / max(found.sum(), 1))
        error = np.std(shares) / np.sqrt(len(shares))
        assert 0 < np.mean(shares) < 0.2 * 80 / 100 + 4 * error
        assert np.mean(shares) > 0.02  # it does find some

    def test_are_of_the_detector_of_the_rest(self):
        X, x = rows(40), 2 * rows(9, seed=1)
        detector = plain(calibration_fraction=0.5).fit(X)
        order = np.random.RandomState(0)
        order.randint(2**31)
        order = order.permutation(40)
        rest = plain(calibration_fraction=None).fit(X[order[20:]])
        held_out = rest.score_samples(X[order[:20]])
        np.testing.assert_allclose(detector.calibration_scores_, np.sort(held_out))
        expected = (1 + (held_out <= rest.score_samples(x)[:, None]).sum(axis=1)) / 21
        np.testing.assert_allclose(detector.p_values(x), expected)

    def test_need_rows_held_out(self):
        detector = OutlierDetector().fit(rows())
        detector.set_params(calibration_fraction=None).fit(rows())
        assert not hasattr(detector, "calibration_scores_")
        with pytest.raises(ValueError, match="p_values: no rows were held out"):
            detector.p_values(rows())

    def test_of_rows_that_repeat(self):
        """Three places, where a new row has the score of the rows of fit that lie there.

        Its p-value is at most .01 in at most one of a hundred fits; 10 of 300 is four standard
        errors above. (It was one in seventeen where scores of equal rows differed by a rounding.)
        """
        places, few = np.array([[0.0, 0], [0, 1], [1, 0]]), 0
        for seed in range(300):
            draw = np.random.default_rng(seed)
            which = draw.choice(3, 401, p=[0.4, 0.3, 0.3])
            detector = OutlierDetector(random_state=seed, sigma=0.3).fit(places[which[:400]])
            few += detector.p_values(places[which[400:]])[0] <= 0.01
        assert few <= 10


class TestAlone:
    """A row has the same score alone and among others, to the bit."""

    @settings(max_examples=30)
    @given(st.integers(4, 40), st.integers(1, 70), st.integers(0, 2**20), st.booleans())
    def test_scores_and_explanations(self, n, d, seed, rounded):
        X = np.random.default_rng(seed).standard_normal((n, d))
        X = np.round(X) if rounded else X
        widths = np.linspace(0.2, 1, 1 + seed % 4)  # up to 12 densities
        detector = OutlierDetector(sigma=widths, random_state=0).fit(X)
        new = np.vstack([X, X[::-1] + rounded, np.roll(X, 1, axis=0) * 1.5])
        for method in (detector.score_samples, detector.explain, detector.p_values):
            alone = np.concatenate([method(x) for x in new[:, None]])
            assert np.array_equal(method(new), alone)
            assert np.array_equal(method(np.asfortranarray(new)), alone)

    def test_labels_of_equal_rows(self):
        X = np.random.default_rng(420).binomial(1, 0.2, (60, 2)).astype(float)
        detector = OutlierDetector(calibration_fraction=None).fit(X)
        alone = np.concatenate([detector.predict(x) for x in X[:, None]])
        assert np.array_equal(detector.predict(X), alone)


class TestExplain:
    def test_says_which_feature_and_in_which_direction(self):
        X = rows(500, 1) + 0.1 * rows(500, 6, seed=1)  # all much alike
        x = np.repeat(X[:1], 2, axis=0)
        x[0, 2] += 2
        x[1, 4] -= 2
        found = OutlierDetector().fit(X).explain(x)
        assert found.shape == x.shape
        assert np.array_equal(np.abs(found).argmax(axis=1), [2, 4])
        assert found[0, 2] > 0 > found[1, 4]


class TestInScikitLearn:
    def test_scoring_and_cross_validation(self):
        X, y = with_outliers()
        order = np.random.default_rng(0).permutation(200)
        X, y = X[order], y[order]
        detector = OutlierDetector(random_state=0)
        assert cross_val_score(detector, X, y, scoring="roc_auc", cv=4).mean() > 0.95
        scores = cross_val_predict(detector, X, method="decision_function", cv=4)
        assert roc_auc_score(y, scores) > 0.95
        assert set(cross_val_predict(detector, X, cv=4)) == {-1, 1}
        piped = make_pipeline(StandardScaler(), detector).fit(X)
        assert piped.predict(X).shape == (200,)

    def test_pickles_and_clones(self):
        X = rows()
        detector = OutlierDetector(random_state=1).fit(X)
        again = pickle.loads(pickle.dumps(detector))
        for method in ("score_samples", "explain", "p_values"):
            assert np.array_equal(getattr(again, method)(X), getattr(detector, method)(X))
        assert clone(detector).get_params() == detector.get_params()

    def test_frames_keep_their_names(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(rows(), columns=list("abcd"))
        detector = OutlierDetector().fit(frame)
        assert list(detector.feature_names_in_) == list("abcd")
        with pytest.raises(ValueError, match="feature names"):
            detector.predict(frame[list("dcba")])

    def test_what_becomes_something_else_is_refused(self):
        pandas = pytest.importorskip("pandas")
        masked = np.ma.masked_greater(rows(), 1)
        for X in (masked, masked.tolist()):
            with pytest.raises((TypeError, ValueError), match="X"):
                OutlierDetector().fit(X)
        text = pandas.DataFrame({"a": rows(60, 1)[:, 0], "zip": [str(i) for i in range(60)]})
        dates = text.assign(zip=pandas.date_range("2026-01-01", periods=60))
        for frame in (text, dates):
            with pytest.raises(TypeError, match="zip"):
                OutlierDetector().fit(frame)
            with pytest.raises(TypeError, match="zip"):
                OutlierDetector().fit(rows(60, 2)).score_samples(frame)

    @pytest.mark.parametrize(
        "value", ["1", np.datetime64("2026-01-01"), np.timedelta64(3, "s"), date(2026, 1, 1)]
    )
    def test_what_is_no_number_is_refused(self, value):
        mixed = np.array([[1.0, value]] * 10, object)
        for X in ([[value, value]] * 10, np.array([[value, value]] * 10), mixed):
            with pytest.raises(TypeError, match="X: expected real numbers"):
                OutlierDetector().fit(X)

    def test_rows_of_fit_are_copied(self):
        X = rows()
        detector = OutlierDetector(random_state=0).fit(X)
        expected = detector.score_samples(rows())
        X[:] = 0
        assert np.array_equal(detector.score_samples(rows()), expected)

    def test_nullable_and_sparse_columns_are_numbers(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(rows(), columns=list("abcd"))
        expected = OutlierDetector(random_state=0).fit(frame).score_samples(frame)
        for same in (frame.convert_dtypes(), frame.astype(pandas.SparseDtype("float64", 0))):
            found = OutlierDetector(random_state=0).fit(same).score_samples(same)
            assert np.array_equal(found, expected)

    def test_mapped_files_are_read_by_blocks(self, tmp_path, monkeypatch):
        X = rows(3000, 5).astype(np.float32)
        np.save(tmp_path / "rows.npy", X)
        mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
        detector = OutlierDetector(random_state=0, sigma=0.3, scaling="standard").fit(X[:500])
        expected = [f(X) for f in (detector.score_samples, detector.explain, detector.p_values)]
        monkeypatch.setattr("dsmfast._rows.blocks.BLOCK", 5 * 700)
        longest = []
        ranking = type(detector._all)
        members = ranking._members
        monkeypatch.setattr(
            ranking, "_members", lambda self, x: longest.append(len(x)) or members(self, x)
        )
        found = [f(mapped) for f in (detector.score_samples, detector.explain, detector.p_values)]
        assert max(longest) == 700
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one, other)

    def test_a_fit_that_fails_leaves_the_detector_as_it_was(self):
        detector = OutlierDetector().fit(rows())
        expected = detector.score_samples(rows(seed=1))
        for options in ({"sigma": 0}, {"scaling": "minmax"}, {"contamination": 2}):
            with pytest.raises(ValueError, match=next(iter(options))):
                clone(detector).set_params(**options).fit(rows(d=3))
            before = detector.get_params()
            with pytest.raises(ValueError, match=next(iter(options))):
                detector.set_params(**options).fit(rows(d=3))
            detector.set_params(**before)
            assert np.array_equal(detector.score_samples(rows(seed=1)), expected)


class TestParameters:
    def test_sigma_may_be_any_number(self):
        expected = OutlierDetector(sigma=0.25).fit(rows()).score_samples(rows(seed=1))
        for sigma in (np.float32(0.25), np.array(0.25), [0.25], np.array([0.25])):
            found = OutlierDetector(sigma=sigma).fit(rows()).score_samples(rows(seed=1))
            assert np.array_equal(found, expected)

    def test_threshold_of_many_rows_is_found_from_some(self):
        X = rows(4000, 2)
        detector = plain(max_samples=1000, contamination=0.1).fit(X)
        # A tenth of 1000 and of 4000 rows: the standard error is .011.
        assert (detector.predict(X) == -1).mean() == pytest.approx(0.1, abs=0.05)

    def test_max_samples_are_chosen_at_random(self):
        X, x = rows(), rows(seed=1)
        of = {seed: plain(max_samples=50, random_state=seed).fit(X) for seed in (0, 1)}
        assert np.array_equal(plain(max_samples=50).fit(X).score_samples(x), of[0].score_samples(x))
        assert not np.array_equal(of[1].score_samples(x), of[0].score_samples(x))
        assert not np.array_equal(plain().fit(X).score_samples(x), of[0].score_samples(x))
        assert np.array_equal(
            plain(max_samples=200).fit(X).score_samples(x), plain().fit(X).score_samples(x)
        )

    def test_threads_do_not_change_results(self):
        X = rows()
        one = OutlierDetector(threads=1, random_state=0).fit(X)
        assert np.array_equal(
            one.score_samples(X), OutlierDetector(threads=2).fit(X).score_samples(X)
        )

    @pytest.mark.parametrize(
        ("options", "error", "match"),
        [
            ({"ranking": "knn"}, ValueError, "ranking: expected one of 'displacement'"),
            ({"sigma": 0}, ValueError, "sigma: expected a finite number > 0"),
            ({"sigma": "auto"}, TypeError, "sigma: expected a real number"),
            ({"sigma": []}, ValueError, "sigma: expected at least one"),
            ({"sigma": [0.3, "x"]}, TypeError, "sigma: expected a real number"),
            ({"scaling": "minmax"}, ValueError, "scaling: expected one of 'standard'"),
            ({"scaling": []}, ValueError, "scaling: expected at least one"),
            ({"scaling": 3}, ValueError, "scaling: expected one of 'standard'"),
            (
                {"ranking": "energy", "estimator": 3},
                TypeError,
                "estimator: expected a DenoisingAutoencoder or None, got 3",
            ),
            ({"max_samples": 1}, ValueError, "max_samples: expected an integer of at least 2"),
            ({"contamination": 0.6}, ValueError, "contamination: expected at most 0.5"),
            ({"contamination": 0}, ValueError, "contamination: expected a finite number > 0"),
            ({"contamination": "some"}, ValueError, "contamination: expected one of 'auto'"),
            ({"calibration_fraction": 1}, ValueError, "calibration_fraction: expected less than 1"),
            (
                {"estimator": DenoisingAutoencoder()},
                ValueError,
                "estimator: expected None with ranking",
            ),
            (
                {"ranking": "energy", "sigma": 0.3},
                ValueError,
                "sigma: expected None with ranking 'energy'",
            ),
            ({"ranking": "energy", "max_samples": 9}, ValueError, "max_samples: expected None"),
            (
                {"ranking": "energy", "scaling": ("standard", "robust")},
                ValueError,
                "scaling: expected one for ranking 'energy'",
            ),
        ],
    )
    def test_what_does_not_fit_is_named(self, options, error, match):
        with pytest.raises(error, match=match):
            OutlierDetector(**options).fit(rows())

    def test_values_too_large_are_named(self):
        with pytest.raises(ValueError, match="X: expected features whose squares"):
            OutlierDetector().fit(1e200 * rows())
