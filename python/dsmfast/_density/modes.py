r"""Modes of an energy, and what each holds at least.

Denoising is descent: :math:`E(D(x)) \le E(x)`, because the energy is a square minus a convex
function. So points that are denoised again and again end in modes. And the Hessian of the energy is
nowhere above :math:`I/\sigma^2`, hence

.. math:: \int e^{-E} \ge e^{-E(m) + \frac{\sigma^2}{2}\|\nabla E(m)\|^2} (2\pi\sigma^2)^{d/2}.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._density.reduced import Energy, Reduced

__all__ = ["affordable_starts", "around", "descended", "least_log_mass"]

FloatArray = npt.NDArray[np.float64]

REACH = 64.0  # spreads that descent starts from, at most
STEPS = 300  # of descent, at most


def affordable_starts(model: Energy) -> int:
    """Return how many starts cost at most about a tenth of a second."""
    return int(min(256, max(16, 5e6 / model.W.size)))


def around(mean: FloatArray, spread: float, normals: FloatArray) -> FloatArray:
    """Return points at 1 to 64 spreads from the mean, in the directions of normals (n, d)."""
    directions = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    reach = np.geomspace(1, REACH, len(normals)) * spread
    points: FloatArray = mean + reach[:, None] * directions
    return points


def _evaluated(model: Reduced, quantity: _core.Quantity, x: FloatArray, threads: int) -> FloatArray:
    parameters = (model.W, model.b, model.c, model.sigma)
    values, bad = _core.evaluate(quantity, *parameters, np.ascontiguousarray(x), threads)
    if values is None:
        raise ValueError(f"repeated denoising led to a point that is not finite, number {bad}")
    return values


def descended(model: Reduced, x: FloatArray, threads: int) -> FloatArray:
    """Denoise points (n, d) until they come to rest, each to a thousandth of sigma."""
    x, moving = x.copy(), np.arange(len(x))
    for _ in range(STEPS):
        ahead = _evaluated(model, _core.Quantity.denoise, x[moving], threads)
        moves = np.abs(ahead - x[moving]).max(axis=1) > 1e-3 * model.sigma
        x[moving] = ahead
        moving = moving[moves]
        if len(moving) == 0:
            break
    return x


def least_log_mass(model: Reduced, modes: FloatArray, threads: int) -> FloatArray:
    """Return the logarithm (n,) of what a mode holds, at least."""
    if len(modes) == 0:
        return np.empty(0)
    sigma, d = model.sigma, modes.shape[1]
    energy = _evaluated(model, _core.Quantity.energy, modes, threads)
    slope = _evaluated(model, _core.Quantity.score, modes, threads)
    steep = sigma**2 / 2 * (slope**2).sum(axis=1)
    mass: FloatArray = steep - energy + d / 2 * math.log(2 * math.pi * sigma**2)
    return mass
