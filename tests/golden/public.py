"""The public names: what each is, how it is called, and a digest of what it says of itself.

Annotations are told by the last part of their names, because where a class lives is nobody's
business: ``npt.ArrayLike`` and ``numpy.typing.ArrayLike`` are the same.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import re
from types import ModuleType

MODULES = ("", "data", "images", "plot", "sklearn", "reference")
FILE = "public.json"


def signature_of(value):
    try:
        text = str(inspect.signature(value))
    except ValueError:  # written in C, without one
        return "(...)"
    text = re.sub(r"ForwardRef\('([^']*)'\)", r"\1", text)
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)  # annotations that are text
    text = re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", text)
    return text.removesuffix(" -> None")


def said(value):
    return hashlib.blake2b((inspect.getdoc(value) or "").encode(), digest_size=6).hexdigest()


def entry(value):
    if isinstance(value, ModuleType):
        return f"module, says {said(value)}"
    if inspect.isclass(value) or callable(value):
        kind = "class" if inspect.isclass(value) else "function"
        return f"{kind} {signature_of(value)}, says {said(value)}"
    if isinstance(value, dict):
        return f"dict of {', '.join(map(str, value))}"
    return f"{type(value).__name__} {value!r}" if isinstance(value, tuple) else type(value).__name__


def members(cls):
    """Yield the public attributes that dsmfast gives a class."""
    for name in sorted(dir(cls)):
        owner = next((c for c in cls.__mro__ if name in vars(c)), None)
        if name.startswith("_") or owner is None or owner.__module__.split(".")[0] != "dsmfast":
            continue
        raw = vars(owner)[name]
        if isinstance(raw, (classmethod, staticmethod)) or inspect.isfunction(raw):
            kind = type(raw).__name__ if not inspect.isfunction(raw) else "method"
            value = getattr(cls, name)
            yield name, f"{kind} {signature_of(value)}, says {said(value)}"
        elif hasattr(raw, "__get__") and hasattr(raw, "__doc__"):
            yield name, f"property, says {said(raw)}"
        else:
            yield name, "attribute"


def public():
    """Return what each public name is, by its dotted name."""
    found = {}
    for place in MODULES:
        module = importlib.import_module(f"dsmfast.{place}" if place else "dsmfast")
        prefix = f"{place}." if place else ""
        found[place or "dsmfast"] = entry(module)
        for name in module.__all__:
            value = getattr(module, name)
            found[f"{prefix}{name}"] = entry(value)
            if inspect.isclass(value):
                found |= {f"{prefix}{name}.{n}": text for n, text in members(value)}
    return found


def write(path):
    path.write_text(json.dumps(public(), indent=1, sort_keys=True) + "\n")
