"""Models on disk: safetensors, written aside and renamed. Never pickle."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dsmfast.model import ScoreModel

__all__ = ["load", "save", "written_aside"]

FORMAT = "dsmfast-1"


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "Saving and loading models needs safetensors: pip install 'dsmfast[files]'"
        ) from None
    return safetensors


@contextmanager
def written_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; rename it when done, remove it on an error.

    ``path`` therefore holds the old content or the new, never half of it.
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    aside = None
    try:
        # With the target's ending, because some writers choose the format by it.
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix
        )
        os.close(handle)
        aside = Path(name)
        yield aside
        mask = os.umask(0)
        os.umask(mask)
        aside.chmod(0o666 & ~mask)  # mkstemp's files are private; a saved file is like any other
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(target)
    except OSError as error:  # say the target, not the name aside
        raise type(error)(error.errno, error.strerror, str(target)) from None
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def save(model: ScoreModel, path: str | os.PathLike[str]) -> None:
    """Write a model to ``path``: tensors W, b, c, and sigma and the format in the metadata."""
    metadata = {"format": FORMAT, "sigma": model.sigma.hex()}
    tensors = {"W": model.W, "b": model.b, "c": model.c}
    content = _safetensors().numpy.save(tensors, {"dsmfast": json.dumps(metadata)})
    with written_aside(path) as aside:
        aside.write_bytes(content)


def load(path: str | os.PathLike[str]) -> ScoreModel:
    """Read a model that :meth:`ScoreModel.save` wrote.

    Parameters
    ----------
    path : path-like
        A safetensors file.

    Returns
    -------
    ScoreModel

    Raises
    ------
    ValueError
        If the file is not a dsmfast model, is cut short or holds values that are not finite.
    ImportError
        Without safetensors (extra ``files``).
    """
    safetensors = _safetensors()
    with Path(path).open("rb"):  # a missing file or a directory is the usual OSError
        pass
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("dsmfast")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file: {error}") from None
    if text is None or set(tensors) != {"W", "b", "c"}:
        raise ValueError(f"{path}: a safetensors file, but not a dsmfast model")
    try:
        metadata = json.loads(text)
        found = metadata["format"]
        if found == FORMAT:
            return ScoreModel(**tensors, sigma=float.fromhex(metadata["sigma"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a valid model: {error}") from None
    raise ValueError(f"{path}: expected format {FORMAT!r}, got {found!r}")
