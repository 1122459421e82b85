"""What a user of Redis has to be allowed, and what is said when something is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cases import FIRST, ID, mark, record, refused
from redis_keys import HEADER_RECORD, assert_consistent

from tokenkeep.backends import open_backend
from tokenkeep.backends.redis import RedisBackend

DOCS = Path(__file__).parents[3] / "docs" / "redis.md"
NEEDED = re.search(r"ACL SETUSER tokens on >password (.*)", DOCS.read_text())[1].split()


def test_documented_rights_suffice(user):
    """The rights that the documentation lists are enough for everything."""
    backend = open_backend(f"{user(*NEEDED)}?prefix=tokenkeep&wait=0")

    backend.write(record(user="u"), replaces=None)
    backend.write(record(version="2"), replaces=FIRST)
    backend.touch(ID, 5.0)
    assert backend.read(ID) == record(version="2", last_used_at=5.0)
    assert backend.find([mark("user", "u")]) == []
    assert backend.scan(None, 1) == [record(version="2", last_used_at=5.0)]
    assert backend.scan(None, 1, mark=mark("user", "u")) == []
    assert backend.due(5.0, 1, after=(4.0, ID)) == []
    assert backend.delete(ID) is True
    assert backend.clear() == 0
    assert [] == backend.risks()
    backend.close()


@pytest.mark.parametrize(
    "missing", ["eval", "evalsha", "select", "get", "set", "hget", "hset", "hdel", "hlen", "zadd",
                "zrem", "zcard", "zcount", "zrange", "zrangebylex", "unlink"],
)  # fmt: skip
def test_missing_right(user, missing, url, admin):
    """Whatever the user may not do is named, and nothing is half done."""
    admin.script_flush()
    rules = [rule for rule in NEEDED if rule != f"+{missing}"]
    assert len(rules) == len(NEEDED) - 1

    def work():
        backend = open_backend(user(*rules))
        try:
            backend.write(record(user="u", access="a", due_at=4.0), replaces=None)
            backend.write(record("other", due_at=4.0), replaces=None)
            backend.write(record(version="2", user="v"), replaces=FIRST)
            backend.find([mark("user", "v")])
            backend.due(5.0, 1, after=(4.0, ID))
            backend.delete(ID)
            backend.clear()
        finally:
            backend.close()

    text = refused(work)

    assert f"may not run the command {missing.upper()}" in text
    assert f"+{missing}" in text
    everything = RedisBackend(url)
    for each in everything.scan(None, 10):
        assert each in everything.find([("owner", each.owner)])
        assert each.user is None or everything.find([("user", each.user)]) == [each]
    everything.close()


@pytest.mark.parametrize("missing", ["zrem", "zadd", "hset", "unlink"])
def test_missing_right_before_a_change(user, url, missing):
    """Who may not do all of a change does nothing of it: it shows before, not after."""
    whole = RedisBackend(url)
    for each in (HEADER_RECORD, record(user="u")):
        whole.write(each, replaces=None)
    before = whole.scan(None, 10)
    backend = open_backend(user(*NEEDED, f"-{missing}"))
    changes = {
        "write": lambda: backend.write(record(version="2", user="v"), replaces=FIRST),
        "delete": lambda: backend.delete(ID),
        "clear": backend.clear,
    }

    for change in changes if missing == "zrem" else ["clear"]:
        assert missing.upper() in refused(changes[change])
        assert before == whole.scan(None, 10)
        assert_consistent(url)
    backend.close()
    whole.close()


@pytest.mark.parametrize("pattern", ["~other:*", "~{tokenkeep}:r*", "%R~{tokenkeep}:*"])
def test_missing_keys(user, pattern):
    """A user who may not touch the keys is told which rule is missing."""
    rules = [pattern if rule.startswith("~") else rule for rule in NEEDED]

    assert "~{tokenkeep}:*" in refused(lambda: open_backend(user(*rules)))
