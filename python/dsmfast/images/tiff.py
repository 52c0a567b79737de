"""TIFF files: numbers of more than 8 bits, and floats, which Pillow does not all read or write."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._system.extras import needed, pillow, tifffile
from dsmfast.images.metadata import IFDS, ORIENTATION, TEXTS, as_dpi, exif_bytes, upright
from dsmfast.images.picture import Metadata, Stored

__all__ = ["decoded", "encoded", "is_deep", "is_tiff"]

_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB = 0, 1, 2
_PREMULTIPLIED, _STRAIGHT = 1, 2  # what an extra sample can be, as alpha
_INCH = 2
_FLOATS = 3
_REDUCED = 1  # a page that is another one, smaller


def is_tiff(content: bytes) -> bool:
    """Whether a file begins like one."""
    return content.startswith(_BEGINNINGS)


def is_deep(content: bytes) -> bool:
    """Whether a TIFF file has numbers of more than 8 bits, or floats."""
    with tifffile().TiffFile(io.BytesIO(content)) as file:
        return any(page.bitspersample > 8 or page.sampleformat != 1 for page in file.pages)


def decoded(content: bytes) -> Stored:
    """Return what such a file holds."""
    with tifffile().TiffFile(io.BytesIO(content)) as file:
        pages = [page.aspage() for page in file.pages]
        whole = [page for page in pages if not page.subfiletype & _REDUCED]
        kinds = {(p.dtype, p.bitspersample, tuple(p.extrasamples)) for p in whole}
        if len(kinds) != 1:
            raise ValueError("expected pages of one kind, got several kinds or no page")
        ((_, bits, extra),) = kinds
        if extra not in ((), (_PREMULTIPLIED,), (_STRAIGHT,)):
            raise ValueError("expected no channels beside colours and alpha")
        orientation, metadata = _metadata(content, whole[0])
        if len(whole) < len(pages):
            metadata = replace(metadata, others=(*metadata.others, "smaller copies of pages"))
        stored = Stored([], [], metadata, extra == (_PREMULTIPLIED,), bits)
        for page in whole:
            frame, alpha = _pixels(page)
            stored.frames.append(upright(frame, orientation))
            stored.alpha.append(None if alpha is None else upright(alpha, orientation))
        return stored


def _pixels(page: Any) -> tuple[Array, Array | None]:
    """Return colours and alpha of a page."""
    if page.photometric not in (_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB):
        raise ValueError(f"expected grey or RGB, got {page.photometric.name}")
    values = page.asarray()
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, 2)
    elif page.axes not in ("YX", "YXS"):
        raise ValueError(f"expected pages of height and width, got axes {page.axes}")
    colours = 3 if page.photometric == _RGB else 1
    channels = values[:, :, None] if values.ndim == 2 else values
    if channels.shape[2] != colours + len(page.extrasamples):
        raise ValueError(f"expected {colours} channels, got {channels.shape[2]}")
    frame = channels[:, :, :colours] if colours > 1 else channels[:, :, 0]
    if page.photometric == _MIN_IS_WHITE:
        whitest = 1 if frame.dtype.kind == "f" else 2**page.bitspersample - 1
        frame = (whitest - frame).astype(frame.dtype)
    return frame, channels[:, :, colours] if page.extrasamples else None


def _metadata(content: bytes, page: Any) -> tuple[int, Metadata]:
    """Return the orientation of a page, and what is to be kept."""
    exif = pillow().Exif()
    exif.load_from_fp(io.BytesIO(content))
    others = [name for tag, name in ((700, "XMP"), (33723, "IPTC")) if tag in page.tags]
    description = str(exif.get(270, ""))
    # These say how the file is laid out, which may be another way when it is written.
    for begin, name in (('{"shape"', None), ("ImageJ=", "ImageJ's notes"), ("<?xml", "OME-XML")):
        if description.startswith(begin):
            del exif[270]
            others += [name] if name else []
    orientation = int(exif.get(ORIENTATION, 1))
    across, down = page.get_resolution(_INCH) if page.resolutionunit > 1 else (0, 0)
    dpi = as_dpi(across, down)
    return orientation, Metadata(
        exif=exif_bytes(exif, of_tiff=True),
        icc_profile=page.iccprofile,
        dpi=dpi[::-1] if dpi and orientation > 4 else dpi,
        others=tuple(others),
    )


def encoded(stored: Stored) -> bytes:
    """Return a file, a page for each image."""
    metadata = stored.metadata
    exif = pillow().Exif()
    exif.load(metadata.exif or b"")
    texts = [(tag, "s", 0, str(exif[tag]), True) for tag in TEXTS if exif.get(tag)]
    # Written as the tag below theirs, to be called by their own name when it is known where they
    # are: tifffile does not write directories.
    inner = [tag for tag in IFDS if exif.get_ifd(tag)]
    options: dict[str, Any] = {"iccprofile": metadata.icc_profile}
    if metadata.dpi:
        options.update(resolution=metadata.dpi, resolutionunit="INCH")
    content = io.BytesIO()
    with tifffile().TiffWriter(content, byteorder="<") as file:
        for i, (frame, alpha) in enumerate(zip(stored.frames, stored.alpha, strict=True)):
            first = [*texts, *((tag - 1, "I", 1, 0, True) for tag in inner)] if i == 0 else []
            file.write(
                frame if alpha is None else np.dstack([frame, alpha]),
                photometric="rgb" if frame.ndim == 3 else "minisblack",
                planarconfig="contig" if frame.ndim == 3 or alpha is not None else None,
                extrasamples=_extra(alpha, stored.premultiplied),
                metadata=None,
                software=False,
                extratags=first,
                **options,
            )
    return _with_directories(content.getvalue(), [(tag, exif.get_ifd(tag)) for tag in inner])


def _extra(alpha: Array | None, premultiplied: bool) -> list[int] | None:
    if alpha is None:
        return None
    return [_PREMULTIPLIED if premultiplied else _STRAIGHT]


def _with_directories(content: bytes, directories: Sequence[tuple[int, Any]]) -> bytes:
    """Return a file with directories at its end, for which there are tags one below their own."""
    if not directories:
        return content
    make = needed("PIL.TiffImagePlugin", "writing EXIF", "images").ImageFileDirectory_v2
    changed = bytearray(content)
    with tifffile().TiffFile(io.BytesIO(content)) as file:
        tags = file.pages[0].tags
        for tag, values in directories:
            directory = make(ifh=b"II*\0\0\0\0\0")
            for name, value in values.items():
                directory[name] = value
            changed += b"\0" * (len(changed) % 2)
            place = len(changed)
            changed += directory.tobytes(place)
            struct.pack_into("<H", changed, tags[tag - 1].offset, tag)
            struct.pack_into("<I", changed, tags[tag - 1].valueoffset, place)
    return bytes(changed)
