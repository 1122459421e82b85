"""Providers by name, with profiles that hold what they have to, as docs/providers.md has them."""

from __future__ import annotations

import importlib.metadata
import math
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tokenkeep import providers, settings
from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.providers import PROVIDERS, Profile, Provider, Providers, provider
from tokenkeep.providers.zoho import Zoho
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS


@pytest.fixture(scope="module")
def page():
    return (Path(__file__).parents[2] / "docs" / "providers.md").read_text()


@pytest.mark.parametrize("name", PROVIDERS)
def test_known(page, name):
    """Each name of the table leads to a provider, and is in the documentation."""
    options = {"name": "acme"} if name == "oauth2" else {}

    assert isinstance(provider(name, **options), Provider)
    assert f"| `{name}` |" in page


@pytest.mark.parametrize(
    ("make", "given", "said"),
    [
        (Zoho, {"tabel": 1}, "unexpected keyword argument 'tabel'. It takes table, profile"),
        (lambda name, key: None, {"key": 1}, "argument: 'name'. It takes name, key"),  # noqa: ARG005
        (lambda key=1, *_: 5, {"y": 1}, "argument 'y'. It takes key"),  # noqa: ARG005
        (lambda **_: 5, {"x": 1}, None),
        (lambda key=1: 5, {}, None),  # noqa: ARG005
    ],
)
def test_options(monkeypatch, make, given, said):
    """A mistyped or missing option is an error that names the known ones, whoever makes it."""
    monkeypatch.setattr(providers, "_load", lambda _: make)

    if said is None:
        assert 5 == provider("acme", **given)
        return
    with pytest.raises(ConfigurationError, match=f"^Provider 'acme': .*{said}"):
        provider("acme", **given)


@pytest.mark.parametrize("options", [{}, {"issuer": "https://a.example/t", "profile": {}}])
@pytest.mark.parametrize("name", ["acme", "Zoho"])
def test_no_kind(tmp_path, name, options):
    """What is described without a kind: the line that is missing is named."""
    said = f"Provider '{name}' has no kind. Add kind = \"oauth2\""
    with pytest.raises(UnknownName, match=said):
        Providers(name, {name: options}).named(name)
    path = tmp_path / "config.toml"
    path.write_text(f"[providers.{name}]\n" + ("profile = {}" if options else ""))
    with pytest.raises(UnknownName, match=said) as caught:
        settings({"TOKENKEEP_CONFIG": str(path)})
    assert f"{path}: [providers.{name}]" in str(caught.value)


@pytest.mark.parametrize("others", [{}, {"hub": {"kind": "oauth2"}}])
def test_not_described(others):
    """The remedy for the command line too: a table of the configuration, or an entry point."""
    with pytest.raises(UnknownName, match=r"There is no provider 'acme'.*zoho, oauth2") as caught:
        Providers("zoho", others).named("acme")

    for said in ("[providers.acme]", "config.toml", "kind =", "entry point", "providers.md"):
        assert said in str(caught.value)
    assert ("hub" in str(caught.value)) == ("hub" in others)


def test_outside(monkeypatch):
    """A provider of another package is found by its entry point, and listed."""
    point = importlib.metadata.EntryPoint(
        "acme", "tokenkeep.providers.oauth2:OAuth2", providers.ENTRY_POINTS
    )
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda **_: importlib.metadata.EntryPoints([point]),
    )

    assert provider("acme", name="acme").name == "acme"
    with pytest.raises(UnknownName, match="acme"):
        provider("acne")


def test_error_codes_are_documented(page):
    """Each error code with a meaning is in the documentation."""
    missing = [code for code in Zoho.errors if f"`{code}`" not in page.lower()]

    assert missing == []


@pytest.mark.parametrize("center", list(DATA_CENTERS), ids=lambda center: center.name)
def test_data_centers_are_documented(page, center):
    """Each data centre is in the documentation with its own hosts."""
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{center.name}` |")]
    hosts = [urlsplit(url).netloc for url in (center.accounts, center.production)]

    assert all(host in row for host in hosts)
    assert center.sandbox.removeprefix("https://sandbox.") in row.split("|")[4]


POSITIVE = ["call_timeout", "claim_length", "wait_timeout"]
FROM_ZERO = ["mandatory", "advisory", "mint_window"]
NEVER_A_TIME = ["5", None, True, -0.1, math.nan, math.inf, 10**400, []]
NO_COUNT = [0, 1.5, True, "10", math.inf]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *((name, odd, "a number of seconds") for name in POSITIVE for odd in NEVER_A_TIME),
        *((name, odd, "a number of seconds") for name in FROM_ZERO for odd in NEVER_A_TIME),
        *((name, 0, ".* more than 0") for name in POSITIVE),
        *(("mint_limit", odd, "a whole number") for odd in NO_COUNT),
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


def test_a_claim_outlasts_its_call():
    """Others must not take a renewal over while its call is under way."""
    with pytest.raises(ConfigurationError, match="longer than"):
        Profile(call_timeout=20, claim_length=20)
