"""Signals, forks, other OpenMP runtimes, and what must stay as it was."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import dsmfast


def quarter():
    """A quarter of a second, or as much as it takes to get it where others use the machine too."""
    return 0.25 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def run(code, **environment):
    """Run a program in a fresh interpreter; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def interrupt_after(seconds):
    """Send this process a SIGINT; return the list that gets the time it was sent at."""
    sent = []

    def send():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(seconds, send)
    timer.start()
    return sent


class Interrupting(dsmfast.Callback):
    """Sends this process a SIGINT, a moment after training has begun, or after an epoch of it."""

    def __init__(self, epoch=0):
        self.epoch = epoch

    def on_train_begin(self, state):
        if state.epoch == self.epoch:
            self.sent = interrupt_after(0.1)

    on_epoch_end = on_train_begin


def soonest(once):
    """Seconds of the best of three: a shared machine may be away for longer than is asked for."""
    spent = once()
    for _ in range(2):
        if spent >= quarter():
            spent = min(spent, once())
    return spent


@pytest.mark.parametrize(
    ("n", "d", "h", "batch_size", "threads"),
    [
        (100_000, 2, 8, 16, None),
        (20_000, 100, 400, 256, None),
        (4000, 500, 500, 4000, None),
        (20_000, 512, 512, 8, 2),
        (20_000, 64, 128, 256, 8),
    ],
    ids=[
        "small steps",
        "middle steps",
        "long steps",
        "fewer tiles than threads",
        "and more threads",
    ],
)
def test_ctrl_c_ends_training_with_the_state_so_far(n, d, h, batch_size, threads):
    X = np.random.default_rng(0).random((n, d), dtype=np.float32)
    dsmfast.train(X[:100], h, 0.5, epochs=1)  # start the threads

    def once():
        press = Interrupting(epoch=1)
        options = {"epochs": 100_000, "batch_size": batch_size, "threads": threads}
        result = dsmfast.train(X, h, 0.5, **options, callbacks=[press])
        returned = time.perf_counter()
        assert result.stop_reason == "interrupted"
        assert np.isfinite(result.model.W).all()
        assert result.steps > 0
        assert result.steps // -(-n // batch_size) - len(result.history["loss"]) in (0, 1)
        return returned - press.sent[0]

    assert soonest(once) < quarter()


def test_ctrl_c_ends_evaluation():
    model = dsmfast.ScoreModel.initialize(64, 2000, 0.5)
    x = np.zeros((2_000_000, 1), np.float32)
    x = np.broadcast_to(x, (2_000_000, 64))

    def once():
        sent = interrupt_after(0.3)
        with pytest.raises(KeyboardInterrupt):
            model.energy(x)
        return time.perf_counter() - sent[0]

    assert soonest(once) < quarter()


@pytest.mark.parametrize(
    "work",
    [
        lambda x: dsmfast.parzen_score(x[:20_000], x, 1.0),
        lambda x: dsmfast.parzen_log_density(x[:1], np.broadcast_to(x[:1], (10**9, 64)), 1.0),
        lambda x: [dsmfast.select_sigma(x) for _ in range(100)],
        lambda x: dsmfast.connection(
            dsmfast.ScoreModel.initialize(64, 9, 1.0), x, points=10**6, draws=100
        ),
    ],
    ids=["score", "one point", "sigma", "connection"],
)
def test_ctrl_c_ends_what_looks_at_all_data(work):
    x = np.random.default_rng(0).random((300_000, 64), dtype=np.float32)

    def once():
        sent = interrupt_after(0.3)
        with pytest.raises(KeyboardInterrupt):
            work(x)
        return time.perf_counter() - sent[0]

    assert soonest(once) < quarter()


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "esm_smoothed"},
        {"objective": "ism", "curvature_penalty": 0.1},
        {"objective": "ism", "curvature_penalty": 0.1, "n_hidden": 20},
    ],
    ids=["esm_smoothed", "penalty over features", "penalty over hidden units"],
)
def test_ctrl_c_ends_training_by_other_objectives(options):
    x = np.random.default_rng(0).random((100_000, 100), dtype=np.float32)
    options = {"n_hidden": 300, "epochs": 10_000, "batch_size": 2000, **options}

    def once():
        press = Interrupting()
        result = dsmfast.train(x, sigma=0.5, **options, callbacks=[press])
        returned = time.perf_counter()
        assert result.stop_reason == "interrupted"
        assert np.isfinite(result.model.W).all()
        return returned - press.sent[0]

    assert soonest(once) < quarter()


