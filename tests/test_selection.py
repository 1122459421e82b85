"""Which tokens are meant: those that have everything that is said of them, and no others."""

from __future__ import annotations

import pytest

from tokenkeep import LookupFailed, Status, Token, UnknownName, open_store
from tokenkeep.local_swap import complete
from tokenkeep.providers import Providers
from tokenkeep.selection import Selection
from tokenkeep.stores.list import ListStore

ROWS = [
    Token(user="ana:1", client_id="a", api_domain="https://www.zohoapis.com", refresh_token="1"),
    Token(user="ana:1", client_id="a", api_domain="https://www.zohoapis.eu", refresh_token="2"),
    Token(
        user="bo:1", client_id="a", api_domain="https://sandbox.zohoapis.com", refresh_token="3"
    ),
    Token(user="cy:2", client_id="b", api_domain="https://www.zohoapis.com", refresh_token="4"),
    Token(user="cy:2", client_id="b", provider="acme", refresh_token="5"),
]
ACME = {"acme": {"kind": "oauth2", "issuer": "https://acme.example/token"}}

SAID = [
    ({}, "12345"),
    ({"user": "ana:1"}, "12"),
    ({"user": "ana:1", "data_center": "eu"}, "2"),
    ({"client_id": "a"}, "123"),
    ({"tenant": "1"}, "123"),
    ({"tenant": "2"}, "4"),  # acme has no organisations
    ({"provider": "acme"}, "5"),
    ({"provider": "zoho", "client_id": "b"}, "4"),
    ({"environment": "sandbox"}, "3"),
    ({"data_center": "us"}, "134"),
    ({"status": Status.REVOKED}, "4"),
    ({"status": "ok", "tenant": "1"}, "123"),
    ({"user": "ana:1", "client_id": "b"}, ""),
    ({"user": "ana"}, ""),
]


@pytest.fixture(params=["a vault", "six methods"])
def store(request):
    """Rows in a store that finds by marks, and in one that only lists."""
    providers = Providers("zoho", ACME)
    made = open_store("memory:", make=True, providers=providers)
    if request.param == "six methods":
        made = complete(ListStore())
    for row in ROWS:
        made.save_token(providers.locate(row))
    (fourth,) = (row for row in made.get_tokens() if row.refresh_token == "4")
    made.save_token(fourth.but(status=Status.REVOKED))
    return made


@pytest.mark.parametrize(("said", "expected"), SAID, ids=str)
def test_all_that_is_said(store, said, expected):
    """Every condition holds of every token, whatever the store can find by."""
    providers = Providers("zoho", ACME)
    found = Selection(**said).tokens(store, providers)

    assert expected == "".join(sorted(str(token.refresh_token) for token in found))


@pytest.mark.parametrize("wrong", ["", "  ", 7, b"ana", "\ud800"])
@pytest.mark.parametrize("name", ["user", "client_id", "tenant", "environment"])
def test_a_variable_that_is_not_set(name, wrong):
    """It must not choose among all: empty is not the same as not said."""
    with pytest.raises(LookupFailed, match=f"The {name} is empty, or no text"):
        Selection(**{name: wrong})


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ({"provider": "mars"}, "Known are zoho, oauth2"),
        ({"data_center": "mars"}, "Known are us, eu"),
        ({"environment": "prod"}, "Known are production, sandbox"),
        ({"status": "dead"}, "Known are ok, login_needed, revoked"),
    ],
)
def test_names_that_nobody_knows(said, known):
    """Those that are known are listed; nothing is looked for."""
    with pytest.raises(UnknownName, match=known):
        Selection(**said).expect_known(Providers())
