"""A call that a fuzzer makes, and the judgement of what comes of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from fuzz_arrays import held, plain
from fuzzing import Finding, described, outcome_of

import dsmfast


@dataclass
class Call:
    """A function and arguments that it has to take; and what is to be said of its result."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    check: Callable[[Any], object] = lambda result: None  # raises AssertionError
    bits: Callable[[Any], tuple[np.ndarray, ...]] = lambda result: ()
    must_succeed: bool = True
    fixed: tuple[str, ...] = ()  # arguments that are not to be spoiled
    written: tuple[str, ...] = ()  # arguments that the function writes to
    allowed: tuple[str, ...] = ()  # refusals of good arguments

    def __str__(self) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        return f"{name}({', '.join(f'{k}={described(v)}' for k, v in self.arguments.items())})"


def judge(call: Call, good: bool, compare: bool) -> str:
    before = {name: held(value) for name, value in call.arguments.items()}
    text = str(call)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", dsmfast.DensityWarning)  # a few steps make no density
        kind, result = outcome_of(lambda: call.function(**call.arguments), text)
    for name, content in before.items():
        if name not in call.written and held(call.arguments[name]) != content:
            raise Finding("changed argument", f"{name} of {text}")
    if kind != "result":
        if good and kind not in call.allowed:
            raise Finding(f"{kind} for good arguments", f"{result}; {text}")
        return kind
    if good:
        try:
            call.check(result)
        except AssertionError as error:
            raise Finding("wrong result", f"{error}; {text}") from error
    if compare and call.bits(result):
        same = {name: plain(value) for name, value in call.arguments.items()}
        if "threads" in same:
            same["threads"] = 1
        again = call.function(**same)
        for one, other in zip(call.bits(result), call.bits(again), strict=True):
            if one.tobytes() != other.tobytes():
                raise Finding("other bits from plain arrays on one thread", text)
    return kind
