"""Calls of the compiled functions, which check what memory safety rests on and nothing else.

Whatever arrays they get, of which shapes and precisions, they return or raise; what they return for
numbers that make no sense is not judged.
"""

from __future__ import annotations

import numpy as np
from fuzz_arrays import dtypes, layouts, numbers, once_in, seeds, sizes, spoiled, steps
from fuzz_calls import Call
from hypothesis import strategies as st

from dsmfast import _core

one_of = st.sampled_from
threads = one_of((-1, 0, 1, 1, 1, 2, 3, 8))
reals = one_of((1.0, 1.0, 1.0, 0.0, -1.0, 0.3, 1e-30, 1e30, float("nan"), float("inf")))


@st.composite
def arrays(draw, shape, dtype, odds=10):
    """An array as it should be, in any layout, or one in so many spoiled."""
    array = draw(numbers(shape, dtype))
    if draw(once_in(odds)):
        return draw(spoiled(array))
    laid = draw(layouts)(array)
    return laid if isinstance(laid, np.ndarray) else array


def call(function, arguments, written=()):
    # Spoiled here, each with odds of its own.
    return Call(function, arguments, must_succeed=False, fixed=tuple(arguments), written=written)


def calls(function, **arguments):
    return st.fixed_dictionaries(arguments).map(lambda drawn: call(function, drawn))


def of_sizes(make):
    """Make calls of three sizes and a precision."""
    return st.tuples(sizes, sizes, sizes, dtypes).flatmap(lambda drawn: make(*drawn))


def triple(d, h, dtype, odds=10):
    return tuple(arrays(shape, dtype, odds) for shape in ((h, d), (h,), (d,)))


def simple(n, d, h, dtype):
    """Calls of the functions whose arguments do not depend on one another."""
    x, sample, W = (arrays(shape, dtype) for shape in ((n, d), (h, d), (h, d)))
    model = {**dict(zip("Wbc", triple(d, h, dtype), strict=True)), "sigma": reals}
    own, place = np.arange(n), np.arange(n)
    kinds = (
        *(
            lambda quantity=quantity: calls(
                _core.evaluate,
                quantity=st.just(quantity),
                **model,
                x=arrays((n, h), dtype) if quantity is _core.Quantity.decode else x,
                threads=threads,
            )
            for quantity in tuple(_core.Quantity)
        ),
        lambda: calls(_core.product, A=x, B=arrays((d, h), dtype), threads=threads),
        lambda: calls(_core.root, W=W, threads=threads),
        lambda: calls(_core.first_bad_row, x=arrays((n, d), dtype, 2), threads=threads),
        lambda: calls(
            _core.parzen,
            x=x,
            sample=sample,
            weights=st.none() | arrays((h,), dtype),
            sigma=reals,
            wanted=one_of(("", "mean", "score", "other")),
            own=one_of((None, None, own % h, own - 1, own[1:], own * 2**40, own.astype("i4"))),
            threads=threads,
        ),
        lambda: calls(
            _core.normals_float32 if dtype == np.float32 else _core.normals_float64,
            seed=seeds,
            step=steps,
            draw=one_of((0, 1, 2**16 - 1, -1, 2**62)),
            rows=one_of((place, place, place[::-1], place - n, place + 2**62, place.astype("i4"))),
            columns=one_of((d, d, d, d, 0, -1, 2**45, 2**62, -(2**63))),
            stream=one_of(tuple(_core.Stream)),
            threads=threads,
        ),
        lambda: calls(
            _core.lift,
            Q=W,
            rest=arrays((d,), dtype),
            y=arrays((n, h), dtype),
            sigma=reals,
            seed=seeds,
            draw=one_of((0, 2**16 - 1, -1)),
            rows=one_of((place, place, place + 2**43, place.astype("i4"), place[1:])),
            steps=one_of((place.astype("u4"), place.astype("u4"), place)),
            threads=threads,
        ),
        lambda: calls(
            _core.counts_float32 if dtype == np.float32 else _core.counts_float64,
            seed=seeds,
            step=steps,
            row=one_of((0, 1, 2**43, -1)),
            trials=one_of((1, 2, 24, 25, 1000, 10**6, 0, -1, 2**62)),
            a=arrays((n,), dtype),
            threads=threads,
        ),
        lambda: calls(
            _core.shuffled_rows,
            seed=seeds,
            epoch=steps,
            rows=one_of((0, 1, 2, n, n, 5000, -1, -(2**63), 2**45, 2**62)),
            window=one_of((0, 1, 2**32 - 1, 2**32, -1)),
        ),
    )
    return one_of(kinds).flatmap(lambda make: make())  # made when it is chosen: that takes time


