"""Ctrl-C at any moment: the state and the history are those of a moment of the whole run."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import dsmfast

# A file that was opened when the interrupt came, and not yet given to `with`, is closed by CPython
# when nobody has it any more, with a warning.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PACKAGE = str(Path(dsmfast.__file__).parent)
X = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
STEPS = 3  # of an epoch of 60 rows
MANY = int(os.environ.get("DSMFAST_INTERRUPTS", "200"))  # of each kind, of the slow tests

CASES = {
    "plain": {},
    "validated": {"validation": X[:20], "patience": 3},
    "callbacks": {"validation": X[:20], "callbacks": [lambda state: state.model.energy(X)]},
    "sigmas": {"sigma": np.geomspace(1, 0.3, 6)},
    "windows": {"window": 40, "batch_size": 20},
    "scales": {"sigma_max": 2.0, "schedule": "cosine"},  # and a search for modes at the end
}


def run(case, **more):
    options = {"n_hidden": 4, "sigma": 0.5, "epochs": 6, "batch_size": 20, "threads": 1}
    return dsmfast.train(X, **{**options, **CASES[case], **more})


class Interrupt:
    """A KeyboardInterrupt at the n-th call or return, of Python or C, inside the package.

    It is there that the interpreter looks for signals, and on jumps backwards.
    """

    def __init__(self, at):
        self.at, self.seen = at, 0

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return
        # Nothing of ours runs any more when `train` returns; the caller's look comes after. Nor
        # does the interpreter look between the return of `finish` and where `train` keeps it.
        if event == "return" and frame.f_code.co_name in ("train", "finish"):
            return
        self.seen += 1
        if self.seen == self.at:
            sys.setprofile(None)
            raise KeyboardInterrupt

    def __enter__(self):
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)


def same(a, b):
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("W", "b", "c"))


def check_history(result):
    """One entry for each epoch whose steps are all done, each of them whole."""
    columns = result.history
    epochs = result.state.epochs
    assert result.state.steps == STEPS * epochs + len(result.state.sums)
    assert {len(column) for column in columns.values()} == {epochs}
    for name, column in columns.items():
        known = column[:-1] if name == "validation_loss" else column
        assert np.isfinite(known).all(), name


def run_interrupted(case, at, path):
    """Return whether the run began; if so, it has handed back its state and its history."""
    for file in (path, path.with_name(path.name + ".previous")):
        file.unlink(missing_ok=True)
    began = []

    class Begin(dsmfast.Callback):
        def on_train_begin(self, state):
            began.append(1)

    kept = {"checkpoint": path, "callbacks": [*CASES[case].get("callbacks", ()), Begin()]}
    with Interrupt(at):
        try:
            result = run(case, **kept)
        except KeyboardInterrupt:
            result = None
    if result is None:
        assert not began, "KeyboardInterrupt came out of a run that had begun"
        return False
    assert result.stop_reason in ("interrupted", "finished", "patience")
    if result.best_epoch is None:
        check_history(result)
    return True


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [40, pytest.param(MANY, marks=pytest.mark.slow)])
def test_between_any_two_instructions(case, count, tmp_path):
    with Interrupt(0) as counter:
        run(case, checkpoint=tmp_path / "count")
    whole = run(case)
    moments = random.Random(case)
    path = tmp_path / "kept"
    began = 0
    for _ in range(count):
        at = moments.randint(1, counter.seen)
        began += run_interrupted(case, at, path)
        again = run(case, checkpoint=path, resume=True)
        assert same(again.model, whole.model), at
        assert (again.steps, again.best_epoch) == (whole.steps, whole.best_epoch), at
        for name in set(whole.history) - {"seconds"}:
            assert np.array_equal(again.history[name], whole.history[name]), (at, name)
    assert began >= count // 4


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_at_each_instruction(case, tmp_path):
    with Interrupt(0) as counter:
        run(case, checkpoint=tmp_path / "count")
    began = [run_interrupted(case, at, tmp_path / "kept") for at in range(1, counter.seen + 1)]
    assert sum(began) > len(began) // 2


@pytest.mark.parametrize("count", [50, pytest.param(MANY, marks=pytest.mark.slow)])
def test_by_real_signals(count, tmp_path):
    """A timer's signal, whose handler is that of Ctrl-C, in kernels and between them."""
    rows = np.random.default_rng(1).random((500, 16), dtype=np.float32)
    options = {"n_hidden": 16, "sigma": 0.5, "epochs": 40, "batch_size": 50, "threads": 1}
    begin = time.perf_counter()
    whole = dsmfast.train(rows, **options)
    spent = time.perf_counter() - begin
    moments, path = random.Random(1), tmp_path / "kept"
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    interrupted = 0
    try:
        for _ in range(count):
            path.unlink(missing_ok=True)
            result = None
            try:
                signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.1, 1) * spent)
                result = dsmfast.train(rows, **options, checkpoint=path)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:  # before training began, or after it had ended
                pass
            signal.setitimer(signal.ITIMER_REAL, 0)
            if result is not None:
                interrupted += result.stop_reason == "interrupted"
                epochs = result.state.epochs
                assert result.state.steps == 10 * epochs + len(result.state.sums)
                assert len(result.history["loss"]) == epochs
            again = dsmfast.train(rows, **options, checkpoint=path, resume=True)
            assert same(again.model, whole.model)
            assert np.array_equal(again.history["loss"], whole.history["loss"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted >= count // 10
