"""Configuration: what counts, in which order, and what is refused."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

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
    return tmp_path


@pytest.fixture
def write(tmp_path):
    """Write a configuration file and return the environment that names it."""

    def _write(text):
        path = tmp_path / "my.toml"
        path.write_text(text)
        return {"TOKENKEEP_CONFIG": str(path)}

    return _write


def test_nothing_configured(home):
    """Without anything the store is a database in the user's data folder, for Zoho."""
    found = tokenkeep.settings({})

    assert f"sqlite:///{home}/.local/share/tokenkeep/tokens.db" == found.store == default_store()
    assert ("zoho", {}) == (found.provider, found.options)
    assert [] == list(home.iterdir())


def test_order_of_the_store(write):
    """An argument before the environment, that before the file, that before the default."""
    environ = write('store = "memory:"')
    assert "memory:" == tokenkeep.settings(environ).store
    both = environ | {"TOKENKEEP_STORE": "sqlite:///:memory:"}
    assert "sqlite:///:memory:" == tokenkeep.settings(both).store
    assert "memory:" == tokenkeep.settings(environ | {"TOKENKEEP_STORE": " "}).store

    store = tokenkeep.open_store("memory:", environ=both)

    assert "the memory of this process" == store.backend.describe()


def test_the_file_in_its_usual_place(home):
    """Without a name the file in the user's configuration folder counts, if it is there."""
    folder = home / ".config" / "tokenkeep"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('store = "memory:"')

    assert "memory:" == tokenkeep.settings({}).store


def test_the_default_store(home):
    """The default store makes its folder for its owner alone, its key, and works again."""
    key = home / ".config" / "tokenkeep" / "keys"
    first = tokenkeep.open_store(environ={})
    saved = first.save_token(Token(user="ana", access_token="a"))
    first.close()
    folder = home / ".local" / "share" / "tokenkeep"

    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert 0o600 == stat.S_IMODE(key.stat().st_mode)
    again = tokenkeep.open_store(environ={})
    assert saved == again.find_token_by_id(saved.id)
    again.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store = ", "not TOML"),
        ('stroe = "memory:"', "'stroe'"),
        ('zoho = "eu"', "'zoho'"),
        ('[zoho.datacenters.mars]\naccounts = "https://a.example"', "'datacenters'"),
        ('[zoho.data_centers]\nmars = "x"', "mars"),
        ('[zoho.data_centers.mars]\naccounts = "https://a.example"', "production"),
        ('[zoho.data_centers.eu]\nacounts = "https://a.example"', "acounts"),
        ("[providers.zoho.profile]\nmint_limits = 5", "mint_limits"),
        ("[providers.zoho]\nunknown = 5", "unknown"),
        ('provider = "nobody"', "nobody"),
    ],
)
def test_mistakes_are_named(write, text, said):
    """What is not known in the file is an error that names it, not something ignored."""
    with pytest.raises(ConfigurationError, match=said):
        tokenkeep.settings(write(text)).providers().of(Token())


@pytest.mark.parametrize(
    ("text", "entry", "expected"),
    [
        ("store = 5", "store", "a URL, not 5"),
        ("provider = 5", "provider", "the name of a provider, not 5"),
        ('provider = "nobody"', "provider", "Known are zoho"),
        ("[providers.acme]\nkind = 5", "acme", "the name of a provider, not 5"),
        ('[providers.acme]\nkind = "nobody"', "acme", "Known are zoho"),
        ('[providers.acme]\nissuer = "https://a.example"', "acme", "Known are zoho"),
        ("[providers.oauth2]\nname = 5", "oauth2", "name has to be a text"),
        ("[providers.oauth2]\nissuer = 5", "oauth2", "issuer has to be a URL, not 5"),
        ('[providers.oauth2]\nissuer = "a.example"', "oauth2", "Write https://"),
        ("[providers.oauth2]\nrevocation_endpoint = 5", "oauth2", "endpoint has to be a URL"),
        ("[providers.oauth2]\nscope_separator = 5", "oauth2", "scope_separator has to be a text"),
        ("[providers.oauth2]\nclient_auth = []", "oauth2", "has to be body or basic"),
        (
            '[providers.oauth2]\nlifetime = "1h"',
            "oauth2",
            "lifetime has to be a number of seconds",
        ),
        ("[providers.oauth2]\nlifetime = 0", "oauth2", "more than 0, not 0"),
        ('[providers.oauth2]\nerrors = "1h"', "oauth2", "a table of error codes, not '1h'"),
        ('[providers.oauth2.errors]\nbad = "Rejected"', "oauth2", "Say one of GrantRejected"),
        ("[providers.oauth2.errors]\nbad = []", "oauth2", "Say one of GrantRejected"),
        ('[providers.oauth2]\nclock = "1h"', "oauth2", "clock can't be set in a file"),
        ('[providers.zoho]\nclock = "1h"', "zoho", "clock can't be set in a file"),
        ("[providers.zoho]\ntable = 5", "zoho", "a table of data centres, not 5"),
        ("[providers.zoho]\nprofile = 5", "zoho", "profile has to be a table, not 5"),
        ("[providers.zoho.profile]\nmint_limits = 5", "zoho", "Known are mandatory"),
        ("[providers.zoho.profile]\nmint_limit = 0", "zoho", "mint_limit has to be a whole"),
        ("[providers.zoho.profile]\ncall_timeout = -5", "zoho", "call_timeout has to be a number"),
        (
            '[providers.zoho.profile]\nwait_timeout = "x"',
            "zoho",
            "wait_timeout has to be a number",
        ),
        ("[providers.zoho.profile]\nclaim_length = 5", "zoho", "longer than call_timeout"),
        ("[zoho.data_centers.eu]\naccounts = 5", "eu", "URLs"),
    ],
)
def test_values_are_checked_when_a_store_is_opened(write, tmp_path, text, entry, expected):
    """A value that does not belong there names file, entry and what is expected, at once."""
    environ = write(text)

    with pytest.raises(ConfigurationError) as caught:
        tokenkeep.open_store("memory:", environ=environ)

    for said in (f"{tmp_path}/my.toml: ", entry, expected):
        assert said in str(caught.value)


