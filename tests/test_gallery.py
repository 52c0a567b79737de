"""Each example of the gallery runs as it stands, warns of nothing, and draws what it asserts."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dsmfast

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"
EXAMPLES = sorted(GALLERY.glob("*.py"))
MOST_LINES = 60
# What examples may need beside dsmfast, by the name that is imported.
EXTRAS = ("arviz_stats", "matplotlib", "mlxtend", "pandas", "scipy", "skimage", "sklearn")

# With pictures that nobody sees; what asks for a screen would warn, or block.
RUN = """
import runpy, sys
import matplotlib
matplotlib.use("agg")
from matplotlib import pyplot
pyplot.show = lambda *args, **kwargs: None
runpy.run_path(sys.argv[1], run_name="__main__")
drawn = [len(pyplot.figure(number).axes) for number in pyplot.get_fignums()]
sys.exit(None if drawn and min(drawn) > 0 else "nothing was drawn")
"""

if not EXAMPLES:
    pytest.skip("run from an installed copy", allow_module_level=True)


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request):
    return request.param


def test_an_example_is_short_and_asserts(example):
    text = example.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MOST_LINES
    title, underline = ast.get_docstring(tree).splitlines()[:2]
    assert set(underline) == {"="}
    assert len(underline) >= len(title)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))


def test_an_example_uses_public_names(example):
    """Of dsmfast and its modules, and none that begins with an underscore."""
    for node in ast.walk(ast.parse(example.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr
            if isinstance(node.value, ast.Name) and node.value.id == "dsmfast":
                assert node.attr in {*dsmfast.__all__, "data", "images", "plot", "sklearn"}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("dsmfast"):
            assert not any(part.startswith("_") for part in node.module.split("."))


@pytest.mark.slow
def test_an_example_holds(example, tmp_path):
    text = example.read_text(encoding="utf-8")
    pytest.importorskip("matplotlib")
    for extra in EXTRAS:
        # r_hat and ess take arviz-stats, and the named data scikit-learn, without an import.
        asks = {"arviz_stats": (".r_hat(", ".ess("), "sklearn": ("digits(", "patches(")}
        if any(sign in text for sign in (f"import {extra}", f"from {extra}", *asks.get(extra, ()))):
            pytest.importorskip(extra, reason=f"{example.stem} needs {extra}")
    # Where tests run from a build, Python finds the package as they do.
    places = [str(Path(dsmfast.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    command = [sys.executable, "-W", "error::DeprecationWarning", "-W", "error::UserWarning"]
    ran = subprocess.run(
        [*command, "-c", RUN, str(example.resolve())],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
