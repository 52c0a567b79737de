"""What classes of options have in common: checked when they are made, frozen, plain values.

Each class is the one place that lists its options. :func:`dsmfast.train` and its kin hand their
arguments to it, the command line makes arguments of its fields, and its record goes into files.
"""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any

__all__ = ["names_of", "option", "take"]


def option(default: Any, help: str, **argument: Any) -> Any:
    """Return a field that the command line knows too, where ``help`` is what it says of it.

    ``argument`` is what else ``argparse`` takes; and ``flag``, where its name there is another.
    """
    return field(default=default, metadata={"help": help, **argument})


def take(options: Any, **checked: Any) -> None:
    """Put checked values into a frozen object that is being made.

    Numbers of NumPy become those of Python there, which JSON has.
    """
    for name, value in checked.items():
        object.__setattr__(options, name, value)


def names_of(*classes: type[Any]) -> frozenset[str]:
    """Return the names of the fields of classes of options."""
    return frozenset(one.name for options in classes for one in fields(options))
