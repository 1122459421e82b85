"""The URL of a store in Redis: what is ours, what is the driver's, and what can't be meant."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from cases import ID, record, refused

from tokenkeep.backends import open_backend as open_url
from tokenkeep.errors import ConfigurationError


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ("/nine", "database in a Redis URL is a number"),
        ("/0/1", "database in a Redis URL is a number"),
        ("/-1", "database in a Redis URL is a number"),
        ("/0?timeout=3", "no option 'timeout'"),
        ("/0?retry_on_timeout=true", "no option 'retry_on_timeout'"),
        ("/0?decode_responses=true", "no option 'decode_responses'"),
        ("/0?password=hunter2", "no option 'password'"),
        ("/0?wait=some", "'wait' is not a valid int"),
        ("/0?wait=-1", "wait is a number"),
        ("/0?wait=1&wait_timeout=5", "below socket_timeout (5 s)"),
        ("/0?wait=1&wait_timeout=0", "above 0"),
        ("/0?prefix=a{b}", "prefix is a name"),
        ("/0?prefix=", "'prefix' can't be followed"),
        ("/0?busy_timeout=-1", "from 0 to 86400"),
        ("/0?socket_timeout=soon", "'socket_timeout'"),
        ("/0?socket_timeout=-1", "socket_timeout is a number of seconds"),
        ("/0?socket_timeout=nan", "socket_timeout is a number of seconds"),
        ("/0?socket_connect_timeout=0", "socket_connect_timeout is a number of seconds"),
        ("/0?socket_read_size=-1", "socket_read_size is a number of bytes"),
        ("/0?socket_timeout=1&socket_timeout=2", "given twice"),
        ("/0?socket_timeout", "can't be read"),
        ("/0?ssl_ca_certs=/ca.pem", "needs a rediss:// URL"),
        ("/0#fragment", "can't be read"),
        ("/0?client_name=a#b", "can't be read"),
    ],
)
def test_wrong_url(tail, said):
    """A URL that can't be meant is refused before anybody is asked."""
    assert said in refused(
        lambda: open_url(f"redis://:hunter2@127.0.0.1:1{tail}"), ConfigurationError
    )


@pytest.mark.parametrize(
    "url",
    [
        *("redis:", "redis:/0", "redis://:pa#hunter2@host", "redis://:x@host:hunter2"),
        *("redis://[::1", "redis://:pa?hunter2=@host/0", "redis://:pa?hunter2=x&y=z@host/0"),
        *("redis://:pa?ssl_hunter2=x@host/0", "redis://:pa/hunter2@host/0"),
        *("redis://:pa?hunter2@host/0", "redis://:pa@hunter2/0@host/0", "redis://:p@hunter2@h/0"),
        "rediss://:pa@hunter2/0?client_name=x@host/0",
    ],
)
def test_unreadable_url(url):
    """Nor is one that has something else where a password should be."""
    refused(lambda: open_url(url), ConfigurationError)


def test_usual_port():
    """Without a port and a number it is the usual ones."""
    said = refused(lambda: open_url("redis://no-such-host.invalid"))

    assert "no-such-host.invalid:6379/0" in said


def test_options_reach_the_driver(url):
    """The driver's options are followed; ours are taken out before."""
    backend = open_url(f"{url}?socket_timeout=2.5&prefix=a%26b&client_name=app&wait=0")

    settings = backend._server._client.connection_pool.connection_kwargs
    assert (settings["socket_timeout"], settings["client_name"]) == (2.5, "app")
    assert "prefix" not in settings
    assert "{a&b}:*" in backend.describe()
    assert (settings["retry"].get_retries(), settings["protocol"]) == (0, 2)
    backend.close()


def test_password_with_special_characters(client, url):
    """What is percent-encoded in the URL arrives as it is meant."""
    password = "a%2F/?#@: b&c=d"
    client.acl_setuser(
        "ana@b", enabled=True, passwords=[f"+{password}"], keys="*", categories=["+@all"]
    )
    mine = quote("ana@b") + ":" + quote(password, safe="") + "@"
    backend = open_url(url.replace(url[len("redis://") : url.index("@") + 1], mine))

    backend.write(record(), replaces=None)
    assert backend.read(ID) == record()
    backend.close()
    client.acl_deluser("ana@b")


def test_describe(url, redis_server):
    """A store is named by host, port, database and prefix; the password is not told."""
    backend = open_url(f"{url}?prefix=app")

    number = url.rpartition("/")[2]
    where = f"Redis at {redis_server.host}:{redis_server.port}/{number}, keys {{app}}:*"
    assert backend.describe() == where
    assert redis_server.password not in f"{backend!r} {vars(backend)!r} {vars(backend._server)!r}"
    backend.close()
