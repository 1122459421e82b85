"""What docs/providers.md tells works as it stands: its own blocks, on a real server."""

from __future__ import annotations

import re

import pytest
from pages import labelled
from provider_server import answering, sent

import tokenkeep

PAGE = "docs/providers.md"


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Write a configuration file, which counts from now on, with keys beside it."""

    def _configure(text):
        (tmp_path / "config.toml").write_text(text)
        monkeypatch.setenv("TOKENKEEP_CONFIG", str(tmp_path / "config.toml"))
        monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())

    return _configure


@pytest.fixture
def example(zoho, tmp_path, configure):
    """The blocks of the section, with the emulator in the place of the provider."""
    given = {
        "https://login.acme.example/oauth/token": zoho.us.token_url,
        "https://login.acme.example/oauth/revoke": f"{zoho.us.token_url}/revoke",
        "sqlite:////var/lib/app/tokens.db": f"sqlite:///{tmp_path}/tokens.db",
        "my-client": zoho.client.client_id,
        "my-secret": zoho.client.client_secret,
        "https://app.example/callback": zoho.client.redirect_uris[0],
    }
    section = "~".join(labelled(PAGE, "acme"))
    for name, value in given.items():
        assert name in section
        section = section.replace(name, value)
    configuration, *programs = section.split("~")
    configure(configuration)
    return programs


def test_from_the_code_to_renewed_tokens(example, zoho):
    """A code becomes a stored login, which the keeper hands out and renews; so in Python alone."""
    login, use, python = example
    here = {}
    exec(login, here)  # the page's own example
    saved = here["logged_in"]("ana", zoho.grant_code())
    exec(use, here)  # likewise

    assert ("acme", "ana") == (saved.provider, saved.user)
    assert f"Bearer {saved.access_token}" == here["headers"]["Authorization"]

    here["store"].save_token(saved.but(expires_at=1.0))
    exec(use, here)  # likewise

    assert saved.access_token != here["token"].access_token
    assert zoho.is_active(here["token"].access_token)
    here["store"].close()

    exec(python.replace("providers=", "'memory:', providers="), here)  # likewise
    saved, store = here["saved"], here["store"]
    assert saved == store.find_token(tokenkeep.Token(provider="acme", user="bo"))
    assert "acme" == store.save_token(tokenkeep.Token(user="cy", refresh_token="r")).provider
    store.close()


NESTED = {"access_token": "new", "refresh_token": "next", "id": "U1", "scope": "read"}
EXAMPLES = {
    # Its label: what the server answers, what it was asked, what is stored, what an error is then.
    "chat": (
        {"ok": True, "app_id": "A1", "authed_user": NESTED},
        {"refresh_token": "her-refresh-token", "grant_type": "refresh_token"},
        ("new", "next"),
        tokenkeep.LoginNeeded,
    ),
    "metrics": (
        {"access_token": "new", "expires_in": 3600},
        {"grant_type": "client_credentials", "scope": "read"},
        ("new", None),
        tokenkeep.ProviderUnavailable,
    ),
}


@pytest.mark.parametrize("label", EXAMPLES)
def test_example(serve, configure, monkeypatch, label):
    """The page's own words configure a provider, save a row, and get a token from the server."""
    answer, asked, stored, refused = EXAMPLES[label]
    answers = iter([answer])
    error = {"ok": False, "error": "invalid_refresh_token"}
    server = serve(answering(lambda _: next(answers, error)))
    *configuration, program = (
        re.sub(r'"https://.*"', f'"{server.url}"', text) for text in labelled(PAGE, label)
    )
    configure("".join(configuration))
    monkeypatch.setenv("TOKENKEEP_STORE", "memory:")
    here = {}

    exec(program, here)  # the page's own example

    with here["keeper"] as keeper:
        saved = keeper.store.reread(here["token"].id)
        assert stored == saved.pair
        assert {**asked, "client_id": "my-client", "client_secret": "my-secret"} == sent(server)[1]
        with pytest.raises(refused):
            keeper.renew(saved.id)
