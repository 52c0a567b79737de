"""Call every public function with arguments of any kind, and the compiled ones with any arrays.

    python tests/fuzz_boundary.py --calls 100000 --seed 0

A call comes to a result: of the shape and precision that it should have, finite where what went in
is of the order of 1, and the same bits whatever the layout and the threads. Or it comes to an error
that users are told of, with a message, unless its arguments were as they should be. Anything else
is a finding: another error, a warning, a crash, a hang, an argument that was changed.
"""

from __future__ import annotations

import pickle
import sys

import fuzz_calls
import numpy as np
from fuzz_arrays import dtypes, laid_out, numbers, once_in, rows, seeds, sizes, spoiled, steps
from fuzz_calls import Call
from fuzz_core import calls_of_core, of_sizes
from fuzzing import main, short
from hypothesis import strategies as st

import dsmfast

one_of = st.sampled_from
threads = one_of((None, 1, 1, 1, 2, 3, 8))


def check_array(result, shape, dtype):
    assert type(result) is np.ndarray, type(result)
    assert result.shape == shape, f"shape {result.shape}, expected {shape}"
    assert result.dtype == dtype, f"dtype {result.dtype}, expected {dtype}"
    assert np.isfinite(result).all(), f"not finite: {short(result.tolist())}"


def check_value(value):
    assert type(value) is float, type(value)
    assert np.isfinite(value), value


def alone(result):
    return (np.asarray(result),)


def nothing(result):
    return ()


def models(d, h, dtype):
    W = numbers((h, d), dtype).map(lambda W: W / dtype.type(np.sqrt(d)))
    b, c = numbers((h,), dtype), numbers((d,), dtype)
    return st.builds(dsmfast.ScoreModel, W, b, c, one_of((0.1, 0.3, 0.5, 1, 2.0)))


def made(function, check, bits=alone, must_succeed=True, **arguments):
    """Calls of a function, each argument of its own strategy."""
    return st.fixed_dictionaries(arguments).map(
        lambda drawn: Call(function, drawn, check, bits, must_succeed)
    )


def check_path(path):
    assert path in ("explicit", "gram"), path


def simple(n, d, h, dtype):
    """Calls of the functions whose arguments do not depend on one another."""

    def check_model(model):
        check_array(model.W, (h, d), model.dtype)
        again = pickle.loads(pickle.dumps(model))
        assert again.to_dict().keys() == {"W", "b", "c", "sigma"}
        assert (again.W == model.W).all()
        assert again.training == model.training
        assert repr(model) == repr(again)

    x, data = (laid_out(numbers((k, d), dtype)) for k in (n, h))
    first = one_of((0, 7, 2**32 - 3, 2**44 - 300))
    fractions = one_of((0, 0.5, 0.999999))
    rates = {"learning_rate": one_of((0.1, 3)), "weight_decay": one_of((0, 0.1))}
    betas = {"beta1": fractions, "beta2": fractions, "epsilon": st.just(1e-8)}
    kinds = (
        lambda: made(
            dsmfast.ScoreModel,
            check_model,
            lambda model: (model.W, model.b, model.c),
            W=laid_out(numbers((h, d), dtype)),
            b=rows((h,), dtype),
            c=rows((d,), dtype),
            sigma=one_of((0.1, 1, np.float32(0.5))),
            training=one_of((None, {}, {"objective": "dsm"}, {"a": [1, None]})),
        ),
        lambda: made(
            dsmfast.ScoreModel.initialize,
            lambda model: check_array(model.W, (h, d), dtype),
            nothing,
            n_features=st.just(d),
            n_hidden=one_of((h, np.int64(h))),
            sigma=st.just(0.5),
            seed=seeds,
            dtype=one_of((dtype, dtype.name, dtype.type)),
            weight_scale=one_of((0, 1, 4.0)),
            hidden_bias=one_of((0, -3.0)),
        ),
        *(
            lambda function=function, shape=shape: made(
                function,
                lambda result: check_array(result, shape, result.dtype),
                x=x,
                data=data,
                sigma=one_of((0.1, 0.5, 1, 20.0)),
                threads=threads,
            )
            for function, shape in (
                (dsmfast.parzen_denoise, (n, d)),
                (dsmfast.parzen_score, (n, d)),
                (dsmfast.parzen_log_density, (n,)),
            )
        ),
        lambda: made(
            dsmfast.normals,
            lambda result: check_array(result, (n, d), dtype),
            seed=seeds,
            step=steps,
            draw=st.integers(0, 2**16 - 1),
            rows=st.builds(
                lambda first, kind: kind(np.arange(first, first + n)),
                first,
                one_of((np.copy, np.flip, np.ndarray.tolist, lambda rows: rows.astype(">i8"))),
            ),
            columns=st.just(d),
            dtype=one_of((dtype, dtype.name)),
            threads=threads,
        ),
        lambda: made(
            dsmfast.choose_path,
            check_path,
            nothing,
            rows=st.integers(1, 2**44),
            n_features=st.integers(1, 2**31),
            n_hidden=st.integers(1, 2**31),
            objective=one_of(("dsm", "dae", "ism_smoothed", "esm_smoothed")),
            draws=one_of((1, 2, 2**16)),
            dtype=one_of(("float32", "float64", np.float32)),
        ),
        lambda: made(
            dsmfast.SGD, repr, nothing, momentum=fractions, nesterov=st.booleans(), **rates
        ),
        lambda: made(dsmfast.Adam, repr, nothing, **betas, **rates),
    )
    return one_of(kinds).flatmap(lambda make: make())  # made when it is chosen: that takes time


