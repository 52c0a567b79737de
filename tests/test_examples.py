"""The examples in docstrings and in the README run as they stand."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import dsmfast

MODULES = [
    f"dsmfast.{module.name}"
    for module in pkgutil.iter_modules(dsmfast.__path__)
    if module.name not in ("_core", "__main__")
]


@pytest.mark.parametrize("name", ["dsmfast", *MODULES])
def test_docstrings(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_public_names_are_documented():
    for name in dsmfast.__all__:
        if not name.startswith("__"):
            assert getattr(dsmfast, name).__doc__, name


def test_readme_example():
    pytest.importorskip("sklearn")
    readme = Path(__file__).parents[1] / "README.md"
    if not readme.exists():
        pytest.skip("run from an installed copy")
    (code,) = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert isinstance(scope["model"], dsmfast.ScoreModel)
