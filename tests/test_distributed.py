"""Training on several ranks, as mpiexec starts them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import dsmfast

pytest.importorskip("mpi4py")
# Beside this Python, where the environment has it but is not activated.
MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
if MPIEXEC is None:
    pytest.skip("no mpiexec", allow_module_level=True)

SETUP = """
import numpy as np, dsmfast
from mpi4py import MPI
comm = MPI.COMM_WORLD
X = np.random.default_rng(0).random((700, 12))
cuts = {2: [0, 300, 700], 3: [0, 20, 500, 700]}[comm.size]  # uneven
X = X[cuts[comm.rank] : cuts[comm.rank + 1]]
weights = np.random.default_rng(1).random(700)
"""


def run(*command):
    """Run it to its end, or with all that it has started for two minutes; return what happened."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        # Ranks hold the pipes, and would outlive the launcher.
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"not over after two minutes:\n{out}\n{err}")
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def mpiexec(ranks, code, *arguments, check=True):
    """Run a program on so many ranks; return what happened."""
    done = run(MPIEXEC, "-n", str(ranks), sys.executable, "-c", SETUP + code, *arguments)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def rows():
    return np.random.default_rng(0).random((700, 12))


EQUAL = """
import sys
options = eval(sys.argv[1])
if "validation" in options:
    options["validation"] = X[:30]
if "sample_weight" in options:
    options["sample_weight"] = weights[cuts[comm.rank] : cuts[comm.rank + 1]]
result = dsmfast.train(X, 16, comm=comm, **options)
W = comm.allgather(result.model.W)
assert all(np.array_equal(W[0], other) for other in W)  # on every rank
if comm.rank == 0:
    arrays = {name: getattr(result.model, name) for name in "Wbc"}
    np.savez(sys.argv[2], **arrays, **result.history)
"""

CASES = {
    "explicit": {"path": "explicit"},
    "adam": {"optimizer": "adam"},
    "gram": {"path": "gram"},
    "draws": {"path": "gram", "draws": 4, "antithetic": True},
    "sgd": {"batch_size": 50, "schedule": "cosine"},
    "ism": {"objective": "ism", "curvature_penalty": 0.001},
    "validation": {"validation": True, "patience": 2, "epochs": 3},
    "schedule": {"sigma": [0.4, 0.3], "epochs": 2},
    "scales": {"sigma_max": 3.0, "coarse_target": "row", "path": "gram"},
    "weights": {"sample_weight": True, "sigma_max": 3.0, "coarse_target": "row"},
}


RUNS = [(case, 2, "float64") for case in CASES]
RUNS += [("explicit", 3, "float32"), ("gram", 3, "float32"), ("adam", 2, "float32")]
MORE = [(case, 2, "float32") for case in CASES if case != "adam"]
MORE += [("explicit", 3, "float64"), ("gram", 3, "float64")]


@pytest.mark.parametrize(
    ("case", "ranks", "dtype"), RUNS + [pytest.param(*run, marks=pytest.mark.slow) for run in MORE]
)
def test_ranks_follow_one_process(case, ranks, dtype, tmp_path):
    """Up to the order of sums: roundings of 6e-8 and 1e-16, and what training makes of them.

    Adam steps as far along a gradient that is all rounding as along others, and so makes more.
    """
    options = {"sigma": 0.3, "epochs": 1, "batch_size": 64, "dtype": dtype, "optimizer": "sgd"}
    options |= CASES[case]
    mpiexec(ranks, EQUAL, repr({**options, "threads": 1}), str(tmp_path / "result.npz"))
    if "validation" in options:
        options["validation"] = np.concatenate([rows()[:30], rows()[300:330]])
    if "sample_weight" in options:
        options["sample_weight"] = np.random.default_rng(1).random(700)
    expected = dsmfast.train(rows(), 16, **options)
    found = np.load(tmp_path / "result.npz")
    limit = (1e-5 if dtype == "float32" else 1e-12) * (20 if case == "adam" else 1)
    for name in ("W", "b", "c"):
        value = getattr(expected.model, name)
        error = np.abs(found[name] - value).max() / np.abs(value).max()
        assert error < limit
    for name in set(expected.history) - {"seconds"}:
        np.testing.assert_allclose(found[name], expected.history[name], rtol=limit)


POSTERIOR = """
import sys
options = {"sigma": 0.3, "sigma_max": 3.0, "epochs": 2, "batch_size": 64, "dtype": "float64"}
results = [dsmfast.train(X, 16, comm=comm, reference=r, **options) for r in ("batch", 100, "all")]
for result in results:
    W = comm.allgather(result.model.W)
    assert all(np.array_equal(W[0], other) for other in W)
assert not np.array_equal(results[0].model.W, results[2].model.W)
try:
    dsmfast.train(X, 16, comm=comm, **{**options, "sigma_max": "auto"})
except ValueError as error:
    assert str(error).startswith("sigma_max: expected a number, got 'auto', and each rank"), error
else:
    raise AssertionError
"""


def test_a_posterior_is_over_the_rows_of_a_rank():
    """All ranks have one model; it is another than that of one process, which has all rows."""
    mpiexec(2, POSTERIOR)


