"""Options: listed once, any scalar of NumPy will do, and what is recorded is plain."""

import inspect
import json
from dataclasses import fields

import numpy as np
import pytest

import dsmfast
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions
from dsmfast._objective.scales import ScaleOptions
from dsmfast._rows.options import RowOptions
from dsmfast._run.options import CheckpointOptions, StepOptions, StoppingOptions

X = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
CLASSES = (
    ObjectiveOptions,
    NoiseOptions,
    ScaleOptions,
    RowOptions,
    StepOptions,
    StoppingOptions,
    CheckpointOptions,
)

# Values of train's options that are numbers, flags or names, with what else they need.
VALUES = {
    "n_hidden": (5, {}),
    "sigma": (0.5, {}),
    "epochs": (2, {}),
    "batch_size": (20, {}),
    "learning_rate": (0.125, {}),
    "draws": (2, {}),
    "antithetic": (True, {"draws": 2}),
    "sigma_max": (2.0, {}),
    "coarse": (0.25, {"sigma_max": 2.0}),
    "coarse_target": ("row", {"sigma_max": 2.0}),
    "scale_exponent": (1.5, {"sigma_max": 2.0}),
    "reference": (30, {"sigma_max": 2.0}),
    "path": ("explicit", {}),
    "objective": ("dae", {}),
    "schedule": ("cosine", {}),
    "optimizer": ("sgd", {}),
    "dtype": ("float64", {}),
    "curvature_penalty": (0.25, {"objective": "ism"}),
    "corruption": ("masking", {"objective": "dae", "corruption_level": 0.25}),
    "corruption_level": (0.25, {"objective": "dae", "corruption": "masking"}),
    "hidden_bias": (-2.0, {}),
    "validation": (0.25, {}),
    "patience": (3, {"validation": X[:20]}),
    "tolerance": (0.125, {"validation": X[:20], "patience": 3}),
    "progress": (False, {}),
    "checkpoint_seconds": (2.0, {}),
    "resume": (False, {}),
    "window": (40, {"batch_size": 20}),
    "scale": (0.5, {}),
    "seed": (7, {}),
    "threads": (2, {}),
}


def kinds(value):
    """Return a value as NumPy's scalars and arrays of no dimensions."""
    if isinstance(value, bool):
        types = [np.bool_]
    elif isinstance(value, int):
        types = [np.int64, np.uint8, np.int32]
    elif isinstance(value, float):
        types = [np.float32, np.float64, np.float16]
    else:
        types = [np.str_]
    return [kind(value) for kind in types] + [np.array(value)]


def train(**options):
    return dsmfast.train(X, **{"n_hidden": 4, "sigma": 0.5, "epochs": 2, **options})


@pytest.mark.parametrize("name", VALUES)
def test_every_scalar_of_its_kind(name):
    value, more = VALUES[name]
    expected = train(**{**more, name: value})
    for kind in kinds(value):
        result = train(**{**more, name: kind})
        assert np.array_equal(result.model.W, expected.model.W), type(kind)
        assert json.dumps(result.model.training) == json.dumps(expected.model.training)


def test_none_of_them_is_left_out():
    """What is no scalar: data, functions, files, and who else takes part."""
    others = {"X", "score", "data", "corruption_range", "sample_weight", "init", "callbacks"}
    others |= {"checkpoint", "comm"}
    assert set(inspect.signature(dsmfast.train).parameters) == others | set(VALUES)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.array])
def test_scalars_of_optimizers(kind):
    for plain, other in (
        (dsmfast.SGD(learning_rate=0.125), dsmfast.SGD(learning_rate=kind(0.125))),
        (dsmfast.SGD(weight_decay=0.5), dsmfast.SGD(weight_decay=kind(0.5), nesterov=np.True_)),
        (dsmfast.Adam(beta1=0.5), dsmfast.Adam(beta1=kind(0.5))),
        (dsmfast.Adam(epsilon=0.125), dsmfast.Adam(epsilon=kind(0.125))),
    ):
        assert plain == other
        assert repr(plain) == repr(other)
        assert train(optimizer=other).model.training == train(optimizer=plain).model.training


def test_scalars_of_the_estimator():
    pytest.importorskip("sklearn")
    from sklearn.model_selection import GridSearchCV

    from dsmfast.sklearn import DenoisingAutoencoder

    grid = {"n_iter_no_change": np.arange(1, 3), "sigma": np.array([0.5])}
    search = GridSearchCV(DenoisingAutoencoder(4, max_iter=3, random_state=0), grid, cv=2)
    assert search.fit(X).best_params_["n_iter_no_change"] in (1, 2)


def test_a_range_of_arrays():
    between = np.array([-1.0, 2.0], dtype=np.float32)
    options = {"objective": "dae", "corruption": "salt_and_pepper", "corruption_level": 0.5}
    expected = train(**options, corruption_range=(-1, 2)).model
    assert train(**options, corruption_range=between).model.training == expected.training


@pytest.mark.parametrize("function", [dsmfast.train, dsmfast.loss, dsmfast.loss_and_grad])
def test_defaults_of_signatures_are_those_of_the_classes(function):
    defaults = {one.name: one.default for options in CLASSES for one in fields(options)}
    shared = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name in defaults
    }
    assert len(shared) >= 9
    assert shared == {name: defaults[name] for name in shared}


def test_options_are_checked_before_the_first_step(tmp_path):
    """Whatever is wrong is known before training, not after it."""
    for name, bad in (("tolerance", "x"), ("progress", "off"), ("resume", "no")):
        seen = []
        more = {"callbacks": [seen.append], "checkpoint": tmp_path / "kept"}
        with pytest.raises(TypeError, match=f"^{name}: expected"):
            train(validation=0.25, patience=2, **more, **{name: bad})
        assert not seen


def test_the_rate_of_callbacks_is_one_that_is_used():
    """Also where training goes on from a result, whose steps lie before this run."""
    asked = []

    def schedule(progress):
        asked.append(progress)
        return 1 - progress

    begun = train(epochs=3, batch_size=20, schedule="constant", learning_rate=0.5)

    class Rates(dsmfast.Callback):
        rates = ()

        def on_train_begin(self, state):
            self.rates = [state.learning_rate]

        def on_epoch_end(self, state):
            self.rates.append(state.learning_rate)

    rates = Rates()
    options = {"epochs": 2, "batch_size": 20, "learning_rate": 0.5, "init": begun}
    train(**options, schedule=schedule, callbacks=[rates])
    assert all(0 <= progress < 1 for progress in asked)
    assert rates.rates == pytest.approx([0.5, 0.5 * (1 - 2 / 6), 0.5 * (1 - 5 / 6)], rel=1e-12)
