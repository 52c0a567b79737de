"""Calls of the compiled functions, which check what memory safety rests on and nothing else.

Whatever arrays they get, of which shapes and precisions, they return or raise; what they return for
numbers that make no sense is not judged.
"""

from __future__ import annotations

import numpy as np
from fuzz_arrays import DTYPES, STRANGE, laid_out, numbers, size, spoiled
from fuzz_calls import Call

from dsmfast import _core

THREADS = (-1, 0, 1, 1, 1, 2, 3, 8)
ODDS = 0.1  # that one of many arrays is spoiled
REALS = (1.0, 1.0, 1.0, 0.0, -1.0, 0.3, 1e-30, 1e30, float("nan"), float("inf"))


def _array(choices, shape, dtype, odds=ODDS):
    array = numbers(choices, shape, dtype)
    if choices.chance(odds):
        return spoiled(choices, array)
    if choices.chance(0.1):
        laid = laid_out(choices, array, 1.0)
        return laid if isinstance(laid, np.ndarray) else array
    return array


def _call(function, arguments, written=()):
    fixed = tuple(arguments)  # spoiled here, each with odds of its own
    return Call(
        function, arguments, lambda _: None, must_succeed=False, fixed=fixed, written=written
    )


def _sizes(choices):
    return size(choices, 0.1), size(choices), size(choices), choices.pick(DTYPES)


def _model(choices, d, h, dtype):
    return {
        "W": _array(choices, (h, d), dtype),
        "b": _array(choices, (h,), dtype),
        "c": _array(choices, (d,), dtype),
    }


def evaluate(choices):
    n, d, h, dtype = _sizes(choices)
    quantity = choices.pick(tuple(_core.Quantity))
    width = h if quantity is _core.Quantity.decode else d
    x = {"sigma": choices.pick(REALS), "x": _array(choices, (n, width), dtype)}
    rest = {"quantity": quantity, "threads": choices.pick(THREADS)}
    return _call(_core.evaluate, _model(choices, d, h, dtype) | x | rest)


def product(choices):
    m, k, n, dtype = _sizes(choices)
    arguments = {"A": _array(choices, (m, k), dtype), "B": _array(choices, (k, n), dtype)}
    return _call(_core.product, {**arguments, "threads": choices.pick(THREADS)})


def root(choices):
    h, d, _, dtype = _sizes(choices)
    W = _array(choices, (h, d), dtype)
    return _call(_core.root, {"W": W, "threads": choices.pick(THREADS)})


def first_bad_row(choices):
    n, d, _, dtype = _sizes(choices)
    x = _array(choices, (n, d), dtype, 0.5)
    return _call(_core.first_bad_row, {"x": x, "threads": choices.pick(THREADS)})


def parzen(choices):
    n, N, d, dtype = _sizes(choices)
    own = numbers(choices, (n,), np.dtype("float64")).astype(np.int64)
    own *= choices.pick((1, 1, 2**40))
    arguments = {
        "x": _array(choices, (n, d), dtype),
        "sample": _array(choices, (N, d), dtype),
        "sigma": choices.pick(REALS),
        "wanted": choices.pick(("", "mean", "score", "other")),
        "own": choices.pick((None, None, own, own[1:], own.astype(np.int32))),
        "threads": choices.pick(THREADS),
    }
    return _call(_core.parzen, arguments)


def normals(choices):
    n, d, _, _ = _sizes(choices)
    place = choices.pick((np.arange(n), np.arange(n) - n, np.full(n, 2**63 - 1)))
    arguments = {
        "seed": choices.integer(0, 2**64 - 1),
        "step": choices.integer(0, 2**32 - 1),
        "draw": choices.pick((0, 1, 2**16 - 1, -1, 2**62)),
        "rows": spoiled(choices, place) if choices.chance(0.2) else place,
        "columns": choices.pick((d, d, d, d, 0, -1, 2**45, 2**62, -(2**63))),
        "stream": choices.pick(tuple(_core.Stream)),
        "threads": choices.pick(THREADS),
    }
    return _call(choices.pick((_core.normals_float32, _core.normals_float64)), arguments)


def shuffled_rows(choices):
    arguments = {
        "seed": choices.integer(0, 2**64 - 1),
        "epoch": choices.integer(0, 2**32 - 1),
        "rows": choices.pick((0, 1, 2, size(choices, 0.3), 5000, -1, -(2**63), 2**45, 2**62)),
        "window": choices.pick((0, 1, 2**32 - 1, 2**32, -1)),
    }
    return _call(_core.shuffled_rows, arguments)


