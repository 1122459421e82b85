"""The documentation names what there is, and nothing it links to is missing."""

import re
from pathlib import Path

import pytest

from tokenkeep.backends import BACKENDS
from tokenkeep.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/*.md")])
DOCS = "\n".join(page.read_text() for page in PAGES)
SOURCE = "\n".join(path.read_text() for path in ROOT.glob("src/**/*.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page):
    """What a page links to in this repository is there."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [
        link
        for link in links
        if not link.startswith(("http:", "https:", "mailto:"))
        and not (page.parent / link).exists()
    ]

    assert [] == missing


@pytest.mark.parametrize("scheme", BACKENDS)
def test_stores(scheme):
    """Each kind of store has a row in docs/stores.md and a test file of its own."""
    written = scheme if scheme.endswith("+") else f"{scheme}:"
    assert f"`{written}" in (ROOT / "docs/stores.md").read_text()
    assert (ROOT / f"tests/backends/test_{scheme.rstrip('+')}.py").exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bTOKENKEEP_[A-Z_]+[A-Z]\b", SOURCE))))
def test_environment(name):
    """Each environment variable is documented."""
    assert name in DOCS


@pytest.mark.parametrize("name", sorted(app.list_commands(None)))
def test_commands(name):
    """Each command has a help text and is documented in docs/cli.md."""
    command = app.get_command(None, name)

    assert command.get_short_help_str()
    assert f"tokenkeep {name}" in (ROOT / "docs/cli.md").read_text()


def test_makefile():
    """What README and CONTRIBUTING tell to make is there."""
    told = set(re.findall(r"\bmake (?:PYTHON=\S+ )?([a-z]+)\b(?=\s+#|`| *$)", DOCS, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert told
    assert told <= targets


def test_invariants():
    """Each of the 13 invariants is named by a test that fails without it."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").glob("**/test_*.py"))
    named = {int(number) for number in re.findall(r"[Ii]nvariant (\d+)", tests)}

    assert set(range(1, 14)) == named & set(range(1, 14))
