"""The examples in docstrings and in the README run as they stand."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import dsmfast

MODULES = [
    f"dsmfast.{module.name}"
    for module in pkgutil.iter_modules(dsmfast.__path__)
    if module.name not in ("_core", "__main__")
]
# The public functions of a room are written in its modules.
MODULES += [
    f"dsmfast.{room}.{path.stem}"
    for room in ("images", "plot", "sklearn")
    for path in sorted((Path(dsmfast.__file__).parent / room).glob("[!_]*.py"))
]


@pytest.mark.parametrize("name", ["dsmfast", *MODULES])
def test_docstrings(name):
    extras = {"sklearn": ["sklearn"], "plot": ["matplotlib"], "images": ["PIL"]}
    for extra in extras.get(name.split(".")[1] if "." in name else "", []):
        pytest.importorskip(extra)
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_public_names_are_documented():
    for name in dsmfast.__all__:
        if not name.startswith("__"):
            assert getattr(dsmfast, name).__doc__, name


def test_the_examples_of_the_guide():
    """All Python of docs/using.md, in one go."""
    pytest.importorskip("sklearn")
    guide = Path(__file__).parents[1] / "docs" / "using.md"
    if not guide.exists():
        pytest.skip("run from an installed copy")
    scope = {"np": np}
    for code in re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, "using.md", "exec"), scope)
    x, model = scope["x"].astype(np.float32), scope["model"]
    np.testing.assert_allclose(scope["energy"], model.energy(x), rtol=1e-4)
    np.testing.assert_allclose(scope["score"], model.score(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "name", ["sampling.md", "tables.md", pytest.param("likelihoods.md", marks=pytest.mark.slow)]
)
def test_the_examples_of_a_page(name, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    page = (Path(__file__).parents[1] / "docs" / name).resolve()
    monkeypatch.chdir(tmp_path)  # where they save
    if not page.exists():
        pytest.skip("run from an installed copy")
    scope = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, name, "exec"), scope)
    if name == "sampling.md":
        assert scope["x"].shape == (100, 64)
        assert scope["completions"].shape == (8, 64)
        assert np.array_equal(scope["filled"], scope["missing"]) is False
    elif name == "tables.md":
        assert scope["table"].values.tolist() == [[7.4, 1.9], [7.8, 2.6], [11.2, 1.9], [7.9, 1.6]]
        assert scope["new"].values.tolist() == [[8.1, 2.2]]
    else:
        assert scope["model"].log_normalizer.is_reliable


def test_the_examples_of_outliers():
    """Those that need no other library."""
    pytest.importorskip("sklearn")
    pytest.importorskip("scipy.stats")
    page = Path(__file__).parents[1] / "docs" / "outliers.md"
    if not page.exists():
        pytest.skip("run from an installed copy")
    scope = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        if not code.startswith("# needs pyod"):
            exec(compile(code, "outliers.md", "exec"), scope)
    assert scope["why"].shape == scope["rows"].shape
    malignant = scope["rows"].shape[0] - 212
    assert scope["alarms"][malignant:].mean() > 0.5
    assert scope["alarms"][:malignant].mean() < 0.2


def test_readme_example():
    pytest.importorskip("sklearn")
    readme = Path(__file__).parents[1] / "README.md"
    if not readme.exists():
        pytest.skip("run from an installed copy")
    (code,) = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert isinstance(scope["model"], dsmfast.ScoreModel)
