"""Rows of a sample that repeat, to the bit or up to the rounding of float32."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["NOTHING", "first_of_repeats", "is_rounded", "without_copies"]

FloatArray = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

# Of a value: float32 rounds by 2^-24 of it, and rows that are alike may have been rounded twice.
ROUNDING = 2.0**-22
SMALL = 1e-4  # of the spread, which rounding is at most: values may be far from 0
NOTHING = 1e-7  # of the spread: below it, what is left of a distance is rounding
# Of a row: no row of a million that are drawn from as many, with replacement, occurs more often.
MOST_COPIES = 12
PASSES = 100  # of comparing rows, which twenty thousand rows at each of five places take 16 of


def first_of_repeats(sample: FloatArray, centre: FloatArray) -> tuple[Places, Places]:
    """Return the places (k,) of the first of all rows that are alike, and (N,) which of them it is.

    ``sample`` is centred; with ``centre`` it is as it came.
    """
    first, owner = _first_of_equal(sample)
    leader = _up_to_rounding(sample[first] if len(first) < len(sample) else sample, centre)
    kept, place = np.unique(leader, return_inverse=True)
    return first[kept], place.reshape(-1)[owner]


def _first_of_equal(sample: FloatArray) -> tuple[Places, Places]:
    """Return the same where rows are alike to the bit.

    Bytes are compared, which takes a tenth of the time that comparing columns does.
    """
    values = sample + 0.0  # in which 0 and -0 are the same
    rows = values.view(np.dtype((np.void, values.itemsize * values.shape[1])))[:, 0]
    _, first, owner = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[owner.reshape(-1)]


def _up_to_rounding(rows: FloatArray, centre: FloatArray) -> Places:
    """Return for each row the one that it counts as, often itself.

    Rows that are alike are alike along any direction too, where sorting brings them together: a row
    is compared with those after it until they are too far along. Of rows in a line, each second one
    is taken out at a time, so that many rows at one place cost no more than their logarithm.
    """
    spread = _spread(rows)
    rounding = np.minimum(ROUNDING * (np.abs(rows + centre) + spread), SMALL * spread)
    normals: FloatArray = np.random.default_rng(0).standard_normal(rows.shape[1:])
    direction = normals / np.where(spread > 0, spread, 1.0)
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
    first, owner = _first_of_equal(rows)
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
    """Whether sorted numbers are steps of a ladder that is not much longer than they are many.

    Of m numbers that are not, the closest two are about 1 / m^2 of their range apart.
    """
    if len(values) < 2:
        return True
    span, gaps = values[-1] - values[0], np.diff(values)
    steps = span / gaps[gaps > NOTHING * span].min()  # 0.3 and 3 * 0.1 are one step
    return bool(steps <= (len(values) - 1) * math.sqrt(len(values)))
