"""PGM and PPM files of 16 bits, which Pillow scales, or in colour reads as 8 bits."""

from __future__ import annotations

import re

import numpy as np

from dsmfast._arguments.checks import Array

__all__ = ["decoded", "encoded", "is_deep"]

# The kind (5 for grey, 6 for colours), width, height and white; comments may stand between them.
_SPACE = rb"(?:\s|#[^\n]*\n)+"
_HEADER = re.compile(rb"P([56])" + _SPACE + _SPACE.join([rb"(\d{1,9})"] * 3) + rb"\s")


def is_deep(content: bytes) -> bool:
    """Whether it is such a file in binary form of more than 8 bits."""
    found = _HEADER.match(content)
    return found is not None and 255 < int(found[4]) <= 65535


def decoded(content: bytes) -> tuple[Array, int]:
    """Return the numbers of a file, (height, width) or (height, width, 3), and its white."""
    found = _HEADER.match(content)
    assert found is not None  # as is_deep has seen
    kind, width, height, white = map(int, found.groups())
    shape = (height, width, 3) if kind == 6 else (height, width)
    expected, got = 2 * int(np.prod(shape, dtype=object)), len(content) - found.end()
    if 0 in shape or got < expected:
        raise ValueError(f"expected {expected} bytes of pixels, got {got}")
    pixels = np.frombuffer(content, ">u2", expected // 2, found.end())
    return pixels.reshape(shape).astype(np.uint16), white


def encoded(pixels: Array, white: float) -> bytes:
    """Return a file of numbers up to white, which is the largest that such a file has."""
    height, width = pixels.shape[:2]
    most = min(max(round(white), 1), 65535)
    header = f"P{5 if pixels.ndim == 2 else 6}\n{width} {height}\n{most}\n"
    return (
        header.encode() + np.minimum(pixels, most).astype(">u2" if most > 255 else "u1").tobytes()
    )
