"""What files say of their images: read from them, and handed to what writes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._system.extras import pillow
from dsmfast.images.picture import Format, Metadata

__all__ = [
    "IFDS",
    "ORIENTATION",
    "TEXTS",
    "as_dpi",
    "exif_bytes",
    "kept",
    "of_opened",
    "told",
    "upright",
]

ORIENTATION = 0x0112

# What turns an image of each orientation upright; 1 is.
_UPRIGHT: dict[int, Callable[[Array], Array]] = {
    2: np.fliplr,
    3: lambda x: x[::-1, ::-1],
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}

# What a TIFF file has of EXIF beside what its pixels are: description, make, model, software, date,
# artist, copyright; and the directories of the camera and of the place.
TEXTS = (270, 271, 272, 305, 306, 315, 33432)
IFDS = (0x8769, 0x8825)

# What Pillow finds and is carried over to no file.
_OTHERS = {
    "comment": "a comment",
    "gamma": "gamma",
    "chromaticity": "chromaticities",
    "photoshop": "Photoshop's notes",
    "srgb": None,  # nothing but that it is as usual
    "xmp": "XMP",
    "XML:com.adobe.xmp": "XMP",
}


def upright(values: Array, orientation: int) -> Array:
    """Return an image (height, width, ...) turned and mirrored as its orientation says."""
    turn = _UPRIGHT.get(orientation)
    return values if turn is None else np.asarray(turn(values))


def as_dpi(across: Any, down: Any) -> tuple[float, float] | None:
    """Return dots an inch, if they are."""
    try:
        dpi = (float(across), float(down))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    # A file without a unit, or of a program that had none, says 1 or less.
    return dpi if all(math.isfinite(x) and x > 1 for x in dpi) else None


def exif_bytes(exif: Any, *, of_tiff: bool = False) -> bytes | None:
    """Return EXIF data without the orientation, and of a TIFF file without what its pixels are."""
    chosen = pillow().Exif()
    for tag, value in exif.items():
        if tag != ORIENTATION and tag not in IFDS and (tag in TEXTS or not of_tiff):
            chosen[tag] = value
    for tag in IFDS:
        if inner := exif.get_ifd(tag):
            chosen.get_ifd(tag).update(inner)
            chosen[tag] = dict(inner)
    return bytes(chosen.tobytes()) if len(chosen) else None


def of_opened(image: Any, turned: bool) -> Metadata:
    """Return what Pillow knows of a file, as loaded."""
    info = image.info
    others = {_OTHERS[key] for key in info if key in _OTHERS}
    comment = info.get("comment")
    if isinstance(comment, bytes) and comment.startswith(b"Created by OpenJPEG"):  # as always
        others.discard("a comment")
    if set(getattr(image, "text", {})) - {"XML:com.adobe.xmp"}:
        others.add("text")
    dpi = as_dpi(*info["dpi"]) if "dpi" in info else None
    exif = image.getexif()
    profile = info.get("icc_profile")
    if profile and image.mode in ("CMYK", "LAB"):  # it is not one of what these become
        profile = None
        others.add("the colour profile")
    if image.format == "MPO":
        others.add("the second image, which is a preview or of the other eye")
    if image.mode in ("CMYK", "LAB", "HSV"):
        others.add(f"{image.mode}, for which there is RGB")
    return Metadata(
        exif=exif_bytes(exif, of_tiff=image.format == "TIFF"),
        icc_profile=profile or None,
        dpi=dpi[::-1] if dpi and turned else dpi,
        others=tuple(sorted(other for other in others if other)),
    )


def kept(metadata: Metadata, to: Format) -> dict[str, Any]:
    """Return what Pillow is to write of it in a format."""
    found = {
        "exif": metadata.exif if to.exif else None,
        "icc_profile": metadata.icc_profile if to.icc_profile else None,
        "dpi": metadata.dpi if to.dpi else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def told(metadata: Metadata, to: Format) -> list[str]:
    """Return what of it a format has no room for."""
    found = [
        "EXIF" if metadata.exif and not to.exif else None,
        "the colour profile" if metadata.icc_profile and not to.icc_profile else None,
        "dots an inch" if metadata.dpi and not to.dpi else None,
        "how long frames are shown"
        if any(metadata.seconds or ()) and not (to.frames and to.timed)
        else None,
        "tags of GeoTIFF and GDAL" if metadata.geo and not to.geo else None,
    ]
    return [*(word for word in found if word), *metadata.others]
