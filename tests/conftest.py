"""Settings and fixtures that the tests share."""

import os
import signal

# Before scipy is imported: scikit-learn's checks skip array-API input without it.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# Before OpenMP is: each process of pytest -n takes its share of the processors.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    share = max(1, (os.cpu_count() or 1) // int(workers))
    os.environ.setdefault("OMP_NUM_THREADS", str(share))

import pytest
from hypothesis import settings

from problems import DTYPES, SHAPES

# A shell starts its background jobs with Ctrl-C ignored, and so would they be here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Derandomized, because a gate that fails on Tuesdays teaches nothing; no deadline, because the
# machines are shared.
settings.register_profile("gate", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("gate")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """All tests, which ``python -m pytest`` means, take two processes where xdist is installed."""
    everything = config.args_source is config.ArgsSource.TESTPATHS
    is_worker, unsaid = hasattr(config, "workerinput"), getattr(config.option, "numprocesses", 0)
    if everything and unsaid is None and not is_worker and not config.option.usepdb:
        config.option.numprocesses = min(2, os.cpu_count() or 1)


def pytest_configure(config):
    """A file of tests stays in one process, where its fixtures are made once."""
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadfile"


@pytest.fixture(params=DTYPES)
def dtype(request):
    return request.param


@pytest.fixture(params=SHAPES, ids=str)
def shape(request):
    return request.param
