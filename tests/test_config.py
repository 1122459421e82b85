"""Configuration: what counts, in which order, and what is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from reported import reported

import tokenkeep
from tokenkeep import ConfigurationError, Token, UnknownName
from tokenkeep.config import default_store
from tokenkeep.sealing import KEY_BYTES


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A home of this test's own."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(tmp_path):
    """Write a configuration file and return the environment that names it."""

    def _write(text):
        path = tmp_path / "my.toml"
        path.write_text(text)
        path.chmod(0o600)
        return {"TOKENKEEP_CONFIG": str(path)}

    return _write


def test_order_of_the_store(write):
    """An argument before the environment, that before the file, that before the default."""
    environ = write('store = "memory:"')
    assert "memory:" == tokenkeep.settings(environ).store
    both = environ | {"TOKENKEEP_STORE": "file:///a.json"}
    assert "file:///a.json" == (found := tokenkeep.settings(both)).store
    assert "a.json" not in repr(found), "there may be a password in it"
    assert "memory:" == tokenkeep.settings(environ | {"TOKENKEEP_STORE": " "}).store

    key = os.urandom(KEY_BYTES)
    keys = {"keys_newest_first": [key], "environ": both | {"TOKENKEEP_KEYS": "not a key"}}
    store = tokenkeep.open_store("memory:", **keys)

    assert "the memory of this process" == store.backend.describe()
    assert tokenkeep.KeyRing([key]).key_ids == store.ring.key_ids


def test_the_default_store(home):
    """
    Without anything it is a database in the user's data folder, for Zoho, and is found again.

    The file beside the key names another one.
    """
    found = tokenkeep.settings({})
    assert f"sqlite:///{home}/.local/share/tokenkeep/tokens.db" == found.store == default_store()
    assert ("zoho", {}, []) == (found.provider, found.options, list(home.iterdir()))
    with tokenkeep.open_store(environ={}) as first:
        saved = first.save_token(Token(user="ana", access_token="a"))

    with tokenkeep.open_store(environ={}) as again:
        assert saved == again.find_token_by_id(saved.id)
    (home / ".config/tokenkeep/config.toml").write_text('store = "memory:"')
    assert "memory:" == tokenkeep.settings({}).store


SERVER, KEY = "postgresql://app:hunter2@127.0.0.1:1/db", tokenkeep.generate_key()
OAUTH2, ZOHO, PROFILE = "[providers.oauth2]\n", "[providers.zoho]\n", "[providers.zoho.profile]\n"


@pytest.mark.parametrize(
    ("text", "entry", "expected"),
    [
        ("store = ", "my.toml", "not TOML"),
        ("store = hunter2", "my.toml", "not TOML"),
        (f"store = 'hunter2'\na = {'[' * 100_000}", "my.toml", "not TOML"),
        ("store = ['hunter2']", "store", "a URL, not"),
        ('stroe = "memory:"', "'stroe'", "Known are store"),
        ('zoho = "eu"', "'zoho'", "a table of tables"),
        ('[zoho.datacenters.mars]\naccounts = "https://a.example"', "'datacenters'", "Known are"),
        ("[zoho.data_centers.eu]\naccounts = 5", "eu", "What is no text is not a URL"),
        ("provider = 5", "provider", "the name of a provider, not 5"),
        ('provider = "nobody"', "provider", "Known are zoho"),
        ("[providers.acme]\nkind = 5", "acme", "the name of a provider, not 5"),
        ("[providers.acme]\nprofile = {}", "acme", '[providers.acme] with kind = "oauth2"'),
        ("[providers.acme]\nkind = 'oauth2'\nclock = 5", "acme", "clock can't be set"),
        (OAUTH2 + "name = 5", "oauth2", "name has to be a text"),
        (OAUTH2 + "issuer = ['hunter2']", "oauth2", "What is no text is not a URL"),
        (OAUTH2 + "issuer = 'ftp://app:hunter2@h'", "oauth2", "is not a URL"),
        (OAUTH2 + "client_secret = 'hunter2'", "oauth2", "client_secret"),
        (OAUTH2 + "x = 5\nheaders = { Authorization = 'hunter2' }", "oauth2", "x"),
        (OAUTH2 + "errors = { a = 'hunter2' }\nname = 5", "oauth2", "name has to be a text"),
        (OAUTH2 + "revocation_endpoint = 5", "oauth2", "What is no text is not a URL"),
        (OAUTH2 + "client_auth = []", "oauth2", "has to be body or basic or basic-raw"),
        (OAUTH2 + 'lifetime = "1h"', "oauth2", "lifetime has to be a number of seconds"),
        (OAUTH2 + 'errors = "1h"', "oauth2", "a table of error codes, not a text"),
        (OAUTH2 + 'errors.bad = "Rejected"', "oauth2", "Say one of GrantRejected"),
        (OAUTH2 + 'clock = "1h"', "oauth2", "clock can't be set in a file"),
        (ZOHO + "tabel = 5", "zoho", "argument 'tabel'. It takes table, profile"),
        (ZOHO + "table = 5", "zoho", "a table of data centres, not 5"),
        (ZOHO + "profile = 5", "zoho", "profile has to be a Profile, or a table, not 5"),
        (PROFILE + "mint_limits = 5", "zoho", "It takes mandatory"),
        (PROFILE + 'wait_timeout = "x"', "zoho", "wait_timeout has to be a number"),
        (PROFILE + "claim_length = 5", "zoho", "longer than call_timeout"),
    ],
)
def test_mistakes_are_named(write, tmp_path, text, entry, expected):
    """What does not belong in the file: named as a store is opened, without what is in it."""
    before = "" if text.startswith("store") else f'store = "{SERVER}"\n'
    environ = write(before + text) | {"OTHER": "hunter2", "TOKENKEEP_KEYS": KEY}

    for deed in (
        tokenkeep.settings,
        lambda environ: tokenkeep.open_store(SERVER, environ=environ),
    ):
        with pytest.raises(ConfigurationError) as caught:
            deed(environ).providers()
        for said in (f"{tmp_path}/my.toml", entry, expected):
            assert said in str(caught.value)
        assert not [secret for secret in ("hunter2", KEY) if secret in reported(caught.value)]


@pytest.mark.parametrize(
    ("name", "said"),
    [("no", "TOKENKEEP_CONFIG names it"), ("home", "not a regular file"),
     ("wide", r"others can write to.*chmod go-w")],
)  # fmt: skip
def test_a_file_that_can_not_be_read(home, name, said):
    """A missing file that is named, a pipe, which never holds anybody up, and anybody's."""
    (home / ".config/tokenkeep").mkdir(parents=True)
    os.mkfifo(home / ".config/tokenkeep/config.toml")
    (home / "wide").touch()
    (home / "wide").chmod(0o646)

    with pytest.raises(ConfigurationError, match=said):
        tokenkeep.settings({} if name == "home" else {"TOKENKEEP_CONFIG": str(home / name)})


