"""pytest-benchmark: a full SGD step of each library at the shapes of the comparison.

    pytest bench/ --benchmark-json=FILE     # two to ten minutes
    python bench/compare.py FILE [AFTER]    # a table of it, or what two of them differ by
    pytest bench/ --benchmark-disable -k 128x2x64    # each contender once, nothing timed

Peers that are not installed are skipped. For ratios taken in turns, see report.py.
"""

import pytest

from contenders import CONTENDERS, SHAPES, Problem, processors, sized

MODULES = {"torch.compile": "torch", "numpy": "threadpoolctl"}
# What a peer warns of is its own; what comes up while dsmfast runs is an error, as in the tests.
PEER = pytest.mark.filterwarnings("ignore")
NAMES = [n if n == "dsmfast" else pytest.param(n, marks=PEER) for n in CONTENDERS]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("name", NAMES)
def test_step(benchmark, name, shape):
    pytest.importorskip(MODULES.get(name, name))
    threads = processors()
    problem = sized(shape, most=5e10) if benchmark.enabled else Problem(*shape, batches=2)
    run = CONTENDERS[name](problem, threads)
    benchmark.group = "B, d, h = " + ", ".join(map(str, shape))
    benchmark.extra_info["steps per round"] = problem.steps
    benchmark.extra_info["threads"] = threads
    benchmark.pedantic(run, rounds=9, warmup_rounds=2)
