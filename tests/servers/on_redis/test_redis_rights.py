"""What a user of Redis has to be allowed, and what is said when something is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cases import refused
from redis_keys import assert_consistent, use

DOCS = Path(__file__).parents[3] / "docs" / "redis.md"
NEEDED = re.search(r"ACL SETUSER tokens on >password (.*)", DOCS.read_text())[1].split()
FOR_ALL = {"+info", "+config|get"}
"""What is for the doctor."""


def test_documented_rights_suffice(user, connect):
    """The rights that the documentation lists are enough for everything."""
    backend = connect(user(*NEEDED))

    use(backend)

    assert [] == backend.risks()


@pytest.mark.parametrize(
    "missing",
    [
        *(each for each in NEEDED if each[0] == "+" and each not in FOR_ALL),
        *("~other:*", "~{tokenkeep}:r*", "%R~{tokenkeep}:*"),
    ],
)
def test_missing_right(user, connect, missing, url):
    """Each of them is needed; without it that is said, and nothing is half done."""
    if missing[0] == "+":
        rules = [rule for rule in NEEDED if rule != missing]
    else:  # of the keys
        rules = [missing if rule.startswith("~") else rule for rule in NEEDED]

    text = refused(lambda: use(connect(user(*rules))))

    assert "docs/redis.md has all rights" in text
    assert_consistent(url)
