"""Call every public function with arguments of any kind, and the compiled ones with any arrays.

    python tests/fuzz_boundary.py --calls 1000000 --seed 0

A call comes to a result: of the shape and precision that it should have, finite where what went in
is of the order of 1, and the same bits whatever the layout and the threads. Or it comes to an error
that users are told of, with a message, unless its arguments were as they should be. Anything else
is a finding: another error, a warning, a crash, a hang, an argument that was changed.
"""

from __future__ import annotations

import pickle
import sys

import numpy as np
from fuzz_arrays import DTYPES, laid_out, numbers, rows, size, spoiled
from fuzz_calls import Call, judge
from fuzz_core import CORE
from fuzzing import Choices, main, short

import dsmfast

OBJECTIVES = ("dae", "dsm", "esm", "ism", "esm_smoothed", "ism_smoothed")
THREADS = (None, 1, 1, 1, 2, 3, 8)


def _check_array(result, shape, dtype, finite=True):
    assert type(result) is np.ndarray, type(result)
    assert result.shape == shape, f"shape {result.shape}, expected {shape}"
    assert result.dtype == dtype, f"dtype {result.dtype}, expected {dtype}"
    assert not finite or np.isfinite(result).all(), f"not finite: {short(result.tolist())}"


def a_model(choices, d=None, h=None, dtype=None):
    d, h = d or size(choices), h or size(choices)
    dtype = dtype or choices.pick(DTYPES)
    W = numbers(choices, (h, d), dtype) / dtype.type(np.sqrt(d))
    b, c = numbers(choices, (h,), dtype), numbers(choices, (d,), dtype)
    return dsmfast.ScoreModel(W, b, c, choices.pick((0.1, 0.3, 0.5, 1, 2.0)))


def score_model(choices):
    d, h, dtype = size(choices), size(choices), choices.pick(DTYPES)
    W = laid_out(choices, numbers(choices, (h, d), dtype))
    if not isinstance(W, np.ndarray):
        W = np.asarray(W)  # whose precision is the model's
        dtype = W.dtype
    arguments = {
        "W": W,
        "b": rows(choices, (h,), dtype),
        "c": rows(choices, (d,), dtype),
        "sigma": choices.pick((0.1, 1, np.float32(0.5))),
        "training": choices.pick((None, {}, {"objective": "dsm"}, {"a": [1, None]})),
    }

    def check(model):
        _check_array(model.W, (h, d), dtype)
        again = pickle.loads(pickle.dumps(model))
        assert again.to_dict().keys() == {"W", "b", "c", "sigma"}
        assert (again.W == model.W).all()
        assert again.training == model.training
        assert repr(model) == repr(again)

    return Call(dsmfast.ScoreModel, arguments, check, lambda m: (m.W, m.b, m.c))


def initialize(choices):
    d, h, dtype = size(choices), size(choices), choices.pick(DTYPES)
    arguments = {
        "n_features": d,
        "n_hidden": choices.pick((h, np.int64(h))),
        "sigma": 0.5,
        "seed": choices.integer(0, 2**64 - 1),
        "dtype": choices.pick((dtype, dtype.name, dtype.type)),
        "weight_scale": choices.pick((0, 1, 4.0)),
        "hidden_bias": choices.pick((0, -3.0)),
    }
    return Call(
        dsmfast.ScoreModel.initialize, arguments, lambda m: _check_array(m.W, (h, d), dtype)
    )


def method(choices):
    model, n = a_model(choices), size(choices, 0.1)
    d, h = model.n_features, model.n_hidden
    name = choices.pick(("hidden", "energy", "score", "denoise", "decode"))
    width, argument = (h, "h") if name == "decode" else (d, "x")
    shape = {"hidden": (n, h), "energy": (n,)}.get(name, (n, d))
    arguments = {
        argument: rows(choices, (n, width), model.dtype),
        "threads": choices.pick(THREADS),
    }

    def check(result):
        _check_array(result, shape, model.dtype)

    return Call(getattr(model, name), arguments, check, lambda result: (result,))


def _objective_options(choices, n, d, dtype):
    objective = choices.pick(OBJECTIVES)
    options = {"objective": objective}
    noisy, gaussian = objective not in ("esm", "ism"), True
    if objective == "dae" and choices.chance(0.5):
        gaussian = False
        options["corruption"] = choices.pick(("masking", "salt_and_pepper"))
        options["corruption_level"] = choices.pick((0.3, 1, 1e-9))
        if options["corruption"] == "salt_and_pepper" and choices.chance(0.5):
            options["corruption_range"] = choices.pick(((-1, 1), (0.0, 2.0), [0.5, 0.6]))
    if noisy:
        options["draws"] = choices.pick((1, 1, 2, 3, 4))
        options["antithetic"] = bool(gaussian and options["draws"] % 2 == 0 and choices.chance(0.5))
    if objective == "esm":
        options["score"] = (
            rows(choices, (n, d), dtype) if choices.chance(0.6) else choices.pick((_score, _copy))
        )
    if objective == "esm_smoothed" and choices.chance(0.5):
        options["data"] = rows(choices, (size(choices), d), dtype)
    if "ism" in objective:
        options["curvature_penalty"] = choices.pick((0, 0.1, 2.0))
    paths = ("auto", "explicit")
    if gaussian and objective != "esm_smoothed":
        paths += ("gram",)
    options["path"] = choices.pick(paths)
    return options


