"""Records: what the vault keeps, there and back; what is tied to it, and what is newer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from reported import reported

from tokenkeep import (
    Claim,
    Failure,
    Happening,
    Renewal,
    Status,
    StoreTampered,
    StoreTooNew,
    Token,
    records,
)
from tokenkeep.backends.base import MARKS
from tokenkeep.due import due_at
from tokenkeep.policy import NO_POLICIES
from tokenkeep.providers import Profile
from tokenkeep.records import Alias, Lease, Note
from tokenkeep.sealing import DataKeys

KEYS = DataKeys("store", {1: bytes(32)}, bytes(32))
ID, VERSION, OWNER = "1" * 32, "2" * 32, "3" * 32
CLAIM = Claim(nonce="n", holder="h", taken_at=1.5, length=20.0)
SECRETS = {
    name: f"the-{name}"
    for name in ("client_secret", "access_token", "refresh_token", "grant_token")
}
TOKEN = Token(
    id=f"tk_{ID}",
    version=VERSION,
    owner=OWNER,
    user="the-user@example.com:1",
    client_id="the-client",
    expires_at=2000.5,
    refresh_expires_at=3000.5,
    status=Status.REVOKED,
    updated_at=7.0,
    last_used_at=8.0,
    extra={"instance_url": "https://x.example", "expires": [1, None]},
    history=(
        Happening(what="login", at=1.0),
        Happening(what="failed", at=2.0, by="h", count=3, since=1.5),
    ),
    renewal=Renewal(
        claim=CLAIM,
        mints=(1.5, 2.5),
        failure=Failure(kind="x", error="e", at=1.0, until=2.0, count=3, credential="d"),
        to_revoke=(("refresh_token", "the-token-to-revoke"),),
        replaced=(("access_token", "the-token-that-was-replaced"),),
        past=("0123", "4567!"),
        given=True,
    ),
    **SECRETS,
)
BARE = Token(id=f"tk_{ID}", version=VERSION, owner=OWNER)
ALIAS = Alias(id=ID, version=VERSION, owner=OWNER, to=f"tk_{'4' * 32}", at=5.0, name="customer-42")
CARRYING = replace(
    ALIAS,
    name=None,
    carries=TOKEN.but(id=None, version=None, owner=None, last_used_at=None),
    seen_login="nonce",
    seen_status=Status.OK,
)
KINDS = {
    "row": TOKEN,
    "bare row": BARE,
    "ended": TOKEN.but(ended=True),
    "alias": ALIAS,
    "carrying alias": CARRYING,
    "lease": Lease(id=ID, version=VERSION, owner=OWNER, claim=CLAIM),
    "note": Note(id=ID, version=VERSION, owner=OWNER, facts={"head": "a"}, until=8.0),
}
every_kind = pytest.mark.parametrize("kept", KINDS.values(), ids=KINDS)


def seal(kept):
    def due_of(token):
        return due_at(token, 0.0, NO_POLICIES, Profile())

    tenant_of = lambda token: token.user and token.user.rpartition(":")[2]  # noqa: E731
    return records.seal(kept, KEYS, tenant_of, due_of)


def sealed_anew(record, change):
    """Return a record with something else under its seal."""
    bound = f"{record.id}\0{record.kind}\0{record.version}\0{record.owner}"
    plain = KEYS.open(record.key, record.sealed, bound=bound)
    return replace(record, sealed=KEYS.seal(change(plain), bound=bound)[1])


def marks(record):
    return {name: getattr(record, name) for name in MARKS if getattr(record, name)}


@every_kind
def test_there_and_back(kept):
    """
    Every field comes back, of whatever kind; the record shows no token, user, client or id.

    Marks and times are copies for finding: edited, they change nothing of what is kept.
    """
    record = seal(kept)

    assert kept == records.unseal(record, KEYS)
    outside = dict.fromkeys(MARKS, "6" * 32) | {"due_at": 9e9}
    assert kept == records.unseal(replace(record, **outside), KEYS)
    assert (ID, VERSION, OWNER, 1) == (record.id, record.version, record.owner, record.key)
    for secret in ("the-", "customer-42", "example.com", "revoked"):
        assert secret not in repr(record)


def test_an_older_history():
    """A run that does not say when it began is one as older rows have it: its last time counts."""
    older = sealed_anew(seal(TOKEN), lambda plain: plain.replace(b'"h",3,1.5]', b'"h",3]'))

    last = records.unseal(older, KEYS).history[-1]

    assert (2.0, 2.0, 3) == (last.since, last.at, last.count)


def test_what_is_found_by():
    """A row by its user, organisation, client, tokens and state; the others by what they need."""
    digest = KEYS.digest
    tokens = {"access": digest("access", "the-access_token"),
              "refresh": digest("refresh", "the-refresh_token"),
              "grant": digest("grant", "the-grant_token")}  # fmt: skip

    assert tokens | {
        "user": digest("user", TOKEN.user),
        "tenant": digest("tenant", "1"),
        "client": digest("client", "the-client"),
        "state": digest("state", "revoked"),
    } == marks(seal(TOKEN))
    assert {"state": digest("state", "ok")} == marks(seal(BARE))
    ended = {"user": digest("user", TOKEN.user), "refresh": tokens["refresh"]}
    assert ended == marks(seal(KINDS["ended"]))
    leads = {"state": digest("state", records.alias_state(ALIAS.to))}
    assert leads == marks(seal(ALIAS))
    assert leads | tokens == marks(seal(CARRYING))
    assert {} == marks(seal(KINDS["lease"])) == marks(seal(KINDS["note"]))


@pytest.mark.parametrize(
    ("kept", "due_at"),
    [(BARE, None), (TOKEN, 7.0), (BARE.but(ended=True, updated_at=7.0), 7.0), (ALIAS, None),
     (CARRYING, 5.0), (KINDS["lease"], 21.5), (KINDS["note"], 8.0)],
)  # fmt: skip
def test_when_it_is_due(kept, due_at):
    """What is left to be done is due at once, a look for others when who wrote has had his."""
    assert due_at == seal(kept).due_at


@every_kind
@pytest.mark.parametrize("name", ["id", "version", "owner", "kind"])
def test_it_opens_only_where_it_is(kept, name):
    """Under another id, version, owner or kind it does not open, and says of which token."""
    kind = "row" if seal(kept).kind != "row" else "ended"
    record = replace(seal(kept), **{name: kind if name == "kind" else "5" * 32})

    with pytest.raises(StoreTampered) as caught:
        records.unseal(record, KEYS)

    assert f"tk_{record.id}" == caught.value.token_id


def test_a_record_of_a_later_version():
    """A kind, a format or a status that this one does not know asks for an upgrade."""
    record = seal(TOKEN)

    for newer in (replace(record, kind="poem"), replace(record, sealed=b"\x03" + record.sealed)):
        with pytest.raises(StoreTooNew, match="Upgrade") as caught:
            records.unseal(newer, KEYS)
        assert TOKEN.id == caught.value.token_id
    plain = b'{"status": "suspended", "renewal": {}, "refresh_token": "the-token"}'
    with pytest.raises(StoreTooNew, match="status") as caught:
        records.unseal(sealed_anew(record, lambda _: plain), KEYS)
    assert "the-token" not in reported(caught.value)


LATER = {"horoscope": {"sign": "\u264c", "houses": [1, None]}}


@pytest.mark.parametrize("kept", [TOKEN, KINDS["ended"], CARRYING], ids=["row", "ended", "alias"])
def test_what_a_later_version_has_put_there(kept):
    """It is kept and written back, of a token and of the state of its renewal."""

    def newer(plain):
        inside = json.loads(plain)
        of = inside["carries"] if kept is CARRYING else inside
        of |= LATER
        of["renewal"] |= {"patience": 0.5}
        return json.dumps(inside).encode()

    found = records.unseal(sealed_anew(seal(kept), newer), KEYS)

    token = found.carries if kept is CARRYING else found
    assert (LATER, {"patience": 0.5}) == (token.unknown, token.renewal.unknown)
    assert found == records.unseal(seal(found), KEYS)
    plain = token.but(unknown={}).with_renewal(unknown={})
    assert kept == (replace(found, carries=plain) if kept is CARRYING else plain)


WHOLE = {"refresh_token": "the-token", "status": "ok", "renewal": {}}
WRONG = (
    {"status": ["the-token"]}, {"renewal": {"claim": "the-token"}}, {"history": [5, "the-token"]},
    {"renewal": {"to_revoke": [["the-token"]]}},
)  # fmt: skip


@pytest.mark.parametrize(
    "plain",
    [b"", b"[]", b"{}", b"\xff", b'{"to": 1}', b'{"claim": {}}',
     b'{"to": "x", "at": "soon", "name": null}', json.dumps(WHOLE)[:-1].encode(),
     *(json.dumps(WHOLE | wrong).encode() for wrong in WRONG)],
)  # fmt: skip
@every_kind
def test_what_opens_but_makes_no_sense(kept, plain):
    """A seal around something else is a named error, without what was opened."""
    with pytest.raises(StoreTampered, match="holds nothing that makes sense") as caught:
        records.unseal(sealed_anew(seal(kept), lambda _: plain), KEYS)

    assert "the-token" not in reported(caught.value)
