"""Plots of models and of their training with matplotlib (extra ``plot``).

Text and lines have the colours of matplotlib's settings, and the gaps between images are
transparent. Plots are therefore readable on light and on dark backgrounds.
"""

from dsmfast.plot.curves import chains, history
from dsmfast.plot.images import as_image_shape as as_image_shape
from dsmfast.plot.images import denoising, filters, samples
from dsmfast.plot.plane import density, energy

__all__ = ["chains", "denoising", "density", "energy", "filters", "history", "samples"]
