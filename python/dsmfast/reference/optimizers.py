"""The optimizers, a parameter at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsmfast.reference.table import Array


def moments_of(rule: Any) -> int:
    """How many arrays like a parameter the rule remembers: Adam's two, the velocity of SGD."""
    if hasattr(rule, "beta1"):
        return 2
    return 1 if rule.momentum > 0 else 0


def rate_of(rule: Any, n_features: int, n_hidden: int) -> float:
    """Learning rate: what it says, or 1.5 / (h^1/2 d^1/4)."""
    if rule.learning_rate is not None:
        return float(rule.learning_rate)
    return float(1.5 / (n_hidden**0.5 * n_features**0.25))


def update(rule: Any, rate: float, step: int, w: Array, g: Array, moments: list[Array]) -> None:
    """One step on one parameter, in place; ``step`` counts from 1, weights alone decay."""
    if hasattr(rule, "beta1"):
        m, v = moments
        m[...] = rule.beta1 * m + (1 - rule.beta1) * g
        v[...] = rule.beta2 * v + (1 - rule.beta2) * g**2
        m_hat = m / (1 - rule.beta1**step)
        v_hat = v / (1 - rule.beta2**step)
        direction = m_hat / (np.sqrt(v_hat) + rule.epsilon)
    elif moments:
        (velocity,) = moments
        velocity[...] = rule.momentum * velocity + g
        direction = g + rule.momentum * velocity if rule.nesterov else velocity
    else:
        direction = g
    if w.ndim == 2:
        w *= 1 - rate * rule.weight_decay
    w -= rate * direction
