"""No error has a secret in it: not in its text, in what it comes from, nor in a local variable."""

from __future__ import annotations

import json
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from tokenkeep import KeyRing, LookupFailed, StoreError, StoreTampered, Token, Vault, records
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.lookup import Lookup
from tokenkeep.saving import cleaned

SECRET = "an-unmistakable-secret"
TEXTS = (
    *("id", "user", "client_id", "client_secret", "access_token", "refresh_token", "grant_token"),
    *("redirect_uri", "scope", "provider", "issuer", "api_domain", "data_center", "environment"),
)
ASKED = sorted(set(TEXTS) - {"client_secret", "redirect_uri", "scope", "issuer", "api_domain"})
PUBLIC = {"id", "user", "provider", "data_center", "environment"}
"""What a token is named by."""

EMPTY = {"claim": None, "failure": None, "mints": [], "to_revoke": []}

NO_TEXTS = {
    "half a surrogate pair": f"{SECRET}\udc80",
    "bytes": SECRET.encode(),
    "a list": [SECRET],
    "a number": 5,
}
every_text = pytest.mark.parametrize("name", TEXTS)
no_text = pytest.mark.parametrize("value", NO_TEXTS.values(), ids=NO_TEXTS)


def shown(error):
    """Return all that a crash report shows of an error, but for the test's own frames."""
    seen = [repr(error), str(error), repr(vars(error))]
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if Path(frame.f_code.co_filename) != Path(__file__):
            seen += [repr(value) for value in frame.f_locals.values()]
    for earlier in (error.__cause__, error.__context__):
        if earlier is not None:
            seen.append(shown(earlier))
    return "\n".join(seen)


def token(**given):
    """Return a token to store, with a secret wherever there may be one."""
    secrets = dict.fromkeys(("client_secret", "access_token", "refresh_token"), SECRET)
    return Token(user="ana", client_id="c", provider="zoho", **secrets).but(**given)


@no_text
@every_text
def test_save(name, value):
    """Every text that is written is looked at before it is; the error names the field."""
    with pytest.raises(LookupFailed, match=f"The {name} .*not text") as caught:
        cleaned(token(**{name: value}))

    if name not in PUBLIC:
        assert SECRET not in shown(caught.value)


@pytest.mark.parametrize("name", ["client_secret", "redirect_uri", "data_center", "access_token"])
def test_store(name):
    """A store refuses what is no text, and stores nothing of it."""
    vault = Vault(MemoryBackend(), KeyRing([b"k" * 32]))

    with pytest.raises(LookupFailed, match=f"The {name} holds half") as caught:
        vault.save_token(token(**{name: f"{SECRET}\udc80"}))

    if name not in PUBLIC:
        assert SECRET not in shown(caught.value)
    assert vault.get_tokens() == []


@no_text
@pytest.mark.parametrize("name", ASKED)
def test_lookup(name, value):
    """The same for a question: named, and without what was asked."""
    with pytest.raises(LookupFailed, match=f"The {name} .*not text") as caught:
        Lookup.of(Token(user="ana").but(**{name: value}))

    if name not in PUBLIC:
        assert SECRET not in shown(caught.value)


@pytest.mark.parametrize(
    "plain",
    [
        f'{{"refresh_token": "{SECRET}"',
        f'{{"refresh_token": "{SECRET}", "status": "{SECRET}", "renewal": {{}}}}',
        f'{{"refresh_token": "{SECRET}", "status": "ok", "renewal": {{"{SECRET}": 1}}}}',
        json.dumps({SECRET: SECRET, "status": "ok", "renewal": EMPTY}),
    ],
    ids=["cut", "status", "renewal", "field"],
)
def test_opens_but_holds_no_token(plain):
    """What was opened is not in the error that says it is no token."""
    ring = KeyRing([b"k" * 32])
    record = records.seal(token(id="1", version="2", identity="3"), ring)
    bound = (records.FORMAT, record.id, record.identity, record.version)
    _, sealed = ring.seal(plain.encode(), bound=bound)

    with pytest.raises(StoreTampered, match="holds no token") as caught:
        records.unseal(replace(record, sealed=sealed), ring)

    assert SECRET not in shown(caught.value)


@pytest.mark.parametrize("value", [f"{SECRET}\udc80", SECRET.encode()], ids=["surrogate", "bytes"])
def test_seal(value):
    """What can't be sealed is a named error, whoever writes it past a save."""
    ring = KeyRing([b"k" * 32])

    with pytest.raises((StoreError, LookupFailed)) as caught:
        records.seal(token(id="1", version="2", identity="3", access_token=value), ring)

    assert SECRET not in shown(caught.value)