def _score(x):
    return -x


def _copy(x):
    return x.astype(np.float64).tolist()


def objective(choices):
    model, n = a_model(choices), size(choices, 0.1)
    d = model.n_features
    arguments = {"model": model, "x": rows(choices, (n, d), model.dtype)}
    arguments |= _objective_options(choices, n, d, model.dtype)
    arguments |= {"seed": choices.integer(0, 2**64 - 1), "step": choices.integer(0, 2**32 - 1)}
    arguments["threads"] = choices.pick(THREADS)
    if (
        arguments.get("draws")
        and "corruption" not in arguments
        and not arguments["antithetic"]
        and arguments["path"] != "gram"
        and choices.chance(0.3)
    ):
        draws = arguments["draws"]
        shape = (n, d) if draws == 1 and choices.chance(0.5) else (draws, n, d)
        arguments["noise"] = laid_out(choices, numbers(choices, shape, model.dtype))
    if choices.chance(0.5):
        return Call(dsmfast.loss, arguments, _check_value, lambda value: (np.array(value),))

    def check(result):
        value, gradient = result
        _check_value(value)
        for name in "Wbc":
            expected = getattr(model, name).shape
            _check_array(getattr(gradient, name), expected, model.dtype)

    bits = lambda result: (np.array(result[0]), *result[1])  # noqa: E731
    return Call(dsmfast.loss_and_grad, arguments, check, bits)


def _check_value(value):
    assert type(value) is float, type(value)
    assert np.isfinite(value), value


def train(choices):
    n, d, h, dtype = size(choices, 0.03), size(choices, 0.02), size(choices), choices.pick(DTYPES)
    options = _objective_options(choices, n, d, dtype)
    arguments = {
        "X": rows(choices, (n, d), choices.pick(DTYPES)),
        "n_hidden": h,
        "sigma": choices.pick((0.3, 1, 2.0)),
        "epochs": choices.pick((0, 1, 1, 2)),
        "batch_size": choices.pick((1, 3, 16, 256, 2**40)),
        "optimizer": choices.pick(
            (
                "adam",
                "sgd",
                dsmfast.SGD(momentum=0.0, learning_rate=1e-3),
                dsmfast.SGD(nesterov=False, weight_decay=0.1, learning_rate=1e-3),
                dsmfast.Adam(beta1=0, beta2=0.5, weight_decay=0.1),
            )
        ),
        "learning_rate": choices.pick((None, 1e-3, 1e-5)),
        "schedule": choices.pick(("linear", "cosine", "constant", _schedule)),
        "dtype": dtype.name,
        "progress": False,
        "seed": choices.integer(0, 2**64 - 1),
        "threads": choices.pick(THREADS),
        **options,
    }
    epochs = arguments["epochs"]
    if choices.chance(0.1) and epochs > 0:
        arguments["sigma"] = choices.pick(((1.0, 0.5, 0.2)[:epochs], _sigma))
    if choices.chance(0.2) and (callable(options.get("score")) or "score" not in options):
        arguments["validation"] = rows(choices, (size(choices), d), dtype)
        if arguments["sigma"] in (0.3, 1, 2.0) and choices.chance(0.5):
            arguments |= {"patience": choices.pick((1, 5)), "tolerance": choices.pick((0, 0.1))}
    if choices.chance(0.1):
        arguments["init"] = a_model(choices, d, h, dtype)
    if choices.chance(0.2):
        arguments["scale"] = choices.pick((1, 0.5, 2.0))
    by_windows = choices.chance(0.3)
    if by_windows:
        arguments["batch_size"] = choices.pick((1, 3, 16))
        arguments["window"] = choices.pick((16, 17, 2**40))
    if choices.chance(0.1):
        arguments["callbacks"] = [choices.pick((_listen, dsmfast.Callback()))]

    def check(result):
        _check_array(result.model.W, (h, d), dtype)
        assert result.model.training["rows"] == n
        assert len(result.history["loss"]) <= epochs
        assert np.isfinite(result.history["loss"]).all(), result.history["loss"]

    bits = lambda result: (result.model.W, result.model.b, result.history["loss"])  # noqa: E731
    fixed = ("progress", "epochs") if choices.chance(0.9) else ("progress",)
    # Scores and samples go with all rows at once, or not at all.
    must_succeed = not (by_windows and options["objective"] in ("esm", "esm_smoothed"))
    allowed = ("DivergenceError",)
    return Call(dsmfast.train, arguments, check, bits, must_succeed, fixed, allowed=allowed)


def _schedule(progress):
    return 1.0 - progress / 2


def _sigma(epoch):
    return 1.0 / epoch


def _listen(state):
    return state.loss


