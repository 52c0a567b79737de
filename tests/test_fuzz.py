"""A short run of each fuzzer, and proof that they see what they look for."""

import os
import subprocess
import sys
import time
from pathlib import Path

import fuzz_boundary
import fuzz_calls
import numpy as np
import pytest
from fuzz_arrays import LAYOUTS, plain
from fuzz_calls import Call
from fuzzing import Choices, Finding, outcome_of, run

TESTS = Path(__file__).parent


@pytest.fixture
def fuzz_files():
    pytest.importorskip("safetensors.numpy")
    import fuzz_files

    return fuzz_files


def outcomes(attempt, count):
    """Outcomes of the first inputs of a seed, always the same ones."""
    tally = run(attempt, seed=1, numbers=range(count))
    assert not tally.findings, str(tally)
    assert tally.inputs == count
    return tally.outcomes


def test_calls_of_any_kind():
    found = outcomes(fuzz_boundary.attempt, 3000)
    assert min(found[kind] for kind in ("result", "TypeError", "ValueError")) > 300


def test_files_of_any_kind(fuzz_files):
    found = outcomes(fuzz_files.attempt, 2000)
    for ending in (".safetensors", ".npy", ".npz", ".csv"):
        assert found[f"{ending} result"] > 0
        assert found[f"{ending} ValueError"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fuzz_boundary", "fuzz_files"])
def test_many_more(name):
    pytest.importorskip("safetensors.numpy")
    command = [sys.executable, str(TESTS / f"{name}.py"), "--seed", "2", "--calls", "40000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40000 inputs" in done.stdout


def test_an_input_is_made_again_from_its_number():
    first, again = ([Choices(3, 5).integer(0, 2**60) for _ in range(2)] for _ in range(2))
    assert first == again
    assert Choices(3, 6).integer(0, 2**60) not in first


def test_layouts_change_no_number():
    array = np.arange(1.0, 13.0).reshape(3, 4)
    laid = [layout(array) for layout in LAYOUTS]
    assert all(np.array_equal(np.asarray(other), array) for other in laid)
    assert any(not isinstance(other, np.ndarray) for other in laid)
    assert all(
        plain(other).flags.c_contiguous and plain(other).flags.aligned
        for other in laid
        if isinstance(other, np.ndarray)
    )


def wrong_error(x):
    raise KeyError(x)


def wrong_change(x):
    x[...] = 0


def wrong_warning(x):
    return np.float32(1e30) * np.float32(1e30)


def wrong_refusal(x):
    raise ValueError("x: expected something else")


def wrong_silence(x):
    raise ValueError


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (wrong_error, "KeyError at test_fuzz.py"),
        (wrong_change, "changed argument"),
        (wrong_warning, "RuntimeWarning at"),
        (wrong_refusal, "ValueError for good arguments"),
        (wrong_silence, "ValueError without a message"),
        (lambda x: x.tobytes("A"), "other bits from plain arrays"),
        (lambda x: None, "wrong result"),
    ],
)
def test_a_finding(function, kind):
    def check(result):
        assert result is not None

    x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    call = Call(function, {"x": x}, check, lambda result: (np.frombuffer(result),))
    with pytest.raises(Finding, match=kind):
        fuzz_calls.judge(call, good=True, compare=True)


def test_a_call_that_takes_long_is_a_finding(monkeypatch):
    monkeypatch.setattr("fuzzing.SLOW", 0.01)

    def spin():
        end = time.process_time() + 0.03
        while time.process_time() < end:
            pass

    with pytest.raises(Finding, match="slow"):
        outcome_of(spin, str)


FRAGILE = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import fuzzing
def attempt(choices):
    value = choices.integer(0, 99)
    if value == 7:
        os.kill(os.getpid(), signal.SIGSEGV)
    return "odd" if value % 2 else "even"
sys.exit(fuzzing.main(attempt, "crashes now and then"))
"""


def test_a_run_outlives_crashes(tmp_path):
    script = tmp_path / "fragile.py"
    script.write_text(FRAGILE.format(tests=str(TESTS)))
    done = subprocess.run(
        [sys.executable, str(script), "--calls", "100"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 1, done.stderr
    assert "100 inputs" in done.stdout
    assert "crash, exit code -11" in done.stdout
