"""What users hand over, checked once and described in their words.

Every check raises ``ValueError`` or ``TypeError`` with the argument's name, what was expected and
what came. Values are never narrowed: an array is widened to the wanted precision (``uint8`` or
``float16`` to ``float32``, say) or refused.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast import _core
from dsmfast._arguments.frames import booleans_of, from_table, is_table

Array = npt.NDArray[Any]

LONGEST = 200  # letters of a value in an error message


def describe(value: object) -> str:
    """Return what came, for an error message."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if shape and hasattr(value, "__array__"):  # a column of a table, say
        return f"a {kind} of shape {shape}"
    shown = " ".join(repr(value).split())
    if len(shown) > LONGEST:  # nobody reads on
        shown = f"{shown[: LONGEST // 2]}..."
    return f"{shown} ({kind})"


def not_a_model(value: object, name: str = "model") -> TypeError:
    """Return the error for what is no model; results and estimators have one."""
    use = place_of_model(value)
    if use is None:
        return TypeError(f"{name}: expected a ScoreModel, got {describe(value)}")
    kind = type(value).__name__
    article = "an" if kind[0] in "AEIOU" else "a"
    return TypeError(f"{name}: expected a ScoreModel, got {article} {kind}; use {use}")


def place_of_model(value: object) -> str | None:
    """Return where a result or a fitted estimator has its model, or None for anything else."""
    for owner, attribute in (("result", "model"), ("estimator", "model_")):
        if hasattr(getattr(value, attribute, None), "W"):
            return f"{owner}.{attribute}"
    return None


def as_scalar(value: object) -> object:
    """Return what an array of no dimensions holds (.npz files have them), or the value itself."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def as_flag(value: object, name: str) -> bool:
    """Return ``value`` as a bool."""
    flag = as_scalar(value)
    if not isinstance(flag, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {describe(value)}")
    return bool(flag)


def as_integer(value: object, name: str, *, low: int, high: int) -> int:
    """Return ``value`` as an int in [low, high]."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got {describe(value)}")
    if not low <= number <= high:
        limits = f"at least {low}" if number < low else f"at most {high}"
        raise ValueError(f"{name}: expected an integer of {limits}, got {number}")
    return number


def as_real(value: object, name: str, *, low: float = 0.0, inclusive: bool = False) -> float:
    """Return ``value`` as a finite float above ``low``."""
    number, scalar = None, as_scalar(value)
    if not isinstance(scalar, (bool, np.bool_, str, bytes, bytearray, np.ndarray)):
        try:
            number = float(scalar)  # type: ignore[arg-type]
        except OverflowError:
            number = np.inf
        except (TypeError, ValueError):
            number = None
    if number is None:
        raise TypeError(f"{name}: expected a real number, got {describe(value)}")
    if not np.isfinite(number) or number < low or (number == low and not inclusive):
        limit = f">= {low:g}" if inclusive else f"> {low:g}"
        raise ValueError(f"{name}: expected a finite number {limit}, got {number:g}")
    return number


def as_whole(value: object, name: str) -> int:
    """Return ``value`` as an int above 0; floats without a fraction will do."""
    number = as_real(value, name)
    if number != int(number):
        raise TypeError(f"{name}: expected an integer, got {describe(value)}")
    return int(number)


def as_real_of(value: object, name: str, dtype: np.dtype[Any], *, low: float = 0.0) -> float:
    """Return ``value`` as a float of at least ``low`` that the precision can hold."""
    number = as_real(value, name, low=low, inclusive=True)
    largest = float(np.finfo(dtype).max)
    if abs(number) > largest:
        raise ValueError(
            f"{name}: expected a number that {dtype} can hold, up to {largest:.1e}, got {number:g}"
        )
    return number


def as_sigma(value: object, dtype: np.dtype[Any], name: str = "sigma") -> float:
    """Return a noise level whose fourth power, by which losses are scaled, is a normal number."""
    sigma = as_real(value, name)
    low = float(np.finfo(dtype).tiny) ** 0.25
    if not low < sigma < 1 / low:
        raise ValueError(
            f"{name}: expected a number between {low:.1e} and {1 / low:.1e} for {dtype}, "
            f"got {sigma:g}"
        )
    return sigma


