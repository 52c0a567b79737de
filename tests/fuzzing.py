"""What the fuzzers share: choices made from a number, what may come of an input, and long runs.

An input is made from a pair (seed, number) alone, and so can be made again. Long runs happen in a
process of their own, because one that crashes or hangs is what they are looking for.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import mmap
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import dsmfast

# What bad input may come to. IndexError and the like are subclasses of none of them.
REFUSALS = (ValueError, TypeError, OSError, MemoryError, dsmfast.DivergenceError)

SLOW = 5.0  # seconds of the processors, for inputs that take milliseconds
HUNG = 120.0  # seconds without the end of a batch of inputs
BATCH = 200
MEMORY = 4 << 30  # bytes a process may ask for beyond what it has: a large size is then refused
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Finding(Exception):  # noqa: N818 - what is looked for is no error of the fuzzer
    """What should not have come of an input: its kind, and the input."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class Choices:
    """Choices from a seed and a number: the same pair makes the same ones."""

    def __init__(self, seed: int, number: int) -> None:
        self._random = random.Random(seed << 64 | number)

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def real(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def pick(self, options):
        return options[int(self._random.random() * len(options))]

    def content(self, length: int) -> bytes:
        return self._random.randbytes(length)


class GuidedChoices(Choices):
    """The same from bytes that a coverage-guided fuzzer (atheris) thought out."""

    def __init__(self, content: bytes) -> None:
        import atheris

        self._bytes = atheris.FuzzedDataProvider(content)

    def integer(self, low: int, high: int) -> int:
        return self._bytes.ConsumeIntInRange(low, high)

    def real(self, low: float, high: float) -> float:
        return low + (high - low) * self._bytes.ConsumeIntInRange(0, 65535) / 65536

    def chance(self, probability: float) -> bool:
        return self.real(0, 1) < probability

    def pick(self, options):
        return options[self._bytes.ConsumeIntInRange(0, len(options) - 1)]

    def content(self, length: int) -> bytes:
        return self._bytes.ConsumeBytes(length).ljust(length, b"\0")


def short(value: object, limit: int = 300) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def outcome_of(call, text, refusals=REFUSALS) -> tuple[str, object]:
    """Return ("result", what the call returned) or (the refusal's name, the error).

    ``text()`` describes the input, for what is neither.
    """
    begin = time.process_time()
    try:
        kind, result = "result", call()
    except refusals as error:
        kind, result = next(r.__name__ for r in refusals if isinstance(error, r)), error
        if not str(error) and kind != "MemoryError":
            raise Finding(f"{kind} without a message", text()) from error
    except Exception as error:
        where = error.__traceback__
        while where.tb_next is not None:
            where = where.tb_next
        place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}"
        raise Finding(
            f"{type(error).__name__} at {place}", f"{short(str(error))}; {text()}"
        ) from error
    spent = time.process_time() - begin
    if spent > SLOW:
        raise Finding("slow", f"{spent:.1f} s; {text()}")
    return kind, result


class Tally:
    """Inputs by outcome, and findings by kind with the first few inputs of each."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.findings: dict[str, list[str]] = {}

    @property
    def inputs(self) -> int:
        return sum(self.outcomes.values())

    def note(self, place: str, finding: Finding) -> None:
        self.outcomes[f"finding: {finding.kind}"] += 1
        examples = self.findings.setdefault(finding.kind, [])
        if len(examples) < 3:
            examples.append(f"{place}: {finding}")

    def add(self, other: Tally) -> None:
        self.outcomes += other.outcomes
        for kind, examples in other.findings.items():
            mine = self.findings.setdefault(kind, [])
            mine += examples[: 3 - len(mine)]

    def __str__(self) -> str:
        lines = [f"{self.inputs} inputs"]
        lines += [f"  {count:>9} {kind}" for kind, count in self.outcomes.most_common()]
        for kind, examples in self.findings.items():
            lines += ["", f"finding: {kind}", *(f"  {example}" for example in examples)]
        return "\n".join(lines)


def run(attempt, seed: int, numbers, began=None) -> Tally:
    """Try inputs; ``attempt(choices)`` returns an outcome's name or raises a Finding."""
    tally = Tally()
    for number in numbers:
        if began is not None:
            began(number)
        try:
            tally.outcomes[attempt(Choices(seed, number))] += 1
        except Finding as finding:
            tally.note(f"--only {number}", finding)
    return tally


