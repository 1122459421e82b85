"""No error has a secret in it: not in its text, in what it comes from, nor in a local variable."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from random import Random

import pytest
from faulty_backend import Faulty, vault_over
from reported import reported

import tokenkeep
from tokenkeep import (
    KeyRing,
    LookupFailed,
    StoreError,
    StoreUnavailable,
    Token,
    TokenKeepError,
    records,
)
from tokenkeep.lookup import Lookup
from tokenkeep.saving import cleaned
from tokenkeep.sealing import DataKeys

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
    "odd",
    [{"access_token": f"{SECRET}\udc80"}, {"access_token": SECRET.encode()},
     {"scope": SECRET.encode()}, {"extra": {"id_token": [SECRET.encode()]}}],
    ids=ascii,
)  # fmt: skip
def test_seal(odd):
    """What can't be sealed is a named error, whoever writes it past a save."""
    with pytest.raises((StoreError, LookupFailed)) as caught:
        records.seal(token(**STORED, **odd), KEYS, lambda _: None, lambda _: None)

    assert SECRET not in reported(caught.value)


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


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (CONFIGURED, None),
        ("", URL),
        ("", f"mysql://app:{SECRET}@127.0.0.1:99999999/db"),
        ("", f"redis://:{SECRET}@127.0.0.1:port/0"),
        ("", f"redis://:{SECRET}@127.0.0.1:1/0"),
        ("", f"sqlite://app:{SECRET}@h/t.db"),
        ("", f" {SECRET}"),
        ("", Path(SECRET)),
        (f"{CONFIGURED}stroe = 5", None),
        (f"{CONFIGURED}\xff", None),
    ],
    ids=lambda value: ascii(value)[-60:],
)
def test_configuration(tmp_path, text, url):
    """Neither keys nor a password of the environment, the file or an argument is in an error."""
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("latin-1"))
    key = tokenkeep.generate_key()
    environ = {"TOKENKEEP_CONFIG": str(path), "TOKENKEEP_KEYS": key, "OTHER": SECRET}

    odd_keys = ([SECRET.encode() + b"." * 10], [SECRET.encode()], [SECRET], SECRET.encode())
    for given in (None, *odd_keys):
        with pytest.raises((TokenKeepError, TypeError)) as caught:
            tokenkeep.open_store(url, keys_newest_first=given, environ=environ)
        assert not [each for each in (SECRET, key) if each in reported(caught.value)]
    if url is None and text != CONFIGURED:
        with pytest.raises(TokenKeepError) as caught:
            tokenkeep.settings(environ)
        assert SECRET not in reported(caught.value)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError, StoreUnavailable])
@pytest.mark.parametrize(
    ("url", "name"),
    [(f"redis://:{SECRET}@127.0.0.1:1/0", "redis.RedisBackend._changed"),
     ("memory:", "memory.MemoryBackend.read")],
)  # fmt: skip
def test_what_a_driver_or_a_watchdog_raises(monkeypatch, kind, url, name):
    """Nor is the URL in a frame of who has it in a local variable as the store is first asked."""
    text = f"def asked(self, *_, **__):\n url = {URL!r}\n raise kind('down')"
    there = {"kind": kind}
    exec(compile(text, "their_driver.py", "exec"), there)
    monkeypatch.setattr(f"tokenkeep.backends.{name}", there["asked"])

    with pytest.raises(kind) as caught:
        tokenkeep.open_store(url, make=True, environ={"TOKENKEEP_KEYS": tokenkeep.generate_key()})

    assert SECRET not in reported(caught.value)