def test_going_on_from_a_checkpoint(tmp_path):
    code = """
import sys
options = {"sigma": 0.3, "epochs": 4, "batch_size": 64, "checkpoint": sys.argv[1]}
def stop(state):
    if state.epoch == 2 and sys.argv[2] == "stop":
        state.stop()
    assert comm.rank == 0
result = dsmfast.train(X, 16, comm=comm, resume=True, callbacks=[stop], **options)
if comm.rank == 0:
    print(result.stop_reason, result.steps, result.model.W.sum())
"""
    whole = mpiexec(2, code, str(tmp_path / "whole"), "-").stdout
    assert mpiexec(2, code, str(tmp_path / "kept"), "stop").stdout.startswith("callback 22 ")
    # What a callback ended is at an end; as if it had been killed instead:
    from dsmfast._files import read, write

    tensors, record = read(tmp_path / "kept", "dsmfast-checkpoint-1")
    write(tmp_path / "kept", tensors, {**record, "stop_reason": None})
    assert mpiexec(2, code, str(tmp_path / "kept"), "-").stdout == whole
    other = mpiexec(3, code, str(tmp_path / "kept"), "-", check=False)
    assert other.returncode != 0
    assert "is of another run: ranks was" in other.stderr


FAILURES = {
    "data": ("X[0, 0] = np.nan if comm.rank == 1 else 1", "nan in row 0, column 0"),
    "options": ("options['batch_size'] = 32 + comm.rank", "batch_size: expected the same on all"),
    "features": ("X = X[:, : 12 - comm.rank]", "features: expected the same on all ranks"),
    "sigma": ("options['sigma'] = 'auto'", "sigma: expected a number, got 'auto'"),
    "fraction": ("options['validation'] = 0.2", "validation: expected rows; a fraction is for"),
    "windows": ("options['window'] = 64", "comm: expected X in memory on each rank"),
    "divergence": (
        "options.update(optimizer='sgd', learning_rate=1e30)",
        "DivergenceError: training diverged at step",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_rank_that_fails_ends_the_job_with_its_error(failure):
    spoil, message = FAILURES[failure]
    code = f"""
options = {{"sigma": 0.3, "epochs": 3, "batch_size": 64}}
{spoil}
dsmfast.train(X, 16, comm=comm, **options)
print("not reached")
"""
    begin = time.perf_counter()
    done = mpiexec(2, code, check=False)
    assert time.perf_counter() - begin < 60
    assert done.returncode != 0
    assert message in done.stderr
    assert "not reached" not in done.stdout


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_fails_on_the_way_ends_the_job(rank):
    """In the midst of an epoch, while the other waits in a sum."""
    code = f"""
from dsmfast._run.distributed import World
add_up, calls = World.sum, []
def failing(*arguments):
    calls.append(1)
    if len(calls) == 9 and comm.rank == {rank}:
        raise RuntimeError("the memory is on fire")
    return add_up(*arguments)
World.sum = failing
dsmfast.train(X, 16, 0.3, batch_size=64, comm=comm)
print("not reached")
"""
    done = mpiexec(2, code, check=False)
    assert done.returncode != 0
    assert f"dsmfast: rank {rank} of 2 failed:" in done.stderr
    assert "RuntimeError: the memory is on fire" in done.stderr
    assert "not reached" not in done.stdout


def test_an_interrupted_rank_ends_the_job():
    code = """
import signal, threading
if comm.rank == 1:
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
dsmfast.train(X, 16, 0.3, epochs=10**8, batch_size=64, comm=comm)
print("not reached")
"""
    done = mpiexec(2, code, check=False)
    assert done.returncode != 0
    assert "dsmfast: rank 1 of 2 failed:" in done.stderr
    assert "interrupted" in done.stderr


def test_one_rank_is_one_process():
    from mpi4py import MPI

    options = {"n_hidden": 8, "sigma": 0.3, "epochs": 2}
    alone = dsmfast.train(rows(), comm=MPI.COMM_SELF, **options)
    assert np.array_equal(alone.model.W, dsmfast.train(rows(), **options).model.W)
    with pytest.raises(TypeError, match="comm: expected a communicator of mpi4py, got 3"):
        dsmfast.train(rows(), comm=3, **options)


def test_command_line(tmp_path):
    train = [sys.executable, "-m", "dsmfast", "train", "spiral", "--hidden", "20"]
    together = [MPIEXEC, "-n", "2", *train, "--mpi", "--out", str(tmp_path / "two")]
    done = run(*together)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("spiral: 4000 rows to train on, 1000 held out, 2 features, 2 ra")
    assert done.stdout.count("\n") == 3
    # Of several ranks none has the rows to choose scales by.
    alone = [*train, "--sigma-max", "none", "--out", str(tmp_path / "one")]
    subprocess.run(alone, capture_output=True, check=True)
    models = [dsmfast.load(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    assert np.abs(models[0].W - models[1].W).max() < 1e-5 * np.abs(models[0].W).max()
    wrong = [MPIEXEC, "-n", "2", *train[:-3], "nothing", "--mpi", "--out", str(tmp_path / "x")]
    done = run(*wrong)
    assert done.returncode == 2
    assert done.stderr.count("dsmfast: nothing: neither one of") == 1


@pytest.mark.parametrize("place", ["check", "step"])
def test_ctrl_c_on_one_rank_ends_the_job(place):
    """Before training, while data are checked, the others would wait for it; and in training."""
    code = """
import sys, time
def score(x):
    if comm.rank == 1:
        raise KeyboardInterrupt
    return -x
def interrupt(state):
    raise KeyboardInterrupt
options = {"check": {"objective": "esm", "score": score}, "step": {"callbacks": [interrupt]}}
dsmfast.train(X, 16, 0.3, comm=comm, epochs=3, **options[sys.argv[1]])
"""
    begin = time.perf_counter()
    done = mpiexec(2, code, place, check=False)
    assert done.returncode != 0
    assert "interrupted" in done.stderr
    assert time.perf_counter() - begin < 60
