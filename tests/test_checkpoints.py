"""Runs that are killed, interrupted or fail, and go on; files damaged or of another run."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import dsmfast
from dsmfast._rows.fingerprint import fingerprint
from dsmfast._run import checkpoints
from dsmfast._run.options import CheckpointOptions
from dsmfast._run.snapshot import Snapshot
from dsmfast.results import State

pytest.importorskip("safetensors")


def same(first, second):
    return all(np.array_equal(getattr(first, n), getattr(second, n)) for n in ("W", "b", "c"))


def rows(n=300, d=5, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


OPTIONS = {"n_hidden": 8, "sigma": 0.5, "epochs": 6, "batch_size": 32}


class StopError(Exception):
    pass


@pytest.fixture
def often(monkeypatch):
    """Write after every piece, and make the pieces one step."""
    monkeypatch.setattr("dsmfast._run.checkpoints.SHARE", 1e9)
    monkeypatch.setattr("dsmfast._run.stepper.PIECE", 1e-9)


CASES = {
    "adam": {},
    "sgd": {"optimizer": "sgd", "schedule": "constant"},
    "plain sgd": {"optimizer": dsmfast.SGD(momentum=0.0)},
    "float64": {"dtype": "float64"},
    "gram": {"path": "gram", "draws": 2, "antithetic": True},
    "ism": {"objective": "ism", "curvature_penalty": 0.01},
    "esm": {"objective": "esm", "score": lambda x: -x},
    "esm_smoothed": {"objective": "esm_smoothed"},
    "sigma schedule": {"sigma": [0.5, 0.4, 0.3, 0.2, 0.15, 0.1]},
    "function schedule": {"schedule": lambda progress: 1 / (1 + progress)},
    "patience": {"patience": 2, "validation": 0.3, "tolerance": 0.01},
    "windows": {"window": 96},
}


@pytest.mark.parametrize("case", CASES)
def test_stopped_anywhere_it_ends_in_the_same_bits(case, often, tmp_path):
    """An error at the n-th write of the run, whatever n: what is on disk then is all there is."""
    options = {**OPTIONS, **CASES[case]}
    path = tmp_path / "checkpoint.safetensors"
    whole = dsmfast.train(rows(), **options)
    run = {**options, "checkpoint": path, "checkpoint_seconds": 1e-9}
    save = checkpoints.Checkpoint.save
    stops = 0
    for stop_at in (1, 2, 7, 8, 9, 23):
        path.unlink(missing_ok=True)
        (tmp_path / "checkpoint.safetensors.previous").unlink(missing_ok=True)
        writes = 0

        def count(self, kept, stop_at=stop_at):
            nonlocal writes, stops
            writes += 1
            if writes > stop_at:
                stops += 1
                raise StopError
            save(self, kept)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoints.Checkpoint, "save", count)
            with pytest.raises(StopError):
                dsmfast.train(rows(), **run)
        rest = {**run, "resume": True, "threads": 3, "checkpoint_seconds": 9.0}
        again = dsmfast.train(rows(), **rest)
        assert same(again.model, whole.model)
        assert again.steps == whole.steps
        assert (again.stop_reason, again.best_epoch) == (whole.stop_reason, whole.best_epoch)
        for name in set(whole.history) - {"seconds"}:
            assert np.array_equal(again.history[name], whole.history[name])
    assert stops >= 6


def test_an_interrupted_run_goes_on(tmp_path):
    run = {**OPTIONS, "checkpoint": tmp_path / "kept", "validation": 0.2, "patience": 50}

    def interrupt(state):
        if state.epoch == 3:
            raise KeyboardInterrupt

    first = dsmfast.train(rows(), **run, callbacks=[interrupt])
    assert first.stop_reason == "interrupted"
    again = dsmfast.train(rows(), **run, resume=True)
    whole = dsmfast.train(rows(), **{**run, "checkpoint": None})
    assert same(again.model, whole.model)
    assert np.array_equal(again.history["validation_loss"], whole.history["validation_loss"])


def test_ctrl_c_in_the_midst_of_validation(tmp_path, monkeypatch):
    from dsmfast._run.stepper import Stepper

    validation_loss = Stepper.validation_loss
    calls = []

    def interrupt(self, state, held_out):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validation_loss(self, state, held_out)

    run = {**OPTIONS, "checkpoint": tmp_path / "kept", "validation": 0.2, "patience": 50}
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "validation_loss", interrupt)
        first = dsmfast.train(rows(), **run)
    assert first.stop_reason == "interrupted"
    assert np.isnan(first.history["validation_loss"][-1])
    again = dsmfast.train(rows(), **run, resume=True)
    whole = dsmfast.train(rows(), **{**run, "checkpoint": None})
    assert np.array_equal(again.history["validation_loss"], whole.history["validation_loss"])
    assert same(again.model, whole.model)


def test_a_finished_run_is_not_run_again(tmp_path):
    run = {**OPTIONS, "checkpoint": tmp_path / "kept"}
    first = dsmfast.train(rows(), **run)
    fail = dsmfast.Callback()
    fail.on_train_begin = lambda state: pytest.fail("it was run again")
    again = dsmfast.train(rows(), **run, resume=True, callbacks=[fail])
    assert same(again.model, first.model)
    assert again.stop_reason == "finished"
    for name, values in first.history.items():
        assert np.array_equal(again.history[name], values)


def test_without_a_checkpoint_resume_starts(tmp_path):
    run = {**OPTIONS, "checkpoint": tmp_path / "kept"}
    assert same(
        dsmfast.train(rows(), **run, resume=True).model, dsmfast.train(rows(), **OPTIONS).model
    )
    with pytest.raises(ValueError, match="resume: needs checkpoint"):
        dsmfast.train(rows(), **OPTIONS, resume=True)


def test_a_diverging_run_is_kept_where_it_was_finite(tmp_path):
    run = {**OPTIONS, "optimizer": "sgd", "learning_rate": 1e30, "checkpoint": tmp_path / "kept"}
    with pytest.raises(dsmfast.DivergenceError) as first:
        dsmfast.train(rows(), **run)
    with pytest.raises(dsmfast.DivergenceError, match="diverged at step") as again:
        dsmfast.train(rows(), **run, resume=True)
    assert same(first.value.result.model, again.value.result.model)


def test_a_callback_that_raises_leaves_a_checkpoint(tmp_path):
    run = {**OPTIONS, "checkpoint": tmp_path / "kept"}

    def fail(state):
        if state.epoch == 2:
            raise StopError

    with pytest.raises(StopError):
        dsmfast.train(rows(), **run, callbacks=[fail])
    again = dsmfast.train(rows(), **run, resume=True)
    assert same(again.model, dsmfast.train(rows(), **OPTIONS).model)


DIFFERENT = {
    "X": ({}, {}, "X was '300 x 5 float32 "),
    "epochs": ({}, {"epochs": 7}, "epochs was 6 and is 7"),
    "n_hidden": ({}, {"n_hidden": 9}, "n_hidden was 8 and is 9"),
    "sigma": ({}, {"sigma": 0.4}, r"sigma was \[0.5\] and is \[0.4\]"),
    "objective": ({}, {"objective": "dae"}, "objective was 'dsm' and is 'dae'"),
    "optimizer": ({}, {"optimizer": dsmfast.Adam(beta1=0.8)}, "optimizer was .*'beta1': 0.9"),
    "batch_size": ({}, {"batch_size": 31}, "batch_size was 32 and is 31"),
    "seed": ({}, {"seed": 1}, "seed was 0 and is 1"),
    "dtype": ({}, {"dtype": "float64"}, "dtype was 'float32' and is 'float64'"),
    "path": ({}, {"path": "gram"}, "path was 'explicit' and is 'gram'"),
    "draws": ({}, {"draws": 2}, "draws was 1 and is 2"),
    "schedule": ({}, {"schedule": lambda p: 1 - p}, r"schedule was 'linear' and is \[1.0"),
    "window": ({}, {"window": 64}, "window was None and is 64"),
    "validation": ({"validation": rows(9)}, {"validation": rows(8)}, "validation was '9 x 5"),
    "init": ({}, {"init": dsmfast.ScoreModel.initialize(5, 8, 0.5)}, "init was False and is '8"),
    "score": (
        {"objective": "esm", "score": lambda x: -x},
        {"objective": "esm", "score": lambda x: -2 * x},
        "score was '300 x 5",
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_run_is_refused_with_the_difference(name, tmp_path):
    before, after, message = DIFFERENT[name]
    run = {**OPTIONS, "checkpoint": tmp_path / "kept"}
    dsmfast.train(rows(), **{**run, **before})
    content = (tmp_path / "kept").read_bytes()
    X = rows(seed=1) if name == "X" else rows()
    with pytest.raises(ValueError, match=f"resume: .*kept is of another run: .*{message}"):
        dsmfast.train(X, **{**run, **before, **after}, resume=True)
    assert (tmp_path / "kept").read_bytes() == content


@pytest.fixture
def two(often, tmp_path):
    """A checkpoint and the one before it, in the midst of a run; and what it should come to."""

    def stop(state):
        if state.epoch == 3:
            raise StopError

    run = {**OPTIONS, "checkpoint": tmp_path / "kept", "checkpoint_seconds": 1e-9}
    with pytest.raises(StopError):
        dsmfast.train(rows(), **run, callbacks=[stop])
    assert (tmp_path / "kept.previous").exists()
    return run, dsmfast.train(rows(), **OPTIONS).model


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_a_damaged_one_is_told_of_and_the_one_before_it_taken(damage, two, tmp_path):
    run, expected = two
    path = tmp_path / "kept"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    damaged = {"cut": content[:-9], "empty": b"", "foreign": b"hello"}.get(damage, content)
    path.write_bytes(bytes(damaged))
    with pytest.warns(UserWarning, match="continuing from .*kept.previous"):
        again = dsmfast.train(rows(), **run, resume=True)
    assert same(again.model, expected)


def test_killed_between_the_two_renames(two, tmp_path):
    run, expected = two
    (tmp_path / "kept").replace(tmp_path / "kept.previous")
    assert same(dsmfast.train(rows(), **run, resume=True).model, expected)


def test_two_damaged_ones_are_an_error(two, tmp_path):
    for name in ("kept", "kept.previous"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"kept: not a readable .*kept.previous: not a"):
        dsmfast.train(rows(), **two[0], resume=True)


def test_a_model_is_no_checkpoint(tmp_path):
    dsmfast.ScoreModel.initialize(5, 8, 0.5).save(tmp_path / "kept")
    with pytest.raises(ValueError, match="expected format 'dsmfast-checkpoint-1', got 'dsmfast-m"):
        dsmfast.train(rows(), **OPTIONS, checkpoint=tmp_path / "kept", resume=True)
    dsmfast.train(rows(), **OPTIONS, checkpoint=tmp_path / "other")
    with pytest.raises(ValueError, match="expected format 'dsmfast-model-1', got 'dsmfast-check"):
        dsmfast.load(tmp_path / "other")


def test_a_full_disk_is_told_of_and_training_goes_on(often, tmp_path, monkeypatch):
    from pathlib import Path

    path = tmp_path / "kept"
    write_bytes = Path.write_bytes
    writes = []

    def fail(self, content):
        writes.append(1)
        if 3 <= len(writes) <= 5:
            raise OSError(28, "No space left on device")
        return write_bytes(self, content)

    monkeypatch.setattr(Path, "write_bytes", fail)
    run = {**OPTIONS, "checkpoint": path, "checkpoint_seconds": 1e-9}
    with pytest.warns(
        UserWarning, match="checkpoint: .*No space left on device.*; dsmfast tries ag"
    ):
        result = dsmfast.train(rows(), **run)
    assert same(result.model, dsmfast.train(rows(), **OPTIONS).model)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept", "kept.previous"]


def test_a_disk_that_stays_full_hands_back_the_result(tmp_path, monkeypatch):
    from pathlib import Path

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    warns = pytest.warns(UserWarning, match="dsmfast tries again later")
    with warns, pytest.raises(OSError, match="No space left") as caught:
        dsmfast.train(rows(), **OPTIONS, checkpoint=tmp_path / "kept")
    assert same(caught.value.result.model, dsmfast.train(rows(), **OPTIONS).model)
    assert list(tmp_path.iterdir()) == []


def test_where_it_cannot_be_written(tmp_path):
    warns = pytest.warns(UserWarning, match="No such file")
    with warns, pytest.raises(FileNotFoundError):
        dsmfast.train(rows(), **OPTIONS, checkpoint=tmp_path / "nowhere" / "kept")
    with pytest.raises(ValueError, match="checkpoint_seconds: expected a finite number > 0"):
        dsmfast.train(rows(), **OPTIONS, checkpoint=tmp_path / "kept", checkpoint_seconds=0)


def test_it_is_written_every_so_often(tmp_path, monkeypatch):
    """A write that takes long comes seldom: one hundredth of the time at most."""
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    options = CheckpointOptions(checkpoint=tmp_path / "kept", checkpoint_seconds=10.0)
    kept = checkpoints.Checkpoint(options, {})
    assert not kept.is_due()
    now[0] = 10.0
    assert kept.is_due()

    def slow(*_, **__):
        now[0] += 3.0

    monkeypatch.setattr(checkpoints, "write", slow)
    model = dsmfast.ScoreModel.initialize(2, 3, 0.5)
    kept.save(Snapshot(State.start(model, 2), []))
    now[0] += 299.0
    assert not kept.is_due()
    now[0] += 1.0
    assert kept.is_due()


def test_fingerprints():
    X = rows(100)
    assert fingerprint(X) == fingerprint(np.asfortranarray(X)) == fingerprint(X.copy())
    other = X.copy()
    other[50, 2] = np.nextafter(other[50, 2], 9)
    assert len({fingerprint(v) for v in (X, other, X[:99], X.astype(float), X.T)}) == 5
    blocks = np.zeros((5000, 1), np.float32)
    assert (
        len({fingerprint(blocks + (np.arange(5000) == i)[:, None]) for i in (-1, 4094, 4095, 4096)})
        == 4
    )
    large = np.zeros((2**20, 17), np.float32)
    before = fingerprint(large)
    large[-1, 3] = 1
    assert fingerprint(large) != before


KILLED = """
import sys
import numpy as np, dsmfast
from dsmfast._run import checkpoints, stepper
checkpoints.SHARE, stepper.PIECE = 1e9, 0.005
X = np.random.default_rng(0).standard_normal((4000, 20)).astype("f")
mode, path = sys.argv[1:]
run = {"checkpoint": path, "checkpoint_seconds": 1e-9, "resume": True} if mode == "kept" else {}
print("ready", flush=True)
result = dsmfast.train(
    X, 30, 0.4, epochs=120, batch_size=100, validation=0.1, patience=100, threads=1, **run
)
print(result.model.W.tobytes().hex()[:64], result.history["validation_loss"].sum(), result.steps)
"""


def kill_and_resume(kills, folder, seed):
    """Kill runs at random moments; return how many were killed and what they and others end in."""
    generator = random.Random(seed)
    script = folder / "run.py"
    script.write_text(KILLED)
    plain = [sys.executable, str(script), "plain", "-"]
    begin = time.perf_counter()
    expected = subprocess.run(plain, capture_output=True, text=True, check=True).stdout
    longest = time.perf_counter() - begin
    killed, ends = 0, []
    while killed < kills:
        path = folder / f"{killed}.kept"
        while True:
            command = [sys.executable, str(script), "kept", str(path)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "ready\n"
            try:
                out, _ = process.communicate(timeout=generator.uniform(0, longest))
                assert process.returncode == 0
                ends.append("ready\n" + out)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                killed += 1
    return killed, ends, expected


# The moments are not drawn from a fixed seed: whatever they are, the bits are to be the same.
@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_random_moments(kills, tmp_path):
    killed, ends, expected = kill_and_resume(kills, tmp_path, seed=os.getpid())
    assert killed >= kills
    assert set(ends) == {expected}


def test_other_names_of_columns_are_another_run(tmp_path):
    """The run went on, and the model had the new names."""
    pandas = pytest.importorskip("pandas")
    run = {**OPTIONS, "checkpoint": tmp_path / "kept"}
    before = pandas.DataFrame(rows(d=2), columns=["width", "height"])
    dsmfast.train(before, **run)
    run = {**run, "resume": True}
    for other in (["height", "width"], ["width", "depth"]):
        message = f"another run: its columns were width, height and are {', '.join(other)}"
        with pytest.raises(ValueError, match=message):
            dsmfast.train(before.set_axis(other, axis=1), **run)
    assert dsmfast.train(before, **run).model.feature_names == ("width", "height")
    dsmfast.train(rows(d=2), **run)  # without names
    (tmp_path / "kept").unlink()
    (tmp_path / "kept.previous").unlink(missing_ok=True)
    dsmfast.train(rows(d=2), **run)  # a checkpoint without names, and then a table
    assert dsmfast.train(before, **run).model.feature_names == ("width", "height")


def test_a_damaged_checkpoint_is_told_where_it_is_asked_for(tmp_path):
    run = {**OPTIONS, "checkpoint": tmp_path / "kept"}
    dsmfast.train(rows(), **run)
    (tmp_path / "kept").rename(tmp_path / "kept.previous")
    (tmp_path / "kept").write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="continuing from") as warned:
        dsmfast.train(rows(), **run, resume=True)
    assert warned[0].filename == __file__
    sklearn = pytest.importorskip("dsmfast.sklearn")
    options = {"max_iter": 3, "checkpoint": tmp_path / "fit", "random_state": 0}
    estimator = sklearn.DenoisingAutoencoder(8, **options).fit(rows())
    (tmp_path / "fit").rename(tmp_path / "fit.previous")
    (tmp_path / "fit").write_bytes(b"nothing")
    estimator.set_params(resume=True)
    with pytest.warns(UserWarning, match="continuing from") as warned:
        estimator.fit(rows())
    assert warned[0].filename == __file__
