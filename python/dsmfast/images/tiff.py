"""TIFF files in grey and RGB of any depth; Pillow reads the others, such as those of a palette."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._system.extras import needed, pillow, tifffile
from dsmfast.images.metadata import IFDS, ORIENTATION, TEXTS, as_dpi, exif_bytes, upright
from dsmfast.images.picture import Metadata, Stored

__all__ = ["decoded", "encoded", "is_for_pillow", "is_tiff", "others_of"]

# What tifffile says of damaged tags goes to those who listen, and to nobody's stderr.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB = 0, 1, 2
_PREMULTIPLIED, _STRAIGHT = 1, 2  # what an extra sample can be, as alpha
_INCH = 2
_REDUCED = 1  # a page that is another one, smaller
_JPEG2000, _WEBP = (33003, 33004, 33005, 34712), (34927, 50001)

# What Pillow reads beside these, of 8 bits or less, and in how many samples.
_OF_PILLOW = {_MIN_IS_WHITE: 1, _MIN_IS_BLACK: 1, 3: 1, 5: 4, 6: 3, 8: 3}

# What places an image on a map (GeoTIFF), and what GDAL notes; _NODATA is its number for no data.
_PLACE = (33550, 33922, 34264, 34735, 34736, 34737)
_NODATA = 42113
_GEO = (*_PLACE, 42112, _NODATA)

# What says how pixels are laid out, which is another way when they are written; the resolution,
# the profile and the orientation; and notes that are told of by other names.
_LAYOUT = {
    *(*range(254, 260), 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284),
    *(290, 291, 292, 293, 296, 297, 317, 320, *range(322, 326), 332, 334, 338, 339, 340, 341, 347),
    *(*range(512, 522), *range(529, 533), 32997, 34675, 50838, 50839),
}
_NAMES = {700: "XMP", 33723: "IPTC", 34377: "Photoshop's notes", 330: "images within images"}
# How descriptions begin that programs write, and what they are.
_LAID_OUT = {'{"shape"': None, "ImageJ=": "ImageJ's notes", "<?xml": "OME-XML"}
# The resolution and the profile are layout, but may differ from page to page, and are told of.
_OF_EACH_PAGE = (282, 283, 34675)


def is_tiff(content: bytes) -> bool:
    """Whether a file begins like one."""
    return content.startswith(_BEGINNINGS)


def is_for_pillow(content: bytes) -> bool:
    """Whether a TIFF file is one that Pillow reads whole: a palette, say, or black and white."""
    with tifffile().TiffFile(io.BytesIO(content)) as file:
        return not file.is_bigtiff and all(_is_for_pillow(page.aspage()) for page in file.pages)


def _is_for_pillow(page: Any) -> bool:
    few = page.bitspersample < 8
    return (
        (few or (page.bitspersample == 8 and page.photometric not in (0, 1, 2)))
        and page.sampleformat == 1
        and page.samplesperpixel == _OF_PILLOW.get(page.photometric)
        and page.compression not in (*_JPEG2000, *_WEBP)
    )


def decoded(content: bytes) -> Stored:
    """Return what such a file holds."""
    with tifffile().TiffFile(io.BytesIO(content)) as file:
        pages = [page.aspage() for page in file.pages]
        whole = [page for page in pages if not page.subfiletype & _REDUCED]
        kinds = {(p.dtype, p.bitspersample, tuple(p.extrasamples)) for p in whole}
        if len(kinds) != 1:
            raise ValueError("expected pages of one kind, got several kinds or no page")
        ((dtype, bits, extra),) = kinds
        if dtype is None or dtype.kind not in "iuf":
            raise ValueError(f"expected integers or floats, got {dtype or 'unknown numbers'}")
        if extra not in ((), (_PREMULTIPLIED,), (_STRAIGHT,)):
            raise ValueError(
                "expected no channels beside colours and alpha, "
                f"got {whole[0].samplesperpixel} channels"
            )
        orientation, metadata = _metadata(content, whole)
        if len(whole) < len(pages):
            metadata = replace(metadata, others=(*metadata.others, "smaller copies of pages"))
        # Of fewer bits than the type has; a whole type may hold less without saying so.
        said = bits < 8 * dtype.itemsize and dtype.kind != "f"
        white = float(2 ** (bits - (dtype.kind == "i")) - 1) if said else None
        stored = Stored([], [], metadata, extra == (_PREMULTIPLIED,), white)
        for page in whole:
            frame, alpha = _pixels(page)
            stored.frames.append(upright(frame, orientation))
            stored.alpha.append(None if alpha is None else upright(alpha, orientation))
        return stored._replace(notes=_notes(whole[0], stored.frames))


def _notes(page: Any, frames: Sequence[Array]) -> tuple[str, ...]:
    """Return what is to be said of pixels that GDAL takes for no data."""
    if _NODATA not in page.tags:
        return ()
    text = str(page.tags[_NODATA].value).strip(" \0")
    try:
        number = float(text)
    except ValueError:
        return ()
    missing = [np.isnan(f) if np.isnan(number) else f == number for f in frames]
    if not any(mask.any() for mask in missing):
        return ()
    return (f"pixels without data, which are {text} in it, are taken for part of the image",)


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


def _metadata(content: bytes, pages: Sequence[Any]) -> tuple[int, Metadata]:
    """Return the orientation of pages, and what is to be kept."""
    page = pages[0]
    exif = pillow().Exif()
    others = []
    if page.parent.is_bigtiff:  # which Pillow does not read
        exif.update({tag: str(page.tags[tag].value) for tag in TEXTS if tag in page.tags})
        others += ["EXIF of the camera and the place"] * any(tag in page.tags for tag in IFDS)
    else:
        exif.load_from_fp(io.BytesIO(content))
    orientation = int(page.tags[ORIENTATION].value) if ORIENTATION in page.tags else 1
    description = str(exif.get(270, ""))
    # These say how the file is laid out, which may be another way when it is written.
    for begin, name in _LAID_OUT.items():
        if description.startswith(begin):
            del exif[270]
            others += [name] if name else []
    geo = [page.tags[tag] for tag in _GEO if tag in page.tags]
    if orientation != 1 and any(tag.code in _PLACE for tag in geo):
        geo = [tag for tag in geo if tag.code not in _PLACE]
        others.append("the place on the map, because the image is turned")
    others += _others(pages, _GEO)
    across, down = page.get_resolution(_INCH) if page.resolutionunit > 1 else (0, 0)
    dpi = as_dpi(across, down)
    return orientation, Metadata(
        exif=exif_bytes(exif, of_tiff=True),
        icc_profile=page.iccprofile,
        dpi=dpi[::-1] if dpi and orientation > 4 else dpi,
        geo=tuple((tag.code, int(tag.dtype), tag.count, tag.value, True) for tag in geo),
        others=tuple(dict.fromkeys(others)),
    )


def others_of(content: bytes) -> list[str]:
    """Return what is not kept of a file whose pixels Pillow reads, in words."""
    with tifffile().TiffFile(io.BytesIO(content)) as file:
        return _others([page.aspage() for page in file.pages], ())


def _others(pages: Sequence[Any], kept: Sequence[int]) -> list[str]:
    known = {*TEXTS, *IFDS, *_LAYOUT, *kept}
    found = [_NAMES.get(tag.code, tag.name) for tag in pages[0].tags if tag.code not in known]
    return found + _of_later_pages(pages)


def _of_later_pages(pages: Sequence[Any]) -> list[str]:
    """Return what later pages say in another way than the first, whose words are kept."""
    found = []
    for page in pages[1:]:
        for tag in page.tags:
            if tag.code in _LAYOUT and tag.code not in _OF_EACH_PAGE:
                continue
            first = pages[0].tags.get(tag.code)
            if first is not None and np.array_equal(first.value, tag.value):
                continue
            if not str(tag.value).startswith(tuple(_LAID_OUT)):
                found.append(f"{tag.name} of later pages")
    return found


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
            directories = [(tag - 1, "I", 1, 0, True) for tag in inner]
            first = [*texts, *directories, *metadata.geo] if i == 0 else []
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
