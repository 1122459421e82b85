"""The table of ablations.py is about this code and these tests."""

from __future__ import annotations

import pytest
from ablate import ROOT
from ablations import ABLATIONS

IN_THE_MODEL = (
    *("save=0", "save=1", "save=2", "keeprt=0", "perm=0", "perm=1", "lift=0", "lift=1"),
    *("mintat=0", "ownimage=1", "sweepcond=0", "nonce=0", "laterevoke=0", "journal=0"),
    *("jlook=0", "recheck=0", "precheck=0"),
    *("again=0", "again=2", "again=3", "putback=0", "putback=2"),
)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda a: a.rule)
def test_rule_is_where_the_table_says(ablation):
    """Each rule's lines occur exactly once in the file, and its test exists."""
    code = (ROOT / "src" / "tokenkeep" / ablation.file).read_text()
    path, _, name = ablation.test.partition("::")

    assert code.count(ablation.old) == 1
    assert f"def {name}(" in (ROOT / "tests" / path).read_text()


def test_every_rule_of_the_model_has_its_test():
    """No rule that the model needs is without a test here."""
    assert {a.rule.split(",")[0] for a in ABLATIONS} >= set(IN_THE_MODEL)


def test_documented():
    """docs/renewal.md says what happens without each rule, and names its test."""
    text = (ROOT / "docs" / "renewal.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if "::" in line]

    assert [(a.rule, f"`{a.test}` |") for a in ABLATIONS] == [
        (rule.removeprefix("| "), test) for rule, _, test in rows
    ]