@pytest.mark.parametrize(
    ("url", "kind"), [("sqlte:///x.db", UnknownName), ("tokens.db", ConfigurationError)]
)
def test_bad_urls(home, url, kind):
    """A mistyped URL is a named error, and makes neither a store nor a key."""
    with pytest.raises(kind):
        tokenkeep.open_store(url, environ={})
    assert [] == list(home.iterdir())
    (home / ".local").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"can't be made.*TOKENKEEP_STORE"):
        tokenkeep.open_store("", environ={})


@pytest.mark.parametrize(
    ("store", "is_secret"),
    [(SERVER, True), ("redis://h/0?password=hunter2", True), ("postgresql://app@h/db", False)],
)
def test_a_password_in_the_configuration(write, store, is_secret):
    """What others can read must not have one: refused, with the command, and without it."""
    environ = write(f'store = "{store}"')
    assert store == tokenkeep.settings(environ).store
    Path(environ["TOKENKEEP_CONFIG"]).chmod(0o640)

    if not is_secret:
        assert store == tokenkeep.settings(environ).store
        return
    with pytest.raises(ConfigurationError, match=r"password.*can read or.*chmod 600") as caught:
        tokenkeep.settings(environ)
    assert "hunter2" not in reported(caught.value)


def test_folders_that_are_made(home, monkeypatch):
    """Those above store and key are for their owner alone, too, and on disk one by one."""
    synced, fsync = set(), os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda at: synced.add(Path(f"/proc/self/fd/{at}").readlink()) or fsync(at)
    )
    was = os.umask(0)
    try:
        tokenkeep.open_store(environ={}, make=True).close()
    finally:
        os.umask(was)

    made = [home / name for name in (".local", ".local/share", ".local/share/tokenkeep",
                                     ".config", ".config/tokenkeep")]  # fmt: skip
    assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in made}
    assert {path.parent for path in made} <= synced
