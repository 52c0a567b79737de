"""Files that are replaced: their modes, what links lead to, and that nobody else is disturbed."""

import os
import stat

import numpy as np
import pytest

import dsmfast
from dsmfast._system.files import written_aside

pytest.importorskip("safetensors")

MODEL = dsmfast.ScoreModel.initialize(3, 4, 0.5)
X = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [0o600, 0o640, 0o664, 0o400])
def test_the_mode_of_a_file_stays(before, tmp_path):
    path = tmp_path / "model"
    MODEL.save(path)
    path.chmod(before)
    MODEL.save(path)
    assert mode(path) == before


def test_a_new_file_has_the_mode_that_files_have(tmp_path):
    other = tmp_path / "other"
    other.touch()
    MODEL.save(tmp_path / "model")
    assert mode(tmp_path / "model") == mode(other)


def test_the_umask_is_not_touched(tmp_path, monkeypatch):
    """It belongs to the process: files of other threads would get another mode meanwhile."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("umask was called"))
    MODEL.save(tmp_path / "model")
    dsmfast.train(X, 4, epochs=1, checkpoint=tmp_path / "kept")


def test_a_link_stays_one(tmp_path):
    real = tmp_path / "elsewhere" / "model-1"
    real.parent.mkdir()
    MODEL.save(real)
    link = tmp_path / "model"
    link.symlink_to(real)
    other = dsmfast.ScoreModel.initialize(3, 5, 0.5)
    other.save(link)
    assert link.is_symlink()
    assert dsmfast.load(real).n_hidden == dsmfast.load(link).n_hidden == 5
    assert [file.name for file in real.parent.iterdir()] == ["model-1"]


def test_a_link_to_nothing_is_filled(tmp_path):
    link = tmp_path / "model"
    link.symlink_to(tmp_path / "real")
    MODEL.save(link)
    assert link.is_symlink()
    assert dsmfast.load(tmp_path / "real").n_hidden == 4


def test_a_checkpoint_by_a_link(tmp_path):
    """The one before it is beside the real file."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "kept"
    link.symlink_to(tmp_path / "disk" / "kept")
    run = {"n_hidden": 4, "epochs": 3, "checkpoint": link, "checkpoint_seconds": 1e-9}
    first = dsmfast.train(X, **run)
    assert link.is_symlink()
    assert (tmp_path / "disk" / "kept.previous").exists()
    again = dsmfast.train(X, **run, resume=True)
    assert np.array_equal(again.model.W, first.model.W)


def test_a_side_file_is_nobody_elses(tmp_path, monkeypatch):
    """A name that is taken is an error, not a file of somebody that is overwritten."""
    monkeypatch.setattr("secrets.token_hex", lambda count: "taken")
    (tmp_path / ".model.taken").write_text("mine")
    with pytest.raises(FileExistsError), written_aside(tmp_path / "model"):
        pytest.fail("it was opened")
    assert (tmp_path / ".model.taken").read_text() == "mine"
