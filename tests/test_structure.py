"""How the package is laid out: imports go down, functions are small, the oracle is its own."""

import ast
from pathlib import Path

import pytest

import dsmfast

PACKAGE = Path(dsmfast.__file__).parent

# From the ground up: what a module imports of the package stands before it here.
FLOORS = [
    *("_core", "_arguments", "_system", "_tables", "noise", "reference", "_density"),
    *("_parameters", "likelihood", "sampling", "optimizers", "data", "_rows", "model"),
    *("parzen", "modes", "_objective", "objectives", "connection"),
    *("results", "callbacks", "_run", "training"),
    *("images", "plot", "sklearn", "cli", "__main__"),
]

MOST_PARAMETERS = 9
MOST_LINES = 60


def modules():
    """Every module with its name and syntax tree."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


MODULES = dict(modules())


def imports(name, tree):
    """Names, inside the package, of the modules that a module imports anywhere in its text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "dsmfast":
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dsmfast."):
            module = node.module.removeprefix("dsmfast.")
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if inner in MODULES else module


def floor(name):
    return FLOORS.index(name.split(".")[0])


def test_every_module_has_its_floor():
    assert {name.split(".")[0] for name in MODULES if name} | {"_core"} == set(FLOORS)


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_imports_go_downwards(name):
    room = name.split(".")[0]
    upwards = [
        other
        for other in imports(name, MODULES[name])
        if other.split(".")[0] != room and floor(other) >= floor(name)
    ]
    assert not upwards


def test_no_module_is_imported_in_a_circle():
    graph = {
        name: {o for o in imports(name, tree) if o in MODULES} for name, tree in MODULES.items()
    }
    graph[""] = set()  # the package itself, which imports all
    while leaves := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph


def test_the_reference_is_on_its_own():
    """What stands in the package's tables is not what the oracle reads."""
    for name, tree in MODULES.items():
        if name.split(".")[0] == "reference":
            assert all(other.split(".")[0] == "reference" for other in imports(name, tree)), name


def functions(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node


def is_private(module, function):
    return module.startswith("_") or "._" in module or function.name.startswith("_")


def test_private_functions_take_few_arguments():
    long = [
        f"{module}.{function.name}"
        for module, tree in MODULES.items()
        for function in functions(tree)
        if is_private(module, function) and function.name != "__init__"
        if len(function.args.args) + len(function.args.kwonlyargs) > MOST_PARAMETERS
    ]
    assert not long


def test_bodies_fit_a_screen():
    long = []
    for module, tree in MODULES.items():
        for function in functions(tree):
            body = function.body[1:] if ast.get_docstring(function) else function.body
            if body and body[-1].end_lineno - body[0].lineno + 1 > MOST_LINES:
                long.append(f"{module}.{function.name}")
    assert not long


def test_public_classes_are_at_home_in_the_package():
    for name in dsmfast.__all__:
        value = getattr(dsmfast, name)
        if isinstance(value, type):
            assert value.__module__ == "dsmfast", name
