"""Which number is white: in a file as its depth and numbers say, and in an array, where it is 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast.images.picture import opaque, say

__all__ = ["check_level", "doubt_unit", "is_beyond", "white_of"]

# Whites that are usual: of 8, 10, 12, 14 and 16 bits.
_WHITES = (255, 1023, 4095, 16383, 65535)

# Where white is 1, noise and a lamp take some numbers beyond it, but not as far as this.
_BEYOND = 2.0

# A number this much smaller than white is black, and says nothing of the unit.
_BLACK = 0.01

_ELSE = "if this is wrong, give white= or --white"


def is_beyond(image: Array, limit: float = 1.0) -> bool:
    """Whether 1 is hardly white in an image: most of it is beyond that, and beyond a limit."""
    level = max(_BEYOND, limit)
    return bool(image.max() > level) and _mostly_above([image], level)


def doubt_unit(image: Array, name: str, limit: float = 1.0) -> None:
    """Warn of an image that is beyond white and a limit."""
    if is_beyond(image, limit):
        say(
            f"{name}: its values go up to {image.max():g}; is it in [0, 1]? "
            "Divide it by its value of white"
        )


def _mostly_above(frames: Sequence[Array], level: float) -> bool:
    """Whether most numbers are larger than a level, those aside that are black by it."""
    found = 0
    total = 0
    for frame in frames:
        sizes = np.abs(frame)
        found += int(np.count_nonzero(sizes > level))
        total += int(np.count_nonzero(sizes > _BLACK * level))
    return 2 * found > total


def check_level(value: float, name: str) -> None:
    """Refuse noise beyond white, which is in another unit than the image."""
    if value > 1:
        raise ValueError(
            f"{name}: expected at most 1, because white is 1, got {value:g}; "
            f"{value:g} of 255 is {value / 255:.2g}"
        )


def white_of(frames: Sequence[Array], said: float | None, name: str, given: float | None) -> float:
    """Return the number that is white: as given, as the file says, or as the numbers say."""
    dtype = frames[0].dtype
    high = max(float(frame.max()) for frame in frames)
    if given is not None:
        return _as_given(frames, high, name, given)
    if said is not None and high <= said:
        return said
    if high <= 0:
        return opaque(dtype)
    if dtype.kind == "f":
        return _of_floats(frames, high, name)
    largest = opaque(dtype)
    if dtype.itemsize == 1:
        return largest
    fitting = [white for white in _WHITES if high <= white < largest]
    if dtype.itemsize == 2 and not fitting:
        return largest
    return _assumed(fitting, f"no number is larger than {high:g}", high, name)


def _as_given(frames: Sequence[Array], high: float, name: str, given: float) -> float:
    """Return the number that is given for white, where the depth has it; say what is unlikely."""
    dtype = frames[0].dtype
    if dtype.kind != "f" and given > opaque(dtype):
        say(
            f"{name}: white is {opaque(dtype):.0f} in it, the largest number of {dtype}, "
            f"not {given:g}"
        )
        return opaque(dtype)
    if 0 < high < _BLACK * given:
        say(f"{name}: no number is larger than {high:g}; is white {given:g} in it?")
    elif high > _BEYOND * given and _mostly_above(frames, given):
        say(f"{name}: most numbers are larger than {given:g}; is that white in it?")
    return given


def _of_floats(frames: Sequence[Array], high: float, name: str) -> float:
    if high <= _BEYOND:
        return 1.0
    if not _mostly_above(frames, _BEYOND):
        say(
            f"{name}: some numbers are as large as {high:g}, but most are at most {_BEYOND:g}, so "
            f"white is taken to be 1; {_ELSE}"
        )
        return 1.0
    # Noise may have taken some beyond, so half as much again is allowed.
    fitting = [white for white in _WHITES if high <= 1.5 * white]
    reason = f"most numbers are larger than {_BEYOND:g}, and none is larger than {high:g}"
    return _assumed(fitting, reason, high, name)


def _assumed(fitting: Sequence[int], reason: str, high: float, name: str) -> float:
    """Return the least white that fits, and say so."""
    if not fitting:
        raise ValueError(
            f"{name}: expected pixels up to {_WHITES[-1]}, got {high:g}; "
            "give the number that is white with white= or --white"
        )
    say(f"{name}: {reason}, so white is taken to be {fitting[0]}; {_ELSE}")
    return float(fitting[0])
