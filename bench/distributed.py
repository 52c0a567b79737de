"""Training on ranks: measured on this machine, and on paper for a network.

    mpiexec -n 2 python bench/distributed.py     # steps by one process, and by these ranks
    python bench/distributed.py --paper          # where scaling ends, for networks of two kinds

Ranks and processes get one thread each here, so that two ranks have what two threads have. "Apart"
is the most that ranks can reach: the speed-up of processes that train at the same time, each on its
share of a batch, and never talk to each other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import dsmfast
from dsmfast import _core

SHAPES = [(256, 64, 128), (2048, 784, 128), (2048, 784, 512), (4096, 3072, 256)]
RANKS = (2, 4, 8, 16, 32, 64)
# Latency of a message in seconds, bytes a second: 10 Gb/s Ethernet and a 100 Gb/s interconnect.
NETWORKS = {"10 Gb/s, 20 us": (20e-6, 1.25e9), "100 Gb/s, 2 us": (2e-6, 12.5e9)}
SIGMA = 0.3


def median(run: Callable[[], object], rounds: int = 9) -> float:
    run()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def trained(shape: tuple[int, int, int], steps: int, comm, threads: int, path: str) -> float:
    """Seconds a step of `train`, by all ranks of comm or by this process alone."""
    B, d, h = shape
    ranks = 1 if comm is None else comm.size
    X = np.random.default_rng(0).random((steps * B // ranks, d), dtype=np.float32)
    options = {
        "batch_size": B,
        "optimizer": dsmfast.SGD(momentum=0.0),
        "learning_rate": 1e-5,
        "comm": comm,
        "threads": threads,
        "path": path,
        "progress": False,
    }
    dsmfast.train(X, h, SIGMA, epochs=1, **options)
    result = dsmfast.train(X, h, SIGMA, epochs=4, **options)
    return float(np.median(result.history["seconds"])) / steps


def local_step(rows: int, shape: tuple[int, int, int]) -> float:
    """Seconds of what a rank does in a step beside the sum: its gradient, and the update."""
    B, d, h = shape
    steps = 4
    X = np.random.default_rng(0).random((steps * rows, d), dtype=np.float32)
    model = dsmfast.ScoreModel.initialize(d, h, SIGMA)
    path = _core.Path[dsmfast.choose_path(B, d, h)]
    # Of which the others have the rest, and which nobody adds up here.
    share = _core.Share(begins=rows * np.arange(steps + 1), rows=steps * B, sum=lambda values: None)
    arguments = (
        [(model.W.copy(), model.b.copy(), model.c.copy())],
        dsmfast.SGD(momentum=0.0).compiled(0),
        _core.Regression(points=X, noise=_core.Noise(sigma=SIGMA), path=path),
        np.arange(len(X)),
        0,
        len(X),
        B,
        np.full(steps, 1e-5),
        np.empty(steps),
        np.zeros(1, np.int64),
        _core.WorkingMemory(),
        1,
        share,
    )
    return median(lambda: _core.train(*arguments), 15) / steps


def only_first(comm, run: Callable[[], float]) -> float:
    """Run on rank 0, while the others sleep: a barrier would have them spin."""
    if comm.rank == 0:
        seconds = run()
        for rank in range(1, comm.size):
            comm.send(None, rank)
        return seconds
    while not comm.Iprobe(source=0):
        time.sleep(0.01)
    comm.recv(source=0)
    return 0.0


def cells(comm, shape: tuple[int, int, int]) -> list[str]:
    B, d, h = shape
    steps = max(4, min(64, round(4e9 / (10 * B * d * h))))
    path = dsmfast.choose_path(B, d, h)
    buffer = np.zeros(h * d + h + d + 1, np.float32)
    alone = only_first(comm, lambda: trained(shape, steps, None, 1, path))
    together = trained(shape, steps, comm, 1, path)
    comm.Barrier()
    apart = max(comm.allgather(trained((B // comm.size, d, h), steps, None, 1, path)))
    reduce = median(lambda: comm.Allreduce(buffer.copy(), buffer), 15)
    threads = only_first(comm, lambda: trained(shape, steps, None, comm.size, path))
    times = [f"{t * 1e3:.3g}" for t in (alone, together, reduce, threads)]
    return [*times[:2], f"{alone / together:.2f}", f"{alone / apart:.2f}", *times[2:]]


def measure(comm) -> None:
    if comm.rank == 0:
        print(f"{comm.size} ranks, a thread each; float32\n")
        print("| B, d, h | 1 rank, ms | ranks, ms | speed-up | apart | sum, ms | threads, ms |")
        print("|---" * 7 + "|")
    for shape in SHAPES:
        found = cells(comm, shape)
        if comm.rank == 0:
            print(f"| {', '.join(map(str, shape))} | {' | '.join(found)} |")


def paper() -> None:
    """Efficiency P ranks = time of one over P times that of P, with a sum by a ring."""
    for name, (latency, bandwidth) in NETWORKS.items():
        print(f"\n{name}: efficiency\n")
        print("| B, d, h | MB a step | " + " | ".join(f"{p} ranks" for p in RANKS) + " |")
        print("|---" * (2 + len(RANKS)) + "|")
        for shape in SHAPES:
            B, d, h = shape
            size = 4 * (h * d + h + d + 1)
            alone = local_step(B, shape)
            cells = []
            for p in RANKS:
                ring = 2 * (p - 1) * (latency + size / p / bandwidth)
                cells.append(f"{alone / p / (local_step(-(-B // p), shape) + ring):.2f}")
            print(f"| {B}, {d}, {h} | {size / 1e6:.2f} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="the model of a network, by one rank")
    if parser.parse_args().paper:
        paper()
        return
    from mpi4py import MPI

    measure(MPI.COMM_WORLD)


if __name__ == "__main__":
    main()
