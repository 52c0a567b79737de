"""Data by name or from a file, for the command line, the examples and the benchmarks.

The named sets come with scikit-learn (extra ``sklearn``) or are made here; nothing is downloaded.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast.arrays import Array
from dsmfast.noise import normals

__all__ = ["NAMED", "digits", "load", "patches", "read_file", "spiral", "split"]

FloatArray = npt.NDArray[np.float32]


def _sklearn_datasets() -> Any:
    try:
        from sklearn import datasets
    except ImportError:
        raise ImportError(
            "this data comes with scikit-learn: pip install 'dsmfast[sklearn]'"
        ) from None
    return datasets


def digits() -> FloatArray:
    """Handwritten digits of scikit-learn, shape (1797, 64): 8 x 8 pixels in [0, 1]."""
    pixels = _sklearn_datasets().load_digits().data
    return np.asarray(pixels / 16.0, dtype=np.float32)


def patches(side: int = 8, count: int = 20_000, seed: int = 0) -> FloatArray:
    """Grey patches of scikit-learn's two photographs, shape (count, side**2).

    The mean of each patch is taken off, and all are divided by the one standard deviation of the
    set, so that sigma is in units of a pixel's contrast.
    """
    images = [image.mean(axis=2) for image in _sklearn_datasets().load_sample_images().images]
    rng = np.random.default_rng(seed)
    cut = []
    for image in images:
        windows = np.lib.stride_tricks.sliding_window_view(image, (side, side))
        top = rng.integers(windows.shape[0], size=count // len(images))
        left = rng.integers(windows.shape[1], size=count // len(images))
        cut.append(windows[top, left].reshape(-1, side * side))
    rows = rng.permutation(np.concatenate(cut))
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / rows.std(), dtype=np.float32)


def spiral(count: int = 5_000, seed: int = 0) -> FloatArray:
    """Points along one and a half turns of a spiral, shape (count, 2), radius up to 3."""
    rng = np.random.default_rng(seed)
    t = np.sqrt(rng.random(count))
    angle = 3 * np.pi * t
    arm = 3 * t[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    jitter = normals(seed, 0, 0, np.arange(count), 2, "float64")
    return np.asarray(arm + 0.05 * jitter, dtype=np.float32)


NAMED: dict[str, Callable[[], FloatArray]] = {
    "digits": digits,
    "patches": patches,
    "spiral": spiral,
}


def read_file(path: str | os.PathLike[str], key: str | None = None) -> Array:
    """Read rows from a .npy, .npz (``key`` names the array) or .csv file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        As usual.
    ValueError
        With what is wrong with the file, and where.
    """
    file = Path(path)
    if key is not None and file.suffix != ".npz":
        raise ValueError(f"{file}: a key is for .npz files")
    readers = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv}
    if file.suffix not in readers:
        known = ", ".join(readers)
        raise ValueError(
            f"{file}: expected a file ending in {known}, got {file.suffix or 'none'!r}"
        )
    if file.is_dir():
        raise IsADirectoryError(f"{file}: a directory, not a file")
    file.stat()
    return _read_npz(file, key) if file.suffix == ".npz" else readers[file.suffix](file)


def _read_npy(file: Path) -> Array:
    with file.open("rb") as stream:
        try:
            return np.lib.format.read_array(stream, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{file}: not a readable .npy file: {error}") from None


def _read_npz(file: Path, key: str | None = None) -> Array:
    with file.open("rb") as stream:
        try:
            archive = np.load(stream, allow_pickle=False)
            names = list(archive.files)
        except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{file}: not a readable .npz file: {error}") from None
        if key is None and len(names) == 1:
            key = names[0]
        if key is None or key not in names:
            asked = "which array? give its key" if key is None else f"no array {key!r}"
            raise ValueError(f"{file}: {asked}; it holds {', '.join(names) or 'nothing'}")
        try:
            return np.asarray(archive[key])
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{file}: array {key!r} is not readable: {error}") from None


def _read_csv(file: Path) -> Array:
    """Read numbers separated by commas; a first line that is not numbers is a header."""
    rows: list[list[float]] = []
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            cells = line.rstrip("\r\n").split(",")
            values = []
            for column, cell in enumerate(cells, start=1):
                try:
                    values.append(float(cell))
                except ValueError:
                    if number == 1:
                        break
                    raise ValueError(
                        f"{file}: line {number}, column {column}: expected a number, got {cell!r}"
                    ) from None
            if number == 1 and len(values) < len(cells):
                continue  # a header
            if rows and len(values) != len(rows[0]):
                raise ValueError(
                    f"{file}: line {number}: expected {len(rows[0])} columns, got {len(values)}"
                )
            rows.append(values)
    if not rows:
        raise ValueError(f"{file}: no rows of numbers")
    return np.array(rows)


def load(name: str, key: str | None = None) -> Array:
    """Return a named set, or the rows of a file."""
    if name in NAMED and key is None:
        return NAMED[name]()
    if not Path(name).suffix and not Path(name).exists():
        known = ", ".join(NAMED)
        raise ValueError(f"{name}: neither one of {known} nor a file")
    return read_file(name, key)


def split(X: Array, fraction: float, seed: int = 0) -> tuple[Array, Array]:
    """Split rows at random into those to train on and a held-out fraction."""
    order = np.random.default_rng(seed).permutation(len(X))
    held_out = max(1, round(fraction * len(X)))
    return X[order[held_out:]], X[order[:held_out]]
