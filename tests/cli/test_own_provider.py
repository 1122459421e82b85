"""A provider in Python, as docs/providers.md makes it known to the command line."""

from __future__ import annotations

import re

import pytest
from pages import labelled

import tokenkeep
from tokenkeep import Token

ENTRY_POINT, CONFIGURATION = labelled("docs/providers.md", "chat-kind")


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """Install the class of the page as a package, with the entry point that the page shows."""
    group, name, target = re.fullmatch(
        r'\[project.entry-points."(.*)"\]\n([\w-]+) = "(\w+:\w+)"\n', ENTRY_POINT
    ).groups()
    folder = tmp_path / "site"
    info = folder / "chat_tokens-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chat-tokens\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    (program,) = labelled("docs/providers.md", "chat")
    source = re.search(r"^class Chat.*?\n\n\n", program, re.MULTILINE | re.DOTALL)[0]
    imported = "from tokenkeep.providers.oauth2 import OAuth2\n\n\n"
    (folder / f"{target.partition(':')[0]}.py").write_text(imported + source)
    monkeypatch.syspath_prepend(folder)


@pytest.mark.usefixtures("packaged")
def test_known_to_the_commands(run, environment, tmp_path):
    """With the table of the page its tokens are at home in every command."""
    config = tmp_path / "config.toml"
    config.write_text(CONFIGURATION)
    environment.setenv("TOKENKEEP_CONFIG", str(config))
    with tokenkeep.open_store() as store:
        row = store.save_token(
            Token(provider="chat", user="ana", client_id="c", refresh_token="r")
        )
        assert "Chat" == type(store.providers.named("chat")).__name__

    assert "https://chat.example/api/oauth.access" in run("show", row.id).stdout
    assert "No revocation endpoint is configured for chat" in run("revoke", row.id).stderr
