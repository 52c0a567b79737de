"""How many normals a second, for each precision and row width: python bench/noise.py."""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import dsmfast


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    print(f"{args.threads} threads, {dsmfast.build_info()['instruction_set']}")
    print("| dtype | columns | G normals/s |\n|---|---|---|")
    for dtype in ("float32", "float64"):
        for columns in (2, 8, 64, 784):
            rows = np.arange(1_500_000 // columns)
            times = []
            for _ in range(15):
                begin = time.perf_counter()
                dsmfast.normals(0, 0, 0, rows, columns, dtype, threads=args.threads)
                times.append(time.perf_counter() - begin)
            rate = len(rows) * columns / statistics.median(times)
            print(f"| {dtype} | {columns} | {rate / 1e9:.2f} |")


if __name__ == "__main__":
    main()
