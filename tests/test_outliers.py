"""The outlier detector: scikit-learn's own checks, what it ranks by, and its p-values."""

import pickle

import numpy as np
import pytest

import dsmfast

pytest.importorskip("sklearn", minversion="1.6")

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
    def test_is_the_displacement_of_the_parzen_density(self):
        X, x = rows(), 2 * rows(seed=1)
        detector = plain().fit(X)
        displaced = x - dsmfast.parzen_denoise(x, X, 0.4)
        expected = -np.log(np.linalg.norm(displaced, axis=1))
        np.testing.assert_allclose(detector.score_samples(x), expected, rtol=1e-9)
        np.testing.assert_allclose(detector.explain(x) * X.std(axis=0), displaced, rtol=1e-9)

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
        np.testing.assert_allclose(covariance @ covariance, np.corrcoef(X.T), atol=1e-9)
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
        np.testing.assert_allclose(detector.explain(x), displaced, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("ranking", ["displacement", *MODEL_RANKINGS])
    def test_tells_outliers_from_normal_rows(self, ranking):
        X = rows(400, 2)
        options = {"estimator": None if ranking == "displacement" else DenoisingAutoencoder(32)}
        detector = OutlierDetector(ranking, random_state=0, **options).fit(X)
        far = 5 * rows(100, 2, seed=2)
        new = rows(300, 2, seed=3)
        is_normal = np.repeat([1, 0], [len(new), len(far)])
        assert roc_auc_score(is_normal, detector.decision_function(np.vstack([new, far]))) > 0.85

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

    def test_a_copy_that_is_there_twice_stays(self):
        X = np.vstack([rows(40), [[9.0, 9, 9, 9]], [[9.0, 9, 9, 9]]])
        detector = plain().fit(X)
        assert detector.score_samples(X[-1:]) > detector.score_samples(X).mean()

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


class TestParameters:
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
