"""Providers by name, with profiles that hold what they have to, as docs/providers.md has them."""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.providers import PROVIDERS, Profile, Providers
from tokenkeep.providers.zoho import Zoho
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS


@pytest.mark.parametrize("others", [{}, {"hub": {"kind": "oauth2"}}])
def test_not_described(others):
    """The remedy for the command line too: a table of the configuration, or an entry point."""
    with pytest.raises(UnknownName, match=r"There is no provider 'acme'.*zoho, oauth2") as caught:
        Providers("zoho", others).named("acme")

    for said in ("[providers.acme]", "config.toml", "kind =", "entry point", "providers.md"):
        assert said in str(caught.value)
    assert ("hub" in str(caught.value)) == ("hub" in others)


def test_page():
    """Each provider, each error code with a meaning, each data centre is in the documentation."""
    page = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}

    assert rows.keys() >= PROVIDERS.keys()
    assert [] == [code for code in Zoho.errors if f"`{code}`" not in page.lower()]
    for center in DATA_CENTERS:
        hosts = [urlsplit(url).netloc for url in (center.accounts, center.production)]
        assert all(host in rows[center.name] for host in hosts)
        assert center.sandbox.removeprefix("https://sandbox.") in rows[center.name].split("|")[4]


POSITIVE = ["call_timeout", "claim_length", "wait_timeout"]
FROM_ZERO = ["mandatory", "advisory", "mint_window"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *((name, "5", "a number of seconds") for name in POSITIVE + FROM_ZERO),
        *(("call_timeout", odd, ".* more than 0") for odd in [None, True, 0, math.nan, 10**400]),
        *(("mandatory", odd, ".* 0 or more") for odd in [-0.1, math.inf, []]),
        *(("mint_limit", odd, "a whole number") for odd in [0, 1.5, True, "10"]),
        # "no" would count as yes.
        *((name, "no", "true or false") for name in ("rotates", "revokes_grant", "needs_login")),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_profile(name, value, said):
    """What an entry has to be is said: a time in seconds, a count, a bool. Windows may be 0."""
    with pytest.raises(ConfigurationError, match=f"^{name} has to be {said}"):
        Profile(**{name: value})

    assert Profile(**dict.fromkeys(FROM_ZERO, 0), mint_limit=1)
