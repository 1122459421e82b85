"""The direction of imports: downwards only, as the design draws the parts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tokenkeep

ROOT = Path(tokenkeep.__file__).parent
LAYERS = (
    {"errors"},
    {
        *("token", "lookup", "saving", "records", "sealing", "backends", "providers", "stores"),
        *("decision", "journal", "holder", "keys", "cache", "clock", "forks", "events"),
        *("store", "folders", "folder_journal"),
    },
    {"vault", "saver", "deleting", "rows", "swapping", "local_swap"},
    {"renewal"},
    {"keeper", "revoking", "sweeping"},
    {"config"},
    {"importing", "moving", "login"},
    {"cli", "console", "integrations", "testing", "__main__", "__init__"},
)
"""The lowest first. A module imports from its own layer and those before it."""

HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")
}
# A package's __init__ goes by the package's own name.
NAMED = {name.removesuffix(".__init__"): path for name, path in MODULES.items()}


def absolute(module, path, node):
    """Return the modules that an import statement names, without ``tokenkeep.`` in front."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[2] for alias in node.names if alias.name != "tokenkeep"
                and alias.name.startswith("tokenkeep.")]  # fmt: skip
    if node.level:
        package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        base = package[: len(package) - node.level + 1]
    elif (node.module or "").split(".")[0] == "tokenkeep":
        base = node.module.split(".")[1:]
        return _with_submodules(base, node)
    else:
        return []
    return _with_submodules([*base, *filter(None, (node.module or "").split("."))], node)


def _with_submodules(base, node):
    name = ".".join(base)
    found = []
    for alias in node.names:
        below = f"{name}.{alias.name}".lstrip(".")
        found.append(below if below in NAMED else name)
    return [each for each in found if each]


def imports(module, *, at_runtime=False, at_top=False):
    """Yield what a module imports; on request only what is loaded with it, or at all."""

    def walk(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                if at_runtime:
                    continue
            elif at_top and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield from absolute(module, NAMED[module], child)
            yield from walk(child)

    yield from walk(ast.parse(NAMED[module].read_text()))


def top(module):
    return module.split(".")[0]


def test_every_part_has_a_layer():
    """A new module has to be put into a layer before it may be imported."""
    assert {top(name) for name in MODULES} <= set(HEIGHT)


@pytest.mark.parametrize("module", sorted(set(NAMED) - {"__init__"}))
def test_downwards_only(module):
    """A module imports from its own layer or a lower one, even inside functions."""
    for imported in imports(module):
        if top(imported) in {"testing", "cli"}:
            continue  # tests of their own below
        assert HEIGHT[top(imported)] <= HEIGHT[top(module)], f"{module} imports {imported}"


@pytest.mark.parametrize("module", sorted(name for name in NAMED if top(name) == "backends"))
def test_a_backend_needs_little(module):
    """A backend imports errors, other backend modules and its driver, nothing else of ours."""
    assert {top(imported) for imported in imports(module)} <= {"errors", "backends"}


@pytest.mark.parametrize("module", sorted(name for name in NAMED if top(name) != "testing"))
def test_testing_is_not_for_production(module):
    """Only a command of the CLI imports tokenkeep.testing, and that inside its function."""
    found = [imported for imported in imports(module) if top(imported) == "testing"]

    if top(module) == "cli":
        loaded = imports(module, at_runtime=True, at_top=True)
        assert [] == [imported for imported in loaded if top(imported) == "testing"]
    else:
        assert [] == found


@pytest.mark.parametrize("module", sorted(n for n in NAMED if top(n) not in {"cli", "testing"}))
def test_nobody_needs_the_command_line(module):
    """No part of the library imports the command line, but what starts it."""
    found = [imported for imported in imports(module) if top(imported) in {"cli", "console"}]

    assert [] == found or module == "__main__"


def test_no_circles():
    """No module is loaded, by whatever way, while it is itself being loaded."""
    graph = {
        name: {each for each in imports(name, at_runtime=True, at_top=True) if each != name}
        for name in NAMED
        if name != "__init__"
    }
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done or name not in graph:
            return
        path.append(name)
        for each in graph[name]:
            # A package is loaded before its modules; that is no circle of its own.
            if not name.startswith(f"{each}."):
                visit(each)
        path.pop()
        done.add(name)

    for name in graph:
        visit(name)


def test_this_test_sees_imports():
    """The reading above finds what is there: absolute, relative and inside functions."""
    assert "vault" in set(imports("config"))
    assert "testing.emulator" in set(imports("testing.plugin"))
    assert "importing.source" in set(imports("importing.columns"))
    assert "providers.zoho" in set(imports("importing.planning"))
