"""Tables of files that pytest-benchmark wrote: of one run, or of two and their ratios.

    pytest bench/ --benchmark-json=before.json
    python bench/compare.py before.json               # medians, and the best peer over dsmfast
    python bench/compare.py before.json after.json    # medians of both, and before over after

Markdown, to be kept. Times are those of a step where a benchmark says how many steps its rounds
have. Contenders do not take turns here, as they do in report.py: a phase of a shared machine can
meet one of them alone.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = "pytest bench/ --benchmark-json=FILE"
NAMED = 5  # of the benchmarks that one file alone has


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: what it is called, and the median of its steps."""

    name: str
    group: str | None
    contender: str | None
    steps: int
    seconds: float


@dataclass(frozen=True)
class Run:
    """What a file holds: benchmarks by their full names, and what they ran on and with."""

    path: Path
    benchmarks: dict[str, Benchmark]
    facts: dict[str, str]


def read_benchmark(entry: dict[str, Any]) -> Benchmark:
    """One entry of the list "benchmarks"; KeyError, TypeError or ValueError if it is none."""
    steps = entry["extra_info"].get("steps per round", 1)
    seconds = entry["stats"]["median"] / steps
    if not seconds > 0:
        raise ValueError(f"a median of {seconds} s")
    contender = (entry["params"] or {}).get("name")
    return Benchmark(entry["name"], entry["group"], contender, steps, seconds)


def read_facts(content: dict[str, Any]) -> dict[str, str]:
    """What a run was on and with; what its file does not say is left out."""
    machine, ours = content["machine_info"], content.get("dsmfast", {})
    cpu = machine.get("cpu", {})
    # Virtual machines call processors of several generations by one name.
    generation = [f"{k} {cpu[k]}" for k in ("family", "model") if k in cpu]
    processor = " ".join([cpu.get("brand_raw") or machine.get("machine", ""), *generation])
    facts = {
        "processor": processor,
        "threads": ours.get("threads"),
        "instruction set": ours.get("instruction_set"),
        "dsmfast": ours.get("version"),
        **ours.get("peers", {}),
    }
    return {name: str(fact) for name, fact in facts.items() if fact}


def read(argument: str, path: Path) -> Run:
    """The run that a file holds.

    Raises
    ------
    ValueError
        Where there is no such file, or it is another one; it names the argument.
    """

    def refused(what: str) -> ValueError:
        return ValueError(f"{argument}: expected a file of `{COMMAND}`, got {path}, {what}")

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise refused(f"which cannot be read: {error.strerror}") from error
    except ValueError as error:  # of its encoding, too
        raise refused(f"which is not JSON: {error}") from error
    if not isinstance(content, dict) or not {"machine_info", "benchmarks"} <= content.keys():
        raise refused('which has no "machine_info" and "benchmarks"')
    try:
        benchmarks = {e["fullname"]: read_benchmark(e) for e in content["benchmarks"]}
        facts = read_facts(content)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise refused(f"in which an entry is not as expected: {error!r}") from error
    if not benchmarks:
        raise refused("which has no benchmarks")
    return Run(path, benchmarks, facts)


def described(run: Run) -> str:
    """The facts of a run, in a line."""
    facts = dict(run.facts)
    first = [facts.pop("processor", "")]
    if "threads" in facts:
        first.append(f"{facts.pop('threads')} threads")
    if "instruction set" in facts:
        first.append(facts.pop("instruction set"))
    versions = ", ".join(f"{name} {version}" for name, version in facts.items())
    return "; ".join(part for part in (", ".join(first), versions) if part)


def microseconds(seconds: float | None) -> str:
    """As in report.py, with a digit more where there are few."""
    if seconds is None:
        return ""
    return f"{seconds * 1e6:.{0 if seconds >= 1e-4 else 1}f}"


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table_of_one(argument: str, run: Run) -> list[str]:
    """A line a group: the median of each contender, and the best peer over dsmfast."""
    groups: dict[str, dict[str, float]] = {}
    for fullname, benchmark in run.benchmarks.items():
        if benchmark.group is None or benchmark.contender is None:
            raise ValueError(
                f"{argument}: expected benchmarks of bench/, each with a group and a contender, "
                f"got {fullname}, which has none"
            )
        groups.setdefault(benchmark.group, {})[benchmark.contender] = benchmark.seconds
    contenders = list(dict.fromkeys(name for medians in groups.values() for name in medians))
    # "B, d, h = 128, 2, 64": what is the same in all groups stands once, above them.
    labels = {group.partition(" = ")[0] for group in groups if " = " in group}
    label = labels.pop() if len(labels) == 1 else ""
    header = [label or "group", *(f"{name}, µs" for name in contenders), "to best peer"]
    lines = [described(run), "", row(header), "|---" * len(header) + "|"]
    for group, medians in groups.items():
        peers = [seconds for name, seconds in medians.items() if name != "dsmfast"]
        ours = medians.get("dsmfast")
        ratio = f"{min(peers) / ours:.2f}" if ours and peers else ""
        cells = [microseconds(medians.get(name)) for name in contenders]
        lines.append(row([group.removeprefix(f"{label} = "), *cells, ratio]))
    return lines


def differences(before: Run, after: Run) -> list[str]:
    """What else than dsmfast is not the same in both runs."""
    names = [name for name in (before.facts | after.facts) if name != "dsmfast"]
    pairs = [(name, before.facts.get(name), after.facts.get(name)) for name in names]
    found = [
        f"{name} ({a or 'not said'}, then {b or 'not said'})" for name, a, b in pairs if a != b
    ]
    both = before.benchmarks.keys() & after.benchmarks.keys()
    if any(before.benchmarks[n].steps != after.benchmarks[n].steps for n in both):
        found.append("steps in a round")
    return found


def table_of_two(before: Run, after: Run) -> list[str]:
    """A line a benchmark: both medians, and their ratio, above 1 where it got faster."""
    common = [name for name in before.benchmarks if name in after.benchmarks]
    if not common:
        raise ValueError(
            f"AFTER: expected benchmarks that {before.path} has, too, such as "
            f"{next(iter(before.benchmarks))}, got {after.path} with "
            f"{next(iter(after.benchmarks))} and none in common"
        )
    lines = [f"before: {before.path}, {described(before)}  "]
    lines += [f"after: {after.path}, {described(after)}", ""]
    if other := differences(before, after):
        lines += [f"Warning: not the same in both, and part of the ratios: {', '.join(other)}.", ""]
    header = ["benchmark", "before, µs", "after, µs", "before / after"]
    lines += [row(header), "|---" * len(header) + "|"]
    for name in common:
        a, b = before.benchmarks[name], after.benchmarks[name]
        medians = microseconds(a.seconds), microseconds(b.seconds)
        lines.append(row([a.name, *medians, f"{a.seconds / b.seconds:.2f}"]))
    for said, run, other in (("before", before, after), ("after", after, before)):
        alone = [b.name for name, b in run.benchmarks.items() if name not in other.benchmarks]
        more = f" and {len(alone) - NAMED} more" if len(alone) > NAMED else ""
        if alone:
            lines += ["", f"Only {said}: {', '.join(alone[:NAMED])}{more}."]
    return lines


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", metavar="FILE", type=Path, help=f"written by {COMMAND}")
    parser.add_argument("after", metavar="AFTER", type=Path, nargs="?", help="a later one")
    args = parser.parse_args(arguments)
    try:
        before = read("FILE", args.file)
        if args.after is None:
            lines = table_of_one("FILE", before)
        else:
            lines = table_of_two(before, read("AFTER", args.after))
    except ValueError as error:
        parser.error(str(error))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
