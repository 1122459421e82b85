"""What docs/providers.md tells works as it stands: its own blocks, on a real server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from provider_server import answering, as_json, response, sent

import tokenkeep

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Write a configuration file, which counts from now on, with keys beside it."""

    def _configure(text):
        (tmp_path / "config.toml").write_text(text)
        monkeypatch.setenv("TOKENKEEP_CONFIG", str(tmp_path / "config.toml"))
        monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())

    return _configure


SECTION = re.search(r"## Another provider: the first token\n(.*?)\n## ", PAGE, re.DOTALL)[1]


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
    section = SECTION
    for name, value in given.items():
        assert name in section
        section = section.replace(name, value)
    configure(re.search(r"```toml\n(.*?)```", section, re.DOTALL)[1])
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def test_from_the_code_to_renewed_tokens(example, zoho):
    """A code becomes a stored login, which the keeper hands out and renews."""
    login, use, _ = example
    here = {}
    exec(login, here)  # the page's own example
    store = here["store"]

    saved = here["logged_in"]("ana", zoho.grant_code())
    exec(use, here)  # likewise

    assert ("acme", "ana") == (saved.provider, saved.user)
    assert f"Bearer {saved.access_token}" == here["headers"]["Authorization"]
    assert zoho.is_active(saved.access_token)

    store.save_token(saved.but(expires_at=1.0))
    exec(use, here)  # likewise

    assert saved.access_token != here["token"].access_token
    assert zoho.is_active(here["token"].access_token)
    store.close()


def test_the_same_in_python(example, monkeypatch):
    """Without a file the provider is described by a mapping, and the store knows it."""
    here = {}
    exec(example[0], here)  # the page's own example
    here["store"].close()
    monkeypatch.delenv("TOKENKEEP_CONFIG")
    exec(example[2].replace("providers=", "'memory:', providers="), here)  # likewise

    saved, store = here["saved"], here["store"]
    assert ("acme", "bo") == (saved.provider, saved.user)
    assert saved == store.find_token(tokenkeep.Token(provider="acme", user="bo"))
    assert "acme" == store.save_token(tokenkeep.Token(user="cy", refresh_token="r")).provider
    assert store.providers is here["keeper"].providers
    store.close()


ASKED = {"refresh_token": "her-refresh-token", "grant_type": "refresh_token"}
FORM = response(
    b"access_token=new&refresh_token=next&expires_in=28800&token_type=bearer",
    "200 OK",
    "Content-Type: application/x-www-form-urlencoded; charset=utf-8",
)
NESTED = {
    "ok": True,
    "app_id": "A1",
    "authed_user": {"id": "U1", "scope": "read", "access_token": "new", "refresh_token": "next"},
}
EXAMPLES = {
    # Its issuer: what the server answers, what it was asked, the refresh token after it, an error.
    "https://forge.example/login/oauth/access_token": (
        FORM, ASKED, "next", response(b"error=bad_refresh_token&error_uri=x"),
    ),
    "https://chat.example/api/oauth.access": (
        NESTED, ASKED, "next", as_json({"ok": False, "error": "invalid_refresh_token"}),
    ),
    "https://login.metrics.example/oauth/token": (
        {"access_token": "new", "expires_in": 3600},
        {"grant_type": "client_credentials", "scope": "read"}, None, None,
    ),
}  # fmt: skip


def example_of(issuer):
    """Return the page's blocks for a server: of its configuration if there is one, and Python."""
    blocks = re.findall(r"```(toml|python)\n(.*?)```", PAGE, re.DOTALL)
    at = next(at for at, (_, text) in enumerate(blocks) if issuer in text)
    kind, text = blocks[at]
    return ("", text) if kind == "python" else (text, blocks[at + 1][1])


@pytest.mark.parametrize("issuer", EXAMPLES)
def test_example(serve, configure, monkeypatch, issuer):
    """The page's own words configure a provider, save a row, and get a token from the server."""
    answer, asked, refresh_token, error = EXAMPLES[issuer]
    answers = [answer, error]
    server = serve(answering(lambda _: answers.pop(0)))
    configuration, program = (text.replace(issuer, server.url) for text in example_of(issuer))
    configure(configuration)
    monkeypatch.setenv("TOKENKEEP_STORE", "memory:")
    here = {}

    exec(program, here)  # the page's own example

    keeper, token = here["keeper"], here["token"]
    assert ("new", refresh_token) == keeper.store.reread(token.id).pair
    assert {**asked, "client_id": "my-client", "client_secret": "my-secret"} == sent(server)[1]
    if error is not None:
        with pytest.raises(tokenkeep.LoginNeeded):
            keeper.renew(token.id)
    keeper.close()


def test_options(serve, configure):
    """The options of a server that wants it otherwise are what it gets."""
    server = serve({"access_token": "new"})
    section = re.search(r"### Servers that want it otherwise\n+```toml\n(.*?)```", PAGE, re.DOTALL)
    configure(section[1].replace("https://login.acme.example/oauth/token", server.url))
    acme = tokenkeep.settings().providers().named("acme")

    acme.refresh(tokenkeep.Token(client_id="c", client_secret="s", refresh_token="r"))

    request = server.requests[0].decode()
    for said in ("Authorization: Basic", "X-Api-Key: my-key", '"audience": "https://api.acme'):
        assert said in request