def as_seed(seed: object) -> int:
    """Return ``seed`` as an unsigned 64-bit integer."""
    return as_integer(seed, "seed", low=0, high=2**64 - 1)


def as_draws(draws: object) -> int:
    """Return ``draws`` as an int that the noise counter has room for."""
    return as_integer(draws, "draws", low=1, high=2**16)


def as_threads(threads: object) -> int:
    """Return the thread count that the kernels take: 0 stands for what OpenMP says."""
    return 0 if threads is None else as_integer(threads, "threads", low=1, high=1024)


def as_choice(value: object, name: str, choices: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``choices``."""
    scalar = as_scalar(value)
    if not isinstance(scalar, str) or scalar not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(f"{name}: expected one of {known}, got {value!r}")
    return str(scalar)


def as_feature_names(names: object, count: int) -> tuple[str, ...] | None:
    """Return names of so many features, each another."""
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"feature_names: expected a sequence of str, got {describe(names)}")
    found = tuple(names)
    for name in found:
        if not isinstance(name, str):
            raise TypeError(
                f"feature_names: expected a sequence of str, got one with {describe(name)}"
            )
    if len(found) != count:
        raise ValueError(f"feature_names: expected {count}, one per feature, got {len(found)}")
    if len(set(found)) < count:
        twice = next(name for name in found if found.count(name) > 1)
        raise ValueError(f"feature_names: expected distinct names, got {twice!r} twice")
    return tuple(map(str, found))


def as_dtype(dtype: object, name: str = "dtype") -> np.dtype[Any]:
    """Return float32 or float64."""
    if dtype is not None:  # which NumPy would take for float64
        try:
            found: np.dtype[Any] = np.dtype(as_scalar(dtype))  # type: ignore[call-overload]
        except TypeError:
            pass
        else:
            if found in (np.dtype(np.float32), np.dtype(np.float64)):
                return found
    raise ValueError(f"{name}: expected 'float32' or 'float64', got {dtype!r}")


def is_sparse(value: object) -> bool:
    """Whether it is a sparse matrix or array of SciPy's kind."""
    return hasattr(value, "toarray") and hasattr(value, "nnz")


def check_kind(value: object, name: str) -> None:
    """Refuse what NumPy would make an array of that says something else."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name}: masked arrays are not supported; fill or drop the masked values")
    if is_sparse(value):
        raise TypeError(f"{name}: sparse matrices are not supported; use {name}.toarray()")
    if hasattr(value, "collect") and not hasattr(value, "__array__"):
        raise TypeError(f"{name}: lazy tables are not supported; use {name}.collect()")


def as_real_array(value: object, name: str, *, gaps: bool = False) -> Array:
    """Return ``value`` as a real, non-masked array of any precision; truth values as 0 and 1.

    ``gaps`` says whether a table may lack values, which are NaN then; arrays may hold NaN here.
    """
    check_kind(value, name)
    if is_table(value):
        return from_table(value, name, gaps=gaps)
    array = _as_array(value, name, "numbers")
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind not in "fiu":  # complex, strings, objects, dates
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}")
    return array


def _as_array(value: object, name: str, what: str) -> Array:
    try:
        return np.asarray(value)
    except ValueError as error:  # ragged nested lists
        raise ValueError(f"{name}: expected a rectangular array of {what}: {error}") from None


def as_booleans(value: object, name: str) -> npt.NDArray[np.bool_]:
    """Return an array of truth values; numbers are none."""
    check_kind(value, name)
    if is_table(value):
        return booleans_of(value, name)
    array = _as_array(value, name, "booleans")
    if array.dtype != np.bool_:
        raise ValueError(f"{name}: expected booleans, got {describe(array)}")
    return array


def as_precision(value: object, name: str, dtype: np.dtype[Any], *, gaps: bool = False) -> Array:
    """Return ``value`` as an array of ``dtype``, widened if need be and never narrowed.

    Lists and numbers, which have no precision of their own, are read as ``dtype``.
    """
    array = as_real_array(value, name, gaps=gaps)
    if array.dtype == dtype and array.dtype.isnative:
        return array
    if isinstance(value, (list, tuple, int, float)):
        return narrowed(array, dtype)
    check_width(array.dtype, name, dtype)
    return array.astype(dtype)


def check_width(found: np.dtype[Any], name: str, dtype: np.dtype[Any]) -> None:
    """Raise where ``dtype`` does not hold all values of another type."""
    if not np.can_cast(found, dtype, "safe"):
        raise TypeError(
            f"{name}: expected dtype {dtype}, got {found}; "
            f"convert it with numpy.asarray({name}, dtype={str(dtype)!r})"
        )


def narrowed(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return ``array`` in ``dtype``, itself if it is; what does not fit becomes an infinity."""
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)