@st.composite
def method(draw, n, d, h, dtype):
    name = draw(one_of(("hidden", "energy", "score", "denoise", "decode")))
    shape = {"hidden": (n, h), "energy": (n,)}.get(name, (n, d))
    x = {"h": rows((n, h), dtype)} if name == "decode" else {"x": rows((n, d), dtype)}
    function = getattr(draw(models(d, h, dtype)), name)
    kind = np.float64 if name == "energy" else dtype
    return draw(made(function, lambda y: check_array(y, shape, kind), threads=threads, **x))


def _score(x):
    return -x


def _copy(x):
    return x.astype(np.float64).tolist()


@st.composite
def objective_options(draw, n, d, dtype):
    objective = draw(one_of(("dae", "dsm", "esm", "ism", "esm_smoothed", "ism_smoothed")))
    options = {"objective": objective}
    gaussian = not (objective == "dae" and draw(st.booleans()))
    if not gaussian:
        options["corruption"] = draw(one_of(("masking", "salt_and_pepper")))
        options["corruption_level"] = draw(one_of((0.3, 1, 1e-9)))
        if options["corruption"] == "salt_and_pepper" and draw(st.booleans()):
            options["corruption_range"] = draw(one_of(((-1, 1), (0.0, 2.0), [0.5, 0.6])))
    if objective not in ("esm", "ism"):
        options["draws"] = draw(one_of((1, 1, 2, 3, 4)))
        options["antithetic"] = gaussian and options["draws"] % 2 == 0 and draw(st.booleans())
    if objective == "esm":
        options["score"] = draw(rows((n, d), dtype) | one_of((_score, _copy)))
    if objective == "esm_smoothed" and draw(st.booleans()):
        options["data"] = draw(rows((draw(sizes), d), dtype))
    if "ism" in objective:
        options["curvature_penalty"] = draw(one_of((0, 0.1, 2.0)))
    posterior = objective == "esm_smoothed"
    if gaussian and objective in ("dae", "dsm", "esm_smoothed") and draw(st.booleans()):
        options["sigma_max"] = draw(one_of((2.0, 2.5, 1000, "auto")))
        options["coarse"] = draw(one_of((0.5, 0, 1, 0.1)))
        options["scale_exponent"] = draw(one_of((None, 0, 1, 2.5)))
        posterior = posterior or draw(st.booleans())
        options["coarse_target"] = "posterior" if posterior else "row"
        if posterior and "data" not in options:
            options["reference"] = draw(one_of((None, "all", "batch", 1, 5, 2**40)))
    if draw(once_in(4)):
        options["sample_weight"] = draw(one_of((np.ones(n), np.arange(n) + 0.5, [2] * n)))
    gram = ("gram",) if gaussian and not posterior else ()
    options["path"] = draw(one_of(("auto", "explicit", *gram)))
    return options


