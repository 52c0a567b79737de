"""Threads: as many as make sense and can be had, and what the interpreter does meanwhile."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import dsmfast

if dsmfast.build_info()["openmp"] is None:
    pytest.skip("built without OpenMP", allow_module_level=True)
if not Path("/proc/self/task").exists():
    pytest.skip("threads are counted in /proc", allow_module_level=True)

PRELUDE = """
import os, resource
import numpy as np, dsmfast
X = np.random.default_rng(0).random((20_000, 16), dtype=np.float32)
model = dsmfast.ScoreModel.initialize(16, 64, 0.5)
threads = lambda: len(os.listdir("/proc/self/task"))
"""


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.split()


LIMITED = """
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
room = used + {megabytes} * 2**20
resource.setrlimit(resource.RLIMIT_AS, (room, room))
found = {call}
print(np.float64(np.sum(found)).hex())
"""

CALLS = {
    "energy": "model.energy(X, threads=64)",
    "train": "dsmfast.train(X, 64, 0.5, epochs=1, batch_size=4096, threads=200).model.W",
    "loss": "dsmfast.loss(model, X, threads=64)",
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("megabytes", [40, 80, 200])
def test_a_limit_of_memory_is_not_the_end(call, megabytes):
    """Stacks of threads are 8 MB each; without room for them there are fewer threads."""
    expected = run(f"print(np.float64(np.sum({CALLS[call]})).hex())")
    assert run(LIMITED.format(megabytes=megabytes, call=CALLS[call])) == expected


def test_a_limit_of_threads_is_not_the_end():
    """As a container has it; root is not held to it."""
    if os.getuid() == 0:
        pytest.skip("root may start as many as it likes")
    code = """
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
print(np.isfinite(model.energy(X, threads=8)).all())
"""
    assert run(code) == ["True"]


def test_no_more_threads_than_make_sense():
    code = "dsmfast.train(X, 64, epochs=1, threads=1024); model.energy(X, threads=1024)"
    left = int(run(code + "; print(threads())")[0])
    assert left <= 2 * max(8, 2 * (os.cpu_count() or 1)) + 4


HOLDER = """
import threading, time
big = np.random.default_rng(0).random(500_000).tolist()

def hold():  # the interpreter, in C, for a quarter of a second or so at a time
    while True:
        sorted(big)

def spent(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin

Y = np.random.default_rng(0).random((60_000, 256), dtype=np.float32)
wide = dsmfast.ScoreModel.initialize(256, 512, 0.5)
plain = np.random.default_rng(0).random(30_000_000)
works = (lambda: wide.score(Y, threads=1), lambda: np.exp(plain))
alone = [min(spent(work) for _ in range(3)) for work in works]
threading.Thread(target=hold, daemon=True).start()
time.sleep(0.1)
beside = [sorted(spent(work) for _ in range(5))[2] for work in works]
print(beside[0] / alone[0], beside[1] / alone[1])
"""


@pytest.mark.slow
def test_a_call_does_not_wait_for_the_interpreter():
    """But to begin and to end, as a call of NumPy that lets go of it does too, in the same run."""
    if (os.cpu_count() or 1) < 2:
        pytest.skip("the other thread needs a processor of its own")
    ours, numpys = map(float, run(HOLDER))
    assert ours <= 1.6 * numpys


def test_ctrl_c_is_for_the_main_thread_alone():
    """Training in another thread does not hear of it, and a callback can stop it."""
    stopping, found = threading.Event(), []

    def ask(state):
        if stopping.is_set():
            state.stop()

    X = np.random.default_rng(0).random((500, 16), dtype=np.float32)

    def work():
        found.append(dsmfast.train(X, 32, 0.5, epochs=10**6, callbacks=[ask]))

    worker = threading.Thread(target=work)
    worker.start()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    worker.join(0.5)
    assert not found
    stopping.set()
    worker.join(30)
    assert found[0].stop_reason == "callback"


@pytest.mark.parametrize("processors", [1, 2])
def test_threads_may_run_where_they_could_before(processors):
    """One that finds itself on the processor of another asks to be elsewhere, for a moment."""
    allowed = sorted(os.sched_getaffinity(0))[:processors]
    code = f"""
allowed = {set(allowed)}
os.sched_setaffinity(0, allowed)
masks = lambda: {{one: os.sched_getaffinity(int(one)) for one in os.listdir("/proc/self/task")}}
before = masks()  # other libraries have threads too
for _ in range(300):
    model.energy(X, threads=2)
print(all(mask == before.get(one, allowed) for one, mask in masks().items()))
"""
    assert run(code) == ["True"]
