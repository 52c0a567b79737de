"""The scikit-learn estimator: scikit-learn's own checks, and that it is ``train``."""

import pickle
import signal
import threading
import time

import numpy as np
import pytest

import dsmfast

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from dsmfast.sklearn import DenoisingAutoencoder

NAMES = ("W", "b", "c")


def same(first, second):
    return all(np.array_equal(getattr(first, n), getattr(second, n)) for n in NAMES)


def rows(n=200, d=5, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def not_equivalent(estimator):
    """Rows of weight 0 take a place in the batches, and with noise each row has its own."""
    if estimator.objective == "ism":
        return {}
    name = "check_sample_weight_equivalence_on_dense_data"
    return {name: "training is stochastic, as SGD's is"}


@parametrize_with_checks(
    [
        DenoisingAutoencoder(n_components=6, max_iter=5),
        DenoisingAutoencoder(
            n_components=3, sigma="auto", objective="ism", max_iter=5, n_iter_no_change=2, tol=0.1
        ),
    ],
    legacy=True,
    expected_failed_checks=not_equivalent,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def estimator(**options):
    """Return one of rows as they are, at one scale."""
    plain = {"replicas": None, "sigma_max": None, "n_components": 8, "max_iter": 4}
    return DenoisingAutoencoder(**{**plain, "random_state": 3, **options})


class TestItIsTrain:
    def test_fit(self, dtype):
        X = rows(dtype=dtype)
        fitted = estimator(sigma=0.4).fit(X)
        expected = dsmfast.train(X, 8, 0.4, epochs=4, seed=3, dtype=dtype)
        assert same(fitted.model_, expected.model)
        assert fitted.components_ is fitted.model_.W
        assert fitted.n_iter_ == 4
        assert np.array_equal(fitted.history_["loss"], expected.history["loss"])

    def test_every_option_is_used(self):
        X = rows()
        plain = estimator().fit(X).model_
        for option, value in {
            "n_components": 9,
            "sigma": 0.5,
            "objective": "ism",
            "max_iter": 5,
            "batch_size": 20,
            "optimizer": dsmfast.SGD(momentum=0.5),
            "learning_rate": 0.01,
            "schedule": "cosine",
            "draws": 2,
            "path": "gram",
            "hidden_bias": -1.0,
            "random_state": 4,
            "sigma_max": 2.0,
            "replicas": 2,
        }.items():
            other = estimator(**{option: value}).fit(X).model_
            assert option == "n_components" or not same(other, plain), option
        masked = estimator(objective="dae", corruption="masking", corruption_level=0.5).fit(X)
        level = estimator(objective="dae", corruption="masking", corruption_level=0.1).fit(X)
        assert not same(masked.model_, level.model_)
        penalized = estimator(objective="ism", curvature_penalty=0.01).fit(X)
        assert not same(penalized.model_, estimator(objective="ism").fit(X).model_)
        pairs = estimator(draws=2, antithetic=True).fit(X)
        assert not same(pairs.model_, estimator(draws=2).fit(X).model_)
        wide = estimator(sigma_max=3.0).fit(X).model_
        for option, value in {
            "coarse": 0.2,
            "coarse_target": "row",
            "scale_exponent": 0.5,
            "reference": "all",
        }.items():
            other = estimator(sigma_max=3.0, batch_size=50, **{option: value}).fit(X).model_
            assert not same(other, wide), option
        assert same(estimator(threads=1).fit(X).model_, plain)

    def test_sigma_auto(self):
        X = rows()
        assert estimator(sigma="auto").fit(X).sigma_ == dsmfast.select_sigma(X, seed=3)

    def test_methods(self, dtype):
        X = rows(dtype=dtype)
        fitted = estimator().fit(X)
        model = fitted.model_
        assert np.array_equal(fitted.transform(X), model.hidden(X))
        assert np.array_equal(fitted.fit_transform(X), model.hidden(X))
        assert np.array_equal(fitted.denoise(X), model.denoise(X))
        assert np.array_equal(fitted.score_samples(X), -model.energy(X))
        hidden = fitted.transform(X)
        assert np.array_equal(fitted.inverse_transform(hidden), model.decode(hidden))
        assert hidden.dtype == fitted.denoise(X).dtype == dtype
        assert fitted.score_samples(X).dtype == np.float64
        assert fitted.score(X) == -dsmfast.loss(model, X, "dsm", draws=8)

    @pytest.mark.parametrize("objective", ["dae", "ism", "esm_smoothed", "ism_smoothed"])
    def test_objectives(self, objective):
        X = rows()
        fitted = estimator(objective=objective).fit(X)
        expected = dsmfast.train(X, 8, 0.3, epochs=4, seed=3, objective=objective, dtype="float64")
        assert same(fitted.model_, expected.model)
        better = estimator(objective=objective, max_iter=100).fit(X)
        assert better.score(X) > fitted.score(X)

    def test_early_stopping(self):
        X = rows(80)
        options = {"sigma": 0.2, "max_iter": 500, "n_components": 200}
        fitted = estimator(n_iter_no_change=5, **options).fit(X)
        assert fitted.n_iter_ < 500
        losses = fitted.history_["validation_loss"]
        expected = dsmfast.train(
            X,
            200,
            0.2,
            epochs=500,
            seed=3,
            validation=0.1,
            patience=5,
            tolerance=1e-4,
            dtype="float64",
        )
        assert np.array_equal(losses, expected.history["validation_loss"])
        assert same(fitted.model_, expected.model)
        other = estimator(n_iter_no_change=5, validation_fraction=0.5, **options).fit(X)
        assert not same(other.model_, fitted.model_)
        rough = estimator(n_iter_no_change=5, tol=1e3, **options).fit(X)
        assert rough.n_iter_ == 6


class TestPartialFit:
    def test_so_many_calls_are_fit(self, dtype):
        X = rows(dtype=dtype)
        whole = estimator(schedule="constant").fit(X)
        pieces = estimator()
        for _ in range(4):
            pieces.partial_fit(X)
        assert same(pieces.model_, whole.model_)
        assert pieces.n_iter_ == 4
        assert np.array_equal(pieces.history_["loss"], whole.history_["loss"])

    def test_blocks(self):
        """A stream is learned from as one goes along, and copies go on alike."""
        X = rows(2000)
        stream = estimator(sigma="auto")
        stream.partial_fit(X[:100])
        sigma = stream.sigma_
        before = stream.score(X)
        again = pickle.loads(pickle.dumps(stream))
        for begin in range(100, 2000, 100):
            stream.partial_fit(X[begin : begin + 100])
            again.partial_fit(X[begin : begin + 100])
        assert stream.score(X) > before
        assert stream.sigma_ == sigma
        assert same(stream.model_, again.model_)

    def test_it_goes_on_from_fit(self):
        X = rows()
        fitted = estimator(schedule="constant").fit(X).partial_fit(X)
        assert same(fitted.model_, estimator(schedule="constant", max_iter=5).fit(X).model_)

    def test_another_width_is_refused(self):
        fitted = estimator().partial_fit(rows())
        with pytest.raises(ValueError, match="X has 4 features, but DenoisingAutoencoder"):
            fitted.partial_fit(rows(d=4))


class TestUnit:
    """``replicas``: rows in the unit in which 1/sigma^2 is so many, results in the user's."""

    @pytest.mark.parametrize("replicas", [1, 4])
    def test_it_is_train_of_scaled_rows(self, replicas, dtype):
        X = rows(dtype=dtype)
        fitted = estimator(sigma=0.4, replicas=replicas).fit(X)
        unit = 1 / (0.4 * replicas**0.5)
        expected = dsmfast.train(
            X, 8, replicas**-0.5, epochs=4, seed=3, dtype=dtype, scale=unit
        ).model
        assert same(fitted.model_, expected)
        assert fitted.scale_ == unit
        assert fitted.sigma_ == 0.4
        scaled = X * np.dtype(dtype).type(unit)
        assert np.array_equal(fitted.transform(X), expected.hidden(scaled))
        assert np.array_equal(fitted.score_samples(X), -expected.energy(scaled))
        assert np.allclose(fitted.denoise(X), expected.denoise(scaled) / unit, rtol=1e-6)
        hidden = fitted.transform(X)
        assert np.allclose(fitted.inverse_transform(hidden), fitted.denoise(X), atol=1e-5)
        assert fitted.denoise(X).dtype == dtype

    def test_scores_are_in_the_unit_of_the_data(self):
        """A model that is the same function has the same score, whatever unit it works in."""
        X = rows()
        for objective, options in {
            "dsm": {},
            "dae": {},
            "esm_smoothed": {},
            "ism": {"curvature_penalty": 0.3},
            "ism_smoothed": {"curvature_penalty": 0.01},
        }.items():
            one, other = (
                estimator(objective=objective, sigma=0.5, replicas=n, max_iter=0, **options).fit(X)
                for n in (None, 1)
            )
            unit = other.scale_
            # W = 0: D is a constant, and so it is in any unit.
            W, c = np.zeros_like(one.components_), one.intercept_visible_
            one.model_ = dsmfast.ScoreModel(W, one.model_.b, c, 0.5)
            other.model_ = dsmfast.ScoreModel(W, one.model_.b, unit * c, 1.0)
            assert other.score(X) == pytest.approx(one.score(X), rel=1e-12), objective

    @pytest.mark.parametrize("sigma", [0.3, "auto"])
    def test_units_of_the_data_do_not_matter(self, sigma):
        X = rows(100)
        one = DenoisingAutoencoder(5, sigma=sigma, max_iter=20, random_state=0).fit(X)
        in_mm = 1000 * sigma if sigma != "auto" else sigma
        other = DenoisingAutoencoder(5, sigma=in_mm, max_iter=20, random_state=0).fit(1000 * X)
        assert np.allclose(one.transform(X), other.transform(1000 * X), rtol=1e-6)
        assert np.allclose(one.denoise(X), other.denoise(1000 * X) / 1000, rtol=1e-6)
        assert np.allclose(one.score_samples(X), other.score_samples(1000 * X), rtol=1e-6)

    def test_overwritten_features_are_those_of_the_data(self):
        X = rows()
        options = {"objective": "dae", "corruption": "salt_and_pepper", "corruption_level": 0.3}
        fitted = estimator(replicas=1, sigma=0.5, **options).fit(X)
        expected = dsmfast.train(
            2 * X, 8, 1.0, epochs=4, seed=3, dtype="float64", corruption_range=(0, 2), **options
        )
        assert same(fitted.model_, expected.model)

    def test_sigma_max_is_in_the_unit_of_the_data(self):
        X = rows()
        fitted = estimator(replicas=1, sigma=0.5, sigma_max=3.0).fit(X)
        expected = dsmfast.train(2 * X, 8, 1.0, sigma_max=6.0, epochs=4, seed=3, dtype="float64")
        assert same(fitted.model_, expected.model)

    def test_a_stream_keeps_the_scales_of_its_first_block(self):
        X = rows(60)
        fitted = DenoisingAutoencoder(5, random_state=3).partial_fit(X)
        widest = fitted.model_.training["sigma_max"]
        fitted.partial_fit(5 * X)
        assert fitted.model_.training["sigma_max"] == widest

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"replicas": 0}, "replicas: expected a finite number > 0, got 0"),
            ({"replicas": 1.5}, "replicas: expected an integer, got 1.5"),
            ({"sigma_max": "wide"}, "sigma_max: expected one of 'auto', got 'wide'"),
            ({"sigma_max": 0.1}, "sigma_max: expected at least sigma"),
            ({"path": "gram"}, "path: expected 'explicit' or 'auto', got 'gram'"),
            ({"sigma_max": None, "reference": 5}, "reference: expected sigma_max with it"),
        ],
    )
    def test_bad_parameters(self, options, message):
        with pytest.raises((ValueError, TypeError), match=message):
            DenoisingAutoencoder(4, max_iter=1, **options).fit(rows())


