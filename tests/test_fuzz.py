"""A short run of each fuzzer, and proof that they see what they look for."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import fuzz_boundary
import fuzz_calls
import fuzzing
import numpy as np
import pytest
from fuzz_arrays import LAYOUTS, plain
from fuzz_calls import Call
from fuzzing import Finding, outcome_of
from hypothesis import strategies as st

TESTS = Path(__file__).parent


def test_calls_of_any_kind():
    found = fuzzing.run(fuzz_boundary.inputs(), fuzz_boundary.judge, 300, seed=1)
    assert min(found[kind] for kind in ("result", "TypeError", "ValueError")) > 30


def test_files_of_any_kind():
    pytest.importorskip("safetensors")
    import fuzz_files

    found = fuzzing.run(fuzz_files.inputs(), fuzz_files.judge, 400, seed=1)
    for ending in (".safetensors", ".npy", ".npz", ".csv"):
        assert found[f"{ending} result"] > 0
        assert found[f"{ending} ValueError"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fuzz_boundary", "fuzz_files"])
def test_many_more(name):
    pytest.importorskip("safetensors")
    command = [sys.executable, str(TESTS / f"{name}.py"), "--seed", "2", "--calls", "6000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6000 inputs" in done.stdout


def test_a_seed_makes_the_same_inputs_again():
    def inputs_of(seed):
        return fuzzing.run(st.integers(), str, 50, seed)

    assert inputs_of(3) == inputs_of(3)
    assert inputs_of(3) != inputs_of(4)


def test_bytes_make_an_input():
    """As atheris asks for them."""
    outcomes = Counter()
    test = fuzzing.tested(fuzz_boundary.inputs(), fuzz_boundary.judge, count=1, outcomes=outcomes)
    for seed in range(10):
        test.hypothesis.fuzz_one_input(np.random.default_rng(seed).bytes(4000))
    assert outcomes.total() > 0


def test_layouts_change_no_number():
    array = np.arange(1.0, 13.0).reshape(3, 4)
    laid = [layout(array) for layout in LAYOUTS]
    assert all(np.array_equal(np.asarray(other), array) for other in laid)
    arrays = [other for other in laid if isinstance(other, np.ndarray)]
    assert len(arrays) < len(laid)
    assert any(not other.flags.c_contiguous for other in arrays)
    assert any(not other.flags.aligned for other in arrays)
    assert all(plain(other).flags.c_contiguous and plain(other).flags.aligned for other in arrays)


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
        outcome_of(spin, "")


FRAGILE = """
import os, signal, sys
from hypothesis import strategies as st
import fuzzing
def judge(value):
    fuzzing.outcome_of(lambda: None, f"the value {value}")
    if value == 100:
        os.kill(os.getpid(), signal.SIGSEGV)
    if 50 <= value < 53:
        raise fuzzing.Finding("fifty", str(value))
    return "odd" if value % 2 else "even"
fuzzing.BATCH = 20
sys.exit(fuzzing.main(st.integers(0, 100), judge, "crashes now and then"))
"""


def test_a_run_outlives_crashes(tmp_path):
    script = tmp_path / "fragile.py"
    script.write_text(FRAGILE)
    done = subprocess.run(
        [sys.executable, str(script), "--calls", "160"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 1, done.stderr
    assert "exit code -11: the value 100" in done.stdout
    assert "fifty: 50" in done.stdout
    assert "Fatal Python error: Segmentation fault" in done.stdout
    assert int(done.stdout.splitlines()[-1].split()[0]) >= 20  # and there are batches of neither
