"""PNG files of 16 bits in several channels, which Pillow reads and writes as 8 bits only."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._system.extras import imagecodecs, pillow

__all__ = ["decoded", "encoded", "is_deep"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH = 24  # where the first chunk, which every file begins with, has the bits of a number
_HEADER = 33  # the signature and that chunk


def is_deep(content: bytes) -> bool:
    """Whether it is a PNG file of 16 bits."""
    return content.startswith(_SIGNATURE) and content[_DEPTH : _DEPTH + 1] == b"\x10"


def decoded(content: bytes) -> Array:
    """Return the numbers of a file, (height, width) or (height, width, 1 to 4)."""
    return np.asarray(imagecodecs().png_decode(content))


def encoded(pixels: Array, metadata: dict[str, Any]) -> bytes:
    """Return a file of 16-bit numbers, with what Pillow writes of the metadata."""
    content: bytes = imagecodecs().png_encode(np.ascontiguousarray(pixels))
    one_pixel = io.BytesIO()
    pillow().new("RGB" if pixels.ndim == 3 and pixels.shape[2] > 2 else "L", (1, 1)).save(
        one_pixel, "PNG", **metadata
    )
    said = (c for kind, c in _chunks(one_pixel.getvalue()) if kind not in (b"IDAT", b"IEND"))
    return b"".join((content[:_HEADER], *said, content[_HEADER:]))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks behind the first with their kinds."""
    at = _HEADER
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        yield content[at + 4 : at + 8], content[at : at + 12 + length]
        at += 12 + length