class TestScales:
    def test_auto_is_for_the_objectives_that_take_it(self):
        X = rows()
        for options, takes in (
            ({"objective": "dsm"}, True),
            ({"objective": "dae"}, True),
            ({"objective": "esm_smoothed"}, True),
            ({"objective": "ism"}, False),
            ({"objective": "ism_smoothed"}, False),
            ({"objective": "dae", "corruption": "masking", "corruption_level": 0.1}, False),
        ):
            fitted = DenoisingAutoencoder(4, max_iter=1, **options).fit(X)
            assert ("sigma_max" in fitted.model_.training) == takes, options
        with pytest.raises(ValueError, match="sigma_max: objective 'ism' does not take it"):
            DenoisingAutoencoder(4, max_iter=1, objective="ism", sigma_max=3.0).fit(X)

    def test_auto_is_four_times_the_spread(self):
        X = rows() * [1, 2, 3, 4, 5]
        fitted = estimator(sigma_max="auto").fit(X)
        spread = np.sqrt(X.var(axis=0).sum())
        assert fitted.model_.training["sigma_max"] == pytest.approx(4 * spread, rel=1e-12)


def test_weights_of_rows():
    X = rows(90)
    weights = np.random.default_rng(0).random(90)
    fitted = estimator().fit(X, sample_weight=weights)
    expected = dsmfast.train(X, 8, 0.3, epochs=4, seed=3, dtype="float64", sample_weight=weights)
    assert same(fitted.model_, expected.model)
    assert not same(fitted.model_, estimator().fit(X).model_)
    once = estimator().partial_fit(X, sample_weight=weights)
    whole = estimator(max_iter=1, schedule="constant").fit(X, sample_weight=weights)
    assert same(once.model_, whole.model_)
    loss = dsmfast.loss(fitted.model_, X, draws=8, sample_weight=weights)
    assert fitted.score(X, sample_weight=weights) == pytest.approx(-loss, rel=1e-12)
    sigma = estimator(sigma="auto").fit(X, sample_weight=weights).sigma_
    assert sigma == dsmfast.select_sigma(X, sample_weight=weights, seed=3)
    with pytest.raises(ValueError, match="at least one non-zero"):
        estimator().fit(X, sample_weight=np.zeros(90))