def as_rows(value: object, name: str, dtype: np.dtype[Any], columns: int | None = None) -> Array:
    """Return ``value`` as a matrix of ``dtype`` with at least one row, and ``columns`` columns."""
    array = as_precision(value, name, dtype)
    expected = f"(n, {columns if columns is not None else 'n_features'})"
    if array.ndim != 2:
        hint = ""
        if array.ndim == 1:
            hint = f"; use {name}[None, :] for one row, {name}[:, None] for one feature"
        raise ValueError(
            f"{name}: expected a 2-D array of shape {expected}, got shape {array.shape}{hint}"
        )
    if columns is not None and array.shape[1] != columns:
        raise ValueError(f"{name}: expected shape {expected}, got {array.shape}")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f"{name}: expected at least one row and one feature, got {array.shape}")
    if any(stride % array.itemsize for stride in array.strides) or not array.flags.aligned:
        array = array.copy()  # bytes of a file, a field of packed records
    return array


def as_weights(value: object, rows: int, dtype: np.dtype[Any]) -> Array | None:
    """Return weights of rows, at least 0 and of mean 1; None where all count alike."""
    if value is None:
        return None
    return of_mean_one(as_raw_weights(value, rows), dtype)


def as_raw_weights(value: object, rows: int) -> npt.NDArray[np.float64]:
    """Return weights of rows as they come: finite, at least 0, and not all of them 0."""
    array = as_real_array(value, "sample_weight")
    if array.shape != (rows,):
        raise ValueError(f"sample_weight: expected shape ({rows},), got {array.shape}")
    weights = array.astype(np.float64)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise ValueError(
            f"sample_weight: expected finite numbers >= 0, got {weights[bad[0]]} in row {bad[0]}"
        )
    if not weights.any():
        raise ValueError("sample_weight: expected a weight above 0, got none")
    return weights


def of_mean_one(weights: Array, dtype: np.dtype[Any]) -> Array:
    """Return weights over their mean, contiguous, in a precision."""
    scaled = weights / weights.max()  # or their sum might not be finite
    return np.ascontiguousarray(scaled / scaled.mean(), dtype=dtype)


def as_shape(value: object, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return ``value`` as a C-contiguous finite array of this dtype and shape."""
    array = as_precision(value, name, dtype)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    array = np.require(array, requirements=["C", "A"])
    check_finite(array.reshape(1, -1) if array.ndim == 1 else array, name)
    return array


def bad_row_error(x: Array, name: str, row: int, first: int = 0) -> ValueError:
    """Return the error for a NaN or an infinity in a row of ``x``, whose rows count from first."""
    column = int(np.flatnonzero(~np.isfinite(x[row]))[0])
    return ValueError(
        f"{name}: expected finite {x.dtype} values, got {x[row, column]} in row {first + row}, "
        f"column {column} (counted from 0)"
    )


def check_finite(x: Array, name: str, threads: int = 0) -> None:
    """Raise where a matrix holds a NaN or an infinity."""
    row = _core.first_bad_row(x, threads)
    if row >= 0:
        raise bad_row_error(x, name, row)
