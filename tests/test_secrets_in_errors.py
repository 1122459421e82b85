"""No error has a secret in it: not in its text, in what it comes from, nor in a local variable."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from faulty_backend import Faulty, vault_over
from reported import reported

import tokenkeep
from tokenkeep import (
    ConfigurationError,
    KeyRing,
    LookupFailed,
    StoreError,
    StoreTampered,
    StoreUnavailable,
    Token,
    TokenKeepError,
    Vault,
    keys,
    records,
)
from tokenkeep.backends.base import HEADER
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.lookup import Lookup
from tokenkeep.saving import cleaned
from tokenkeep.sealing import DataKeys, parse_keys

SECRET = "an-unmistakable-secret"
TEXTS = (
    *("id", "user", "client_id", "client_secret", "access_token", "refresh_token", "grant_token"),
    *("redirect_uri", "scope", "provider", "issuer", "api_domain", "data_center", "environment"),
)
ASKED = sorted(set(TEXTS) - {"client_secret", "redirect_uri", "scope", "issuer", "api_domain"})
PUBLIC = {"id", "user", "provider", "data_center", "environment"}
"""What a token is named by."""

KEYS = DataKeys("store", {1: bytes(32)}, bytes(32))
STORED = {"id": f"tk_{'1' * 32}", "version": "2" * 32, "owner": "3" * 32}


def token(**given):
    """Return a token to store, with a secret wherever there may be one."""
    secrets = dict.fromkeys(("client_secret", "access_token", "refresh_token"), SECRET)
    return Token(user="ana", client_id="c", provider="zoho", **secrets).but(**given)


@pytest.mark.parametrize("value", [f"{SECRET}\udc80", SECRET.encode(), [SECRET], 5], ids=ascii)
@pytest.mark.parametrize(
    ("look", "name"),
    [*((cleaned, name) for name in TEXTS), *((Lookup.of, name) for name in ASKED)],
)
def test_what_is_no_text(look, name, value):
    """Every text that is to be written, or is asked, is looked at; the error names the field."""
    with pytest.raises(LookupFailed, match=f"The {name} .*not text") as caught:
        look(token(**{name: value}))

    if name not in PUBLIC:
        assert SECRET not in reported(caught.value)


@pytest.mark.parametrize(
    "plain",
    [
        None,
        {"status": [SECRET]},
        {"renewal": {"claim": SECRET}},
        {"renewal": {"to_revoke": [[SECRET]]}},
        {"history": [5, SECRET]},
    ],
    ids=["cut", "status", "claim", "to revoke", "history"],
)
def test_opens_but_makes_no_sense(plain):
    """What was opened is not in the error that says that it is nothing of ours."""
    record = records.seal(token(**STORED), KEYS, lambda _: None)
    bound = f"{record.id}\0{record.kind}\0{record.version}\0{record.owner}"
    whole = {"refresh_token": SECRET, "status": "ok", "renewal": {}}
    text = json.dumps(whole | plain) if plain else json.dumps(whole)[:-1]
    _, sealed = KEYS.seal(text.encode(), bound=bound)

    with pytest.raises(StoreTampered, match="holds nothing that makes sense") as caught:
        records.unseal(replace(record, sealed=sealed), KEYS)

    assert SECRET not in reported(caught.value)


@pytest.mark.parametrize(
    "odd",
    [{"access_token": f"{SECRET}\udc80"}, {"access_token": SECRET.encode()},
     {"scope": SECRET.encode()}, {"extra": {"id_token": [SECRET.encode()]}}],
    ids=["surrogate", "bytes", "bytes elsewhere", "bytes in extra"],
)  # fmt: skip
def test_seal(odd):
    """What can't be sealed is a named error, whoever writes it past a save."""
    with pytest.raises((StoreError, LookupFailed)) as caught:
        records.seal(token(**STORED, **odd), KEYS, lambda _: None)

    assert SECRET not in reported(caught.value)


