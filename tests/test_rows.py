"""What X may be: sparse, mapped from a file that shrinks, changed since a run was kept."""

import subprocess
import sys

import numpy as np
import pytest

import dsmfast
from dsmfast._rows.mapped import by_plain_reads

OPTIONS = {"n_hidden": 4, "sigma": 0.5, "epochs": 3, "batch_size": 20, "threads": 1}


def rows(n=200, d=3):
    return np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "coo_array"])
def test_sparse_rows_are_told_what_to_do(kind):
    sparse = pytest.importorskip("scipy.sparse")
    X = getattr(sparse, kind)(rows())
    for call in (
        lambda: dsmfast.train(X, **OPTIONS),
        lambda: dsmfast.train(X, window=100, **OPTIONS),
        lambda: dsmfast.train(rows(), validation=X, **OPTIONS),
        lambda: dsmfast.select_sigma(X),
    ):
        with pytest.raises(TypeError, match=r"sparse matrices are not supported; use .*toarray"):
            call()


SHRUNK = """
import os, sys
import numpy as np, dsmfast
path, kept = sys.argv[1:]
X = np.load(path, mmap_mode="r")

def shrink(state):
    if state.epoch == 2:
        os.truncate(path, 70_000)

try:
    dsmfast.train(X, 4, 0.5, epochs=5, batch_size=500, window=1000, callbacks=[shrink],
                  checkpoint=kept, checkpoint_seconds=1e-9)
except ValueError as error:
    print(error, error.result.history["loss"].size)
"""


def test_a_mapped_file_that_shrinks_is_an_error(tmp_path):
    """By the mapping it would be the end of the process, by SIGBUS."""
    path, kept = tmp_path / "rows.npy", tmp_path / "kept"
    X = rows(10_000)
    np.save(path, X)
    command = [sys.executable, "-c", SHRUNK, str(path), str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("X: expected shape (1000, 3) of rows ")
    assert done.stdout.endswith(" 2\n")
    np.save(path, X)  # it is whole again: the run goes on
    options = {"epochs": 5, "batch_size": 500, "window": 1000}
    mapped = np.load(path, mmap_mode="r")
    whole = dsmfast.train(mapped, 4, 0.5, **options)
    again = dsmfast.train(mapped, 4, 0.5, **options, checkpoint=kept, resume=True)
    assert np.array_equal(again.model.W, whole.model.W)


def test_parts_of_a_mapping_are_read_where_they_stand(tmp_path):
    X = np.arange(3000, dtype=">f8").reshape(1000, 3)
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for part in (mapped, mapped[17:], mapped[:-5], mapped[100:][50:200]):
        read = by_plain_reads(part)
        assert read is not part
        for some in (slice(0, 1), slice(7, 60), slice(90, 10_000)):
            assert np.array_equal(read[some], part[some])
    for other in (mapped[::2], mapped[:, 1:], X):
        assert by_plain_reads(other) is other


def test_a_name_that_became_another_file(tmp_path):
    """The mapping still has what it was made of; the name has something else."""
    np.save(tmp_path / "rows.npy", rows())
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    (tmp_path / "rows.npy").unlink()
    assert by_plain_reads(mapped) is mapped
    np.save(tmp_path / "rows.npy", -rows())
    assert by_plain_reads(mapped) is mapped


def test_all_values_in_memory_tell_a_checkpoint(tmp_path):
    """More than 2**24 of them, one changed."""
    X = rows(600, 30_000)
    run = {**OPTIONS, "epochs": 1, "batch_size": 300, "checkpoint": tmp_path / "kept"}
    dsmfast.train(X, **run)
    X[301, 17] += 1
    with pytest.raises(ValueError, match=r"resume: .* is of another run: X was"):
        dsmfast.train(X, **run, resume=True)


class Slices:
    """What has rows and no array in memory."""

    def __init__(self, X):
        self.X, self.shape, self.dtype = X, X.shape, X.dtype

    def __getitem__(self, some):
        return self.X[some]


def test_all_windows_that_were_read_tell_a_checkpoint(tmp_path, monkeypatch):
    """Also where the sketch of the data has not seen the row that is another."""
    monkeypatch.setattr("dsmfast._rows.fingerprint.WHOLE", 100)
    X = rows(9000)
    unseen = next(iter(set(range(9000)) - set(np.linspace(0, 8999, 4096).astype(int))))
    options = {**OPTIONS, "batch_size": 500, "window": 1000}

    def interrupt(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    run = {**options, "checkpoint": tmp_path / "kept"}
    whole = dsmfast.train(Slices(X), **options)
    for changed in (False, True):
        dsmfast.train(Slices(X), **run, callbacks=[interrupt])
        other = X.copy()
        other[unseen] += changed
        if not changed:
            again = dsmfast.train(Slices(other), **run, resume=True)
            assert np.array_equal(again.model.W, whole.model.W)
            continue
        with pytest.raises(ValueError, match="X: expected the rows that the run was on before"):
            dsmfast.train(Slices(other), **run, resume=True)
