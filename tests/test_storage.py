"""Models on disk."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsmfast
from problems import problem

safetensors = pytest.importorskip("safetensors.numpy")


@pytest.fixture
def saved(tmp_path, dtype):
    model, _ = problem(1, 5, 7, dtype, sigma=0.1)
    path = tmp_path / "model.safetensors"
    model.save(path)
    return model, path


def test_round_trip_to_the_bit(saved):
    model, path = saved
    again = dsmfast.load(str(path))
    assert again.sigma == model.sigma
    for name in ("W", "b", "c"):
        assert getattr(again, name).dtype == getattr(model, name).dtype
        assert np.array_equal(getattr(again, name), getattr(model, name))


def test_other_programs_can_read_it(saved):
    model, path = saved
    tensors = safetensors.load_file(path)
    assert sorted(tensors) == ["W", "b", "c"]
    assert np.array_equal(tensors["W"], model.W)


def test_a_failed_save_leaves_the_old_file(saved, monkeypatch):
    model, path = saved
    old = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left") as caught:
        model.save(path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_where_it_cannot_be_written(saved, tmp_path):
    path = tmp_path / "nowhere" / "model.safetensors"
    with pytest.raises(FileNotFoundError) as caught:
        saved[0].save(path)
    assert caught.value.filename == str(path)
    with pytest.raises(IsADirectoryError):
        saved[0].save(tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        dsmfast.load(tmp_path / "nothing.safetensors")


@given(cut=st.floats(0, 0.999), flip=st.integers(0, 10**6), flips=st.booleans())
def test_damaged_files_are_clear_errors(cut, flip, flips, tmp_path_factory):
    """Cut anywhere, or with a byte of the header changed: an error or, at most, other numbers."""
    model, _ = problem(1, 3, 4, "float32")
    path = tmp_path_factory.mktemp("damaged") / "model.safetensors"
    model.save(path)
    content = bytearray(path.read_bytes())
    if flips:
        header = 8 + int.from_bytes(content[:8], "little")
        content[flip % header] ^= 1 + flip % 255
    else:
        content = content[: int(cut * len(content))]
    path.write_bytes(bytes(content))
    error = None
    try:
        loaded = dsmfast.load(path)
    except ValueError as caught:
        error = str(caught)
    if error is None:
        assert flips
        assert loaded.W.shape == (4, 3)
    else:
        assert error.startswith(f"{path}: ")


def test_foreign_files(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        dsmfast.load(path)
    safetensors.save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(ValueError, match="but not a dsmfast model"):
        dsmfast.load(path)
    tensors = {"W": np.ones((2, 3)), "b": np.zeros(2), "c": np.zeros(3)}
    for metadata, message in (
        ({"format": "dsmfast-9"}, "expected format 'dsmfast-1', got 'dsmfast-9'"),
        ({"format": "dsmfast-1"}, "not a valid model"),
        ({"format": "dsmfast-1", "sigma": "-0x1p+0"}, "sigma: expected a finite number > 0"),
    ):
        safetensors.save_file(tensors, path, {"dsmfast": json.dumps(metadata)})
        with pytest.raises(ValueError, match=message):
            dsmfast.load(path)
    safetensors.save_file(tensors, path, {"dsmfast": "not json"})
    with pytest.raises(ValueError, match="not a valid model"):
        dsmfast.load(path)
    bad = {**tensors, "b": np.array([np.nan, 0])}
    safetensors.save_file(bad, path, {"dsmfast": json.dumps({"format": "dsmfast-1", "sigma": "1"})})
    with pytest.raises(ValueError, match="b: expected finite float64 values, got nan"):
        dsmfast.load(path)


def test_without_safetensors_the_error_says_what_to_install(saved, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install 'dsmfast\[files\]'"):
        dsmfast.load(saved[1])
