"""The direction of imports: downwards only and in no circle, as the design draws the parts."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

import tokenkeep

ROOT = Path(tokenkeep.__file__).parent
LAYERS = (
    {"errors", "clock", "version"},
    {"token", "environment", "events", "folders", "holder", "metrics"},
    {"backends", "providers", "lookup", "sealing", "cache", "swapping", "policy", "lanes"},
    {
        *("saving", "records", "header", "store", "decision", "clock_errors", "journal", "due"),
        *("audit", "audit_check", "notices", "sinks"),
    },
    {
        *("rows", "aliases", "saver", "vault", "keys", "local_swap", "stores", "selection"),
        "policy_readers",
    },
    {"renewal"},
    {"keeper", "revoking", "sweeping", "ending", "freshening", "health", "telling"},
    {"config"},
    {"moving", "login"},
    {"cli", "integrations", "testing", "__main__", "__init__"},
)
"""The lowest first. A module imports from its own layer and those before it."""

HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
NAMED = {
    # A package's __init__ goes by the package's own name.
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}


def imports(module, *, as_it_loads=False):
    """Yield what a module imports: inside functions and for types too, or only *as it loads*."""
    package = f"tokenkeep.{module}"
    if NAMED[module].name != "__init__.py":
        package = package.rpartition(".")[0]

    def walk(node):
        for child in ast.iter_child_nodes(node):
            is_late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            is_for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            if as_it_loads and (is_late or is_for_types):
                continue
            if isinstance(child, ast.Import):
                yield from ours(alias.name for alias in child.names)
            if isinstance(child, ast.ImportFrom):
                base = resolve_name("." * child.level + (child.module or ""), package)
                yield from ours(f"{base}.{alias.name}" for alias in child.names)
            yield from walk(child)

    yield from walk(ast.parse(NAMED[module].read_text()))


def ours(imported):
    """Return those of tokenkeep's modules, without its name, that are or hold what is imported."""
    found = [name.split(".", 1)[1] for name in imported if name.startswith("tokenkeep.")]
    return [name for name in found if name in NAMED] + [
        name.rpartition(".")[0] for name in found if name not in NAMED and "." in name
    ]


def top(module):
    return module.split(".")[0]


def test_every_part_has_a_layer():
    """A new module has to be put into a layer before it may be imported, one that is gone goes."""
    assert {top(name) for name in NAMED} == set(HEIGHT)


def test_drawn():
    """CONTRIBUTING.md draws the same layers, the highest first, and names each file of a store."""
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    table = page.partition("| Layer |")[2].partition("\n\n")[0].splitlines()[2:]
    drawn = [set(re.findall(r"`(\w+)`", row.split(" | ")[0])) for row in table]
    files = {each.name for each in ROOT.glob("backends/*.py")} - {"__init__.py"}

    assert drawn == [names - {"__main__", "__init__"} for names in reversed(LAYERS)]
    assert [name for name in files if f"`{name}`" not in page] == []


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

    TopologicalSorter(graph).prepare()


NO_BACKEND = set(HEIGHT) - {"errors", "backends"}
OF_A_VAULT = {"vault", "saver", "aliases", "rows", "records", "header", "cache", "backends"}
KEEPERS = dict.fromkeys(("keeper", "revoking", "sweeping", "telling", "renewal"), OF_A_VAULT)
"""Who hands tokens out knows the interface of a store, no vault and no records."""


@pytest.mark.parametrize("module", sorted(NAMED))
def test_what_it_must_not_need(module):
    """Neither the command line nor what is for tests; a backend and a keeper need less still."""
    part = top(module)
    more = NO_BACKEND if part == "backends" else KEEPERS.get(part, set())
    forbidden = more | ({"cli", "testing"} - {part})
    if module == "__main__":
        forbidden -= {"cli"}
    # A command may have an emulator, inside its function. Who has locks must know of forks.
    needed = {*imports(module, as_it_loads=part == "cli")} - {"backends.forks"}
    assert not forbidden & {top(each) for each in needed}