@st.composite
def regressions(draw, n, d, dtype, odds_of_noise):
    """A function that makes a Regression, which may itself refuse, and the arrays in it."""
    target = draw(one_of(tuple(_core.Target)))
    draws = draw(one_of((*(8 * (1, 1, 2, 3, 4)), 0, -1, -(2**63))))
    given = arrays((max(draws, 0), n, d), dtype) if draw(once_in(odds_of_noise)) else st.none()
    noise = st.fixed_dictionaries(
        {
            "sigma": reals,
            "given": given,
            "chance": one_of((0, 0, 0, 1, 2**31, 2**32, 2**33, 2**64 - 1)),
            "low": reals,
            "high": reals,
            "seed": seeds,
            "step": steps,
            "stream": one_of(tuple(_core.Stream)),
            "draws": st.just(draws),
            "antithetic": once_in(3),
            "first_row": one_of((*(4 * (0, 1, 5, 2**43)), -1)),
        }
    )

    def needed(kind, shape):
        return arrays(shape, dtype) if (target is kind) != draw(once_in(50)) else st.none()

    N = draw(sizes)
    options = st.fixed_dictionaries(
        {
            "points": arrays((n, d), dtype),
            "target": st.just(target),
            "targets": needed(_core.Target.given, (n, d)),
            "sample": needed(_core.Target.posterior, (N, d)),
            "sample_weights": one_of((None, None, np.ones(N, dtype), np.zeros(N + 1, dtype))),
            "reference": one_of((0, 0, 0, 0, 2, -1, 2**62)),
            "weights": st.none() | arrays((n,), dtype),
            "coarse_target": one_of((*(9 * (_core.Target.clean,)), *_core.Target)),
            "variance": one_of((0.0, 0.0, 1.0, -1.0, 1e30)),
            "penalty": one_of((0.0, 0.0, 0.1, -1.0, float("nan"))),
            "path": one_of(tuple(_core.Path)),
        }
    )
    noise, options = draw(noise), draw(options)
    return lambda: _core.Regression(noise=_core.Noise(**noise), **options), {**noise, **options}


@st.composite
def orders(draw, n):
    order = np.arange(n) % max(1, n - 1)
    odd = (order - 1, order + 1, order[:0], order[::2], order.astype("i4"))
    return draw(one_of((*(50 * (order,)), *odd)))


@st.composite
def regression(draw, n, d, h, dtype):
    make, held = draw(regressions(n, d, dtype, 3))

    def run(W, b, c, scale, gradient, threads, order, first, rows, **_):
        return _core.regression(W, b, c, make(), scale, gradient, threads, order, first, rows)

    options = {"scale": reals, "gradient": st.booleans(), "order": st.none() | orders(n)}
    options |= {"first": one_of((0, 0, 0, 1, -1, 2**62)), "rows": one_of((None, 1, 2, 0, 2**62))}
    drawn = st.fixed_dictionaries(
        {**dict(zip("Wbc", triple(d, h, dtype), strict=True)), **options, "threads": threads}
    )
    return call(run, {**held, **draw(drawn)})


@st.composite
def states(draw, d, h, dtype):
    """A rule, and states to go from and to."""
    rule = draw(one_of(tuple(_core.Rule)))
    moments = 2 if rule is _core.Rule.adam else draw(st.integers(0, 1))
    if draw(once_in(20)):
        moments = draw(st.integers(0, 3))
    triples = st.lists(
        st.tuples(*triple(d, h, dtype, 20 * (1 + moments))),
        min_size=1 + moments,
        max_size=1 + moments,
    )
    state = draw(triples)
    if draw(once_in(20)):
        state = draw(one_of(([], state[:-1], [state[0][:2]], None, 3, ["x"], [[1.0], [2.0]])))
    optimizer = _core.Optimizer(
        rule=rule,
        momentum=draw(one_of((0.0, 0.9, 2.0))),
        nesterov=draw(st.booleans()),
        beta1=draw(one_of((0.9, 0.0, 1.0))),
        beta2=draw(one_of((0.999, 0.0, 1.0))),
        epsilon=draw(one_of((1e-8, 0.0))),
        weight_decay=draw(one_of((0.0, 0.1))),
        steps_taken=draw(one_of((0, 5, -1, 2**62))),
    )
    return optimizer, state


