"""The table of ablations.py is about this code and these tests."""

from __future__ import annotations

import pytest
from ablate import ROOT, TESTS
from ablations import ABLATIONS

RULES = [(file, rule) for file, table in ABLATIONS.items() for rule in table]
IN_THE_MODEL = """
    save=0 save=1 save=2 keeprt=0 perm=0 perm=1 lift=0 lift=1 mintat=0 ownimage=1 sweepcond=0
    nonce=0 laterevoke=0 journal=0 jlook=0 recheck=0 precheck=0 again=0 again=2 again=3
    putback=0 putback=2
"""


@pytest.mark.parametrize(("file", "rule"), RULES)
def test_rule_is_where_the_table_says(file, rule):
    """Each rule's lines occur exactly once in the file, and its test exists."""
    code = (ROOT / "src" / "tokenkeep" / file).read_text()
    path, _, name = TESTS[rule].partition("::")

    assert code.count(ABLATIONS[file][rule][0]) == 1
    assert f"def {name}(" in (ROOT / "tests" / path).read_text()


def test_documented():
    """Pages say what happens without each rule; all that the model needs are there."""
    assert sorted(TESTS) == sorted(rule for _, rule in RULES)
    assert {rule.split(",")[0] for rule in TESTS} >= set(IN_THE_MODEL.split())
