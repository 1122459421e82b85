"""The URL of a store in Redis: what is ours, what is the driver's, and what can't be meant."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from cases import ID, record, refused, somebody_else

from tokenkeep.backends import open_backend
from tokenkeep.backends.redis import parsed
from tokenkeep.errors import ConfigurationError, StoreUnavailable


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ("/nine", "can't be read"),
        ("/0/1", "can't be read"),
        ("/-1", "can't be read"),
        ("/0?timeout=3", "no option 'timeout'"),
        ("/0?retry_on_timeout=true", "no option 'retry_on_timeout'"),
        ("/0?decode_responses=true", "no option 'decode_responses'"),
        ("/0?password=hunter2", "no option 'password'"),
        ("/0?wait=some", "'wait' is not a valid whole number"),
        ("/0?wait=-1", "'wait' is not a valid whole number"),
        ("/0?wait=1&wait_timeout=5", "below socket_timeout"),
        ("/0?wait=1&wait_timeout=0", "'wait_timeout' is not a valid number of seconds"),
        ("/0?prefix=a{b}", "prefix is a name"),
        ("/0?prefix=", "'prefix' can't be followed"),
        ("/0?busy_timeout=-1", "'busy_timeout' is not a valid number of seconds"),
        ("/0?socket_timeout=soon", "'socket_timeout' is not a valid number of seconds"),
        ("/0?socket_timeout=nan", "'socket_timeout' is not a valid number of seconds"),
        ("/0?socket_connect_timeout=0", "'socket_connect_timeout' is not a valid"),
        ("/0?socket_timeout=1&socket_timeout=2", "given twice"),
        ("/0?socket_timeout", "can't be read"),
        ("/0?socket_keepalive=maybe", "'socket_keepalive' is not a valid truth"),
        ("/0?ssl_ca_certs=/ca.pem", "needs a rediss:// URL"),
        ("/0#fragment", "can't be read"),
        ("/0?client_name=a#b", "can't be read"),
    ],
)
def test_wrong_url(tail, said):
    """A URL that can't be meant is refused before anybody is asked."""
    assert said in refused(
        lambda: open_backend(f"redis://:hunter2@127.0.0.1:1{tail}"), ConfigurationError
    )


@pytest.mark.parametrize(
    "url",
    [
        *("redis:", "redis:/0", "redis://:pa#hunter2@host", "redis://:x@host:hunter2"),
        *("redis://[::1", "redis://:pa?hunter2=@host/0", "redis://:pa?hunter2=x&y=z@host/0"),
        *("redis://:pa?ssl_hunter2=x@host/0", "redis://:pa/hunter2@host/0"),
        *("redis://:pa?hunter2@host/0", "redis://:pa@hunter2/0@host/0", "redis://:p@hunter2@h/0"),
        "rediss://:pa@hunter2/0?client_name=x@host/0",
        "redis://pa?hunter2=x@host/0",
    ],
)
def test_unreadable_url(url):
    """Nor is one that has something else where a password should be."""
    refused(lambda: open_backend(url), ConfigurationError)


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
        ("ssl_cert_reqs=maybe", "'ssl_cert_reqs'"),
        ("ssl_ca_certs=", "'ssl_ca_certs'"),
        ("ssl_certfile=/no/such/file", "No such file"),
        ("ssl_cacerts=/typo.pem", "ssl_cacerts"),
        ("ssl_min_version=771", "'ssl_min_version'"),
        ("ssl_validate_ocsp=true", "'ssl_validate_ocsp'"),
    ],
)
def test_tls_that_can_not_be_followed(url, options, said):
    """An option for TLS that can't be followed is an error, never ignored. See test_tls.py."""
    secure = f"{url.replace('redis:', 'rediss:')}?socket_timeout=1&{options}"

    assert said in refused(
        lambda: open_backend(secure), (StoreUnavailable, ConfigurationError), secret=url[9:40]
    )


def test_tls_that_may_not_be_dropped():
    """A redis:// URL of a server that speaks TLS alone is told to write rediss://."""
    with somebody_else(b"\x15\x03\x01\x00\x02\x02\x46") as place:
        said = refused(lambda: open_backend(f"redis://{place}/0?socket_timeout=0.3"))

    assert "rediss://" in said
