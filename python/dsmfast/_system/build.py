"""How this copy was built, and the instruction set that it uses, which is chosen at import."""

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
    """Return how dsmfast was built and which instruction set and threads it uses.

    Returns
    -------
    dict
        ``version`` is that of dsmfast, and ``compiler`` and ``eigen`` are those of the build.
        ``instruction_sets_built`` lists the instruction sets that the build contains,
        ``instruction_sets_available`` those that this machine can run, and ``instruction_set`` is
        the one in use; the environment variable ``DSMFAST_ISA`` forces one. ``openmp`` is the date
        of the OpenMP standard, or None without OpenMP. ``threads`` is the number of threads that is
        used where ``threads`` is not given.

    Examples
    --------
    >>> import dsmfast
    >>> "baseline" in dsmfast.build_info()["instruction_sets_available"]
    True
    """
    return _core.build_info()


_choose_instruction_set()
__version__: str = _core.build_info()["version"]
