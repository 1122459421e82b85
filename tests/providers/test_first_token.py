"""What docs/providers.md tells about the first token of another provider works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tokenkeep

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text()
SECTION = re.search(r"## Another provider: the first token\n(.*?)\n## ", PAGE, re.DOTALL)[1]


@pytest.fixture
def example(zoho, tmp_path, monkeypatch):
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
    (tmp_path / "config.toml").write_text(re.search(r"```toml\n(.*?)```", section, re.DOTALL)[1])
    monkeypatch.setenv("TOKENKEEP_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    monkeypatch.delenv("TOKENKEEP_STORE", raising=False)
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
