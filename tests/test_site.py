"""The reference names all that is public, each with an example; the command line's is its own."""

import argparse
import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import dsmfast

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PLACES = ("", "data", "images", "plot", "reference", "sklearn")

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="run from an installed copy")


def public_names(place):
    if place:
        pytest.importorskip({"images": "PIL", "plot": "matplotlib"}.get(place, "sklearn"))
    module = importlib.import_module(f"dsmfast.{place}" if place else "dsmfast")
    return module, module.__all__


@pytest.fixture(scope="module")
def listed():
    """Names of the page of the API, with the modules that they stand under."""
    text = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    names, module = set(), None
    for line in text.splitlines():
        if found := re.fullmatch(r"\.\. currentmodule:: (\S+)", line):
            module = found[1]
        elif found := re.fullmatch(r"   (\w+)", line):
            names.add(f"{module}.{found[1]}")
        elif found := re.match(r"\.\. py:data:: (\S+)", line):
            names.add(found[1])
    return names


@pytest.mark.parametrize("place", PLACES)
def test_the_reference_lists_every_public_name(place, listed):
    module, names = public_names(place)
    wanted = {f"{module.__name__}.{name}" for name in names} - {"dsmfast.reference"}
    here = {name for name in listed if name.rpartition(".")[0] == module.__name__}
    assert here == wanted


@pytest.mark.parametrize("place", PLACES)
def test_every_public_name_has_an_example(place):
    module, names = public_names(place)
    for name in names:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert ">>>" in (value.__doc__ or ""), f"{module.__name__}.{name}"


def test_pages_link_to_what_is_there():
    """Files and headings; links to the built gallery are checked in the built site."""
    broken = []
    for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if re.match(r"\w+:", target) or "auto_gallery/" in target:
                continue
            name, _, anchor = target.partition("#")
            file = page.parent / name if name else page
            if not (file.exists() and (not anchor or anchor in anchors(file))):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken


def anchors(page):
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    headings = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_page_is_in_a_table_of_contents():
    pages = {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.rglob("*.md")}
    reached = {"index"}
    for page in DOCS.rglob("*.md"):
        for tree in re.findall(r"(?s)```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8")):
            folder = page.parent.relative_to(DOCS).as_posix()
            names = [line for line in tree.split("\n") if line and not line.startswith(":")]
            reached |= {name if folder == "." else f"{folder}/{name}" for name in names}
    assert pages <= reached


def test_the_page_of_commands_has_every_argument():
    pytest.importorskip("sphinx")
    docutils = pytest.importorskip("docutils.nodes")
    path = DOCS / "_ext" / "commands.py"
    spec = importlib.util.spec_from_file_location("commands", path)
    commands = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(commands)
    every = commands.parser()
    (choices,) = (a for a in every._actions if a.dest == "command")
    assert {"train", "energy", "outliers"} <= set(choices.choices)
    for name, command in choices.choices.items():
        text = " ".join(node.astext() for node in commands.arguments(command))
        for action in command._actions:
            if action.help == argparse.SUPPRESS:  # a spelling of before
                continue
            assert all(option in text for option in action.option_strings), name
    (usage,) = commands.paragraphs("One line\nand another.")
    assert isinstance(usage, docutils.paragraph)


def test_licences_of_what_wheels_carry():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = {path.name for pattern in project["license-files"] for path in ROOT.glob(pattern)}
    assert {"LICENSE", "Eigen-MPL-2.0.txt", "GCC-GPL-3.0.txt"} <= files
    said = (DOCS / "reference" / "support.md").read_text(encoding="utf-8")
    for what in ("Eigen", "pybind11", "libgomp", "MPL-2.0", "Runtime Library Exception"):
        assert what in said


def test_the_citation_is_of_this_version():
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    version = re.search(r'(?m)^version = "(.*)"', (ROOT / "pyproject.toml").read_text())[1]
    assert f"\nversion: {version}\n" in cited
    assert dsmfast.__version__.startswith(version)