@pytest.mark.parametrize(
    "plain",
    [
        {"keys": {"1": SECRET}, "index": SECRET},
        {"store": "s", "keys": {"1": SECRET}, "index": SECRET},
        {"store": "s", "keys": {SECRET: ""}, "index": SECRET},
        {"store": "s", "keys": {"1": b64encode(b"k" * 32).decode()}, "index": SECRET},
        {"store": "s", "keys": SECRET},
        [SECRET],
        None,
    ],
)
def test_header(plain):
    """A header that opens, but makes no sense, shows no key that is in it."""
    backend, ring = MemoryBackend(), KeyRing([b"k" * 32])
    Vault(backend, ring)
    was = backend.read(HEADER)
    text = json.dumps(plain) if plain else SECRET
    key_id, wrapped = ring.wrap(text.encode(), b"tokenkeep 2 header")
    outside = {"tokenkeep": 2, "key": key_id, "wrapped": b64encode(wrapped).decode()}
    backend.write(
        replace(was, sealed=json.dumps(outside).encode(), version="1" * 32), replaces=was.version
    )

    with pytest.raises(StoreTampered) as caught:
        Vault(backend, ring)

    for secret in (SECRET, repr(b"k" * 32), b64encode(b"k" * 32).decode()):
        assert secret not in reported(caught.value)


@pytest.mark.parametrize("deed", ["first", "rotate", "rotate_data"])
@pytest.mark.parametrize("fault", ["lost", "answer lost"])
def test_header_that_can_not_be_written(monkeypatch, deed, fault):
    """The store's keys are in no error of a store that is away while they are made or changed."""
    made = []
    monkeypatch.setattr(os, "urandom", lambda count: made.append(random(count)) or made[-1])
    random = Random(1).randbytes
    backend, old, new = Faulty(), b"o" * 32, b"n" * 32
    vault = None if deed == "first" else vault_over(backend, KeyRing([new, old]))
    if deed == "rotate":
        vault = vault_over(backend, KeyRing([old, new]))
    backend.faults = [fault]

    with pytest.raises(StoreUnavailable) as caught:
        vault_over(backend, KeyRing([old])) if vault is None else list(getattr(vault, deed)())

    seen = reported(caught.value)
    for key in (each for each in made if len(each) == 32):
        assert repr(key) not in seen
        assert b64encode(key).decode() not in seen


URL = f"postgresql://app:{SECRET}@127.0.0.1:1/db"
CONFIGURED = f'store = "{URL}"\n'


PROVIDER = '[providers.acme]\nkind = "oauth2"\n'


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (CONFIGURED, None),
        ("", URL),
        ("", f"postgresql://app:{SECRET}@127.0.0.1:port/db"),
        ("", f"mysql://app:{SECRET}@127.0.0.1:99999999/db"),
        ("", f"redis://:{SECRET}@127.0.0.1:port/0"),
        ("", f"redis://:{SECRET}@127.0.0.1:1/0"),
        ("", f"sqlite://app:{SECRET}@h/t.db"),
        ("", f"nobody://app:{SECRET}@h"),
        ("", f" {SECRET}"),
        ("", Path(SECRET)),
        ("", URL.encode()),
        (f"{CONFIGURED}stroe = 5", None),
        (f"{CONFIGURED}provider = 5", None),
        (f"{CONFIGURED}provider = 'nobody'", None),
        (f"{CONFIGURED}[zoho]\nx = 5", None),
        (f"{CONFIGURED}[providers.zoho]\nx = 5", None),
        (f"{CONFIGURED}[", None),
        (f"{CONFIGURED}\xff", None),
        (f"{CONFIGURED}a = {'[' * 9000}", None),
        (f"{CONFIGURED}a = {'9' * 9000}", None),
        (f"store = ['{SECRET}']", None),
        (f"store = '{SECRET}", None),
        (f"store = {SECRET}", None),
        (f"provider = ['{SECRET}']", None),
        (f"{PROVIDER}issuer = ['{SECRET}']", None),
        (f"{PROVIDER}issuer = 'ftp://app:{SECRET}@h'", None),
        (f"{PROVIDER}errors = '{SECRET}'", None),
        (f"{PROVIDER}errors = {{ a = '{SECRET}' }}\nname = 5", None),
        (f"{PROVIDER}client_secret = '{SECRET}'", None),
        (f"{PROVIDER}x = 5\nheaders = {{ Authorization = '{SECRET}' }}", None),
    ],
    ids=lambda value: ascii(value)[-60:],
)
def test_configuration(tmp_path, text, url):
    """Neither keys nor a password of the environment, the file or an argument is in an error."""
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("latin-1"))
    key = tokenkeep.generate_key()
    environ = {"TOKENKEEP_CONFIG": str(path), "TOKENKEEP_KEYS": key, "OTHER": SECRET}

    for given in (
        None,
        [SECRET.encode() + b"." * 10],
        [SECRET.encode()],
        [SECRET],
        SECRET.encode(),
    ):
        with pytest.raises((TokenKeepError, TypeError)) as caught:
            tokenkeep.open_store(url, keys_newest_first=given, environ=environ)
        assert SECRET not in reported(caught.value)
        assert key not in reported(caught.value)
    if url is None and text != CONFIGURED:
        with pytest.raises(TokenKeepError) as caught:
            tokenkeep.settings(environ)
        assert SECRET not in reported(caught.value)


