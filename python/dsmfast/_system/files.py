"""Arrays on disk, with a record of what they are: safetensors, never pickle; written aside."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dsmfast._arguments.checks import Array
from dsmfast._system.extras import safetensors

__all__ = ["read", "resolved", "write", "written_aside"]


@contextmanager
def written_aside(
    path: str | os.PathLike[str], *, keep: Path | None = None, rename: bool = True
) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; rename it when done, remove it on an error.

    ``path`` therefore holds the old content or the new, never half of it; or for a moment, where
    the old one is to be kept as ``keep``, nothing, while that holds it. Without ``rename``, it was
    only to see whether one may write there.
    """
    target = resolved(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    # With the target's ending, because some writers choose the format by it.
    aside = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    created = False
    try:
        _create(aside, target)
        created = True
        yield aside
        if not rename:
            return
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        if keep is not None and target.exists():
            target.replace(keep)
        aside.replace(target)
        _sync_directory(target.parent)
    except OSError as error:  # say the target, not the name aside
        if error.errno is None:
            raise OSError(f"{target}: {error}") from None
        raise type(error)(error.errno, error.strerror, str(target)) from None
    finally:
        if created:
            aside.unlink(missing_ok=True)


def resolved(path: str | os.PathLike[str]) -> Path:
    """Return the file that a name stands for: what a symbolic link leads to, which stays a link."""
    target = Path(path)
    return target.resolve() if target.is_symlink() else target


def _create(aside: Path, target: Path) -> None:
    """Create a file that nobody had, with the mode of the one it is to replace, if there is one."""
    handle = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        if target.exists():
            os.fchmod(handle, stat.S_IMODE(target.stat().st_mode))
    finally:
        os.close(handle)


def _sync_directory(path: Path) -> None:
    """See to it that a rename outlives a power cut, where directories can be synced."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _digest(tensors: Mapping[str, Array], record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything that a file holds, the digest itself aside."""
    content = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        content.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
        content.update(np.ascontiguousarray(tensor).data)
    return content.hexdigest()


def write(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Array],
    record: Mapping[str, Any],
    *,
    keep: Path | None = None,
) -> None:
    """Write arrays, and a record that says what they are, to a safetensors file.

    ``keep`` is what the file that was there before, if any, is called from then on.
    """
    metadata = {**record, "sha256": _digest(tensors, record)}
    content = safetensors().numpy.save(dict(tensors), {"dsmfast": json.dumps(metadata)})
    with written_aside(path, keep=keep) as aside:
        aside.write_bytes(content)


def read(path: str | os.PathLike[str], format: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what :func:`write` wrote, if it is of that format and whole."""
    reader = safetensors()
    with Path(path).open("rb"):  # a missing file or a directory is the usual OSError
        pass
    try:
        with reader.safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("dsmfast")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except reader.SafetensorError as error:
        raise ValueError(f"{path}: not a readable safetensors file: {error}") from None
    except (TypeError, AttributeError) as error:  # a dtype that NumPy does not have
        raise ValueError(f"{path}: not a dsmfast file: {error}") from None
    if text is None:
        raise ValueError(f"{path}: a safetensors file, but not one that dsmfast wrote")
    try:
        record = json.loads(text)
        found, digest = record["format"], record.pop("sha256", None)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged: its metadata is not readable: {error}") from None
    if found != format:
        raise ValueError(f"{path}: expected format {format!r}, got {found!r}")
    if digest != _digest(tensors, record):
        raise ValueError(f"{path}: damaged: its contents do not match the checksum in it")
    return tensors, record
