"""Arrays of NumPy's own files."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dsmfast._arguments.checks import Array

__all__ = ["map_file", "read_npy", "read_npz"]

# What NumPy and zipfile raise for files that are damaged or made up.
_UNREADABLE = (
    ValueError,
    TypeError,
    EOFError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npy(stream: BinaryIO, place: str) -> Array:
    """Read the array of a .npy file."""
    try:
        return np.lib.format.read_array(stream, allow_pickle=False)
    except _UNREADABLE as error:
        raise ValueError(f"{place}: not a readable .npy file: {error}") from None


def map_file(path: str | os.PathLike[str]) -> Array:
    """Map a .npy file into memory, read-only, without reading it.

    Parameters
    ----------
    path : path-like
        A .npy file.

    Returns
    -------
    ndarray
        A :class:`numpy.memmap`, which training reads by windows.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, ValueError
        As for :func:`read_file`.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from dsmfast import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "rows.npy")
    ...     np.save(path, np.arange(6.0).reshape(3, 2))
    ...     rows = data.map_file(path)
    ...     print(type(rows).__name__, rows.shape)
    memmap (3, 2)
    """
    file = Path(path)
    with file.open("rb"):
        pass
    try:
        return np.lib.format.open_memmap(file, mode="r")
    except _UNREADABLE as error:
        raise ValueError(f"{file}: not a readable .npy file: {error}") from None


def read_npz(stream: BinaryIO, place: str, key: str | None) -> Array:
    """Read an array of a .npz file; without a key, the only one."""
    try:
        archive = np.load(stream, allow_pickle=False)
        names = list(archive.files)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # zipfile's decompressors have errors of their own
        raise ValueError(f"{place}: not a readable .npz file: {error}") from None
    if key is None and len(names) == 1:
        key = names[0]
    if key is None or key not in names:
        asked = "which array? give its key" if key is None else f"no array {key!r}"
        raise ValueError(f"{place}: {asked}; it holds {', '.join(names) or 'nothing'}")
    try:
        return np.asarray(archive[key])
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{place}: array {key!r} is not readable: {error}") from None
