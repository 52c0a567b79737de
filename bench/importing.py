"""How long `import dsmfast` takes over `import numpy`: python bench/importing.py."""

from __future__ import annotations

import statistics
import subprocess
import sys

ROUNDS = 15


def microseconds() -> dict[str, int]:
    """Cumulative import times of one fresh interpreter; that of dsmfast without NumPy's."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import numpy, dsmfast"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split("|") for line in done.stderr.splitlines()]
    found = {row[2].strip(): row[1] for row in rows if len(row) == 3}
    return {name: int(found[name]) for name in ("numpy", "dsmfast")}


def main() -> None:
    runs = [microseconds() for _ in range(ROUNDS)]
    numpy, ours = (statistics.median(r[name] for r in runs) / 1000 for name in runs[0])
    print(f"import: numpy {numpy:.0f} ms, dsmfast {ours:.0f} ms more (median of {ROUNDS})")


if __name__ == "__main__":
    main()
