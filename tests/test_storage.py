"""Models on disk."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsmfast
from dsmfast._system.files import write
from dsmfast.model import FORMAT
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


def test_a_directory_of_a_run(saved, tmp_path):
    """As ``dsmfast train --out DIR`` writes it; it was "Is a directory"."""
    model, path = saved
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"run: expected model.safetensors in the directory"):
        dsmfast.load(folder)
    path.rename(folder / "model.safetensors")
    assert dsmfast.load(folder) == dsmfast.load(str(folder)) == model


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        dsmfast.load(tmp_path / "nothing.safetensors")


@given(cut=st.floats(0, 0.999), flip=st.integers(0, 10**6), flips=st.booleans())
def test_damaged_files_are_clear_errors(cut, flip, flips, tmp_path_factory):
    """Cut anywhere, or with any byte changed: an error that names the file."""
    model, _ = problem(1, 3, 4, "float32")
    path = tmp_path_factory.mktemp("damaged") / "model.safetensors"
    model.save(path)
    content = bytearray(path.read_bytes())
    if flips:
        content[flip % len(content)] ^= 1 + flip % 255
    else:
        content = content[: int(cut * len(content))]
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}: ")):
        dsmfast.load(path)


def test_foreign_files(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        dsmfast.load(path)
    safetensors.save_file({"weight": np.zeros(3, np.float32)}, path)
    with pytest.raises(ValueError, match="but not one that dsmfast wrote"):
        dsmfast.load(path)
    tensors = {"W": np.ones((2, 3)), "b": np.zeros(2), "c": np.zeros(3)}
    for metadata in ("not json", "[]", "{}", "[" * 100_000):
        safetensors.save_file(tensors, path, {"dsmfast": metadata})
        with pytest.raises(ValueError, match="damaged: its metadata is not readable"):
            dsmfast.load(path)
    safetensors.save_file(tensors, path, {"dsmfast": json.dumps({"format": "dsmfast-model-9"})})
    with pytest.raises(ValueError, match="expected format 'dsmfast-model-1', got 'dsmfast-model-9"):
        dsmfast.load(path)
    safetensors.save_file(tensors, path, {"dsmfast": json.dumps({"format": FORMAT, "sigma": 1})})
    with pytest.raises(ValueError, match="damaged: its contents do not match the checksum"):
        dsmfast.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W": None}, "expected tensors W, b, c, got b, c"),
        ({"d": np.ones(2)}, "expected tensors W, b, c, got W, b, c, d"),
        ({"b": np.ones(3)}, "not a valid model: b: expected shape"),
        ({"W": np.ones((2, 3), np.float16)}, "W: expected dtype float32 or float64"),
        ({"c": np.ones(3, np.int8)}, None),  # widened without loss
        ({"b": np.array([np.nan, 0])}, "b: expected finite float64 values, got nan"),
        ({"sigma": -1.0}, "sigma: expected a finite number > 0"),
        ({"sigma": "1"}, "sigma: expected a real number"),
        ({"sigma": None}, "not a valid model: 'sigma'"),
        ({"training": 3}, "training: expected a dict"),
    ],
)
def test_files_that_are_whole_but_no_model(change, message, tmp_path):
    """Somebody wrote them with our own function."""
    path = tmp_path / "model.safetensors"
    parts = {"W": np.ones((2, 3)), "b": np.zeros(2), "c": np.zeros(3), "sigma": 0.5, **change}
    record = {"format": FORMAT}
    record |= {n: parts.pop(n) for n in ("sigma", "training") if parts.get(n) is not None}
    write(path, {n: v for n, v in parts.items() if v is not None}, record)
    if message is None:
        assert dsmfast.load(path).c.dtype == np.float64
        return
    with pytest.raises(ValueError, match=message):
        dsmfast.load(path)


def test_the_record_of_training_is_kept(tmp_path):
    X = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    result = dsmfast.train(X, 4, 0.5, epochs=2, seed=3, objective="ism")
    result.save(tmp_path / "model.safetensors")
    again = dsmfast.load(tmp_path / "model.safetensors")
    assert again.training == result.model.training
    with safetensors.safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        record = json.loads(file.metadata()["dsmfast"])
    expected = {"format": FORMAT, "version": dsmfast.__version__, "objective": "ism", "sigma": 0.5}
    assert {name: record[name] for name in expected} == expected


def test_without_safetensors_the_error_says_what_to_install(saved, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install 'dsmfast\[files\]'"):
        dsmfast.load(saved[1])
