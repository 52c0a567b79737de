"""What a file of images holds, and what each format has room for."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsmfast._checks import Array

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
    """What had to be assumed of an image, or could not be kept in a file.

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
    warnings.warn(text, ImageWarning, stacklevel=3)


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


_PNG = Format("PNG", ("uint8", "uint16"), frames=True)
_JPEG = Format("JPEG", alpha="none")
_TIFF = Format(
    "TIFF",
    ("uint8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"),
    frames=True,
    timed=False,
)

FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".bmp": Format("BMP", alpha="none", exif=False, icc_profile=False),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": Format("WEBP", frames=True, dpi=False),
    ".gif": Format("GIF", alpha="on or off", frames=True, exif=False, icc_profile=False, dpi=False),
}

ENDINGS = tuple(FORMATS)


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file's ending is that of an image: one of :data:`ENDINGS`, in any case.

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
    """What a file says of its images: to be written again.

    ``exif`` is as in a JPEG file, without the orientation, since images are turned upright;
    ``dpi`` is across and down; ``seconds`` are those that each frame is shown for, and ``loop`` is
    how often they are (0 without end); ``others`` names what is not carried over to any file.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    seconds: tuple[float, ...] | None = None
    loop: int | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """What an image file holds: one image or several, and what is to be kept with them.

    :func:`dsmfast.images.open` reads one, :func:`dsmfast.images.denoise` takes noise off its
    frames, and :func:`dsmfast.images.write` writes it.

    Attributes
    ----------
    frames : tuple of ndarray, each (height, width) or (height, width, 3)
        The pages of a TIFF file, the frames of an animation, or the one image: floats, 0 for black
        and 1 for white, and what is finer or beyond as it is. Where an image is invisible, colours
        go on as they are around.
    alpha : tuple of (ndarray of shape (height, width), or None)
        How opaque each pixel of a frame is, from 0 to 1; None where the file does not say.
    dtype : dtype
        Of the numbers in the file.
    white : float
        Which of them is white.
    most : float
        The largest that is written, in a dtype of integers.
    premultiplied : bool
        Whether colours in the file are times their alpha.
    metadata : Metadata
        The camera's notes, the colour profile, and so on.
    name : str
        Of the file, for messages.

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


class Stored(NamedTuple):
    """Images as the numbers in a file: colours (height, width) or (height, width, 3), and alpha.

    ``bits`` is how many of an integer's are in use, where the file says so.
    """

    frames: list[Array]
    alpha: list[Array | None]
    metadata: Metadata
    premultiplied: bool = False
    bits: int | None = None
