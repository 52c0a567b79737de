"""Rows of a sample that repeat, to the bit or up to the rounding of float32.

What rounding is, is decided here for all: for copies in a sample, and for rows of a sample that
come back (:mod:`dsmfast.sklearn.places`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["NOTHING", "first_of_repeats", "is_rounded", "rounding_of", "without_copies"]

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


def rounding_of(values: FloatArray, spread: FloatArray) -> FloatArray:
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
    rounding = rounding_of(rows + centre, spread)
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
    """Return rows, each once, where those that repeat are copies.

    They are not if no feature is continuous, or if a row occurs often: it is then a place where new
    rows lie too. Of a continuous feature distinct rows have distinct values, which are not rounded.
    """
    centre = rows.mean(axis=0)
    first, owner = first_of_repeats(rows - centre, centre)
    if len(first) == len(rows) or np.bincount(owner).max() > MOST_COPIES:
        return rows
    distinct = np.ascontiguousarray(rows[first])
    for column in distinct.T:
        values = np.unique(column)
        if len(values) > len(distinct) / 2 and not _are_steps(values):
            return distinct
    return rows


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
