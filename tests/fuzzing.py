"""What the fuzzers share: what may come of an input, and long runs of inputs.

Hypothesis makes the inputs, from a seed, and shrinks what is found. Long runs happen in a process
of their own, because one that crashes or hangs is what they are looking for: each input is noted
before it is tried, and another process goes on behind the one that ended.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import mmap
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import hypothesis
import numpy as np

import dsmfast

# What bad input may come to. IndexError and the like are subclasses of none of them.
REFUSALS = (ValueError, TypeError, OSError, MemoryError, dsmfast.DivergenceError)

SANITIZED = "san" in os.environ.get("LD_PRELOAD", "")  # by which calls take ten times as long
SLOW = 50.0 if SANITIZED else 5.0  # seconds of the processors, for inputs that take milliseconds
HUNG = 600.0 if SANITIZED else 300.0  # seconds without the end of a batch of inputs
BATCH = 500
NOTED = 1 << 14  # bytes of an input's description
MEMORY = 4 << 30  # bytes a process may ask for beyond what it has: a large size is then refused
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Finding(Exception):  # noqa: N818 - what is looked for is no error of the fuzzer
    """What should not have come of an input: its kind, and the input."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")


def begun(text: str) -> None:
    """Hear which input is next; a long run makes a note of it."""


def short(value: object, limit: int = 300) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def described(value: object) -> str:
    if isinstance(value, np.ndarray):
        place = "" if value.flags.c_contiguous and value.flags.aligned else f", {value.strides}"
        return f"{short(value.flat[:20].tolist(), 80)}<{value.dtype.str}{value.shape}{place}>"
    return short(value, 120)


def outcome_of(call, text: str, refusals=REFUSALS) -> tuple[str, object]:
    """Return ("result", what the call returned) or (the refusal's name, the error).

    ``text`` describes the input, for what is neither.
    """
    begun(text)
    begin = time.process_time()
    try:
        kind, result = "result", call()
    except refusals as error:
        kind, result = next(r.__name__ for r in refusals if isinstance(error, r)), error
        if not str(error) and kind != "MemoryError":
            raise Finding(f"{kind} without a message", text) from error
    except Exception as error:
        where = error.__traceback__
        while where.tb_next is not None:
            where = where.tb_next
        place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}"
        said = f"{short(str(error))}; {text}"
        raise Finding(f"{type(error).__name__} at {place}", said) from error
    spent = time.process_time() - begin
    if spent > SLOW:
        raise Finding("slow", f"{spent:.1f} s; {text}")
    return kind, result


def tested(inputs, judge, *, count, outcomes):
    """Return a test by Hypothesis: ``judge`` names an input's outcome, or raises a Finding.

    Its ``hypothesis.fuzz_one_input`` makes an input of bytes, which is what atheris asks for.
    """

    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )
    @hypothesis.given(inputs)
    def one(value):
        outcomes[judge(value)] += 1

    return one


def run(inputs, judge, count: int, seed: int) -> Counter[str]:
    """Try so many inputs of a seed, always the same ones; return how many had which outcome."""
    outcomes: Counter[str] = Counter()
    hypothesis.seed(seed)(tested(inputs, judge, count=count, outcomes=outcomes))()
    return outcomes


def main(inputs, judge, description: str) -> int:
    """Run the command line of a fuzzer; return its exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--calls", type=int, default=10_000, help=f"how many, in batches of {BATCH}"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="BATCH", help="where to begin")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    last = asked.first + -(-asked.calls // BATCH)
    if asked.work is not None:
        _work(inputs, judge, asked.seed, asked.first, last, asked.work)
        return 0
    begin = time.monotonic()
    outcomes, findings = _outlive(asked.seed, asked.first, last)
    for kind, count in outcomes.most_common():
        print(f"{count:>9} {kind}")
    for finding in findings:
        print(f"\nfinding: {finding}")
    spent = time.monotonic() - begin
    print(f"{outcomes.total()} inputs, {outcomes.total() / spent:.0f} a second")
    return 1 if findings else 0


def _work(inputs, judge, seed: int, first: int, last: int, folder: Path) -> None:
    """Try batches, and leave notes of how far it came, for whoever started this."""
    faulthandler.enable()
    # Not under sanitizers, whose shadow memory takes terabytes.
    if sys.platform == "linux" and not SANITIZED:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    note = mmap.mmap(os.open(folder / "input", os.O_RDWR), NOTED)

    def write_down(text: str) -> None:
        note[:] = text.encode("utf-8", "backslashreplace")[:NOTED].ljust(NOTED, b"\0")

    sys.modules[__name__].begun = write_down
    for batch in range(first, last):
        faulthandler.dump_traceback_later(HUNG, exit=True)
        outcomes, findings = {}, []
        try:
            outcomes = run(inputs, judge, BATCH, seed << 32 | batch)
        except Finding as finding:
            findings = [f"in batch {batch}: {finding}"]
        aside = folder / "new"
        aside.write_text(json.dumps({"outcomes": outcomes, "findings": findings}))
        aside.replace(folder / f"batch{batch}")


def _outlive(seed: int, first: int, last: int) -> tuple[Counter[str], list[str]]:
    """Run the script in processes of its own, one after another where they crash."""
    outcomes, findings = Counter(), []
    while first < last:
        with tempfile.TemporaryDirectory(dir=MEMORY_DISK) as name:
            folder = Path(name)
            (folder / "input").write_bytes(bytes(NOTED))
            work = {"work": name, "seed": seed, "first": first, "calls": BATCH * (last - first)}
            words = [word for key, value in work.items() for word in (f"--{key}", str(value))]
            command = [sys.executable, sys.argv[0], *words]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            while (state := folder / f"batch{first}").exists():
                found = json.loads(state.read_text())
                outcomes.update(found["outcomes"])
                findings += found["findings"]
                first += 1
            if done.returncode == 0:
                break
            # An error in the fuzzer itself; what ends a process that hangs exits with 1 too.
            if done.returncode == 1 and "Timeout (" not in done.stderr:
                raise RuntimeError(f"in batch {first}: {done.stderr[-4000:]}")
            kind = "hang" if "Timeout (" in done.stderr else f"exit code {done.returncode}"
            text = (folder / "input").read_bytes().rstrip(b"\0").decode(errors="replace")
            begin = re.search("runtime error|ERROR: |Fatal Python error|Timeout", done.stderr)
            said = done.stderr[begin.start() if begin else 0 :][:3000]
            findings.append(f"in batch {first}: {kind}: {text}\n{said}")
            first += 1  # what else is in that batch is left out
    return outcomes, findings
