"""The direction of imports: downwards only and in no circle, as the design draws the parts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tokenkeep

ROOT = Path(tokenkeep.__file__).parent
LAYERS = (
    {"errors"},
    {"token", "clock", "events", "folders", "holder"},
    {"backends", "providers", "lookup", "sealing", "cache", "swapping", "journal"},
    {"saving", "records", "header", "store", "decision", "clock_errors", "forks"},
    {"rows", "aliases", "saver", "vault", "folder_journal", "keys", "local_swap", "stores"},
    {"renewal"},
    {"keeper", "revoking", "sweeping"},
    {"config"},
    {"moving", "login"},
    {"cli", "integrations", "testing", "__main__", "__init__"},
)
"""The lowest first. A module imports from its own layer and those before it."""

HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")
}
# A package's __init__ goes by the package's own name.
NAMED = {name.removesuffix(".__init__"): path for name, path in MODULES.items()}
OF_A_KEEPER = sorted(
    name
    for name in NAMED
    if name in {"keeper", "revoking", "sweeping"} or name.split(".")[0] == "renewal"
)


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


def imports(module, source=None, *, as_it_loads=False):
    """
    Yield what a module imports: at its top, inside functions, and for type checkers only.

    Args:
        module: Its name.
        source: Its text. None means as it is in the file.
        as_it_loads: Only what is imported as the module is.
    """

    def walk(node):
        for child in ast.iter_child_nodes(node):
            if as_it_loads and (
                isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test))
            ):
                continue
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield from absolute(module, NAMED[module], child)
            yield from walk(child)

    yield from walk(ast.parse(NAMED[module].read_text() if source is None else source))


def circles(graph):
    """
    Return the circles in a graph: groups whose members all lead to each other.

    Args:
        graph: For each name the names it leads to.
    """
    reached = {name: _reached(name, graph) for name in graph}
    groups = {
        frozenset(other for other in reached[name] if name in reached.get(other, ()))
        for name in graph
        if name in reached[name]
    }
    return sorted(sorted(group) for group in groups)


def _reached(name, graph):
    found, left = set(), [name]
    while left:
        new = graph.get(left.pop(), set()) - found
        found |= new
        left += new
    return found


def top(module):
    return module.split(".")[0]


def test_every_part_has_a_layer():
    """A new module has to be put into a layer before it may be imported, one that is gone goes."""
    assert {top(name) for name in MODULES} == set(HEIGHT)


@pytest.mark.parametrize("module", sorted(set(NAMED) - {"__init__"}))
def test_downwards_only(module):
    """A module imports from its own layer or a lower one."""
    for imported in imports(module):
        if top(imported) in {"testing", "cli"}:
            continue  # tests of their own below
        assert HEIGHT[top(imported)] <= HEIGHT[top(module)], f"{module} imports {imported}"


def test_no_circles():
    """No module needs itself, by whatever way: what is imported for types or late counts, too."""
    graph = {name: {*imports(name)} - {name} for name in NAMED if name != "__init__"}

    assert [] == circles(graph)


@pytest.mark.parametrize("module", sorted(name for name in NAMED if top(name) == "backends"))
def test_a_backend_needs_little(module):
    """A backend imports errors, other backend modules and its driver, nothing else of ours."""
    assert {top(imported) for imported in imports(module)} <= {"errors", "backends"}


@pytest.mark.parametrize("module", OF_A_KEEPER)
def test_a_keeper_asks_what_a_store_says(module):
    """What hands tokens out knows the interface of a store, no vault and no records."""
    of_a_vault = {"vault", "saver", "aliases", "rows", "records", "header", "cache", "backends"}

    assert not of_a_vault & {top(imported) for imported in imports(module)}


def test_a_keeper_asks_nobody_what_he_is():
    """Its store is made a whole one at the start: nothing is looked for at it later."""
    calls = [node.func for node in ast.walk(ast.parse(NAMED["keeper"].read_text()))
             if isinstance(node, ast.Call)]  # fmt: skip

    asked = {call.id for call in calls if isinstance(call, ast.Name)}
    assert not asked & {"getattr", "hasattr", "isinstance"}


@pytest.mark.parametrize("module", sorted(name for name in NAMED if top(name) != "testing"))
def test_testing_is_not_for_production(module):
    """Only a command of the CLI imports tokenkeep.testing, and that inside its function."""
    found = [imported for imported in imports(module) if top(imported) == "testing"]

    if top(module) == "cli":
        loaded = imports(module, as_it_loads=True)
        assert [] == [imported for imported in loaded if top(imported) == "testing"]
    else:
        assert [] == found


@pytest.mark.parametrize("module", sorted(n for n in NAMED if top(n) not in {"cli", "testing"}))
def test_nobody_needs_the_command_line(module):
    """No part of the library imports the command line, but what starts it."""
    found = [imported for imported in imports(module) if top(imported) == "cli"]

    assert [] == found or module == "__main__"


EVERYWHERE = """
import tokenkeep.token
from tokenkeep import records
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from .vault import Vault
class A:
    def late(self):
        from tokenkeep.backends.base import Record
"""


def test_this_test_sees_imports():
    """The reading above finds what is there: absolute, relative, for types and late."""
    assert ["token", "records", "vault", "backends.base"] == list(imports("rows", EVERYWHERE))
    assert ["token", "records"] == list(imports("rows", EVERYWHERE, as_it_loads=True))
    assert "vault" in set(imports("config"))
    assert "testing.emulator" in set(imports("testing.plugin"))
    assert "testing.emulator.world" in set(imports("testing.emulator.server"))


def test_this_test_sees_circles():
    """Of two names and of more, beside what only leads to one."""
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a", "x"}}

    assert [["a", "b", "c"], ["d", "e"]] == circles(graph)
    assert [] == circles({"a": {"b", "c"}, "b": {"c"}, "c": set()})