def test_other_signal_handlers_are_heard_during_training():
    class AlarmError(Exception):
        pass

    def ring(*_):
        raise AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(AlarmError):
            dsmfast.train(np.zeros((1000, 100), np.float32), 100, 0.5, epochs=100_000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_gil_is_released():
    """Another thread gets on while a kernel runs."""
    counted = [0]
    stop = threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0.001)

    X = np.random.default_rng(0).random((20_000, 100), dtype=np.float32)
    thread = threading.Thread(target=count)
    thread.start()
    try:
        begin, before = time.perf_counter(), counted[0]
        dsmfast.train(X, 300, 0.5, epochs=2, threads=1)
        spent = time.perf_counter() - begin
        assert counted[0] - before > 20 * spent  # of up to 1000 a second
    finally:
        stop.set()
        thread.join()


def test_calls_from_several_python_threads():
    X = np.random.default_rng(0).random((300, 40), dtype=np.float32)
    expected = dsmfast.train(X, 60, 0.5, epochs=3).model.W
    results = []

    def work():
        results.append(dsmfast.train(X, 60, 0.5, epochs=3).model.W)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(W, expected) for W in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("used_before", [True, False])
def test_work_goes_on_after_a_fork(used_before):
    before = "W0 = dsmfast.train(X, 80, 0.5, epochs=1, threads=2).model.W" if used_before else ""
    code = f"""
import os, sys, warnings
import numpy as np, dsmfast
warnings.simplefilter("ignore")
X = np.random.default_rng(0).random((500, 300), dtype=np.float32)
{before}
child = os.fork()
W = dsmfast.train(X, 80, 0.5, epochs=1, threads=2).model.W
if child == 0:
    sys.stdout.write(str(abs(W).sum())); sys.stdout.flush(); os._exit(0)
_, status = os.waitpid(child, 0)
print("", abs(W).sum(), status)
"""
    child, parent, status = run(code).split()
    assert child == parent
    assert status == "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_multiprocessing_by_fork():
    code = """
import multiprocessing, warnings
import numpy as np, dsmfast
warnings.simplefilter("ignore")
X = np.random.default_rng(0).random((500, 300), dtype=np.float32)
def work(seed):
    return float(abs(dsmfast.train(X, 80, 0.5, epochs=1, seed=seed).model.W).sum())
expected = [work(seed) for seed in range(4)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(4)) == expected)
"""
    assert run(code) == "True"