@st.composite
def train(draw, n, d, h, dtype):
    make, held = draw(regressions(n, d, dtype, 20))
    rule, state = draw(states(d, h, dtype))
    batch_size = draw(one_of((*(6 * (1, 2, 7, 64, 2**40, 2**63 - 1)), 0, -1, -(2**63))))
    order = draw(orders(n))
    count = -(-max(len(order), 1) // min(max(batch_size, 1), 64 if batch_size < 65 else n))
    count = max(0, count + draw(one_of((*(30 * (0,)), -1, 1))))
    rates, sums = np.full(count, 1e-3), np.full(count, np.nan)
    first, rows = draw(one_of((*(20 * (0,)), 1, -1))), draw(one_of((1, -1, 2**62)))
    whole = draw(st.integers(0, 20)) > 0
    repeats = draw(st.integers(1, 2))  # in the memory that the first one left
    workers = draw(threads)

    share = None
    if draw(once_in(4)):
        share = draw(shares(len(order), batch_size, len(sums)))

    def run(state, order, batch_size, rates, sums, landed, **_):
        memory = _core.WorkingMemory(timed=len(state) == 2)
        task = make()
        for _ in range(repeats):
            place = (order, first, len(order) - first if whole else rows)
            told = (rates, sums, landed, memory, workers)
            _core.train(state, rule, task, *place, batch_size, *told, share and share())
        return memory.seconds()

    arguments = {"state": state, "order": order, "batch_size": batch_size}
    for name, value in (("rates", rates), ("sums", sums), ("landed", np.zeros(1, np.int64))):
        arguments[name] = draw(spoiled(value)) if draw(once_in(20)) else value
    return call(run, {**arguments, **held}, written=("state", "sums", "landed"))


def fail(_):
    raise ValueError("it does not add up")


@st.composite
def shares(draw, order, batch_size, steps):
    """A function that makes a Share of an order, as one of two ranks would or worse."""
    begins = np.minimum(np.arange(steps + 1) * min(max(batch_size, 1), 64) // 2, order)
    begins = draw(spoiled(begins)) if draw(once_in(10)) else begins
    rows = draw(one_of((order, order, order, 2 * order, 0, -1, 2**62)))
    total = draw(one_of((lambda values: values.__imul__(2), lambda values: None, fail)))
    return lambda: _core.Share(begins=begins, rows=rows, sum=total)


@st.composite
def chains(draw, n, d, h, dtype):
    count = draw(one_of((0, 1, 1, 2, 3, 7)))
    path = draw(st.booleans())
    arguments = dict(zip("Wbc", (draw(part) for part in triple(d, h, dtype, 30)), strict=True))
    arguments |= {
        "x": draw(arrays((n, d), dtype, 30)),
        "transition": draw(one_of(tuple(_core.Transition))),
        "trials": draw(one_of((1, 1, 1, 3, 30, 10**6, 0, -1))),
        "excess": draw(one_of((0.0, 0.0, 0.4, -0.7, 1e30, float("nan")))),
        "step_size": draw(reals),
        "lower": draw(once_in(3)),
        "seed": draw(seeds),
        "first_row": draw(one_of((0, 0, 5, 2**43, -1))),
        "first_step": draw(steps),
        "steps": draw(one_of((*(20 * (count,)), -1))),
        "thin": draw(one_of((0, 1, 2, 5, -1, 2**62))),
        "beta": draw(arrays((count + 1,), np.dtype(np.float64), 20)) if path else None,
        "b0": draw(arrays((h,), dtype, 20)) if path else None,
        "c0": draw(arrays((d,), dtype, 20)) if path else None,
        "log_weight": np.zeros(n + draw(once_in(20))) if path else None,
        "observed": draw(one_of((None, None, np.ones((n, d), bool), np.eye(n, d) > 0, np.ones(n)))),
        "accepted": np.zeros(n + draw(once_in(20))),
        "threads": draw(threads),
    }

    def run(W, b, c, x, **options):
        return _core.chains(W, b, c, x, **options)

    return call(run, arguments, written=("x", "log_weight", "accepted"))


calls_of_core = st.one_of(
    *map(of_sizes, (simple, simple, simple, regression, regression, train, train, train, chains))
)
