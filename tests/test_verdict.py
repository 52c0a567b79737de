"""A score that is worse than none is told of: sigma far below the spread of the data."""

import warnings

import numpy as np
import pytest

import dsmfast
from dsmfast._objective.options import ObjectiveOptions
from dsmfast._run.verdict import worse_than_zero

MESSAGE = r"^the trained score is worse than none: {} is [0-9.e+]+ on the rows, where a score of "


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
    with pytest.warns(dsmfast.DensityWarning, match="worse than none"):
        train(X, epochs=2, schedule="constant")


def test_zero_itself_is_not_worse():
    """A score of zero has D(x) = x, which a model of large, even units comes close to."""
    for d in (1, 20):
        step = 100.0  # the sigmoid is x / 4 about 0
        W = np.repeat(np.eye(d), 100, axis=0) * (4 / 100) ** 0.5
        model = dsmfast.ScoreModel(W, np.zeros(100 * d), -W.sum(axis=0) / 2, 1 / step)
        found = worse_than_zero(model, rows(0.01, 20_000, d), ObjectiveOptions(), 0, None)
        zero = d * step**2 / 2
        assert dsmfast.loss(model, rows(0.01, 20_000, d)) == pytest.approx(zero, rel=0.05)
        assert found == ""
    far = worse_than_zero(model, np.full((4, 20), 1e200), ObjectiveOptions(), 0, None)
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


def test_the_command_says_so(tmp_path, capsys):
    main = pytest.importorskip("dsmfast.cli").main
    pytest.importorskip("safetensors")
    np.save(tmp_path / "X.npy", rows(10))
    options = ["train", str(tmp_path / "X.npy"), "--out", str(tmp_path), "--sigma-max", "none"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main([*options, "--sigma", "0.3"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("dsmfast: the trained score is worse than none: dsm is ")
    assert main([*options, "--sigma", "5"]) == 0
    assert "worse than none" not in capsys.readouterr().err
