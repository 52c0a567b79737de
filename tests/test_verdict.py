"""What has learned nothing is told of: sigma far below the spread of the data, or data far off."""

import warnings

import numpy as np
import pytest

import dsmfast
from dsmfast._objective.options import ObjectiveOptions
from dsmfast._run.verdict import verdict

MESSAGE = (
    r"^the trained score is worse than a score of zero: {} on the rows is [0-9.e+]+, and that "
)


def rows(scale=1.0, n=500, d=3):
    return scale * np.random.default_rng(0).standard_normal((n, d))


def train(X, **options):
    return dsmfast.train(X, **{"n_hidden": 64, "sigma": 0.3, "epochs": 50, **options})


@pytest.mark.parametrize("objective", ["dsm", "dae", "esm_smoothed", "ism_smoothed", "ism"])
def test_training_says_so(objective):
    name = "ism" if objective == "ism" else "dsm"
    with pytest.warns(dsmfast.DensityWarning, match=MESSAGE.format(name)) as warned:
        result = train(rows(10), objective=objective)
    assert warned[0].filename == __file__
    assert "Sigma is 0.03 times the spread of a feature; try a larger sigma" in str(
        warned[0].message
    )
    if objective == "dsm":
        assert result.history["loss"][-1] > 20 * 3 / (2 * 0.3**2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(rows(), objective=objective)


STILL = "no hidden unit varies over the rows, so the energy is that of a single Gaussian. "
FAR = r"The rows lie {:.0f} times their spread from 0: subtract the mean of each feature first"


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (0, None),
        (3, None),
        (10, None),
        (30, "worse than a score of zero"),
        (100, "worse"),
        (1013, "worse"),
    ],
)
def test_data_far_from_zero(offset, said):
    """The spiral is learned up to some spreads from 0; from there on, the origin is the cause."""
    X = dsmfast.data.spiral(2000) + np.float64(offset)
    spread = np.sqrt(X.var(axis=0).mean())
    place = np.sqrt(np.square(X.mean(axis=0)).mean())
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model = train(X, sigma=0.2, sigma_max="auto", epochs=100, dtype="float64").model
    told = [str(one.message) for one in warned]
    moves = model.hidden(X).std(axis=0).max()
    if said is None:
        assert told == []
        assert moves > 0.2
    else:
        assert len(told) == 1
        assert said in told[0]
        assert told[0].endswith(FAR.format(place / spread))
        assert "Sigma" not in told[0]


@pytest.mark.parametrize("options", [{}, {"objective": "ism"}, {"corruption": "masking"}])
def test_units_that_are_all_off(options):
    """Worse than a score of zero it is not: a Gaussian fits digits better than nothing does."""
    X = dsmfast.data.digits()
    if "corruption" in options:
        options = {**options, "objective": "dae", "corruption_level": 0.3}
    with pytest.warns(dsmfast.DensityWarning, match=STILL + FAR.format(38)) as warned:
        model = train(X + 10, epochs=30, **options).model
    assert len(warned) == 1
    assert model.hidden(X + 10).std(axis=0).max() < 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(X, epochs=30, **options)


def test_reconstructions_that_vary_little_for_a_reason():
    """Beside large noise, rows are one point; small rows have small hidden values."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(rows(0.01), sigma=3.0)
        train(rows(0.01), sigma=3.0, objective="ism")
        train(rows(0.01), sigma=0.01)
        train(np.ones((300, 3)))


def test_of_a_score_that_is_given():
    X = rows(10)
    with pytest.warns(dsmfast.DensityWarning, match=MESSAGE.format("ism")):
        train(X, objective="esm", score=-X / 100)


def test_what_is_not_judged():
    X = rows(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(X, epochs=0)
        train(X, epochs=1, schedule="constant")  # a piece of a run
        train(X, callbacks=[lambda state: state.stop()])
        train(X, objective="dae", corruption="masking", corruption_level=0.3)  # which has no score
    with pytest.warns(dsmfast.DensityWarning, match="worse than a score of zero"):
        train(X, epochs=2, schedule="constant")


def test_zero_itself_is_not_worse():
    """A score of zero has D(x) = x, which a model of large, even units comes close to."""
    objective = ObjectiveOptions()
    for d in (1, 20):
        step = 100.0  # the sigmoid is x / 4 about 0
        W = np.repeat(np.eye(d), 100, axis=0) * (4 / 100) ** 0.5
        model = dsmfast.ScoreModel(W, np.zeros(100 * d), -W.sum(axis=0) / 2, 1 / step)
        found = verdict(model, rows(0.01, 20_000, d), objective, 0, None)
        zero = d * step**2 / 2
        assert dsmfast.loss(model, rows(0.01, 20_000, d)) == pytest.approx(zero, rel=0.05)
        assert found == ""
    far = verdict(model, np.full((4, 20), 1e200), objective, 0, None)
    assert far == "" or far.startswith("the trained score")  # and no error


def test_the_estimator_says_so():
    sklearn = pytest.importorskip("dsmfast.sklearn")
    estimator = sklearn.DenoisingAutoencoder(64, sigma=0.01, max_iter=20, random_state=0)
    with pytest.warns(dsmfast.DensityWarning, match="Sigma is 0.01 times the spread of a feature"):
        estimator.fit(rows())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="the trained score")
        estimator.partial_fit(rows())
        estimator.set_params(sigma=0.5).fit(rows())
    with pytest.warns(dsmfast.DensityWarning, match=FAR.format(300)[:14]) as warned:
        estimator.fit_transform(rows() + 300)
    assert [one.filename for one in warned] == [__file__] * len(warned)


def test_the_command_says_so(tmp_path, capsys):
    main = pytest.importorskip("dsmfast.cli").main
    pytest.importorskip("safetensors")
    np.save(tmp_path / "X.npy", rows(10))
    options = ["train", str(tmp_path / "X.npy"), "--out", str(tmp_path), "--sigma-max", "none"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main([*options, "--sigma", "0.3"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("dsmfast: the trained score is worse than a score of zero: dsm on ")
    assert main([*options, "--sigma", "5"]) == 0
    assert "worse than a score of zero" not in capsys.readouterr().err
    assert main([*options, "--sigma", "0.3", "--held-out", "0.0001"]) == 0  # a single row
    told = capsys.readouterr().err
    assert told.count("dsmfast: the trained score is worse than a score of zero") == 1
    assert "Sigma is 0.03 times the spread of a feature" in told
    np.save(tmp_path / "X.npy", rows() + 1000)
    for share in ("0.2", "0.0001"):
        assert main([*options, "--sigma", "1", "--held-out", share]) == 0
        told = capsys.readouterr().err
        assert told.count("times their spread from 0: subtract the mean") == 1
