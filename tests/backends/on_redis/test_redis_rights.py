"""What a user of Redis has to be allowed, and what is said when something is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from redis_store import assert_consistent, record, refused

from tokenkeep.backends import open_backend
from tokenkeep.backends.redis import RedisBackend

DOCS = Path(__file__).parents[3] / "docs" / "redis.md"
NEEDED = re.search(r"ACL SETUSER tokens on >password (.*)", DOCS.read_text())[1].split()


@pytest.fixture
def url(redis_server):
    return redis_server.url()


@pytest.fixture
def admin(redis_server):
    with redis_server.connect() as client:
        yield client


@pytest.fixture
def user(admin, url):
    """Return the URL of a user with some rights."""

    def make(*rules):
        admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">hunter2", *rules)
        return f"redis://app:hunter2@{url.partition('@')[2]}"

    yield make
    admin.acl_deluser("app")


def test_documented_rights_suffice(user):
    """The rights that the documentation lists are enough for everything."""
    backend = open_backend(f"{user(*NEEDED)}?prefix=tokenkeep&wait=0")

    backend.write(record(user="u"), replaces=None)
    backend.write(record(version="2"), replaces="1")
    backend.touch("id", 5.0)
    assert backend.read("id") == record(version="2", last_used_at=5.0)
    assert backend.find("user", ["u"]) == []
    assert backend.scan(None, 1) == [record(version="2", last_used_at=5.0)]
    assert backend.delete("id") is True
    assert backend.clear() == 0
    assert [] == backend.risks()
    backend.close()


@pytest.mark.parametrize(
    "missing", ["eval", "evalsha", "select", "get", "set", "hget", "hset", "hdel", "hlen", "zadd",
                "zrem", "zcard", "zrangebylex", "unlink"],
)  # fmt: skip
def test_missing_right(user, missing, url, admin):
    """Whatever the user may not do is named, and nothing is half done."""
    admin.script_flush()
    rules = [rule for rule in NEEDED if rule != f"+{missing}"]
    assert len(rules) == len(NEEDED) - 1

    def work():
        backend = open_backend(user(*rules))
        try:
            backend.write(record(user="u", access="a"), replaces=None)
            backend.write(record(version="2", user="v"), replaces="1")
            backend.delete("id")
            backend.clear()
        finally:
            backend.close()

    text = refused(work)

    assert f"may not run the command {missing.upper()}" in text
    assert f"+{missing}" in text
    everything = RedisBackend(url)
    for each in everything.scan(None, 10):
        assert everything.find("user", [each.user]) == [each]
    everything.close()


def test_missing_right_before_a_change(user, url):
    """Who may not take out index entries may not replace either: it shows before, not after."""
    whole = RedisBackend(url)
    whole.write(record(user="u"), replaces=None)
    backend = open_backend(user(*NEEDED, "-zrem"))

    for change in (
        lambda: backend.write(record(version="2", user="v"), replaces="1"),
        lambda: backend.delete("id"),
    ):
        assert "ZREM" in refused(change)
        assert whole.scan(None, 10) == [record(user="u")]
        assert_consistent(url)
    backend.close()
    whole.close()


@pytest.mark.parametrize("pattern", ["~other:*", "~{tokenkeep}:r*", "%R~{tokenkeep}:*"])
def test_missing_keys(user, pattern):
    """A user who may not touch the keys is told which rule is missing."""
    rules = [pattern if rule.startswith("~") else rule for rule in NEEDED]

    assert "~{tokenkeep}:*" in refused(lambda: open_backend(user(*rules)))
