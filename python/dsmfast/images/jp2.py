"""JPEG 2000 files of more than 8 bits, which Pillow reads wrongly in colour."""

from __future__ import annotations

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._system.extras import imagecodecs

__all__ = ["decoded", "encoded", "is_deep", "white_of"]

_SIGNATURE = b"\0\0\0\x0cjP  "
_DEPTH = 14  # from the name of the header to its bits of a number, less one


def _bits(content: bytes) -> int:
    place = content.find(b"ihdr")
    if not content.startswith(_SIGNATURE) or place < 0 or len(content) <= place + _DEPTH:
        return 0
    return (content[place + _DEPTH] & 0x7F) + 1


def is_deep(content: bytes) -> bool:
    """Whether it is a JPEG 2000 file of 9 to 16 bits."""
    return 8 < _bits(content) <= 16


def white_of(content: bytes) -> float:
    """Return the largest number of such a file."""
    return float(2 ** _bits(content) - 1)


def decoded(content: bytes) -> Array:
    """Return the numbers of a file, (height, width) or (height, width, 2 to 4)."""
    return np.asarray(imagecodecs().jpeg2k_decode(content))


def encoded(pixels: Array, white: float) -> bytes:
    """Return a file of 16-bit numbers, without loss; ``white`` says of how many bits they are."""
    bits = max(int(white).bit_length(), int(pixels.max()).bit_length(), 9)
    content = imagecodecs().jpeg2k_encode(
        np.ascontiguousarray(pixels), bitspersample=bits, reversible=True, codecformat="jp2"
    )
    return bytes(content)
