"""The noise stream, and what is made of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast.reference.table import Array, Corruption

STREAMS = {"noise": 0, "initial": 1, "shuffle": 2, "validation": 3, "scale": 4, "chain": 5}


def philox(counter: list[Array], seed: int) -> list[Array]:
    """Philox4x32-10: four 32-bit words for each counter of four 32-bit words.

    Examples
    --------
    The words of a counter and a key of zeros, as Random123 lists them:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> zero = np.zeros(1, dtype=np.uint64)
    >>> [hex(int(word[0])) for word in reference.philox([zero] * 4, seed=0)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    low = np.uint64(0xFFFFFFFF)
    c = [word.astype(np.uint64) for word in counter]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c[0]
        p1 = np.uint64(0xCD9E8D57) * c[2]
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(key[0]),
            p1 & low,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(key[1]),
            p0 & low,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def words_of(seed: int, step: int, draw: int, rows: Array, groups: int, stream: str) -> list[Array]:
    """Words (n, groups) of the counters (group, row, step, stream | row | draw)."""
    row = np.asarray(rows, dtype=np.uint64)[:, None]
    group = np.arange(groups, dtype=np.uint64)[None, :]
    shape = np.broadcast_shapes(row.shape, group.shape)
    last = np.uint64(STREAMS[stream] << 28 | draw) | (row >> np.uint64(32)) << np.uint64(16)
    counter: list[Any] = [group, row & np.uint64(0xFFFFFFFF), np.uint64(step), last]
    return philox([np.broadcast_to(word, shape) for word in counter], seed)


def normals(
    seed: int,
    step: int,
    draw: int,
    rows: npt.ArrayLike,
    columns: int,
    dtype: npt.DTypeLike = "float32",
    *,
    stream: str = "noise",
) -> Array:
    """Box-Muller transform of the words: column j is output j % 4 of counter group j // 4.

    Examples
    --------
    The compiled stream has the same numbers:

    >>> import dsmfast, numpy as np
    >>> place = {"seed": 1, "step": 0, "draw": 0, "rows": range(100), "columns": 3}
    >>> bool(np.allclose(dsmfast.reference.normals(**place), dsmfast.normals(**place), atol=1e-6))
    True
    """
    numbers = np.asarray(rows)
    groups = -(-columns // 4)
    words = words_of(seed, step, draw, numbers, groups, stream)
    u = [(word.astype(np.float64) + 0.5) / 2.0**32 for word in words]
    z = np.empty((len(numbers), groups, 4))
    for pair in (0, 2):
        radius = np.sqrt(-2 * np.log(u[pair]))
        z[:, :, pair] = radius * np.cos(2 * np.pi * u[pair + 1])
        z[:, :, pair + 1] = radius * np.sin(2 * np.pi * u[pair + 1])
    return z.reshape(len(numbers), -1)[:, :columns].astype(dtype)


def drawn(
    shape: tuple[int, int, int],
    dtype: npt.DTypeLike,
    *,
    seed: int,
    step: int,
    rows: npt.ArrayLike,
    antithetic: bool = False,
    stream: str = "noise",
) -> Array:
    """Noise (draws, B, columns); antithetic, draw 2m + 1 is draw 2m with the sign turned.

    Examples
    --------
    >>> from dsmfast import reference
    >>> place = {"seed": 0, "step": 0, "rows": range(3)}
    >>> noise = reference.drawn((2, 3, 4), "float64", antithetic=True, **place)
    >>> bool((noise[0] == -noise[1]).all())
    True
    """
    draws, _, columns = shape
    of_draw = [
        normals(seed, step, m - m % 2 if antithetic else m, rows, columns, dtype, stream=stream)
        for m in range(draws)
    ]
    return np.stack([-z if antithetic and m % 2 else z for m, z in enumerate(of_draw)])


def noise_scales(
    seed: int,
    step: int,
    draw: int,
    rows: npt.ArrayLike,
    sigma: float,
    sigma_max: float,
    coarse: float = 0.5,
    dtype: npt.DTypeLike = "float32",
) -> Array:
    """Scales (n,): word 0 decides whether a row is coarse, word 1 its scale.

    Examples
    --------
    About half of the rows have the smallest scale:

    >>> from dsmfast import reference
    >>> scales = reference.noise_scales(0, 0, 0, range(1000), sigma=1, sigma_max=10)
    >>> bool(abs((scales == 1).mean() - 0.5) < 0.05 and scales.max() <= 10)
    True
    """
    words = [word[:, 0] for word in words_of(seed, step, draw, np.asarray(rows), 1, "scale")]
    u = (words[1].astype(np.float64) + 0.5) / 2.0**32
    scales = sigma * (sigma_max / sigma) ** u
    return np.where(words[0] < round(coarse * 2**32), scales, sigma).astype(dtype)


def drawn_scales(
    draws: int,
    dtype: npt.DTypeLike,
    *,
    seed: int,
    step: int,
    rows: npt.ArrayLike,
    antithetic: bool = False,
    **scales: float,
) -> Array:
    """Scales (draws, B); an antithetic pair shares them.

    Examples
    --------
    >>> from dsmfast import reference
    >>> place = {"seed": 0, "step": 0, "rows": range(5)}
    >>> reference.drawn_scales(2, "float32", **place, sigma=1, sigma_max=10).shape
    (2, 5)
    """
    return np.stack(
        [
            noise_scales(seed, step, m - m % 2 if antithetic else m, rows, dtype=dtype, **scales)
            for m in range(draws)
        ]
    )


def shuffled_rows(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int64]:
    """Order of an epoch: Fisher and Yates, row i with row floor(r (i + 1) / 2^64).

    Examples
    --------
    >>> from dsmfast import reference
    >>> sorted(reference.shuffled_rows(seed=0, epoch=1, rows=5).tolist())
    [0, 1, 2, 3, 4]
    """
    words = words_of(seed, epoch, 0, np.arange(rows), 1, "shuffle")
    order = np.arange(rows)
    for i in range(rows - 1, 0, -1):
        j = ((int(words[1][i, 0]) << 32 | int(words[0][i, 0])) * (i + 1)) >> 64
        order[[i, j]] = order[[j, i]]
    return order


def overwritten(
    x: Array, corruption: Corruption, seed: int, step: int, draw: int, rows: npt.ArrayLike
) -> Array:
    """Features overwritten: word j % 4 of group j // 4 decides on column j.

    Examples
    --------
    A chance of 1/2 overwrites about half of the features, here of ones:

    >>> import numpy as np
    >>> from dsmfast import reference
    >>> corruption = reference.Corruption(chance=2**31, low=0.0, high=0.0)
    >>> x = reference.overwritten(np.ones((500, 8)), corruption, 0, 0, 0, range(500))
    >>> bool(abs(x.mean() - 0.5) < 0.05)
    True
    """
    groups = -(-x.shape[1] // 4)
    words = words_of(seed, step, draw, np.asarray(rows), groups, "noise")
    word = np.stack(words, axis=2).reshape(len(x), -1)[:, : x.shape[1]]
    low, high = 2 * word < corruption.chance, word < corruption.chance
    kept: Array = np.where(high, corruption.high, x)
    return np.where(low, corruption.low, kept).astype(x.dtype)