def parzen(choices):
    n, N, d = size(choices, 0.1), size(choices, 0.1), size(choices)
    dtype = choices.pick(DTYPES)
    name = choices.pick(("parzen_denoise", "parzen_score", "parzen_log_density"))
    x, data = (laid_out(choices, numbers(choices, (k, d), dtype)) for k in (n, N))
    kinds = {np.asarray(value).dtype.newbyteorder("=").name for value in (x, data)}
    found = np.dtype("float64" if "float64" in kinds else "float32")
    arguments = {
        "x": x,
        "data": data,
        "sigma": choices.pick((0.1, 0.5, 1, 20.0)),
        "threads": choices.pick(THREADS),
    }

    def check(result):
        if name == "parzen_log_density":
            _check_array(result, (n,), np.float64)
        else:
            _check_array(result, (n, d), found)

    return Call(getattr(dsmfast, name), arguments, check, lambda result: (result,))


def select_sigma(choices):
    n, d = size(choices, 0.1) + 1, size(choices)
    arguments = {
        "X": rows(choices, (n, d), choices.pick(DTYPES)),
        "seed": choices.integer(0, 2**64 - 1),
        "threads": choices.pick(THREADS),
    }

    def check(sigma):
        assert type(sigma) is float
        assert 0 < sigma < 1e3, sigma

    rows_differ = len(np.unique(np.asarray(arguments["X"], np.float64), axis=0)) == n
    return Call(
        dsmfast.select_sigma,
        arguments,
        check,
        lambda sigma: (np.array(sigma),),
        must_succeed=rows_differ,
    )


def normals(choices):
    n, d, dtype = size(choices), size(choices, 0.1), choices.pick(DTYPES)
    first = choices.pick((0, 7, 2**32 - 3, 2**44 - 300))
    place = np.arange(first, first + n, dtype=np.int64)
    kinds = (place, place[::-1], place.tolist(), range(first, first + n), place.astype(">i8"))
    arguments = {
        "seed": choices.integer(0, 2**64 - 1),
        "step": choices.integer(0, 2**32 - 1),
        "draw": choices.integer(0, 2**16 - 1),
        "rows": choices.pick(kinds),
        "columns": d,
        "dtype": choices.pick((dtype, dtype.name)),
        "threads": choices.pick(THREADS),
    }

    def check(result):
        _check_array(result, (n, d), dtype)
        assert np.abs(result).max() < 6.77

    return Call(dsmfast.normals, arguments, check, lambda result: (result,))


def choose_path(choices):
    arguments = {
        "rows": choices.integer(1, 2**44),
        "n_features": choices.integer(1, 2**31),
        "n_hidden": choices.integer(1, 2**31),
        "objective": choices.pick(("dsm", "dae", "ism_smoothed", "esm_smoothed")),
        "draws": choices.pick((1, 2, 2**16)),
        "dtype": choices.pick(("float32", "float64", np.float32)),
    }

    def check(path):
        assert path in ("explicit", "gram"), path

    return Call(dsmfast.choose_path, arguments, check)


def connection(choices):
    model, n = a_model(choices), choices.pick((20, 21, 33))
    arguments = {
        "model": model,
        "X": rows(choices, (n, model.n_features), model.dtype),
        "score": choices.pick((None, _score)),
        "draws": choices.pick((1, 2)),
        "points": choices.pick((20, 2000)),
        "seed": choices.integer(0, 2**64 - 1),
        "threads": choices.pick(THREADS),
    }

    def check(found):
        assert len(str(found).splitlines()) > 10
        assert np.isfinite(list(found.values.values())).all()

    return Call(dsmfast.connection, arguments, check)


def optimizer(choices):
    fraction = choices.pick((0, 0.5, 0.999999))
    if choices.chance(0.5):
        arguments = {"learning_rate": 0.1, "momentum": fraction, "nesterov": True}
        return Call(dsmfast.SGD, {**arguments, "weight_decay": 0}, repr)
    arguments = {"learning_rate": None, "beta1": fraction, "beta2": fraction, "epsilon": 1e-8}
    return Call(dsmfast.Adam, {**arguments, "weight_decay": 0.1}, repr)


PUBLIC = (
    *(3 * (score_model,)),
    *(8 * (method,)),
    *(8 * (objective,)),
    *(3 * (train,)),
    *(4 * (parzen,)),
    *(2 * (select_sigma,)),
    *(3 * (normals,)),
    initialize,
    optimizer,
    choose_path,
)
RARE = (connection,)  # takes as long as a hundred others


def attempt(choices: Choices) -> str:
    """Make a call of an input, and judge what comes of it."""
    kinds = CORE if choices.chance(0.3) else RARE if choices.chance(0.005) else PUBLIC
    call = choices.pick(kinds)(choices)
    names = [name for name in call.arguments if name not in call.fixed]
    good = call.must_succeed
    if names and choices.chance(0.6):
        good = False
        for _ in range(choices.pick((1, 1, 1, 2))):
            name = choices.pick(names)
            call.arguments[name] = spoiled(choices, call.arguments[name])
    return judge(call, good, compare=good and choices.chance(0.3))


if __name__ == "__main__":
    sys.exit(main(attempt, __doc__.splitlines()[0]))
