"""Photographs: read, cut into patches, denoised by a model of patches, and written.

Images are arrays (height, width) or (height, width, channels) of floats, 0 for black and 1 for
white. A patch is a square of pixels without its mean, as a row, in tenths of white
(:data:`UNIT`): the mean says nothing of what a photograph looks like, and noise hardly moves it;
and a tenth is about what pixels differ by within a patch. The unit matters, because the weights of
the model are tied: for one set of weights to be both steep and small, data have to be of order 1.

Train on noise of standard deviation 0.1, say, and denoise::

    rows = images.patches([images.read("photo.png")], count=100_000)
    model = dsmfast.train(rows, n_hidden=512, sigma=0.1 / images.UNIT).model
    images.write("clean.png", images.denoise(model, images.open("noisy.png")))

:func:`read` returns an array; :func:`open` returns a :class:`Picture`, which also holds what makes
a file of it again: its depth, transparency, pages or frames, and metadata. What cannot be kept is
told by an :class:`ImageWarning`.

The room: ``picture`` is what a file holds, and what each format has room for; ``reading`` and
``tiff`` make one of a file, and ``writing`` a file of one; ``squares`` cuts images into patches,
and ``denoising`` goes over an image with a model of them.
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
