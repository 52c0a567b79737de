"""Rows of a sample that repeat, to the bit or up to the rounding of float32."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["NOTHING", "first_of_repeats", "is_rounded", "without_copies"]

FloatArray = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# Of a value: float32 rounds by 2^-24 of it, and rows that are alike may have been rounded twice.
ROUNDING = 2.0**-22
# Of the spread. Far from 0, rounding to float32 may be more, but rows so far apart are not alike.
MOST_ROUNDING = 1e-4
NOTHING = 1e-7  # of the spread: below it, what is left of a distance is rounding
# Of a row: no row of a million that are drawn from as many, with replacement, occurs more often.
MOST_COPIES = 12
# Comparisons of all rows with others; rows that are not compared by then count as distinct. Five
# places with twenty thousand rows at each take 16.
PASSES = 100
# A ladder of more steps than this is not told from numbers that are not rounded: among many of
# these, some are as close as what NOTHING takes for rounding.
MOST_STEPS = 0.1 / NOTHING


def _rounding_of(values: FloatArray, spread: FloatArray) -> FloatArray:
    """Return how far apart two rows may be, at most, to be one row that was rounded; shape (n, d).

    Roundings are relative to the values, (n, d), and, in a rotation say, to the spread (d,) of the
    features.
    """
    rounding: FloatArray = np.minimum(ROUNDING * (np.abs(values) + spread), MOST_ROUNDING * spread)
    return rounding


def first_of_repeats(sample: FloatArray, centre: FloatArray) -> tuple[Indices, Indices]:
    """Return the first row (k,) of each group of rows that are alike, and the group of each (N,).

    ``sample`` is centred; adding ``centre`` gives the values that were rounded.
    """
    first, owner = _first_of_equal(sample)
    leader = _up_to_rounding(sample[first] if len(first) < len(sample) else sample, centre)
    kept, place = np.unique(leader, return_inverse=True)
    return first[kept], place.reshape(-1)[owner]


def _first_of_equal(sample: FloatArray) -> tuple[Indices, Indices]:
    """Return the same for rows that are alike to the bit.

    Bytes are compared, which takes a tenth of the time that comparing columns does.
    """
    values = sample + 0.0  # in which 0 and -0 are the same
    rows = values.view(np.dtype((np.void, values.itemsize * values.shape[1])))[:, 0]
    _, first, owner = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[owner.reshape(-1)]


def _up_to_rounding(rows: FloatArray, centre: FloatArray) -> Indices:
    """Return the first row that each row is alike to, which is often itself; shape (N,).

    Rows that are alike have nearly the same projection on any direction, so they are close when
    rows are sorted by it. Each pass compares every row with the one ``step`` places after it. Of a
    run of rows that are alike, every second one is removed at once, so the passes that it takes
    grow with the logarithm of its length.
    """
    spread = _spread(rows)
    rounding = _rounding_of(rows + centre, spread)
    normals: FloatArray = np.random.default_rng(0).standard_normal(rows.shape[1:])
    direction = normals / np.where(spread > np.finfo(np.float64).tiny, spread, 1.0)
    along = np.einsum("ij,j->i", rows, direction)
    reach = np.einsum("ij,j->i", rounding, np.abs(direction))
    order = np.argsort(along, kind="stable")
    leader = np.arange(len(rows))
    step = 1
    for _ in range(PASSES):
        if step >= len(order):
            break
        begin, end = order[:-step], order[step:]
        near = np.flatnonzero(along[end] - along[begin] <= reach[begin])
        if len(near) == 0:
            break
        one, other = begin[near], end[near]
        near = near[(np.abs(rows[one] - rows[other]) <= rounding[one]).all(axis=1)]
        if len(near) == 0:
            step += 1
            continue
        even = near // step % 2 == 0  # no leader is led then
        near = near[even if even.any() else ~even]
        leader[order[near + step]] = order[near]
        order, step = np.delete(order, near + step), 1
    while (leader[leader] != leader).any():
        leader = leader[leader]
    first = np.arange(len(rows))
    np.minimum.at(first, leader, first.copy())
    return first[leader]


def _spread(rows: FloatArray) -> FloatArray:
    """Return a mean deviation of each feature that a few remote rows do not change, unless it is 0.

    Where most values are alike, the median of deviations would be of their rounding.
    """
    deviations = np.abs(rows - np.median(rows, axis=0))
    remote = np.quantile(deviations, 0.99, axis=0)
    spread: FloatArray = np.minimum(deviations, np.where(remote > 0, remote, np.inf)).mean(axis=0)
    return spread


def without_copies(rows: FloatArray) -> FloatArray:
    """Return rows without copies: of rows that are copies of each other, the first.

    Rows that are alike are copies if new rows would not be expected to be alike: if a feature is
    continuous, or if most rows that agree in most features agree in all. Rows that occur more than
    ``MOST_COPIES`` times are kept, because new rows can be expected there.
    """
    centre = rows.mean(axis=0)
    first, owner = first_of_repeats(rows - centre, centre)
    if len(first) == len(rows):
        return rows
    counts = np.bincount(owner)
    few = counts <= MOST_COPIES
    # If most rows occur often, the data are discrete, and the others are rare values.
    if (counts[few] == 1).all() or counts[few].sum() < len(rows) / 2:
        return rows
    if not (_has_continuous(rows[first[few]]) or _agree_in_all_if_in_most(rows[few[owner]])):
        return rows
    kept = ~few[owner]
    kept[first] = True
    return np.ascontiguousarray(rows[kept]) if kept.sum() > 1 else rows


def _has_continuous(distinct: FloatArray) -> bool:
    """Whether a feature has mostly distinct values in distinct rows, and is not rounded."""
    columns = (np.unique(column) for column in distinct.T)
    return any(len(v) > len(distinct) / 2 and not _are_steps(v) for v in columns)


def _agree_in_all_if_in_most(rows: FloatArray) -> bool:
    """Whether more than half of the pairs of rows that agree in most features agree in all.

    "Most features" leaves out the third that agrees least often. Rows that agree by chance in most
    features rarely agree in these as well.
    """
    generator = np.random.default_rng(0)
    codes, often = [], []
    for column in rows.T:
        values, which, counts = np.unique(column, return_inverse=True, return_counts=True)
        codes.append(generator.integers(2**64, size=len(values), dtype=np.uint64)[which.ravel()])
        often.append(_pairs(counts))
    order = np.argsort(often, kind="stable")
    # Rows have equal sums of random codes only if they have equal values.
    rest = sum(codes[i] for i in order[max(1, len(order) // 3) :])
    within = _pairs(np.unique(rest, return_counts=True)[1]) if len(order) > 1 else np.inf
    return 2 * _pairs(np.unique(sum(codes), return_counts=True)[1]) > within


def _pairs(counts: Indices) -> float:
    """Return how many pairs there are within groups of so many."""
    return float((counts * (counts - 1.0) / 2).sum())


def is_rounded(distinct: FloatArray) -> bool:
    """Whether the values of every feature are rounded."""
    return all(_are_steps(np.unique(column)) for column in distinct.T)


def _are_steps(values: FloatArray) -> bool:
    """Whether sorted numbers are multiples of a step, up to the rounding of float32.

    The closest two tell the step, of which the range has few for m numbers: less than m^1.5. The
    closest two of m numbers that are not rounded are about 1 / m^2 of their range apart.
    """
    if len(values) < 2:
        return True
    span, gaps = values[-1] - values[0], np.diff(values)
    steps = span / gaps[gaps > NOTHING * span].min()  # 0.3 and 3 * 0.1 are one step
    return bool(steps <= min((len(values) - 1) * math.sqrt(len(values)), MOST_STEPS))
