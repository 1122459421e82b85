"""What docs/providers.md tells about other servers works as it stands, on a real one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from provider_server import answering, as_json, response, sent

import tokenkeep

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
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
def test_example(serve, tmp_path, monkeypatch, issuer):
    """The page's own words configure a provider, save a row, and get a token from the server."""
    answer, asked, refresh_token, error = EXAMPLES[issuer]
    answers = [answer, error]
    server = serve(answering(lambda _: answers.pop(0)))
    configuration, program = (text.replace(issuer, server.url) for text in example_of(issuer))
    (tmp_path / "config.toml").write_text(configuration)
    monkeypatch.setenv("TOKENKEEP_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("TOKENKEEP_STORE", "memory:")
    monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    here = {}

    exec(program, here)  # the page's own example

    keeper, token = here["keeper"], here["token"]
    assert ("new", refresh_token) == keeper.store.reread(token.id).pair
    assert {**asked, "client_id": "my-client", "client_secret": "my-secret"} == sent(server)[1]
    if error is not None:
        with pytest.raises(tokenkeep.LoginNeeded):
            keeper.renew(token.id)
    keeper.close()


def test_options(serve, tmp_path):
    """The options of a server that wants it otherwise are what it gets."""
    server = serve({"access_token": "new"})
    section = re.search(r"### Servers that want it otherwise\n+```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "config.toml"
    path.write_text(section[1].replace("https://login.acme.example/oauth/token", server.url))
    acme = tokenkeep.settings({"TOKENKEEP_CONFIG": str(path)}).providers().named("acme")

    acme.refresh(tokenkeep.Token(client_id="c", client_secret="s", refresh_token="r"))

    request = server.requests[0].decode()
    for said in ("Authorization: Basic", "X-Api-Key: my-key", '"audience": "https://api.acme'):
        assert said in request
