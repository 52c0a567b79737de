"""Data sets by name: those that come with scikit-learn, and those of the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from dsmfast._arguments.checks import Array
from dsmfast._system.extras import needed
from dsmfast.data.plane import mixture, mixture_score, spiral
from dsmfast.noise import Use, uniforms

__all__ = ["NAMED", "SCORES", "digits", "patches"]

FloatArray = npt.NDArray[np.float32]


def _sklearn_datasets() -> Any:
    return needed("sklearn.datasets", "this data", "sklearn")


def digits() -> FloatArray:
    """Return the handwritten digits of scikit-learn: 1797 rows of 8 x 8 pixels in [0, 1].

    Returns
    -------
    ndarray of float32, shape (1797, 64)

    Examples
    --------
    >>> from dsmfast import data
    >>> rows = data.digits()
    >>> rows.shape, rows.dtype.name, float(rows.min()), float(rows.max())
    ((1797, 64), 'float32', 0.0, 1.0)
    """
    pixels = _sklearn_datasets().load_digits().data
    return np.asarray(pixels / 16.0, dtype=np.float32)


def patches(side: int = 8, count: int = 20_000, seed: int = 0) -> FloatArray:
    """Return grey patches of scikit-learn's two photographs.

    The mean of each patch is subtracted. All patches are divided by the standard deviation of the
    whole set, so sigma is in units of the contrast of a pixel.

    Parameters
    ----------
    side : int
        Side of the square patches, in pixels.
    count : int
        Number of patches.
    seed : int
        Seed of the positions of the patches.

    Returns
    -------
    ndarray of float32, shape (count, side**2)

    Examples
    --------
    >>> from dsmfast import data
    >>> rows = data.patches(side=6, count=1000)
    >>> rows.shape, round(float(rows.std()), 4)
    ((1000, 36), 1.0)
    """
    images = [image.mean(axis=2) for image in _sklearn_datasets().load_sample_images().images]
    windows = np.stack([sliding_window_view(image, (side, side)) for image in images])
    places = uniforms(seed, Use.patches, count) * np.prod(windows.shape[:3])
    which = np.unravel_index(places.astype(np.int64), windows.shape[:3])
    rows = windows[which].reshape(count, -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / rows.std(), dtype=np.float32)


# The score of a named set, where it is known.
SCORES: dict[str, Callable[[Array], Array]] = {"mixture": mixture_score}

NAMED: dict[str, Callable[[], FloatArray]] = {
    "digits": digits,
    "mixture": mixture,
    "patches": patches,
    "spiral": spiral,
}