@st.composite
def objective(draw, n, d, h, dtype):
    model = draw(models(d, h, dtype))
    options = draw(objective_options(n, d, model.dtype))
    arguments = {"model": model, "x": draw(rows((n, d), model.dtype)), **options}
    arguments |= {"seed": draw(seeds), "step": draw(steps), "threads": draw(threads)}
    takes_noise = "draws" in options and "corruption" not in options and options["path"] != "gram"
    if takes_noise and not options["antithetic"] and draw(once_in(3)):
        draws = options["draws"]
        shape = (n, d) if draws == 1 and draw(st.booleans()) else (draws, n, d)
        arguments["noise"] = draw(laid_out(numbers(shape, model.dtype)))
    if draw(st.booleans()):
        return Call(dsmfast.loss, arguments, check_value, alone)

    def check(result):
        check_value(result[0])
        for name in "Wbc":
            check_array(getattr(result[1], name), getattr(model, name).shape, model.dtype)

    return Call(
        dsmfast.loss_and_grad, arguments, check, lambda result: (np.array(result[0]), *result[1])
    )


OPTIMIZERS = (
    "adam",
    "sgd",
    dsmfast.SGD(momentum=0.0, learning_rate=1e-3),
    dsmfast.SGD(nesterov=False, weight_decay=0.1, learning_rate=1e-3),
    dsmfast.Adam(beta1=0, beta2=0.5, weight_decay=0.1),
)


def _schedule(progress):
    return 1.0 - progress / 2


def _sigma(epoch):
    return 1.0 / epoch


def _listen(state):
    return state.loss


@st.composite
def train(draw, n, d, h, dtype):
    options = draw(objective_options(n, d, dtype))
    epochs = draw(one_of((0, 1, 1, 2)))
    window = draw(one_of((None, None, 16, 17, 2**40)))
    arguments = {
        "X": draw(rows((n, d), draw(dtypes))),
        "n_hidden": h,
        "sigma": draw(one_of((0.3, 1, 2.0))),
        "epochs": epochs,
        "batch_size": draw(one_of((1, 3, 16) if window else (1, 3, 16, 256, 2**40))),
        "optimizer": draw(one_of(OPTIMIZERS)),
        "learning_rate": draw(one_of((None, 1e-3, 1e-5))),
        "schedule": draw(one_of(("linear", "cosine", "constant", _schedule))),
        "dtype": dtype.name,
        "progress": False,
        "seed": draw(seeds),
        "threads": draw(threads),
        "scale": draw(one_of((1, 1, 0.5, 2.0))),
        "window": window,
        "callbacks": draw(one_of(((), [_listen], [dsmfast.Callback()]))),
        **options,
    }
    falls = epochs > 0 and draw(once_in(10))
    if falls:
        arguments["sigma"] = draw(one_of(((1.0, 0.5, 0.2)[:epochs], _sigma)))
    if draw(once_in(5)) and (callable(options.get("score")) or "score" not in options):
        arguments["validation"] = draw(rows((draw(sizes), d), dtype))
        if not falls and draw(st.booleans()):
            arguments |= {"patience": draw(one_of((1, 5))), "tolerance": draw(one_of((0, 0.1)))}
    if draw(once_in(10)):
        arguments["init"] = draw(models(d, h, dtype))

    def check(result):
        check_array(result.model.W, (h, d), dtype)
        assert result.model.training["rows"] == n
        assert len(result.history["loss"]) <= epochs
        assert np.isfinite(result.history["loss"]).all(), result.history["loss"]

    return Call(
        dsmfast.train,
        arguments,
        check,
        lambda result: (result.model.W, result.model.b, result.history["loss"]),
        # Scores and samples go with all rows at once, or not at all.
        must_succeed=not (window and options["objective"] in ("esm", "esm_smoothed")),
        fixed=("progress",) if draw(once_in(10)) else ("progress", "epochs"),
        allowed=("DivergenceError",),
    )


