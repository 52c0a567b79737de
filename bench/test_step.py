"""pytest-benchmark: a full SGD step of each library at the six shapes.

    pytest bench/test_step.py --benchmark-group-by=group --benchmark-columns=min,median,rounds

Peers that are not installed are skipped. For ratios taken in turns, see report.py.
"""

import os

import pytest

from contenders import CONTENDERS, SHAPES, Problem

MODULES = {"torch.compile": "torch", "numpy": "threadpoolctl"}
STEPS = 4


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("name", CONTENDERS)
def test_step(benchmark, name, shape):
    pytest.importorskip(MODULES.get(name, name))
    threads = len(os.sched_getaffinity(0))
    run = CONTENDERS[name](Problem(*shape, batches=STEPS), threads)
    benchmark.group = "B, d, h = " + ", ".join(map(str, shape))
    benchmark.extra_info["steps per round"] = STEPS
    benchmark.extra_info["threads"] = threads
    benchmark.pedantic(run, rounds=9, warmup_rounds=2)
