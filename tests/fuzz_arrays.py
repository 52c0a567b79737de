"""Arrays and other values to call functions with: of any layout, and of any kind of wrongness."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
from fuzzing import Choices

DTYPES = (np.dtype("float32"), np.dtype("float64"))

SMALL = (1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 9)
# Around registers, panels, blocks and tiles.
EDGES = (15, 16, 17, 31, 32, 33, 63, 64, 65, 95, 96, 97, 127, 128, 129, 255, 256, 257)

_POOL = np.random.default_rng(0).standard_normal(1 << 16)


def size(choices: Choices, edges: float = 0.05) -> int:
    return choices.pick(EDGES if choices.chance(edges) else SMALL)


def numbers(choices: Choices, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return numbers around 1, which no function may refuse."""
    count = int(np.prod(shape))
    first = choices.integer(0, len(_POOL) - 1)
    values = _POOL[first : first + count]
    if len(values) < count:
        values = np.resize(_POOL, count)
    return values.astype(dtype).reshape(shape)


class Rows(np.ndarray):
    """A subclass, as other packages have them."""


def _unused(array):
    """Return what nobody may read."""
    return np.nan if array.dtype.kind == "f" else 99


def _every_other(array):
    wide = np.full([2 * n for n in array.shape], _unused(array), array.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def _reversed(array):
    turned = tuple(slice(None, None, -1) for _ in array.shape)
    return np.ascontiguousarray(array[turned])[turned]


def _inside(array):
    wide = np.full([n + 3 for n in array.shape], _unused(array), array.dtype)
    view = wide[tuple(slice(1, n + 1) for n in array.shape)]
    view[...] = array
    return view


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


def laid_out(choices: Choices, array: np.ndarray, probability: float = 0.4):
    """Return the same numbers in another layout, or as they are."""
    return choices.pick(LAYOUTS)(array) if choices.chance(probability) else array


def rows(choices: Choices, shape: tuple[int, ...], dtype: np.dtype):
    """Return numbers that fit a precision, in any layout and of narrower types."""
    if choices.chance(0.1):
        whole = choices.pick(("int8", "uint8", "float16", "int16"))
        return laid_out(choices, (4 * numbers(choices, shape, dtype)).astype("int8").astype(whole))
    array = numbers(choices, shape, dtype)
    if choices.chance(0.05) and shape[0] > 0:
        return np.broadcast_to(array[:1], shape)  # rows with a stride of 0
    return laid_out(choices, array)


# Values of any kind. Integers are negative or beyond every limit: large sizes that are allowed take
# their time.
STRANGE = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    -(2**63),
    2**63,
    2**64,
    10**400,
    0.0,
    -0.0,
    -1.0,
    1e300,
    1e-300,
    float("nan"),
    float("inf"),
    -float("inf"),
    1j,
    "",
    "x",
    "1",
    "float16",
    b"1",
    bytearray(b"ab"),
    (),
    [],
    {},
    set(),
    [1.0],
    (0.5, 1.5),
    (2.0, 1.0),
    [[1.0], [1.0, 2.0]],
    [[None]],
    ["a", "b"],
    range(3),
    slice(3),
    int,
    object(),
    Decimal("0.5"),
    Fraction(1, 2),
    np.float32(0.5),
    np.float64("nan"),
    np.int8(3),
    np.uint64(2**64 - 1),
    np.bool_(True),
    np.str_("dsm"),
    np.longdouble(0.5),
    np.datetime64("2020-01-01"),
    np.timedelta64(3, "s"),
    np.array(0.5),
    np.array([0.5]),
    np.array([]),
    np.array([1, 2, 3]),
    np.zeros((0, 3)),
    np.zeros((2, 0), np.float32),
    np.zeros((1, 1, 1)),
    np.array(["a"]),
    np.array([None, 1], dtype=object),
    np.ma.masked,
    np.dtype("float32"),
)

OTHER_DTYPES = (
    *("float16", "float32", "float64", "longdouble", ">f4", ">f8", "complex64", "complex128"),
    *("int8", "uint8", "int16", "int32", "int64", "uint64", ">i8", "bool"),
    *("object", "str", "bytes", "datetime64[s]", "timedelta64[s]"),
)
TOO_MUCH = (np.nan, np.inf, -np.inf, 1e38, -1e38, 3e38, 1e-38, 1e-45, 1e19, 1e160, 1e300, -0.0)


def _with_value(choices, array):
    array = array.copy()
    if array.size and array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array.flat[choices.integer(0, array.size - 1)] = choices.pick(TOO_MUCH)
    return array


def _scaled(choices, array):
    if array.dtype.kind != "f":
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        return (array * 10.0 ** choices.integer(-320, 308)).astype(array.dtype)


def _recast(choices, array):
    with np.errstate(all="ignore"):
        return array.astype(choices.pick(OTHER_DTYPES))


def _reshaped(choices, array):
    axis = choices.integer(0, array.ndim - 1)
    return choices.pick(
        (
            lambda: array[None],
            lambda: array[..., None],
            lambda: array.ravel(),
            lambda: array.T,
            lambda: np.asarray(array[0]) if len(array) else array,
            lambda: array[..., :0],
            lambda: array[:0],
            lambda: np.concatenate([array, array], axis),
            lambda: np.delete(array, 0, axis) if array.size else array,
            lambda: np.array(array.flat[0]) if array.size else array,
        )
    )()


def spoiled(choices: Choices, value: object) -> object:
    """Return another value: an array with something wrong, or anything at all."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and choices.chance(0.8):
        array = np.array(value, dtype=value.dtype.newbyteorder("="))
        for _ in range(choices.pick((1, 1, 2))):
            if array.ndim == 0 or array.dtype.kind not in "fiu":
                return array
            array = choices.pick((_with_value, _scaled, _recast, _reshaped))(choices, array)
        if choices.chance(0.05):
            return np.ma.array(array, mask=choices.chance(0.5))
        if array.dtype.kind == "f" and array.size and array.ndim:
            return laid_out(choices, array)
        return array
    return choices.pick(STRANGE)


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
