"""The examples in docstrings and in the README run as they stand."""

import doctest
import importlib.util
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import dsmfast

DOCS = Path(__file__).parents[1] / "docs"

MODULES = [
    module.name
    for module in pkgutil.walk_packages(dsmfast.__path__, "dsmfast.")
    if module.name not in ("dsmfast._core", "dsmfast.__main__")
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


PAGES = [p for p in sorted(DOCS.rglob("*.md")) if "```python" in p.read_text(encoding="utf-8")]
SLOW = ("likelihoods.md",)


def run_page(path, scope):
    """Run all Python of a page in one scope, but what needs a library that is not here."""
    for code in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        needed = re.match(r"# needs (\w+)\n", code)
        if needed is None or importlib.util.find_spec(needed[1]):
            exec(compile(code, path.name, "exec"), scope)


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.name in SLOW else []) for p in PAGES],
)
def test_the_examples_of_a_page(page, tmp_path, monkeypatch):
    for module in ("sklearn", "scipy.stats", "pandas", "safetensors", "PIL"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)  # where they save
    if page.name == "denoising.md":
        photographs(tmp_path)
    scope = {}
    run_page(page, scope)
    if page.name in CHECKS:
        CHECKS[page.name](scope)


def photographs(folder):
    """The files that the page on photographs reads."""
    from dsmfast import images

    rng = np.random.default_rng(0)
    slope = np.add.outer(np.arange(48), np.arange(64)) / 112
    for name in ("one.jpg", "two.jpg"):
        images.write(folder / name, np.clip(slope + 0.2 * rng.random((48, 64)), 0, 1))
    noisy = slope + 0.1 * rng.standard_normal((48, 64))
    images.write(folder / "noisy.png", np.clip(noisy, 0, 1))


def check_files(scope):
    """A model in three lines of NumPy is the model."""
    x, model = scope["x"].astype(np.float32), scope["model"]
    np.testing.assert_allclose(scope["energy"], model.energy(x), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scope["score"], model.score(x), rtol=1e-3, atol=1e-3)


def check_sampling(scope):
    assert scope["x"].shape == (100, 64)
    assert scope["completions"].shape == (8, 64)


def check_missing_values(scope):
    known = ~np.isnan(scope["missing"])
    assert np.isfinite(scope["filled"]).all()
    assert np.array_equal(scope["filled"][known], scope["missing"][known])


def check_tables(scope):
    assert scope["wine"].values.tolist() == [[7.4, 1.9], [7.8, 2.6], [11.2, 1.9], [7.9, 1.6]]
    assert scope["new"].values.tolist() == [[8.1, 2.2]]


def check_likelihoods(scope):
    assert scope["model"].log_normalizer.is_reliable


def check_anomalies(scope):
    assert scope["why"].shape == scope["rows"].shape
    malignant = scope["rows"].shape[0] - 212
    assert scope["alarms"][malignant:].mean() > 0.5
    assert scope["alarms"][:malignant].mean() < 0.2
    known = ~np.isnan(scope["scaled"])
    assert 0.01 < 1 - known.mean() < 0.03
    assert np.array_equal(scope["filled"][known], scope["scaled"][known])
    assert np.isfinite(scope["judged"]).all()


def check_features(scope):
    assert scope["accuracy"] > 0.9


def check_denoising(scope):
    assert Path("clean.png").exists()


CHECKS = {
    "anomalies.md": check_anomalies,
    "denoising.md": check_denoising,
    "features.md": check_features,
    "files.md": check_files,
    "likelihoods.md": check_likelihoods,
    "missing-values.md": check_missing_values,
    "sampling.md": check_sampling,
    "tables.md": check_tables,
}


def test_the_pages_have_examples():
    """A check whose page is gone, or a folder that moved, would test nothing."""
    if not DOCS.exists():
        pytest.skip("run from an installed copy")
    assert set(CHECKS) <= {page.name for page in PAGES}
    assert len(PAGES) >= 12


def test_readme_example():
    pytest.importorskip("sklearn")
    readme = Path(__file__).parents[1] / "README.md"
    if not readme.exists():
        pytest.skip("run from an installed copy")
    (code,) = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert isinstance(scope["model"], dsmfast.ScoreModel)
