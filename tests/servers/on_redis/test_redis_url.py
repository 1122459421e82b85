"""The URL of a store in Redis: what is ours, what is the driver's, and what can't be meant."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from cases import ID, record, refused, somebody_else

from tokenkeep.backends import open_backend
from tokenkeep.backends.redis import parsed
from tokenkeep.errors import ConfigurationError, StoreUnavailable


@pytest.mark.parametrize(
    ("url", "place", "said"),
    [
        ("redis://", "localhost:6379/0", {"host": "localhost", "port": 6379, "db": 0}),
        ("REDIS://DB.example.com/3", "db.example.com:6379/3", {"host": "db.example.com"}),
        ("redis://u:p%40@[::1]:7/", "[::1]:7/0", {"host": "::1", "password": "p@"}),
        ("redis://:x@%2Frun%2Fr.sock/1", "/run/r.sock/1", {"path": "/run/r.sock", "db": 1}),
        ("redis://h?socket_timeout=2.5", "h:6379/0", {"socket_timeout": 2.5}),
        ("redis://h?client_name=a%26b&wait=1", "h:6379/0", {"client_name": "a&b"}),
        ("rediss://h?ssl_check_hostname=No", "h:6379/0", {"ssl_check_hostname": False}),
        ("rediss://h?ssl_certfile=/c&ssl_keyfile=/k", "h:6379/0", {"ssl_certfile": "/c"}),
    ],
)
def test_what_the_driver_gets(url, place, said):
    """Its options are followed; ours are taken out before, and what is encoded is decoded."""
    where, arguments, ours, _ = parsed(url)

    assert (where, said) == (place, {name: arguments[name] for name in said})
    assert set(ours) == {"prefix", "busy_timeout", "wait", "wait_timeout"}
    assert not set(ours) & set(arguments)


def test_unknown_host():
    """A name that leads nowhere is repeated, with the usual port."""
    assert "no-such-host.invalid:6379/0" in refused(
        lambda: open_backend("redis://no-such-host.invalid")
    )


def test_password_with_special_characters(client, connect, url):
    """What is percent-encoded in the URL arrives as it is meant."""
    password = "a%2F/?#@: b&c=d"
    client.acl_setuser(
        "ana@b", enabled=True, passwords=[f"+{password}"], keys="*", categories=["+@all"]
    )
    mine = quote("ana@b") + ":" + quote(password, safe="") + "@"
    backend = connect(url.replace(url[len("redis://") : url.index("@") + 1], mine))

    backend.write(record(), replaces=None)
    assert backend.read(ID) == record()
    client.acl_deluser("ana@b")


def test_describe(connect, url, redis_server):
    """A store is named by host, port, database and prefix; the password is not told."""
    backend = connect(f"{url}?prefix=a%26b")

    number = url.rpartition("/")[2]
    where = f"Redis at {redis_server.host}:{redis_server.port}/{number}, keys {{a&b}}:*"
    assert backend.describe() == where
    assert redis_server.password not in f"{backend!r} {vars(backend)!r}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("ssl_ciphers=NONE-SUCH", "cipher"),
        ("ssl_certfile=/no/such/file", "No such file"),
    ],
)
def test_tls_that_can_not_be_followed(url, options, said):
    """What only the first connection shows is an error too. See test_refused_urls.py."""
    secure = f"{url.replace('redis:', 'rediss:')}?socket_timeout=1&{options}"

    assert said in refused(
        lambda: open_backend(secure), (StoreUnavailable, ConfigurationError), secret=url[9:40]
    )


def test_tls_that_may_not_be_dropped():
    """A redis:// URL of a server that speaks TLS alone is told to write rediss://."""
    with somebody_else(b"\x15\x03\x01\x00\x02\x02\x46") as place:
        said = refused(lambda: open_backend(f"redis://{place}/0?socket_timeout=0.3"))

    assert "rediss://" in said
