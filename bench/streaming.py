"""Training from a mapped file, a window at a time, beside training from memory.

    python bench/streaming.py                  # a file of 1.2 GB; memory for a twentieth of it
    python bench/streaming.py --uncached       # after asking the system to forget the file

Turns of both in one process; the file lies in a temporary directory, or where --folder says.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import dsmfast

D, H, BATCH, SIGMA = 784, 128, 512, 0.3


def write(path: Path, rows: int) -> None:
    file = np.lib.format.open_memmap(path, "w+", np.float32, (rows, D))
    rng = np.random.default_rng(0)
    for first in range(0, rows, 16384):
        file[first : first + 16384] = rng.random((min(16384, rows - first), D), np.float32)
    file.flush()


def forget(path: Path) -> None:
    """Ask the system to drop the file from its cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def seconds(X: np.ndarray, threads: int | None, window: int | None) -> float:
    begin = time.perf_counter()
    dsmfast.train(
        X,
        H,
        SIGMA,
        epochs=1,
        batch_size=BATCH,
        learning_rate=1e-4,
        window=window,
        threads=threads,
        progress=False,
    )
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--share", type=int, default=20, help="the file over two windows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--uncached", action="store_true")
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    window = args.rows // (2 * args.share) // BATCH * BATCH
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "X.npy"
        write(path, args.rows)
        mapped = np.load(path, mmap_mode="r")
        loaded = np.load(path)
        times: list[tuple[float, float]] = []
        for _ in range(args.rounds):
            if args.uncached:
                forget(path)
            by_window = seconds(mapped, args.threads, window)
            times.append((by_window, seconds(loaded, args.threads, None)))
    by_window, from_memory = (statistics.median(t) for t in zip(*times, strict=True))
    size = 4 * args.rows * D
    one = 4 * window * D
    print(f"{size / 1e9:.2f} GB, two windows of {one / 1e6:.0f} MB; {D} to {H}, float32")
    print(f"an epoch by windows {by_window:.2f} s ({size / by_window / 1e9:.2f} GB/s)")
    ratio = from_memory / by_window
    print(f"an epoch from memory {from_memory:.2f} s, speed by windows {ratio:.2f} of that")


if __name__ == "__main__":
    main()