def test_a_file_that_can_not_be_read(tmp_path):
    """A missing file that is named, a folder and bytes that are no text are errors."""
    with pytest.raises(ConfigurationError, match="TOKENKEEP_CONFIG names it"):
        tokenkeep.settings({"TOKENKEEP_CONFIG": str(tmp_path / "missing")})
    with pytest.raises(ConfigurationError, match="can't be read"):
        tokenkeep.settings({"TOKENKEEP_CONFIG": str(tmp_path)})
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="not text"):
        tokenkeep.settings({"TOKENKEEP_CONFIG": str(tmp_path / "bytes")})


def test_data_centers_and_profiles(write):
    """New data centres are known to the store; a profile keeps what it does not change."""
    environ = write(
        """
        [zoho.data_centers.mars]
        accounts = "https://accounts.zoho.example"
        production = "https://www.zohoapis.example"

        [providers.zoho.profile]
        advisory = 60.0
        """
    )
    store = tokenkeep.open_store("memory:", environ=environ)

    saved = store.save_token(Token(access_token="a", api_domain="https://www.zohoapis.example"))

    assert ("mars", "production") == (saved.data_center, saved.environment)
    assert "https://accounts.zoho.example/oauth/v2/token" == saved.issuer
    profile = store.providers.of(saved).profile
    assert (60.0, 10) == (profile.advisory, profile.mint_limit)


def test_another_provider(write):
    """A provider of one's own by its name, with the options of its class."""
    environ = write('provider = "acme"\n[providers.acme]\nkind = "oauth2"')
    store = tokenkeep.open_store("memory:", environ=environ)

    saved = store.save_token(Token(access_token="a"))

    assert "acme" == saved.provider
    assert "acme" == store.providers.of(saved).name


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlte:///x.db", UnknownName),
        ("tokens.db", ConfigurationError),
        ("", None),
        ("sqlite:", ConfigurationError),
        ("sqlite://x.db", ConfigurationError),
        ("memory:?x=1", ConfigurationError),
    ],
)
def test_bad_urls(home, url, kind):
    """A mistyped URL is a named error, and makes neither a store nor a key."""
    if kind is None:
        assert "sqlite" in repr(tokenkeep.open_store(url, environ={})).lower()
        return
    with pytest.raises(kind):
        tokenkeep.open_store(url, environ={})
    assert [] == list(home.iterdir())


def test_a_default_folder_that_can_not_be_made(home):
    """A home that can't be written is a named error that says how to name a store."""
    (home / ".local").write_text("a file")

    with pytest.raises(ConfigurationError, match="TOKENKEEP_STORE"):
        tokenkeep.open_store(environ={})


def test_keys_as_an_argument(home):
    """Keys that are given are used, and nothing is read or made."""
    key = os.urandom(KEY_BYTES)

    store = tokenkeep.open_store(
        "memory:", keys_newest_first=[key], environ={"TOKENKEEP_KEYS": "not a key"}
    )

    assert tokenkeep.KeyRing([key]).key_ids == store.ring.key_ids
    assert [] == list(home.iterdir())


def test_importing_touches_nothing(home):
    """Importing every public name reads and makes no file, and opens no connection."""
    code = (
        "import sys\n"
        "bad = []\n"
        "def hook(event, args):\n"
        "    if event == 'open' and ('w' in str(args[1]) or 'tokenkeep/' in str(args[0])\n"
        "        and '.py' not in str(args[0])) or event.startswith('socket.connect'):\n"
        "        bad.append((event, args))\n"
        "sys.dont_write_bytecode = True\n"
        "sys.addaudithook(hook)\n"
        "import tokenkeep\n"
        "for name in tokenkeep.__all__:\n"
        "    getattr(tokenkeep, name)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)

    assert [] == list(home.iterdir())