def test_warm_start():
    X = rows()
    first = estimator(warm_start=True).fit(X)
    start = first.model_
    first.fit(X)
    expected = dsmfast.train(X, 8, 0.3, epochs=4, seed=3, init=start, dtype="float64").model
    assert same(first.model_, expected)
    cold = estimator().fit(X)
    assert same(cold.fit(X).model_, start)
    with pytest.raises(ValueError, match="init: expected n_hidden=9"):
        first.set_params(n_components=9).fit(X)


def test_frames_and_names():
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    X = rows()
    names = [f"x{i}" for i in range(5)]
    expected = estimator().fit(X)
    for frame in (pandas.DataFrame(X, columns=names), polars.DataFrame(X, schema=names)):
        fitted = estimator().fit(frame)
        assert same(fitted.model_, expected.model_)
        assert fitted.feature_names_in_.tolist() == names
        assert fitted.model_.feature_names == tuple(names)
        assert np.array_equal(fitted.transform(frame), expected.transform(X))
    kinds = {"pandas": pandas.DataFrame, "polars": polars.DataFrame}
    for kind, frame_type in kinds.items():
        hidden = fitted.set_output(transform=kind).transform(frame)
        assert isinstance(hidden, frame_type)
        assert list(hidden.columns) == [f"denoisingautoencoder{i}" for i in range(8)]
    assert fitted.get_feature_names_out().tolist() == list(hidden.columns)


