"""Imports never run upwards, and never where docs/architecture.md forbids it."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from support import run_python

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
FLOORS = [  # from the ground up
    set(line.strip().split(", "))
    for line in reversed(PAGE.partition("## Who may import whom")[2].partition("| room |")[0].splitlines())
    if line.startswith("    ")
]
ARRAY_LIBRARIES = {"numpy", "array_api_compat", "array_api_strict", "cupy", "jax", "torch"}
NEVER = {  # room: what no import in it may begin with, besides what is above it
    "network": {*ARRAY_LIBRARIES - {"array_api_compat"}, "time", "ssnn.backends"},
    "optimizers": {*ARRAY_LIBRARIES - {"array_api_compat"}, "time", "ssnn.backends"},
    "standardize": {*ARRAY_LIBRARIES - {"array_api_compat"}, "time", "ssnn.backends"},
    "backends": {"ssnn.network", "ssnn.data", "ssnn.training"},
    "data": {"ssnn.backends", "ssnn.network"},
    **{
        name: {*ARRAY_LIBRARIES - {"array_api_compat", "numpy"}, "argparse"}
        for name in ("model", "training", "explain", "timing")
    },
    "model.model": {"ssnn.model.serialization", "ssnn.model.onnx_export"},
}

UPWARDS = {"ssnn.model.model": {"ssnn.explain.cards"}}  # the one exception, inside `Model.explain`


def modules():
    """Every module of ssnn by its name, but the front door, whose imports are for type checkers."""
    for path in sorted((ROOT / "ssnn").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name != "ssnn":
            yield name, path


KNOWN = dict(modules())


def imports_of(path):
    """The modules that a file imports, those inside functions included; of a package, the module that is meant."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in KNOWN else node.module


@pytest.fixture(scope="module")
def imports():
    return {name: set(imports_of(path)) - UPWARDS.get(name, set()) for name, path in KNOWN.items()}


def room(name):
    return name.split(".")[1]


def floor(name):
    return next(number for number, rooms in enumerate(FLOORS) if room(name) in rooms)


def begins_with(name, prefix):
    return name == prefix or name.startswith(f"{prefix}.")


def violations(imports):
    found = []
    for name, imported in imports.items():
        for other in sorted(imported):
            if other in KNOWN and floor(other) > floor(name):
                found.append(f"{name} imports {other}, which is above it")
            if other == "ssnn":
                found.append(f"{name} imports ssnn, the front door, which is above it")
            for place, never in NEVER.items():
                if begins_with(name, f"ssnn.{place}") and any(begins_with(other, prefix) for prefix in never):
                    found.append(f"{name} imports {other}")
    return found


def circles(imports):
    # A package's __init__ only re-exports, so a module that imports the package means the modules behind it.
    graph = {
        name: {other for other in imported if other in KNOWN and other != name} for name, imported in imports.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " → ".join(error.args[1])
    return None


def test_every_module_has_a_floor(imports):
    assert {room(name) for name in imports} == set().union(*FLOORS)


def test_no_import_runs_upwards_or_where_it_must_not(imports):
    assert violations(imports) == []


def test_there_is_no_circle(imports):
    assert circles(imports) is None


def at_import(node):
    """The import statements that run when a module is imported: all but those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not isinstance(child, ast.FunctionDef):
            yield from at_import(child)


@pytest.mark.parametrize("path", [*(ROOT / "ssnn" / "backends").glob("*.py")], ids=lambda path: path.stem)
def test_a_backend_s_library_is_imported_only_inside_functions(path):
    nodes = at_import(ast.parse(path.read_text()))
    names = {alias.name if isinstance(node, ast.Import) else node.module for node in nodes for alias in node.names}
    assert not {name.split(".")[0] for name in names} & {"array_api_strict", "cupy", "jax", "torch"}


def test_an_import_outside_of_functions_would_be_seen():
    code = "try:\n    import jax\nexcept ImportError:\n    pass\ndef f():\n    import torch\n"
    assert [node.names[0].name for node in at_import(ast.parse(code))] == ["jax"]


@pytest.mark.parametrize(
    ("name", "imported", "message"),
    [
        ("ssnn.network", "ssnn.training.loop", "ssnn.network imports ssnn.training.loop, which is above it"),
        ("ssnn.network", "numpy", "ssnn.network imports numpy"),
        ("ssnn.optimizers", "jax.numpy", "ssnn.optimizers imports jax.numpy"),
        ("ssnn.backends.jax", "ssnn.network", "ssnn.backends.jax imports ssnn.network"),
        ("ssnn.training.loop", "jax.numpy", "ssnn.training.loop imports jax.numpy"),
        ("ssnn.model.model", "ssnn.model.serialization", "ssnn.model.model imports ssnn.model.serialization"),
        ("ssnn.explain.page", "ssnn.cli.program", "ssnn.explain.page imports ssnn.cli.program, which is above it"),
    ],
)
def test_an_import_the_wrong_way_would_be_seen(imports, name, imported, message):
    assert violations({**imports, name: {*imports[name], imported}}) == [message]


def test_a_circle_would_be_seen(imports):
    wrong = {**imports, "ssnn.model.metrics": {*imports["ssnn.model.metrics"], "ssnn.model.model"}}
    assert "ssnn.model.metrics" in circles(wrong)


def test_what_runs_upwards_is_imported_only_when_it_is_called():
    program = "import sys; import ssnn.model.model; print(*sys.modules)"
    assert "ssnn.explain" not in run_python(program).split()
