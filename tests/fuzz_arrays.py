"""Arrays and other values to call functions with: of any layout, and of any kind of wrongness."""

from __future__ import annotations

from functools import cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

DTYPES = (np.dtype("float32"), np.dtype("float64"))
POOL = np.random.default_rng(0).standard_normal(1 << 16)

# Small ones, and now and then one around registers, panels, blocks and tiles.
SMALL = (1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 9)
EDGES = tuple(n + i for n in (16, 32, 64, 96, 128, 256) for i in (-1, 0, 1))
sizes = st.sampled_from((*(6 * SMALL), *EDGES))
dtypes = st.sampled_from(DTYPES)
seeds = st.integers(0, 2**64 - 1)
steps = st.integers(0, 2**32 - 1)


@cache
def once_in(n):
    return st.integers(1, n).map(lambda i: i == n)


@cache
def numbers(shape, dtype):
    """Numbers around 1, which no function may refuse."""
    count = int(np.prod(shape))

    def taken(first):
        values = POOL[first : first + count]
        values = values if len(values) == count else np.resize(POOL, count)
        return values.astype(dtype).reshape(shape)

    return st.integers(0, len(POOL) - 1).map(taken)


class Rows(np.ndarray):
    """A subclass, as other packages have them."""


def _within(array, shape, place):
    """Return the array as a part of a larger one, in which nobody may read the rest."""
    unused = np.nan if array.dtype.kind == "f" else 99
    wide = np.full(shape, unused, array.dtype)
    wide[place] = array
    return wide[place]


def _every_other(array):
    places = tuple(slice(None, None, 2) for _ in array.shape)
    return _within(array, [2 * n for n in array.shape], places)


def _inside(array):
    places = tuple(slice(1, n + 1) for n in array.shape)
    return _within(array, [n + 3 for n in array.shape], places)


def _reversed(array):
    turned = tuple(slice(None, None, -1) for _ in array.shape)
    return np.ascontiguousarray(array[turned])[turned]


def _misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    view = raw.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def _field(array):
    records = np.zeros(array.shape, np.dtype([("tag", "i1"), ("x", array.dtype)]))
    records["x"] = array
    return records["x"]


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = (
    lambda array: array,
    np.asfortranarray,
    _every_other,
    _reversed,
    _inside,
    _misaligned,
    _field,
    _read_only,
    lambda array: array.astype(array.dtype.newbyteorder()),
    lambda array: array.view(Rows),
    lambda array: array.tolist(),
    lambda array: tuple(map(tuple, array.tolist())) if array.ndim == 2 else array,
    lambda array: memoryview(np.ascontiguousarray(array)),
)
layouts = st.sampled_from((*(8 * LAYOUTS[:1]), *LAYOUTS))


def laid_out(arrays):
    """The same numbers, in any layout."""
    return st.builds(lambda layout, array: layout(array), layouts, arrays)


@cache
def rows(shape, dtype):
    """Numbers that fit a precision, in any layout, of narrower types, and as rows of stride 0."""
    whole = numbers(shape, dtype).map(lambda array: (4 * array).astype("int8"))
    narrow = st.builds(np.ndarray.astype, whole, st.sampled_from(("i1", "u1", "f2", "i2")))
    same = numbers(shape, dtype).map(lambda array: np.broadcast_to(array[:1], shape))
    return st.one_of(*(8 * [laid_out(numbers(shape, dtype))]), laid_out(narrow), same)


# Values of any kind. Whole numbers are negative or beyond every limit: large sizes that are allowed
# take their time.
strange = st.one_of(
    st.none() | st.booleans(),
    st.integers(max_value=0) | st.integers(min_value=2**63) | st.just(10**400),
    st.floats() | st.floats(width=32).map(np.float32) | st.complex_numbers(),
    st.decimals() | st.fractions() | st.binary(max_size=3),
    st.sampled_from(("", "x", "1", "é\0", "float16", ["a", "b"], [[None]], [[1.0], [1.0, 2.0]])),
    st.sampled_from(((), [], {}, set())) | st.lists(st.floats(), max_size=3),
    st.sampled_from((range(3), slice(3), int, object(), bytearray(b"ab"), np.dtype("float32"))),
    st.sampled_from(
        (np.int8(3), np.uint64(2**64 - 1), np.bool_(True), np.str_("dsm"), np.ma.masked)
    ),
    st.sampled_from((np.longdouble(0.5), np.array(0.5), np.array([None, 1], dtype=object))),
    npst.arrays(
        st.sampled_from(("f4", "f8", ">f8", "i8", "u1", "c16", "?", "m8[s]", "S2")),
        npst.array_shapes(max_dims=3, min_side=0, max_side=3),
        fill=st.nothing(),
    ),
)

TOO_MUCH = (np.nan, np.inf, -np.inf, 1e38, -1e38, 3e38, 1e-38, 1e-45, 1e19, 1e160, 1e300, -0.0)
OTHER_DTYPES = (
    *("f2", "f4", "f8", "longdouble", ">f4", ">f8", "c8", "c16", "i1", "u1", "i2", "i4", "i8"),
    *("u8", ">i8", "bool", "object", "str", "bytes", "datetime64[s]", "timedelta64[s]"),
)
RESHAPED = (
    lambda array, axis: array[None],
    lambda array, axis: array[..., None],
    lambda array, axis: array.ravel(),
    lambda array, axis: array.T,
    lambda array, axis: np.asarray(array[0]) if len(array) else array,
    lambda array, axis: array[..., :0],
    lambda array, axis: array[:0],
    lambda array, axis: np.concatenate([array, array], axis),
    lambda array, axis: np.delete(array, 0, axis) if array.size else array,
    lambda array, axis: np.array(array.flat[0]) if array.size else array,
)


@st.composite
def _spoiled_array(draw, array):
    array = np.array(array, dtype=array.dtype.newbyteorder("="))
    how = draw(st.sampled_from(("value", "scale", "dtype", "shape")))
    with np.errstate(all="ignore"):
        if how == "dtype":
            return array.astype(draw(st.sampled_from(OTHER_DTYPES)))
        if how == "shape":
            axis = draw(st.integers(0, array.ndim - 1))
            return draw(st.sampled_from(RESHAPED))(array, axis)
        if array.dtype.kind == "f" and how == "scale":
            array = (array * 10.0 ** draw(st.integers(-320, 308))).astype(array.dtype)
        elif array.dtype.kind == "f" and array.size:
            array.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from(TOO_MUCH))
    if draw(once_in(20)):
        return np.ma.array(array, mask=draw(st.booleans()))
    return draw(layouts)(array) if array.size else array


def spoiled(value):
    """Another value: an array with something wrong, or anything at all."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and value.ndim:
        return st.one_of(*(4 * [_spoiled_array(value)]), strange)
    return strange


def plain(value: object) -> object:
    """Return an array as NumPy makes them, and everything else as it is."""
    if type(value) in (np.ndarray, Rows):
        return np.array(value, dtype=value.dtype.newbyteorder("="), order="C", subok=False)
    return value


def held(value: object) -> bytes | None:
    """Return what an array holds, to see whether a call changed it."""
    if type(value) in (np.ndarray, Rows) and value.dtype != object:
        return value.tobytes()
    return None
