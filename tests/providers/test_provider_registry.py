"""Providers by name."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tokenkeep import providers
from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.providers import PROVIDERS, Provider, provider
from tokenkeep.providers.zoho import Zoho
from tokenkeep.providers.zoho_data_centers import DATA_CENTERS


@pytest.fixture(scope="module")
def page():
    return (Path(__file__).parents[2] / "docs" / "providers.md").read_text()


@pytest.mark.parametrize("name", PROVIDERS)
def test_known(name):
    """Each name of the table leads to a provider."""
    options = {"name": "acme"} if name == "oauth2" else {}

    assert isinstance(provider(name, **options), Provider)


@pytest.mark.parametrize("name", PROVIDERS)
def test_documented(page, name):
    """Each provider is in the documentation."""
    assert f"| `{name}` |" in page


def test_unknown():
    """A name nobody knows is answered with those that are known."""
    with pytest.raises(UnknownName, match="zoho, oauth2"):
        provider("zohoo")


@pytest.mark.parametrize("options", [{"tabel": 1}, {"name": "x"}])
def test_unknown_option(options):
    """A mistyped option is an error that names the known ones."""
    with pytest.raises(ConfigurationError, match="It takes table, profile, clock"):
        provider("zoho", **options)


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
