"""Photographs: reading, cutting into patches, denoising with a patch model, and writing.

Images are float arrays of shape (height, width) or (height, width, channels); 0 is black and 1 is
white. A patch is a row that holds the pixels of a square, without their mean, in units of a tenth
of white (:data:`UNIT`). The mean is subtracted because it carries no information on the structure
of the image, and noise hardly changes it. A tenth of white is about the standard deviation of the
pixels within a patch. The unit matters because the weights of the model are tied: the same weights
must be both steep and small, which requires data of order 1.

For noise of standard deviation 0.1, for example, train and denoise with::

    rows = images.patches([images.read("photo.png")], count=100_000)
    model = dsmfast.train(rows, n_hidden=512, sigma=0.1 / images.UNIT).model
    images.write("clean.png", images.denoise(model, images.open("noisy.png")))

:func:`read` returns an array. :func:`open` returns a :class:`Picture`, which also holds what is
needed to write the file again: its depth, transparency, pages or frames, and metadata. An
:class:`ImageWarning` reports anything that cannot be kept.

The package's modules: ``picture`` describes the contents of a file and the abilities of each
format; ``reading`` makes a picture from a file and ``writing`` a file from a picture, with
``tiff``, ``png``, ``jp2`` and ``pnm`` for what Pillow cannot, and ``metadata`` for what stands
beside the pixels; ``white`` finds which number is white; ``squares`` cuts images into patches, and
``denoising`` applies a model of patches to an image.
"""

from dsmfast.images.denoising import denoise
from dsmfast.images.picture import ENDINGS, ImageWarning, Picture, is_image
from dsmfast.images.reading import open, read
from dsmfast.images.squares import UNIT, patches
from dsmfast.images.writing import write

__all__ = [
    "ENDINGS",
    "UNIT",
    "ImageWarning",
    "Picture",
    "denoise",
    "is_image",
    "open",
    "patches",
    "read",
    "write",
]

# Public classes are at home here, wherever they are written.
for _class in (ImageWarning, Picture):
    _class.__module__ = __name__