@st.composite
def select_sigma(draw, n, d, _, dtype):
    X = draw(rows((n, d), dtype))
    rows_differ = len(np.unique(np.asarray(X, np.float64), axis=0)) > 1
    arguments = {"X": X, "seed": draw(seeds), "threads": draw(threads)}
    return Call(dsmfast.select_sigma, arguments, check_positive, alone, rows_differ)


def check_positive(value):
    check_value(value)
    assert 0 < value < 1e3, value


@st.composite
def connection(draw, n, d, h, dtype):
    def check(found):
        assert len(str(found).splitlines()) > 10
        assert np.isfinite(list(found.values.values())).all()

    calls = made(
        dsmfast.connection,
        check,
        nothing,
        model=models(d, h, dtype),
        X=rows((20 + n, d), dtype),
        score=one_of((None, _score)),
        draws=one_of((1, 2)),
        points=one_of((20, 2000)),
        seed=seeds,
        threads=threads,
    )
    return draw(calls)


@st.composite
def density(draw, n, d, h, dtype):
    """What chains are for: draws, missing features, the normaliser."""
    model = draw(models(d, h, dtype))
    common = {"seed": seeds, "threads": threads, "progress": one_of((None, False))}
    few = {"burn_in": one_of((0, 1, 3))}
    known = st.builds(
        lambda x, gaps: np.where(gaps, x.dtype.type(np.nan), x),
        numbers((n, d), model.dtype),
        st.builds(lambda seed: np.random.default_rng(seed).random((n, d)) < 0.3, seeds),
    )

    def check_chains(chains):
        check_array(chains.x, (n, 3, d), model.dtype)
        check_array(chains.energy, (n, 3), np.float64)

    def check_normalizer(found):
        assert np.isfinite(found.value), found
        assert len(str(found)) > 10

    methods = one_of(("auto", "gibbs", "shifted", "mala", "langevin"))
    kinds = (
        lambda: made(
            model.sample,
            lambda x: check_array(x, (n, d), model.dtype),
            n=st.just(n),
            temperatures=one_of((1, 5)),
            **few,
            **common,
        ),
        lambda: made(
            dsmfast.sample,
            check_chains,
            lambda chains: (chains.x, chains.energy),
            model=st.just(model),
            chains=st.just(n),
            draws=st.just(3),
            thin=one_of((1, 2)),
            method=methods,
            **{draw(one_of(("init", "given"))): laid_out(numbers((n, d), model.dtype))},
            **few,
            **common,
        ),
        lambda: made(
            dsmfast.impute,
            lambda x: check_array(x, (n, d), model.dtype),
            model=st.just(model),
            X=known,
            draws=one_of((1, 3)),
            **few,
            **common,
        ),
        lambda: made(
            dsmfast.log_normalizer,
            check_normalizer,
            lambda found: (np.array(found.value),),
            model=st.just(model),
            method=one_of(("auto", "ais")),
            chains=one_of((2, 5)),
            temperatures=one_of((1, 7)),
            data=rows((n, d), model.dtype),
            **common,
        ),
    )
    return draw(one_of(kinds).flatmap(lambda make: make()))


public = st.one_of(
    *map(of_sizes, (simple, simple, method, objective, objective, train, select_sigma))
)
rare = of_sizes(connection)  # takes as long as a hundred others
seldom = of_sizes(density)  # as ten


@st.composite
def inputs(draw):
    """A call, whether its arguments are as they should be, and whether to compare its bits."""
    common = seldom if draw(once_in(20)) else calls_of_core if draw(once_in(3)) else public
    call = draw(rare if draw(once_in(200)) else common)
    names = [name for name in call.arguments if name not in call.fixed]
    good = call.must_succeed
    if names and draw(st.booleans()):
        good = False
        for name in draw(st.lists(one_of(names), min_size=1, max_size=2)):
            call.arguments[name] = draw(spoiled(call.arguments[name]))
    return call, good, good and draw(once_in(3))


def judge(drawn) -> str:
    return fuzz_calls.judge(*drawn)


if __name__ == "__main__":
    sys.exit(main(inputs(), judge, __doc__.splitlines()[0]))