def test_checkpoint(tmp_path):
    X = rows()
    expected = estimator().fit(X)

    def stop(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    kept = {"checkpoint": tmp_path / "kept", "resume": True}
    with pytest.raises(KeyboardInterrupt):
        estimator(**kept, callbacks=[stop]).fit(X)
    assert same(estimator(**kept).fit(X).model_, expected.model_)


class TestScheduleOfSigma:
    """Sigma by passes, as in train, in the unit of the data."""

    def test_it_is_that_of_train(self):
        X, widths = rows(), np.geomspace(1, 0.3, 4)
        expected = dsmfast.train(X, 8, widths, epochs=4, seed=3, dtype="float64")
        for sigma in (widths, widths.tolist(), lambda epoch: widths[epoch - 1]):
            fitted = estimator(sigma=sigma).fit(X)
            assert fitted.model_ == expected.model
            assert fitted.sigma_ == widths[-1] == fitted.model_.sigma
            assert np.array_equal(fitted.history_["sigma"], widths)

    def test_in_the_unit_in_which_the_last_is_1(self):
        X, widths = rows(), np.geomspace(1, 0.25, 4)
        fitted = estimator(sigma=widths, replicas=1).fit(X)
        expected = dsmfast.train(X, 8, widths / 0.25, epochs=4, seed=3, dtype="float64", scale=4.0)
        assert fitted.scale_ == 4
        assert fitted.model_ == expected.model
        assert np.allclose(fitted.history_["sigma"], widths, rtol=1e-15)

    def test_where_a_callback_ends_it(self):
        stops = estimator(
            sigma=np.geomspace(1, 0.25, 4), replicas=1, callbacks=[lambda state: state.stop()]
        )
        assert stops.fit(rows()).sigma_ == pytest.approx(1)

    def test_copies_and_searches(self):
        X, widths = rows(), np.geomspace(1, 0.3, 4)
        fitted = clone(estimator(sigma=widths)).fit(X)
        assert "sigma=array" in repr(fitted)
        again = pickle.loads(pickle.dumps(fitted))
        assert np.array_equal(again.get_params()["sigma"], widths)
        search = GridSearchCV(estimator(), {"sigma": [widths, 0.5, list(widths[::-1])]}, cv=2)
        assert np.isfinite(search.fit(X).cv_results_["mean_test_score"]).all()

    def test_what_does_not_fit(self):
        X = rows()
        with pytest.raises(ValueError, match="sigma: expected one entry for each of 4 epochs"):
            estimator(sigma=[1.0, 0.5]).fit(X)
        with pytest.raises(ValueError, match=r"sigma\[1\]: expected a finite number > 0, got -1"):
            estimator(sigma=[1.0, -1.0, 1.0, 1.0]).fit(X)
        with pytest.raises(ValueError, match=r"sigma: .* for partial_fit, which has no last"):
            estimator(sigma=[1.0, 0.5]).partial_fit(X)
        with pytest.raises(TypeError, match="max_iter: expected an integer, got '4'"):
            estimator(sigma=[1.0, 0.5], max_iter="4").fit(X)


def test_copies(tmp_path):
    joblib = pytest.importorskip("joblib")
    X = rows()
    fitted = estimator().fit(X)
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    for copy in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "fitted.joblib")):
        assert np.array_equal(copy.transform(X), fitted.transform(X))
    assert clone(fitted).get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        clone(fitted).transform(X)


