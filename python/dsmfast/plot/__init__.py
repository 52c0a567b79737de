"""Pictures of models and of their training (extra ``plot``).

Text and lines have the colours of matplotlib's settings, and what is between images is transparent:
pictures can be read on light and on dark backgrounds.
"""

from dsmfast.plot.curves import chains, history
from dsmfast.plot.images import as_image_shape as as_image_shape
from dsmfast.plot.images import denoising, filters, samples
from dsmfast.plot.plane import density, energy

__all__ = ["chains", "denoising", "density", "energy", "filters", "history", "samples"]
