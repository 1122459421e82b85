"""Providers by name."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from tokenkeep import providers
from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.providers import PROVIDERS, Provider, provider


@pytest.mark.parametrize("name", PROVIDERS)
def test_known(name):
    """Each name of the table leads to a provider."""
    options = {"name": "acme"} if name == "oauth2" else {}

    assert isinstance(provider(name, **options), Provider)


@pytest.mark.parametrize("name", PROVIDERS)
def test_documented(name):
    """Each provider is in the documentation."""
    page = Path(providers.__file__).parents[3] / "docs" / "providers.md"

    assert re.search(rf"`{name}`", page.read_text())


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
