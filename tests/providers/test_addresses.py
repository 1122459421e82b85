"""A host with several addresses: each gets its turn within the bound."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest
from provider_server import response

from tokenkeep.errors import ProviderUnavailable
from tokenkeep.providers.http import Form, post_form

DEAD = ("::1", "127.0.0.2", "127.0.0.3")


@pytest.fixture
def swallow():
    """Listen at an address and never take a connection: from the third on, its SYNs are lost."""
    with ExitStack() as stack:

        def _swallow(address, port):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = stack.enter_context(
                socket.create_server((address, port), family=family, backlog=0)
            )
            for _ in range(3):
                each = stack.enter_context(socket.socket(family))
                each.settimeout(0)
                each.connect_ex(listener.getsockname())

        yield _swallow


@pytest.fixture
def resolve(monkeypatch):
    """Let ``localhost`` have these addresses, in this order."""
    real = socket.getaddrinfo

    def _resolve(*addresses):
        def found(host, *args, **kwargs):
            names = addresses if host == "localhost" else [host]
            return [entry for name in names for entry in real(name, *args, **kwargs)]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return _resolve


@pytest.mark.parametrize(
    "dead",
    [
        ["swallows"],
        ["refuses"],
        ["swallows", "refuses"],
        ["swallows", "swallows"],
        ["refuses", "refuses", "swallows"],
    ],
    ids="-".join,
)
def test_another_address_answers(serve, swallow, resolve, dead):
    """However the addresses before it are dead, the one that lives is asked, once."""
    server = serve(response(b"{}"))
    for address, how in zip(DEAD, dead, strict=False):
        if how == "swallows":
            swallow(address, server.port)
    resolve(*DEAD[: len(dead)], "127.0.0.1")

    reply = post_form(f"http://localhost:{server.port}/", Form(), timeout=3.0)

    assert (reply.body, server.connections) == (b"{}", 1)


@pytest.mark.parametrize(
    ("dead", "said"),
    [
        (["swallows"], "within|in time"),
        (["swallows", "refuses"], "no connection$"),
        (["refuses", "swallows"], "within|in time"),
    ],
)
def test_no_address_answers(serve, swallow, resolve, dead, said):
    """All of them dead: named within the bound."""
    port = serve(response(b"{}")).port
    for address, how in zip(DEAD, dead, strict=False):
        if how == "swallows":
            swallow(address, port)
    resolve(*DEAD[: len(dead)])

    with pytest.raises(ProviderUnavailable, match=said):
        post_form(f"http://localhost:{port}/", Form(), timeout=0.6)
