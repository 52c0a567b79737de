"""The noise stream: parity, purity, and whether it is noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import dsmfast
from dsmfast import _core, reference
from problems import DTYPES

# Next to the reference in float64, absolute: rounding of log, sin and cos at |z| < 7.
STREAM = {"float32": 2e-6, "float64": 1e-14}


def test_philox_known_answers():
    """Vectors of Random123's kat_vectors for philox4x32-10."""
    ones = 0xFFFFFFFF
    cases = [
        ([0, 0, 0, 0], 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ones] * 4, ones << 32 | ones, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            0x299F31D0 << 32 | 0xA4093822,
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ]
    for counter, key, expected in cases:
        words = reference.philox([np.array([c], np.uint64) for c in counter], key)
        assert [int(w[0]) for w in words] == expected


@given(
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, 2**32 - 1),
    draw=st.integers(0, 2**16 - 1),
    first=st.integers(0, 2**44 - 70),
    n=st.integers(1, 70),
    columns=st.integers(1, 150),
    dtype=st.sampled_from(DTYPES),
)
def test_parity_with_reference(seed, step, draw, first, n, columns, dtype):
    rows = np.arange(first, first + n)
    actual = dsmfast.normals(seed, step, draw, rows, columns, dtype)
    expected = reference.normals(seed, step, draw, rows, columns, "float64")
    assert actual.dtype == dtype
    assert np.abs(actual - expected).max() <= STREAM[dtype]


def test_float32_is_accurate_also_for_small_values():
    """Relative to each value: what the integer reduction is for."""
    single = dsmfast.normals(1, 0, 0, np.arange(20_000), 64, "float32").astype(np.float64)
    double = dsmfast.normals(1, 0, 0, np.arange(20_000), 64, "float64")
    assert np.abs(single / double - 1).max() < 1e-6


@given(
    order=st.permutations(list(range(23))), columns=st.integers(1, 90), threads=st.integers(1, 4)
)
def test_is_a_pure_function_of_its_counter(order, columns, threads):
    rows = np.arange(100, 123)
    together = dsmfast.normals(9, 4, 2, rows, 90)
    shuffled = dsmfast.normals(9, 4, 2, rows[order], columns, threads=threads)
    assert np.array_equal(shuffled, together[order, :columns])
    alone = dsmfast.normals(9, 4, 2, [107], columns)
    assert np.array_equal(alone[0], together[7, :columns])


def test_every_part_of_the_counter_matters():
    base = {"seed": 1, "step": 2, "draw": 3, "rows": [4], "columns": 64}
    values = [dsmfast.normals(**base)]
    for change in (
        {"seed": 2},
        {"seed": 1 + 2**32},
        {"step": 3},
        {"draw": 4},
        {"rows": [5]},
        {"rows": [4 + 2**32]},
    ):
        values.append(dsmfast.normals(**{**base, **change}))
    for stream in (_core.Stream.initial, _core.Stream.validation):
        values.append(_core.normals_float32(1, 2, 3, np.array([4]), 64, stream, 1))
    for i in range(len(values)):
        for j in range(i):
            assert not np.any(values[i] == values[j])


@pytest.fixture(scope="module")
def ten_million():
    return dsmfast.normals(2026, 0, 0, np.arange(10_000), 1000, "float32").astype(np.float64)


def test_moments_over_ten_million(ten_million):
    z = ten_million.ravel()
    n = z.size
    # Five standard errors of each moment of a normal sample.
    assert abs(z.mean()) < 5 / np.sqrt(n)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs((z**3).mean()) < 5 * np.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 5 * np.sqrt(96 / n)
    assert 5 < np.abs(z).max() < 6.77


def test_distribution_over_ten_million(ten_million):
    assert stats.kstest(ten_million[::7].ravel(), "norm").pvalue > 1e-3  # sorting takes its time
    tail = (ten_million > 4).sum()
    expected = ten_million.size * stats.norm.sf(4)
    assert abs(tail - expected) < 5 * np.sqrt(expected)


def test_cross_correlations(ten_million):
    """Between columns, rows, neighbours, and the two outputs of one Box-Muller pair."""
    z = ten_million
    limit = 5 / np.sqrt(z.size)
    assert abs((z[:, 1:] * z[:, :-1]).mean()) < limit * 1.01
    assert abs((z[1:] * z[:-1]).mean()) < limit * 1.01
    assert abs((z[:, 0::4] * z[:, 1::4]).mean()) < 2 * limit
    assert abs((z[:, 0::4] ** 2 * z[:, 1::4] ** 2).mean() - 1) < 2 * limit * 8**0.5
    columns = np.corrcoef(z[:, :200].T)[np.triu_indices(200, 1)] * np.sqrt(len(z))
    assert stats.kstest(columns, "norm").pvalue > 1e-3
    other_step = dsmfast.normals(2026, 1, 0, np.arange(1000), 1000).astype(np.float64)
    assert abs((z[:1000] * other_step).mean()) < 5 / 1000


def test_shuffle_is_a_permutation_and_the_references():
    for n in (1, 2, 15, 16, 17, 33, 500):
        order = _core.shuffled_rows(3, 1, n)
        assert np.array_equal(np.sort(order), np.arange(n))
        assert np.array_equal(order, reference.shuffled_rows(3, 1, n))
    assert not np.array_equal(_core.shuffled_rows(3, 1, 500), _core.shuffled_rows(3, 2, 500))


def test_shuffle_is_uniform():
    counts = np.zeros((6, 6))
    for epoch in range(6000):
        counts[np.arange(6), _core.shuffled_rows(0, epoch, 6)] += 1
    chi2 = ((counts - 1000) ** 2 / 1000).sum()  # 25 degrees of freedom
    assert stats.chi2.sf(chi2, 25) > 1e-3


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed: expected an integer of at least 0, got -1"),
        ({"seed": 1.5}, TypeError, "seed: expected an integer, got 1.5"),
        ({"step": 2**32}, ValueError, "step: expected an integer of at most"),
        ({"draw": 2**16}, ValueError, "draw: expected an integer of at most"),
        ({"rows": [[0]]}, TypeError, "rows: expected a 1-D array of integers"),
        ({"rows": [0.5]}, TypeError, "rows: expected a 1-D array of integers"),
        ({"rows": []}, TypeError, "rows: expected a 1-D array of integers"),
        ({"rows": [-1]}, ValueError, "rows: expected at least one row number"),
        ({"rows": [2**44]}, ValueError, "rows: expected at least one row number"),
        ({"columns": 0}, ValueError, "columns: expected an integer of at least 1"),
        ({"dtype": "float16"}, ValueError, "dtype: expected 'float32' or 'float64'"),
        ({"threads": 0}, ValueError, "threads: expected an integer of at least 1"),
    ],
)
def test_bad_input(change, error, message):
    base = {"seed": 1, "step": 2, "draw": 3, "rows": [4], "columns": 8}
    with pytest.raises(error, match=message):
        dsmfast.normals(**{**base, **change})
