"""What training takes, and that it gives it back."""

import subprocess
import sys

import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc"),
]


def measured(code):
    """Run a program with `resident()` and `peak()`, in bytes; return the numbers that it prints."""
    setup = """
import re, sys
from pathlib import Path
import numpy as np, dsmfast
def of(name):
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(name + r":\\s+(\\d+)", status).group(1))
def resident():
    return of("VmRSS")
def peak():
    return of("VmHWM")
"""
    done = subprocess.run(
        [sys.executable, "-c", setup + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


@pytest.mark.parametrize("options", ["", "path='gram', draws=2", "window=64", "validation=0.2"])
def test_a_thousand_trainings_do_not_grow_it(options):
    start, end = measured(f"""
X = np.random.default_rng(0).random((500, 40), dtype=np.float32)
for i in range(1100):
    if i == 100:
        print(resident())
    dsmfast.train(X, 32, 0.3, epochs=1, batch_size=32, seed=i, {options})
print(resident())
""")
    assert end - start < 2**20


@pytest.mark.parametrize(
    ("optimizer", "models"), [("dsmfast.SGD(momentum=0.0)", 4), ("'sgd'", 5), ("'adam'", 7)]
)
def test_the_peak_is_what_the_documentation_says(optimizer, models):
    """Data, so many arrays like W, and tiles of some megabytes."""
    d = h = 3000
    before, after = measured(f"""
X = np.random.default_rng(0).random((1024, {d}), dtype=np.float32)
dsmfast.train(X[:, :9], 9, 0.3, epochs=1)
print(resident())
dsmfast.train(X, {h}, 0.3, epochs=1, optimizer={optimizer}, learning_rate=1e-5, path="explicit")
print(peak())
""")
    size = 4 * d * h
    tiles = 24 * 2**20
    assert after - before < models * size + tiles
    assert after - before > (models - 1) * size  # or the documentation says too much


def test_windows_take_no_more_than_two(tmp_path):
    n, d, window = 200_000, 256, 8192
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.uint8, (n, d))
    X[::7] = 100
    X.flush()
    before, after = measured(f"""
X = np.load({str(tmp_path / "X.npy")!r}, mmap_mode="r")
dsmfast.train(X[:1000], 9, 0.3, epochs=1, scale=1 / 255)
print(resident())
dsmfast.train(X, 9, 0.3, epochs=1, window={window}, scale=1 / 255)
print(peak())
""")
    # The sample that the start goes by, two windows of float32, and the pages of the file itself,
    # which the system may take back.
    assert after - before < 4 * (2**23 + 2 * d * window) + n * d + 30 * 2**20
