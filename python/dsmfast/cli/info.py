"""``dsmfast info``: how this copy was built."""

from __future__ import annotations

import argparse
from typing import Any

from dsmfast.build import build_info

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("info", help="how this copy was built and what it runs on")
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    for name, value in build_info().items():
        shown = ", ".join(value) if isinstance(value, list) else value
        print(f"{name}: {shown}")
    return 0
