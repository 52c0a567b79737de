"""Several at once: threads of Python, processes of joblib."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dsmfast
from dsmfast import reference
from problems import PARITY, relative_error


def rows(seed):
    return np.random.default_rng(seed).standard_normal((700, 9)).astype(np.float32)


def work(seed):
    """Everything that a user may do, with results that are known to the bit."""
    X = rows(seed)
    result = dsmfast.train(X, 20, 0.4, epochs=3, batch_size=64, seed=seed, threads=1 + seed % 3)
    model = result.model
    value, gradient = dsmfast.loss_and_grad(model, X, seed=seed)
    parts = [model.W, model.score(X), model.energy(X), model.hidden(X), *gradient]
    return [value, *parts, dsmfast.parzen_score(X[:50], X, 0.4)]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_eight_threads_do_what_one_does():
    """At once, on one thread each and on several, the same bits come out."""
    jobs = [seed % 8 for seed in range(48)]
    expected = [work(seed) for seed in range(8)]
    start = threading.Barrier(8)

    def begin(seed):
        if seed < 8:
            start.wait(timeout=30)  # all at once
        return work(seed)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(begin, range(8)))
        found += list(pool.map(work, jobs))
    for seed, values in zip([*range(8), *jobs], found, strict=True):
        assert same(values, expected[seed])


def test_eight_threads_share_a_model():
    model = dsmfast.ScoreModel.initialize(9, 20, 0.4)
    X = rows(0)
    expected = model.score(X)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: model.score(X), range(200)))
    assert all(np.array_equal(values, expected) for values in found)
    oracle = reference.ScoreModel(model.W, model.b, model.c, 0.4)
    assert relative_error(expected, oracle.score(X)) <= PARITY["float32"]


def test_an_error_in_one_thread_is_its_own():
    bad = rows(1)
    bad[5, 5] = np.nan

    def job(seed):
        if seed % 2:
            with pytest.raises(ValueError, match="row 5, column 5"):
                dsmfast.train(bad, 8, 0.4)
            return True
        return bool(np.isfinite(dsmfast.train(rows(seed), 8, 0.4, epochs=1).model.W).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(job, range(32)))


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib(backend):
    joblib = pytest.importorskip("joblib")
    if backend == "loky":
        # Processes of their own, which cannot import this file by its name.
        jobs = [joblib.delayed(dsmfast.train)(rows(s), 20, 0.4, epochs=2, seed=s) for s in range(4)]
        found = [r.model.W for r in joblib.Parallel(n_jobs=2, backend=backend)(jobs)]
    else:
        jobs = [joblib.delayed(_weights)(seed) for seed in range(4)]
        found = joblib.Parallel(n_jobs=2, backend=backend)(jobs)
    expected = [_weights(seed) for seed in range(4)]
    assert same(found, expected)


def _weights(seed):
    return dsmfast.train(rows(seed), 20, 0.4, epochs=2, seed=seed).model.W
