"""The contents of an image file, and the abilities of each format."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._system.warn import warn

__all__ = [
    "ENDINGS",
    "FORMATS",
    "Format",
    "ImageWarning",
    "Metadata",
    "Picture",
    "Stored",
    "is_image",
    "opaque",
    "say",
]


class ImageWarning(UserWarning):
    """Warning that something was assumed of an image, or cannot be kept in a file.

    Examples
    --------
    >>> import os, tempfile, warnings
    >>> import numpy as np
    >>> from dsmfast import images
    >>> picture = images.Picture([np.full((4, 4), 0.5)], alpha=[np.zeros((4, 4))])
    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     images.write(os.path.join(folder, "flat.jpg"), picture)  # JPEG has no transparency
    >>> said[0].category is images.ImageWarning
    True
    """


def say(text: str) -> None:
    """Warn, with the line that called the package."""
    warn(text, ImageWarning)


@dataclass(frozen=True)
class Format:
    """What a format has room for.

    ``dtypes`` holds the depths, widest last; ``alpha`` says how finely it knows transparency:
    "none", "on or off", or "full".
    """

    name: str
    dtypes: tuple[str, ...] = ("uint8",)
    alpha: str = "full"
    frames: bool = False
    exif: bool = True
    icc_profile: bool = True
    dpi: bool = True
    timed: bool = True
    geo: bool = False


_PNG = Format("PNG", ("uint8", "uint16"), frames=True)
_JPEG = Format("JPEG", alpha="none")
_TIFF = Format(
    "TIFF",
    ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"),
    frames=True,
    timed=False,
    geo=True,
)

_PPM = Format("PPM", ("uint8", "uint16"), "none", exif=False, icc_profile=False, dpi=False)

FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".bmp": Format("BMP", alpha="none", exif=False, icc_profile=False),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": Format("WEBP", frames=True, dpi=False),
    ".gif": Format("GIF", alpha="on or off", frames=True, exif=False, icc_profile=False, dpi=False),
    ".avif": Format("AVIF", frames=True, dpi=False),
    ".jp2": Format("JPEG2000", ("uint8", "uint16"), exif=False, icc_profile=False, dpi=False),
    ".pgm": _PPM,
    ".ppm": _PPM,
}

ENDINGS = tuple(FORMATS)


def is_image(path: str | os.PathLike[str]) -> bool:
    """Return whether a path has the ending of an image file.

    Parameters
    ----------
    path : path-like
        The file does not have to exist.

    Returns
    -------
    bool
        True if the ending is one of :data:`ENDINGS`, in upper or lower case.

    Examples
    --------
    >>> from dsmfast import images
    >>> images.is_image("photo.PNG"), images.is_image("rows.csv")
    (True, False)
    """
    return Path(path).suffix.lower() in ENDINGS


def opaque(dtype: np.dtype[Any]) -> float:
    """Return the alpha of what is not transparent: the largest integer, or 1 of floats."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


@dataclass(frozen=True)
class Metadata:
    """Metadata of an image file, which are written again.

    ``exif`` is as in a JPEG file, without the orientation, because images are turned upright.
    ``dpi`` holds the horizontal and vertical resolution. ``seconds`` is the display time of each
    frame, and ``loop`` the number of repetitions (0 without end; None for an animation that plays
    once). ``geo`` holds the tags of GeoTIFF and GDAL as (code, data type, count, value). ``others``
    names what is not kept in any file.
    """

    exif: bytes | None = field(default=None, repr=False)
    icc_profile: bytes | None = field(default=None, repr=False)
    dpi: tuple[float, float] | None = None
    seconds: tuple[float, ...] | None = None
    loop: int | None = None
    geo: tuple[tuple[Any, ...], ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """Contents of an image file: one or more images, and what is kept with them.

    :func:`dsmfast.images.open` reads a picture, :func:`dsmfast.images.denoise` denoises its frames,
    and :func:`dsmfast.images.write` writes it.

    Attributes
    ----------
    frames : tuple of ndarray, each (height, width) or (height, width, 3)
        Pages of a TIFF file, frames of an animation, or the single image. Values are floats with 0
        for black and 1 for white, and are neither rounded nor clipped. Invisible regions continue
        the colours of their surroundings.
    alpha : tuple of (ndarray of shape (height, width), or None)
        Opacity of each pixel of a frame, from 0 to 1; None if the file has no transparency.
    dtype : dtype
        Data type of the numbers in the file.
    white : float
        Number that stands for white in the file.
    most : float
        Largest number that is written, if ``dtype`` is an integer type.
    premultiplied : bool
        Whether the colours in the file are multiplied by their alpha.
    metadata : Metadata
        Metadata of the file, such as EXIF data and the colour profile.
    name : str
        Name of the file, for messages.

    Examples
    --------
    >>> import numpy as np
    >>> from dsmfast import images
    >>> picture = images.Picture((np.zeros((4, 5)),))
    >>> picture.dtype, picture.white, len(picture)
    (dtype('uint8'), 255.0, 1)
    """

    frames: tuple[Array, ...]
    alpha: tuple[Array | None, ...] = ()
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.uint8))
    white: float = 255.0
    most: float = 255.0
    premultiplied: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    name: str = "image"

    def __post_init__(self) -> None:
        if not self.alpha:
            object.__setattr__(self, "alpha", (None,) * len(self.frames))

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        count = f"{len(self)} frames" if len(self) != 1 else "1 frame"
        shapes = {np.shape(frame) for frame in self.frames}
        shape = f"shape {shapes.pop()}" if len(shapes) == 1 else "several shapes"
        return f"Picture({self.name!r}: {count} of {shape}, {self.dtype}, white {self.white:g})"


class Stored(NamedTuple):
    """Images as the numbers in a file: colours (height, width) or (height, width, 3), and alpha.

    ``white`` is the number that is white, where the file says so. ``notes`` is what is to be said
    of the file when it is read.
    """

    frames: list[Array]
    alpha: list[Array | None]
    metadata: Metadata
    premultiplied: bool = False
    white: float | None = None
    notes: tuple[str, ...] = ()
