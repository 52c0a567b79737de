"""The explicit path: the regression |D(x~) - t|^2 and its curvature, at points x~."""

from __future__ import annotations

import numpy as np

from dsmfast.reference.model import ScoreModel
from dsmfast.reference.table import Array, Gradient


def regression(
    model: ScoreModel,
    points: Array,
    targets: Array,
    *,
    weights: Array | None = None,
    curved: bool = False,
    penalty: float = 0.0,
) -> tuple[float, Gradient]:
    """Sum over rows of ``|D(x~) - t|^2``, and its gradient (docs/explanation/row-space.md).

    Row v counts ``weights[v]`` times, its R and dV by that in the gradient. ``curved`` adds
    2 sigma^2 sum V + 2 penalty sum V^2, with V of :meth:`ScoreModel.curvature`.

    Examples
    --------
    The sum is that of squared errors of the denoiser:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> model = reference.ScoreModel(np.eye(2), np.zeros(2), np.zeros(2), sigma=0.5)
    >>> x = np.array([[1.0, 2.0], [0.0, 1.0]])
    >>> value, gradient = reference.regression(model, x, x)
    >>> bool(np.isclose(value, ((model.denoise(x) - x) ** 2).sum()))
    True
    """
    W, c = model.W, model.c
    H = model.hidden(points)  # (B, h)
    R = H @ W + c - targets  # (B, d)
    w = np.ones((len(points), 1), W.dtype) if weights is None else weights[:, None]
    loss = (w * R.astype(np.float64) ** 2).sum()
    R = w * R
    G = R @ W.T  # (B, h)
    S = H * (1 - H)  # (B, h)
    dA = G * S  # (B, h)
    dW = H.T @ R + dA.T @ points  # (h, d)
    if curved:
        V = model.curvature(points)  # (B, d)
        loss += 2 * (w * (model.sigma**2 * V + penalty * V**2)).sum(dtype=np.float64)
        dV = w * (model.sigma**2 + 2 * penalty * V)  # (B, d)
        slope = dV @ (W**2).T * S * (1 - 2 * H)  # (B, h)
        dA = dA + slope
        dW = dW + slope.T @ points + 2 * W * (S.T @ dV)
    return float(loss), Gradient(W=2 * dW, b=2 * dA.sum(axis=0), c=2 * R.sum(axis=0))