def _work(attempt, seed: int, first: int, calls: int, seconds: float, note: Path, skip) -> None:
    """Try inputs batch by batch, and leave notes of how far it came, for whoever started this."""
    faulthandler.enable()
    # Not under sanitizers, whose shadow memory takes terabytes.
    if sys.platform == "linux" and "san" not in os.environ.get("LD_PRELOAD", ""):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    place = mmap.mmap(os.open(note.with_suffix(".place"), os.O_RDWR), 8)

    def began(number: int) -> None:
        place[:] = number.to_bytes(8, "little")

    total, done = Tally(), first
    end = time.monotonic() + seconds
    while done < first + calls and time.monotonic() < end:
        faulthandler.dump_traceback_later(HUNG, exit=True)
        numbers = range(done, min(done + BATCH, first + calls))
        total.add(run(attempt, seed, [n for n in numbers if n not in skip], began=began))
        done = numbers.stop
        state = {"done": done, "outcomes": total.outcomes, "findings": total.findings}
        aside = note.with_suffix(".new")
        aside.write_text(json.dumps(state))
        aside.replace(note)


def _outlive(arguments: list[str], seed: int, first: int, calls: int, seconds: float) -> Tally:
    """Run the script in processes of its own, one after another where they crash."""
    total, skip, end = Tally(), [], time.monotonic() + seconds
    last = first + calls
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK) as directory:
        note = Path(directory, "note")
        while first < last and (left := end - time.monotonic()) > 0:
            note.with_suffix(".place").write_bytes(bytes(8))
            work = ["--work", str(note), "--first", str(first), "--calls", str(last - first)]
            work += ["--seed", str(seed), "--seconds", str(left), "--skip", *map(str, skip)]
            done = subprocess.run(
                [sys.executable, *arguments, *work], stderr=subprocess.PIPE, text=True, check=False
            )
            if note.exists():
                state = json.loads(note.read_text())
                part = Tally()
                part.outcomes.update(state["outcomes"])
                part.findings = state["findings"]
                total.add(part)
                first = state["done"]
                note.unlink()
            if done.returncode == 0:
                break
            number = int.from_bytes(note.with_suffix(".place").read_bytes(), "little")
            skip.append(number)
            total.note(f"--only {number}", _end_of_a_process(done, number))
    return total


def _end_of_a_process(done: subprocess.CompletedProcess[str], number: int) -> Finding:
    """Return how a process ended before its work was done: by a hang, a sanitizer, a signal."""
    said = re.search(
        r"(?:([\w.]+:\d+):\d+: )?(?:runtime error|ERROR: \w+Sanitizer): .*", done.stderr
    )
    if said is not None:
        what = re.sub(r"0x\w+|\b\d{2,}\b", "...", said.group().removeprefix(f"{said.group(1)}:"))
        return Finding(f"{said.group(1)}: {what}", done.stderr[said.start() :][:4000])
    if "Timeout (" in done.stderr:  # says faulthandler
        return Finding("hang", done.stderr[-4000:])
    if done.returncode == 1:  # an error in the fuzzer itself
        raise RuntimeError(f"at input {number}: {done.stderr[-4000:]}")
    return Finding(f"crash, exit code {done.returncode}", done.stderr[-4000:])


def main(attempt, description: str) -> int:
    """Run the command line of a fuzzer; return its exit code."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--calls", type=int, default=10_000, help="how many inputs")
    parser.add_argument("--seconds", type=float, default=1e9, help="end after so many, if earlier")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", type=int, help="try this input alone, in this process")
    parser.add_argument(
        "--guided", action="store_true", help="let atheris choose inputs, by the code they reach"
    )
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--skip", type=int, nargs="*", default=[], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work is not None:
        limits = asked.first, asked.calls, asked.seconds
        _work(attempt, asked.seed, *limits, asked.work, set(asked.skip))
        return 0
    if asked.guided:
        _guided(attempt, asked.calls, asked.seconds, asked.seed)
    if asked.only is not None:
        faulthandler.enable()
        print(attempt(Choices(asked.seed, asked.only)))
        return 0
    begin = time.monotonic()
    tally = _outlive(sys.argv[:1], asked.seed, asked.first, asked.calls, asked.seconds)
    spent = time.monotonic() - begin
    print(f"{tally}\n{spent:.0f} s, {tally.inputs / spent:.0f} inputs a second")
    return 1 if tally.findings else 0


def _guided(attempt, calls: int, seconds: float, seed: int) -> None:
    """Run under atheris, which does not return; what it follows is Python code, ours above all."""
    import atheris

    ours = [name for name in sys.modules if name.startswith("dsmfast.") and "_core" not in name]
    for name in (*ours, "zipfile", "numpy.lib._format_impl"):
        for function in vars(sys.modules.get(name, object)).values():
            if getattr(function, "__module__", None) == name and hasattr(function, "__code__"):
                atheris.instrument_func(function)
    tally = Tally()

    def one(content: bytes) -> None:
        try:
            tally.outcomes[attempt(GuidedChoices(content))] += 1
        except Finding as finding:
            tally.note(f"from {content!r}", finding)
        if tally.inputs >= calls:
            print(tally)
            os._exit(1 if tally.findings else 0)

    options = [f"-seed={seed + 1}", "-max_len=300", "-len_control=0", "-rss_limit_mb=8000"]
    options += [f"-max_total_time={int(seconds)}"]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()