def test_grid_search_in_processes():
    """Two workers, each on its share of the processors, find what one process finds."""
    X, y = load_digits(return_X_y=True)
    X = (X[:400] / 16).astype(np.float32)
    pipeline = make_pipeline(
        estimator(max_iter=20, random_state=0), LogisticRegression(max_iter=500)
    )
    grid = {
        "denoisingautoencoder__n_components": [4, 32],
        "denoisingautoencoder__sigma": [0.1, 0.3],
    }
    found = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y[:400])
    alone = GridSearchCV(pipeline, grid, cv=2).fit(X, y[:400])
    assert found.best_params_ == alone.best_params_
    assert np.array_equal(
        found.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )
    assert found.best_params_["denoisingautoencoder__n_components"] == 32


def test_joblib_workers_do_not_oversubscribe():
    joblib = pytest.importorskip("joblib")
    threads = joblib.Parallel(n_jobs=2)(joblib.delayed(_threads)() for _ in range(2))
    assert threads == [max(1, joblib.cpu_count() // 2)] * 2


def _threads():
    import dsmfast

    return dsmfast.build_info()["threads"]


def test_verbose(capsys):
    estimator().fit(rows())
    assert capsys.readouterr() == ("", "")
    estimator(verbose=1).fit(rows())
    assert "dsmfast: epoch 4 of 4, loss " in capsys.readouterr().err


def test_callbacks():
    seen = []
    fitted = estimator(callbacks=[lambda s: seen.append(s.epoch)]).fit(rows())
    assert seen == [1, 2, 3, 4]
    fitted.set_params(callbacks=[lambda s: s.stop()]).fit(rows())
    assert fitted.n_iter_ == 1


def test_ctrl_c_ends_a_search_and_keeps_the_state():
    fitted = estimator(max_iter=10**8)
    process = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    process.start()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(rows())
    assert time.perf_counter() - begin < 5
    assert fitted.n_iter_ > 0
    assert fitted.transform(rows()).shape == (200, 8)


def test_seeds():
    X = rows()
    generator = np.random.RandomState(0)
    first = estimator(random_state=generator).fit(X).model_
    assert not same(estimator(random_state=generator).fit(X).model_, first)
    assert same(estimator(random_state=np.random.RandomState(0)).fit(X).model_, first)
    assert same(estimator(random_state=np.int64(3)).fit(X).model_, estimator().fit(X).model_)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components: expected an integer of at least 1"),
        ({"sigma": -1.0}, "sigma: expected a finite number > 0"),
        ({"objective": "esm"}, "objective: 'esm' needs the score of the data"),
        ({"objective": "nothing"}, "objective: expected one of 'dae'"),
        ({"curvature_penalty": 1.0}, "curvature_penalty: objective 'dsm' does not take it"),
        (
            {"n_iter_no_change": 3, "validation_fraction": 0.0},
            "validation_fraction: expected rows, or a f",
        ),
        (
            {"n_iter_no_change": 3, "sigma": np.geomspace(1, 0.5, 4)},
            "n_iter_no_change: expected one sigma; losses at different sigma are not comparable",
        ),
        ({"n_iter_no_change": 0}, "n_iter_no_change: expected an integer of at least 1, got 0"),
        ({"n_iter_no_change": 3, "tol": -1.0}, "tol: expected a finite number >= 0, got -1"),
        ({"random_state": -1}, "random_state: expected an integer of at least 0, got -1"),
        ({"max_iter": -1}, "max_iter: expected an integer of at least 0, got -1"),
        (
            {"sigma": 0.1, "sigma_max": 0.05, "replicas": 1},
            "sigma_max: expected at least sigma=0.1, got 0.05",
        ),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        estimator(**options).fit(rows())


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.startswith("dsmfast.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(dsmfast, "sklearn", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(ImportError, match=r"pip install 'dsmfast\[sklearn\]'"):
        dsmfast.sklearn  # noqa: B018


def test_a_pickle_holds_the_weights_once():
    X = np.random.default_rng(0).random((100, 300), dtype=np.float32)
    fitted = DenoisingAutoencoder(200, max_iter=2, random_state=0).fit(X)
    size = fitted.components_.nbytes
    assert len(pickle.dumps(fitted)) < 1.1 * size
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.score_samples(X), fitted.score_samples(X))
    again.partial_fit(X)  # from the weights, with an optimizer that remembers nothing
    assert np.isfinite(again.components_).all()
    # A stream goes on to the same bits.
    stream = DenoisingAutoencoder(200, random_state=0).partial_fit(X)
    copied = pickle.loads(pickle.dumps(stream))
    assert np.array_equal(copied.partial_fit(X).components_, stream.partial_fit(X).components_)