def _regression(choices, n, d, dtype, training):
    """Return a function that makes a Regression, which may itself refuse, and the arrays in it."""
    target = choices.pick(tuple(_core.Target))
    draws = choices.pick((0, -1, -(2**63)) if choices.chance(0.04) else (1, 1, 2, 3, 4))
    given = None
    if choices.chance(0.05 if training else 0.3):
        given = _array(choices, (max(draws, 0) % 8, n, d), dtype)
    targets = sample = None
    if (target is _core.Target.given) != choices.chance(0.02):
        targets = _array(choices, (n, d), dtype)
    if (target is _core.Target.posterior) != choices.chance(0.02):
        sample = _array(choices, (size(choices), d), dtype)
    points = _array(choices, (n, d), dtype)
    noise = {
        "sigma": choices.pick(REALS),
        "given": given,
        "chance": choices.pick((0, 0, 0, 1, 2**31, 2**32, 2**33, 2**64 - 1)),
        "low": choices.pick(REALS),
        "high": choices.pick(REALS),
        "seed": choices.integer(0, 2**64 - 1),
        "step": choices.integer(0, 2**32 - 1),
        "stream": choices.pick(tuple(_core.Stream)),
        "draws": draws,
        "antithetic": choices.chance(0.3),
        "first_row": choices.pick((0, 0, 5, 2**43, -1 if choices.chance(0.1) else 1)),
    }
    options = {
        "points": points,
        "target": target,
        "targets": targets,
        "sample": sample,
        "variance": choices.pick((0.0, 0.0, 1.0, -1.0, 1e30)),
        "penalty": choices.pick((0.0, 0.0, 0.1, -1.0, float("nan"))),
        "path": choices.pick(tuple(_core.Path)),
    }
    return lambda: _core.Regression(noise=_core.Noise(**noise), **options), {**noise, **options}


def regression(choices):
    n, d, h, dtype = _sizes(choices)
    make, held = _regression(choices, n, d, dtype, training=False)

    def call(W, b, c, scale, gradient, threads, order, **_):
        return _core.regression(W, b, c, make(), scale, gradient, threads, order)

    arguments = _model(choices, d, h, dtype) | held
    arguments |= {"scale": choices.pick(REALS), "gradient": choices.chance(0.6)}
    arguments["order"] = _order(choices, n) if choices.chance(0.3) else None
    return _call(call, arguments | {"threads": choices.pick(THREADS)})


def _order(choices, n):
    order = np.arange(n) % max(1, n - 1)
    if choices.chance(0.1):
        return choices.pick((order - 1, order + 1, order[:0], order[::2], order.astype("i4")))
    return order


def _states(choices, d, h, dtype):
    """Return a rule, and states to go from and to."""
    rule = choices.pick(tuple(_core.Rule))
    moments = 2 if rule is _core.Rule.adam else choices.integer(0, 1)
    if choices.chance(0.05):
        moments = choices.integer(0, 3)
    odds = ODDS / (2 + moments)

    def triple():
        return tuple(_array(choices, s, dtype, odds) for s in ((h, d), (h,), (d,)))

    start = [triple() for _ in range(1 + moments)]
    end = [triple() for _ in range(1 + moments)]
    if choices.chance(0.05):
        end = start
    if choices.chance(0.05):
        start = choices.pick(([], start[:-1], [start[0][:2]], choices.pick(STRANGE)))
    optimizer = {
        "rule": rule,
        "momentum": choices.pick((0.0, 0.9, 2.0)),
        "nesterov": choices.chance(0.5),
        "beta1": choices.pick((0.9, 0.0, 1.0)),
        "beta2": choices.pick((0.999, 0.0, 1.0)),
        "epsilon": choices.pick((1e-8, 0.0)),
        "weight_decay": choices.pick((0.0, 0.1)),
        "steps_taken": choices.pick((0, 5, -1, 2**62)),
    }
    return _core.Optimizer(**optimizer), start, end


def update(choices):
    _, d, h, dtype = _sizes(choices)
    rule, start, end = _states(choices, d, h, dtype)
    gradient = tuple(_array(choices, s, dtype, 0.02) for s in ((h, d), (h,), (d,)))
    arguments = {"start": start, "end": end, "gradient": gradient, "rate": choices.pick(REALS)}
    threads = choices.pick(THREADS)

    def call(start, end, gradient, rate):
        return _core.update(start, end, rule, gradient, rate, threads)

    return _call(call, arguments, written=("end",))


def train(choices):
    n, d, h, dtype = _sizes(choices)
    make, held = _regression(choices, n, d, dtype, training=True)
    rule, start, end = _states(choices, d, h, dtype)
    batch_size = choices.pick(
        (0, -1, -(2**63)) if choices.chance(0.04) else (1, 2, 7, 64, 2**40, 2**63 - 1)
    )
    order = _order(choices, n)
    steps = -(-max(len(order), 1) // min(max(batch_size, 1), 64 if batch_size < 65 else n))
    if choices.chance(0.03):
        steps += choices.pick((-1, 1))
    rates, sums = np.full(steps, 1e-3), np.full(steps, np.nan)
    if choices.chance(0.05):
        rates = spoiled(choices, rates)
    if choices.chance(0.05):
        sums = spoiled(choices, sums)
    repeats = choices.pick((1, 1, 2))  # in the memory that the first one left
    threads = choices.pick(THREADS)

    def call(start, end, order, batch_size, rates, sums, **_):
        memory = _core.WorkingMemory(timed=len(start) == 2)
        task = make()
        for _ in range(repeats):
            _core.train(start, end, rule, task, order, batch_size, rates, sums, memory, threads)
        return memory.seconds()

    arguments = {"start": start, "end": end, "order": order, "batch_size": batch_size}
    arguments |= {"rates": rates, "sums": sums} | held
    return _call(call, arguments, written=("end", "sums"))


CORE = (
    *(3 * (evaluate,)),
    *(4 * (regression,)),
    *(4 * (train,)),
    update,
    *(2 * (parzen,)),
    product,
    root,
    first_bad_row,
    normals,
    shuffled_rows,
)
