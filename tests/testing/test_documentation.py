"""What docs/emulator.md says about the emulator is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tokenkeep.testing.emulator import Options
from tokenkeep.testing.emulator.faults import ENDPOINTS, KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text()


def table(title):
    """The rows of the first table after a heading."""
    part = PAGE.partition(f"## {title}\n")[2]
    rows = re.search(r"\|---.*?\n((?:\|.*\n)+)", part)[1].splitlines()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_options():
    """Every option is documented, with its default."""
    documented = {
        row[0].strip("`"): ast.literal_eval(row[1].strip("`")) for row in table("Options")
    }
    actual = {name: getattr(Options(), name) for name in Options().as_dict()}

    assert documented == actual


def test_faults():
    """Every kind of fault and every endpoint is documented."""
    assert sorted(row[0].strip("`") for row in table("Faults")) == sorted(KINDS)
    assert [each for each in ENDPOINTS if f"`{each}`" not in PAGE] == []


def test_operations(zoho):
    """Every operation of the control API is documented."""
    from tokenkeep.testing.emulator.control_api import PREFIX, ControlApi

    names = {route.path.removeprefix(f"{PREFIX}/") for route in ControlApi(zoho).routes}

    assert {each for each in names if f"`{each}`" not in PAGE} == set()
