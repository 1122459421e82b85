"""What a user of Redis has to be allowed, and what is said when something is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cases import FIRST, ID, record, refused
from redis_keys import HEADER_RECORD, assert_consistent, use

DOCS = Path(__file__).parents[3] / "docs" / "redis.md"
NEEDED = re.search(r"ACL SETUSER tokens on >password (.*)", DOCS.read_text())[1].split()
FOR_ALL = {"wait", "info", "config|get"}
"""What is for an option or for the doctor."""


def test_documented_rights_suffice(user, connect):
    """The rights that the documentation lists are enough for everything."""
    backend = connect(user(*NEEDED))

    use(backend)

    assert [] == backend.risks()


@pytest.mark.parametrize(
    "missing",
    [
        *(each for each in NEEDED if each[0] == "+" and each[1:] not in FOR_ALL),
        *("~other:*", "~{tokenkeep}:r*", "%R~{tokenkeep}:*"),
    ],
)
def test_missing_right(user, connect, missing, admin, url):
    """Each of them is needed; without it that is said, and nothing is half done."""
    admin.script_flush()
    if missing[0] == "+":
        rules = [rule for rule in NEEDED if rule != missing]
    else:  # of the keys
        rules = [missing if rule.startswith("~") else rule for rule in NEEDED]

    text = refused(lambda: use(connect(user(*rules))))

    assert "this user may not do that, or not with these keys" in text
    assert "ACL SETUSER" in text
    assert_consistent(url)


@pytest.mark.parametrize(
    ("missing", "change"),
    [
        *(("zrem", each) for each in ("replace", "delete", "clear")),
        *((each, "clear") for each in ("zadd", "hset", "unlink")),
    ],
)
def test_missing_right_before_a_change(user, connect, url, missing, change):
    """Who may not do all of a change does nothing of it: it shows before, not after."""
    whole = connect(url)
    for each in (HEADER_RECORD, record(user="u")):
        whole.write(each, replaces=None)
    before = whole.scan(None, 10)
    backend = connect(user(*NEEDED, f"-{missing}"))

    refused(
        {
            "replace": lambda: backend.write(record(version="2", user="v"), replaces=FIRST),
            "delete": lambda: backend.delete(ID),
            "clear": backend.clear,
        }[change]
    )

    assert before == whole.scan(None, 10)
    assert_consistent(url)
