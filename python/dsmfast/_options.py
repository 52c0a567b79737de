"""What classes of options have in common: checked when they are made, frozen, plain values.

Each class is the one place that lists its options. :func:`dsmfast.train` and its kin hand their
arguments to it, the command line makes arguments of its fields, and its record goes into files.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any

__all__ = ["Options", "option"]


def option(default: Any, help: str, **argument: Any) -> Any:
    """Return a field that the command line knows too, where ``help`` is what it says of it.

    ``argument`` is what else ``argparse`` takes; and ``flag``, where its name there is another.
    """
    return field(default=default, metadata={"help": help, **argument})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that are checked together.

    A subclass checks its fields in ``__post_init__``, and takes the checked values over by
    :meth:`_take`: numbers of NumPy become those of Python there, which JSON has.
    """

    def _take(self, **checked: Any) -> None:
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def fields(cls) -> tuple[Field[Any], ...]:
        """Return its fields."""
        return fields(cls)

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the names of its fields."""
        return frozenset(one.name for one in fields(cls))