def test_a_store_that_connects_later(monkeypatch):
    """A backend of another package may have the URL in a local when it is first read."""
    there = {"StoreUnavailable": StoreUnavailable}
    text = f"def read(self, record_id):\n url = {URL!r}\n raise StoreUnavailable('down')"
    exec(compile(text, "their_backend.py", "exec"), there)
    monkeypatch.setattr(MemoryBackend, "read", there["read"])
    key = tokenkeep.generate_key()

    with pytest.raises(StoreUnavailable) as caught:
        tokenkeep.open_store("memory:", environ={"TOKENKEEP_KEYS": key})

    assert SECRET not in reported(caught.value)


BAD_KEYS = {
    "no key": f"tk1_{SECRET}",
    "no key among others": f"{tokenkeep.generate_key()},{SECRET}",
    "in quotes": f'"tk1_{SECRET}"',
    "behind a quote": f"'{SECRET}",
    "not ASCII": f"tk1_{SECRET}ü",
}


@pytest.mark.parametrize("text", BAD_KEYS.values(), ids=BAD_KEYS)
@pytest.mark.parametrize("where", ["environment", "file", "text"])
def test_malformed_keys(tmp_path, text, where):
    """What was to be a key is in no error, nor are those beside it."""
    path = tmp_path / "keys"
    path.write_text(f"# keys\n{text}\n")
    path.chmod(0o600)
    environ = {"TOKENKEEP_KEYS": text} if where == "environment" else {}
    environ |= {"TOKENKEEP_KEY_FILE": str(path), "OTHER": SECRET}

    with pytest.raises(ConfigurationError) as caught:
        parse_keys(text, "here") if where == "text" else keys.load(environ)

    assert SECRET not in reported(caught.value)
    assert "tk1_" not in reported(caught.value).replace("starts with tk1_", "")


@pytest.mark.parametrize(
    "content",
    [URL, f"{URL}\n{URL}\n", f'"{URL}"\n', f"{SECRET}\n", f"{URL}\xff", f"{SECRET} " * 200_000],
    ids=["well", "two lines", "quotes", "no URL", "no text", "long"],
)
def test_a_file_with_the_url(tmp_path, content):
    """Nor is what a file has that was to hold a URL."""
    path = tmp_path / "store"
    path.touch(0o600)
    path.write_bytes(content.encode("latin-1"))

    with pytest.raises(TokenKeepError) as caught:
        tokenkeep.open_store(
            environ={"TOKENKEEP_STORE_FILE": str(path), "TOKENKEEP_KEYS": tokenkeep.generate_key()}
        )

    assert SECRET not in reported(caught.value)


def test_settings_show_no_secret(tmp_path):
    """Neither the store's URL nor a provider's options are shown, nor by an error in them."""
    path = tmp_path / "config.toml"
    path.write_text(f"{CONFIGURED}{PROVIDER}errors = {{ {SECRET} = 'GrantRejected' }}")
    found = tokenkeep.settings({"TOKENKEEP_CONFIG": str(path)})

    assert SECRET in str(dict(found.options["acme"]))
    assert SECRET not in repr(found)
    assert SECRET not in repr(found.options)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_what_is_no_error_of_ours(monkeypatch, kind):
    """Whatever else goes wrong while a store is opened, its URL and keys are in no frame."""

    def interrupted(_):
        raise kind

    monkeypatch.setattr(Path, "absolute", interrupted)
    key = tokenkeep.generate_key()
    environ = {"TOKENKEEP_KEYS": key, "TOKENKEEP_CONFIG": "here", "TOKENKEEP_STORE": URL}

    with pytest.raises(kind) as caught:
        tokenkeep.open_store(URL, keys_newest_first=parse_keys(key, ""), environ=environ)

    assert SECRET not in reported(caught.value)
    assert key not in reported(caught.value)
    assert repr(parse_keys(key, "")[0]) not in reported(caught.value)
