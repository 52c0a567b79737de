"""The gram path: the same regression from P = X W' and K = W W', in h dimensions.

docs/explanation/row-space.md derives what stands here.
"""

from __future__ import annotations

import numpy as np

from dsmfast.reference.model import ScoreModel, sigmoid
from dsmfast.reference.table import Array, Gradient

# Added to the diagonal of the correlations: W may have fewer than h independent rows.
JITTER = 2.0**-32


def root(W: Array) -> Array:
    """L (h, h), lower triangular, with L L' = W W': then L z is W e for normals z and e.

    Examples
    --------
    >>> import numpy as np
    >>> from dsmfast import reference
    >>> W = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])
    >>> L = reference.root(W)
    >>> bool(np.allclose(L @ L.T, W @ W.T))
    True
    """
    K = W.astype(np.float64) @ W.T.astype(np.float64)
    scale = np.sqrt(np.diag(K))
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    correlation = K * inverse[:, None] * inverse + JITTER * np.eye(len(K))
    L = np.linalg.cholesky(correlation)
    factor: Array = scale[:, None] * L
    return factor


def row_space_regression(
    model: ScoreModel,
    x: Array,
    u: Array,
    *,
    noisy: bool = True,
    targets: Array | None = None,
    itself: bool = False,
    noise: Array | None = None,
    weights: Array | None = None,
    ratios: Array | None = None,
    curved: bool = False,
    penalty: float = 0.0,
) -> tuple[float, Gradient]:
    """Sum over draws and rows of ``|D(x~) - t|^2``, x~ = x + sigma e with u = W e (draws, B, h).

    Visits count by ``weights`` (draws, B), and the noise of each is ``ratios`` (draws, B) times
    sigma.

    Without ``noisy``, x~ = x. The target is x, a row of ``targets``, or x~ ``itself``. What is left
    of e beside u is replaced by its expectation; where the target has it, ``noise`` may give it.
    ``curved`` adds 2 sigma^2 sum V + 2 penalty sum V^2, with V of :meth:`ScoreModel.curvature`.

    Examples
    --------
    Without noise it is the explicit path's regression of x on itself:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> rng = np.random.default_rng(0)
    >>> W, x = rng.normal(size=(2, 5)), rng.normal(size=(10, 5))
    >>> model = reference.ScoreModel(W, np.zeros(2), np.zeros(5), sigma=0.5)
    >>> here, gradient = reference.row_space_regression(model, x, np.zeros((1, 10, 2)), noisy=False)
    >>> there, expected = reference.regression(model, x, x)
    >>> bool(np.isclose(here, there) and np.allclose(gradient.W, expected.W))
    True
    """
    W, c = model.W, model.c
    sigma = W.dtype.type(model.sigma if noisy else 0)
    variance = W.dtype.type(model.sigma) ** 2
    draws, B, d = len(u), *x.shape
    Y = x - c  # (B, d)
    T = Y if targets is None else targets - c  # (B, d)
    K = W @ W.T  # (h, h)
    P, Q = Y @ W.T, T @ W.T  # (B, h)
    n, W2 = np.diag(K), W**2
    loss = 0.0
    D, E = np.zeros_like(P), np.zeros_like(P)  # (B, h): sums over draws of dA and of H
    C, extra = np.zeros_like(K), np.zeros_like(W)
    ones = np.ones((draws, B), x.dtype)
    weights, ratios = (ones if v is None else v.astype(x.dtype) for v in (weights, ratios))
    sum_T = weights.sum(axis=0) @ T
    for m in range(draws):
        w, s = weights[m][:, None], ratios[m][:, None]  # (B, 1)
        # forward
        H = sigmoid(P + (W @ c + model.b) + s * sigma * u[m])  # (B, h)
        S = H * (1 - H)
        tau = Q + sigma * u[m] if itself else Q  # T W', the noise in it included
        G = H @ K - tau  # (B, h): R W' of R = H W - T
        square = (w * T.astype(np.float64) ** 2).sum()
        if itself and noise is None:
            square += w.sum() * d * float(sigma) ** 2
        elif itself and noise is not None:
            square = (w * (T + sigma * noise[m]).astype(np.float64) ** 2).sum()
            sum_T += sigma * (w * noise[m]).sum(axis=0)
        loss += (w * H * (G - tau)).sum(dtype=np.float64) + square
        slope = np.zeros_like(H)
        if curved:
            SQ = S @ (W2 @ W2.T) - n
            loss += 2 * float(variance - penalty) * (w[:, 0] * (S @ n - d)).sum(dtype=np.float64)
            loss += 2 * penalty * (w * S * SQ).sum(dtype=np.float64)
            slope = variance * n + 2 * penalty * SQ
            extra += 2 * W * (2 * penalty * (S.T @ (w * S)) @ W2)
            extra += 2 * W * ((variance - 2 * penalty) * (w * S).sum(axis=0))[:, None]
        # backward
        S2 = S * (1 - 2 * H)
        dA = G * S + slope * S2
        # Stein: E[f(u) e'] = E[df/du] W, for f = dA and, where the target has noise, f = -H
        ws = w * s**2
        stein = np.diag((ws * (dA * (1 - 2 * H) - 2 * slope * S**2 - 2 * itself * S)).sum(axis=0))
        stein += K * (S.T @ (ws * S))
        if curved:
            stein += 2 * penalty * (W2 @ W2.T) * (S2.T @ (ws * S2))
        C += H.T @ (w * H) + sigma**2 * stein
        D += w * dA
        E += w * H
    db = D.sum(axis=0)
    dc = E.sum(axis=0) @ W - sum_T
    dW = D.T @ Y - E.T @ T + C @ W + np.outer(db, c) + extra
    return float(loss), Gradient(W=2 * dW, b=2 * db, c=2 * dc)
