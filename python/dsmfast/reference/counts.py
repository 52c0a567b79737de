"""Binomial counts, as a pure function of their place in the stream."""

from __future__ import annotations

import math

import numpy as np

from dsmfast.reference.noise import words_of
from dsmfast.reference.table import Array

FEW_TRIALS = 24
ATTEMPTS = 64
TIE_DRAW = 0x8000


def binomial_counts(
    a: Array, trials: int, *, seed: int, step: int, rows: Array, first_draw: int = 2
) -> Array:
    """Draw k ~ Binomial(trials, sigmoid(a)) for a (n, h), as counts of the rarer outcome.

    Few trials are counted one by one, with half a random word each. Many trials are drawn by
    inversion or rejection.

    Examples
    --------
    Where a is 0, half of the trials succeed on average:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> k = reference.binomial_counts(np.zeros((1000, 4)), 10, seed=0, step=0, rows=np.arange(1000))
    >>> bool(abs(k.mean() - 5) < 0.1)
    True
    """
    e = np.exp(-np.abs(a))
    chance = e / (1 + e)
    draw = _by_trials if trials <= FEW_TRIALS else _by_attempts
    rarer = draw(chance, trials, seed, step, rows, first_draw)
    counts: Array = np.where(a < 0, rarer, trials - rarer)
    return counts


def _unit_words(shape: tuple[int, ...], seed: int, step: int, draw: int, rows: Array) -> Array:
    """Words (n, h): unit j takes output j / 16 % 4 of counter 16 (j / 64) + j % 16."""
    j = np.arange(shape[1])
    words = words_of(seed, step, draw, rows, 16 * (shape[1] // 64 + 1), "chain")
    picked: Array = np.stack(words)[j // 16 % 4, :, 16 * (j // 64) + j % 16].T
    return picked


def _half_words(shape: tuple[int, ...], seed: int, step: int, draw: int, rows: Array) -> Array:
    """Half words (n, h): of 128 units, 64 take lower halves of as many words, 64 the upper."""
    j = np.arange(shape[1])
    words = words_of(seed, step, draw, rows, 16 * (shape[1] // 128 + 1), "chain")
    picked: Array = np.stack(words)[j % 64 // 16, :, 16 * (j // 128) + j % 16].T
    halves: Array = picked >> (j // 64 % 2 * 16).astype(picked.dtype) & np.uint64(0xFFFF)
    return halves


def _by_trials(
    chance: Array, trials: int, seed: int, step: int, rows: Array, first_draw: int
) -> Array:
    """Count half words below 2^16 chance; a word of its own breaks a tie."""
    bound = chance * 2.0**16
    below = np.floor(bound)
    counts = np.zeros_like(chance)
    for i in range(trials):
        half = _half_words(chance.shape, seed, step, first_draw + i, rows)
        word = _unit_words(chance.shape, seed, step, first_draw + i + TIE_DRAW, rows)
        rest = (word.astype(np.float64) + 0.5) / 2.0**32
        counts += (half < below) | ((half == below) & (rest < bound - below))
    return counts


def _by_attempts(
    chance: Array, trials: int, seed: int, step: int, rows: Array, first_draw: int
) -> Array:
    counts = np.full(chance.shape, -1.0)
    for attempt in range(ATTEMPTS):
        words = words_of(seed, step, first_draw + attempt, rows, chance.shape[1], "chain")
        u, v = (uniform(words[i], words[i + 1]) for i in (0, 2))
        for place in zip(*np.nonzero(counts < 0), strict=True):
            t = float(chance[place])
            attempted = inverted if trials * t < 10 else rejected
            counts[place] = attempted(trials, t, float(u[place]), float(v[place]))
    mean = np.floor(trials * chance)
    found: Array = np.where(counts < 0, mean, counts)
    return found


def uniform(high: Array, low: Array) -> Array:
    """Return a uniform of 53 bits of two words."""
    bits = (high.astype(np.uint64) << np.uint64(21)) | (low.astype(np.uint64) >> np.uint64(11))
    value: Array = (bits.astype(np.float64) + 0.5) / 2.0**53
    return value


def inverted(n: int, t: float, u: float, _: float) -> float:
    """Return the smallest m with P(count <= m) > u."""
    chance, m = math.exp(n * math.log1p(-t)), 0
    while u >= chance and m < n:
        u -= chance
        m += 1
        chance *= t / (1 - t) * (n - m + 1) / m
    return m


def rejected(n: int, t: float, u: float, v: float) -> float:
    """Make one attempt at transformed rejection (Hormann 1993, BTRS); -1 where it is refused."""
    spread = math.sqrt(n * t * (1 - t))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * t
    from_end = 0.5 - abs(u - 0.5)
    m = math.floor((2 * a / from_end + b) * (u - 0.5) + n * t + 0.5)
    if from_end >= 0.07 and v <= 0.92 - 4.2 / b:
        return m
    if not 0 <= m <= n:
        return -1
    mode = math.floor((n + 1) * t)
    hat = math.log(v * (2.83 + 5.1 / b) * spread / (a / from_end**2 + b))
    return m if hat <= _log_law(n, t, m) - _log_law(n, t, mode) else -1


def _log_law(n: int, t: float, k: int) -> float:
    """Logarithm of P(count = k)."""
    choices = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return choices + k * math.log(t) + (n - k) * math.log1p(-t)