TOGETHER = """
import os, signal
import numpy as np
X = np.random.default_rng(0).random((600, 300), dtype=np.float32)
{imports}
def other():
    {other}
def train(threads):
    return dsmfast.train(X, 80, 0.5, epochs=1, threads=threads).model.W
other()  # starts the threads of a runtime that may be shared
if (child := os.fork()) == 0:
    signal.alarm(60)
    os._exit(not np.array_equal(train(2), train(1)))
W = train(2)
other()
print(np.array_equal(W, train(2)), os.waitpid(child, 0)[1])
"""
OTHERS = {
    "torch": "a = torch.rand(500, 500); (a @ a).sum()",
    "sklearn.cluster": "sklearn.cluster.KMeans(3, n_init=1).fit(X)",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("first", [True, False], ids=["dsmfast first", "dsmfast second"])
@pytest.mark.parametrize("module", OTHERS)
def test_beside_another_openmp_runtime(module, first):
    pytest.importorskip(module.partition(".")[0])
    imports = [f"import {module}", "import dsmfast"]
    code = TOGETHER.format(imports="\n".join(imports[:: -1 if first else 1]), other=OTHERS[module])
    assert run(code) == "True 0"


def test_nothing_global_is_changed():
    code = """
import numpy as np, threadpoolctl
before = np.float32(1e-40) * np.float32(0.5), np.geterr()
import dsmfast
X = np.random.default_rng(0).random((600, 300), dtype=np.float32)
pools = threadpoolctl.threadpool_info()
for threads in (1, 2, 3):
    dsmfast.train(X, 80, 0.5, epochs=1, threads=threads)
after = np.float32(1e-40) * np.float32(0.5), np.geterr()
assert before == after, "subnormals or NumPy's error state"
assert after[0] > 0, "subnormals are flushed"
assert pools == threadpoolctl.threadpool_info(), "thread counts"
import signal
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("same")
"""
    assert run(code) == "same"


def test_fewer_threads_than_asked_for():
    """OpenMP may give fewer: a limit, a nested region, dynamic adjustment."""
    code = """
import numpy as np, dsmfast
X = np.random.default_rng(0).random((600, 300), dtype=np.float32)
model = dsmfast.train(X, 80, 0.5, epochs=1, threads=4).model
print(abs(model.score(X, threads=4)).sum())
"""
    assert run(code, OMP_THREAD_LIMIT="1") == run(code)


def test_a_thread_at_work_when_the_interpreter_ends():
    code = """
import threading, time
import numpy as np, dsmfast
X = np.zeros((20_000, 300), dtype=np.float32)
work = lambda: dsmfast.train(X, 500, 0.5, epochs=10, threads=2)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
print("end")
"""
    assert run(code) == "end"


def test_thread_count_follows_openmp():
    if dsmfast.build_info()["openmp"] is None:
        pytest.skip("built without OpenMP")
    show = "import dsmfast; print(dsmfast.build_info()['threads'])"
    assert run(show, OMP_NUM_THREADS="3") == "3"
    limited = """
import dsmfast, threadpoolctl
with threadpoolctl.threadpool_limits(1, "openmp"):
    print(dsmfast.build_info()["threads"])
"""
    assert run(limited, OMP_NUM_THREADS="3") == "1"


@pytest.mark.parametrize("name", dsmfast.build_info()["instruction_sets_available"])
def test_instruction_set_can_be_forced(name):
    show = "import dsmfast; print(dsmfast.build_info()['instruction_set'])"
    assert run(show, DSMFAST_ISA=name) == name


def test_unknown_instruction_set_is_an_error():
    done = subprocess.run(
        [sys.executable, "-c", "import dsmfast"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DSMFAST_ISA": "mmx"},
    )
    assert done.returncode == 1
    assert "DSMFAST_ISA=mmx: this build has no such set; available are baseline" in done.stderr


def test_importing_is_light():
    code = """
import sys
import dsmfast
heavy = {"sklearn", "matplotlib", "scipy", "safetensors", "tqdm", "torch"} & set(sys.modules)
print(sorted(heavy))
"""
    assert run(code) == "[]"


def test_ctrl_c_during_validation_keeps_the_epoch():
    """The epoch is done: its loss is in the history, its validation loss is not known."""
    x = np.random.default_rng(0).random((60_000, 64), dtype=np.float32)
    options = {"objective": "esm_smoothed", "epochs": 3, "draws": 50, "data": x, "validation": x}
    result = dsmfast.train(x[:256], 64, 1.0, **options, callbacks=[Interrupting()])
    assert result.stop_reason == "interrupted"
    assert result.steps == len(result.history["loss"])
    assert np.isfinite(result.history["loss"]).all()
    assert np.isnan(result.history["validation_loss"]).sum() <= 1


def test_ctrl_c_while_rewinding_leaves_the_steps_that_are_done(monkeypatch):
    """Divergence late in an epoch, and a Ctrl-C while its steps are taken again."""
    from dsmfast._run.stepper import Piece, Stepper

    x = np.random.default_rng(0).random((6400, 8), dtype=np.float32)
    run = Stepper.run
    options = {"epochs": 1, "batch_size": 64, "optimizer": "sgd"}
    options["schedule"] = lambda done: 1.0 if done < 0.9 else 1e32

    def train_until(call):
        calls = []

        def interrupted(self, piece, task, part, share=None):
            calls.append(part.rows)
            if len(calls) < call:
                return run(self, piece, task, part, share)
            ten = Piece(piece.state, piece.sums[:10], piece.landed)
            run(self, ten, task, part._replace(rows=640), share)
            raise KeyboardInterrupt

        monkeypatch.setattr(Stepper, "run", interrupted)
        return dsmfast.train(x, 9, 0.5, **options)

    with pytest.raises(dsmfast.DivergenceError) as caught:
        train_until(2)
    result, expected = caught.value.result, train_until(1)
    assert expected.stop_reason == "interrupted"
    assert result.steps == expected.steps == 10
    assert np.array_equal(result.model.W, expected.model.W)
