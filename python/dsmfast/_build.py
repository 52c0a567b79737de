"""How this copy was built, and the instruction set it runs on: chosen here, at import."""

from __future__ import annotations

import os
from typing import Any

from dsmfast import _core

__all__ = ["__version__", "build_info"]


def _choose_instruction_set() -> None:
    """Use the set that ``DSMFAST_ISA`` names, or the widest that the machine has."""
    info = _core.build_info()
    available = info["instruction_sets_available"]
    wanted = os.environ.get("DSMFAST_ISA") or available[-1]
    if wanted not in available:
        known = info["instruction_sets_built"]
        reason = "this machine lacks it" if wanted in known else "this build has no such set"
        raise ImportError(f"DSMFAST_ISA={wanted}: {reason}; available are {', '.join(available)}")
    _core.choose_instruction_set(wanted)


def build_info() -> dict[str, Any]:
    """Return how this copy was built and what it runs on.

    Returns
    -------
    dict
        ``version``, ``compiler``, ``eigen`` (their versions), ``instruction_sets_built``,
        ``instruction_sets_available`` (on this machine), ``instruction_set`` (in use;
        the environment variable ``DSMFAST_ISA`` forces one), ``openmp`` (its date, or None) and
        ``threads`` (used where ``threads`` is not given).

    Examples
    --------
    >>> import dsmfast
    >>> "baseline" in dsmfast.build_info()["instruction_sets_available"]
    True
    """
    return _core.build_info()


_choose_instruction_set()
__version__: str = _core.build_info()["version"]
