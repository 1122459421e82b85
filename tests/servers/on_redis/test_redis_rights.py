"""What a user of Redis has to be allowed, and what is said when something is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cases import refused
from redis_keys import assert_consistent, use

from tokenkeep import Keeper, Token, generate_key, open_store

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


def test_health_of_who_may_not_write(user, url):
    """A user that may only read is told, by a script that would have written."""
    environ = {"TOKENKEEP_KEYS": generate_key()}
    with open_store(url, environ=environ, make=True) as made:
        made.save_token(Token(user="ana", client_id="c", refresh_token="r"))
    keys = [rule for rule in NEEDED if rule != "+hset"]

    with Keeper(open_store(user(*keys), environ=environ)) as keeper:
        (trouble,) = keeper.health().troubles

    assert "store" == trouble.check
    assert "docs/redis.md has all rights" in trouble.hint
