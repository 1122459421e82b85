"""What the vault keeps, as sealed records and back: rows, aliases, leases, notes, ended rows."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.base import MARKS
from tokenkeep.backends.rows import from_row
from tokenkeep.errors import StoreError, StoreTampered, StoreTooNew
from tokenkeep.lookup import SECRETS
from tokenkeep.token import Claim, Failure, Happening, Notice, Renewal, Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenkeep.backends.base import Record
    from tokenkeep.sealing import DataKeys

ROW, ALIAS, LEASE, ENDED, HEADER = "row", "alias", "lease", "ended", "header"
NOTE = "note"
"""The kinds of record."""

BESIDE = (ALIAS, LEASE, NOTE, ENDED)
"""Those beside the tokens and the header."""

CHANGED = (
    "It was changed outside tokenkeep; restore it from a backup, or delete it and log in again"
)

EVER = 253_402_300_800.0
"""All that is due is due by then: the year 10000, in epoch seconds. MySQL has no infinity."""

_OURS = "tk_"

_OUTSIDE = {"id", "version", "owner", "last_used_at", "ended", "unknown"}
_APART = _OUTSIDE | {"status", "renewal", "history"}
_LEADS = ("to", "at", "name", "seen_login", "seen_status")
_NESTED = {"claim": Claim, "failure": Failure, "notice": Notice}
_EMPTY, _NO_STATE = Token(), Renewal()
_KNOWN, _KNOWN_STATE = vars(_EMPTY).keys() - _OUTSIDE, vars(_NO_STATE).keys() - {"unknown"}
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """
    An id that leads to a row.

    Args:
        id: The id, without what all ids of ours begin with.
        owner: As of a `Token`.
        to: The id of the row.
        at: When it was written, in epoch seconds.
        version: As of a `Token`. Empty before it is written.
        name: The id as its caller brought it. None if it is one of ours.
        carries: A login that has to go into the row yet. None if there is none.
        seen_login: The nonce of the row's login as the alias began to carry.
        seen_status: The row's status then. None if there was no row: it is to be made.
    """

    id: str
    owner: str
    to: str
    at: float
    version: str = ""
    name: str | None = None
    carries: Token | None = None
    seen_login: str | None = None
    seen_status: Status | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """
    A login under way; the owner is a digest of what with.

    Args:
        claim: Who logs in, since when, and how long that is believed.
        login: What it takes to accept the answer to a browser's login. None for the first login
            with a credential.
    """

    id: str
    owner: str
    claim: Claim
    version: str = ""
    login: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """
    Something the store itself has to remember; the owner is a digest of its name.

    Args:
        facts: What it is; may be secret.
        until: When it may be dropped, in epoch seconds. None if it stays.
    """

    id: str
    owner: str
    facts: Mapping[str, str] = field(repr=False)
    version: str = ""
    until: float | None = None


Kept = Token | Alias | Lease | Note


def token_id(record_id: str) -> str:
    """Return the id of a token as its users see it."""
    return _OURS + record_id


def record_id(token_id: object) -> str:
    """Return the id of the record of a row's id, which is one of ours."""
    return str(token_id).removeprefix(_OURS)


def last_used_at(record: Record) -> float | None:
    """Return when a record was last used: databases may give anything for a number."""
    used = record.last_used_at
    return used if isinstance(used, int | float) else None


def alias_state(row_id: str) -> str:
    """Return the state of the aliases that lead to a row, which they are found by."""
    return f"alias of {row_id}"


def seal(
    kept: Kept,
    keys: DataKeys,
    tenant_of: Callable[[Token], str | None],
    due_of: Callable[[Token], float | None],
) -> Record:
    """
    Seal something that has id, version and owner into a record.

    *tenant_of* is `tokenkeep.providers.Providers.tenant`, *due_of* knows when there is
    something to do about a row (`tokenkeep.due`).
    """
    id_, version, owner = record_id(kept.id), str(kept.version), str(kept.owner)
    used, due_at = None, None
    if isinstance(kept, Token):
        kind, used = ENDED if kept.ended else ROW, kept.last_used_at
        due_at = due_of(kept)
    elif isinstance(kept, Alias):
        kind, due_at = ALIAS, kept.at if kept.carries else None
    elif isinstance(kept, Note):
        kind, due_at = NOTE, kept.until
    else:
        kind, due_at = LEASE, kept.claim.taken_at + kept.claim.length
    # Nothing of what is sealed or digested is in a local variable: crash reports show those.
    sealed = keys.seal(_plain(kept), bound=_bound(id_, kind, version, owner))
    found = zip(MARKS, found_by(kept, tenant_of), strict=True)
    marks = [value and keys.digest(field, value) for field, value in found]
    # In the order of a record's fields: by name, it took three times as long.
    return from_row((id_, version, owner, kind, *sealed, *marks, due_at, used))


def found_by(kept: Kept, tenant_of: Callable[[Token], str | None]) -> tuple[str | None, ...]:
    """Return what something is found by, in the order of `MARKS`."""
    token = kept if isinstance(kept, Token) else getattr(kept, "carries", None) or _EMPTY
    secrets = [getattr(token, name) or None for name in SECRETS.values()]
    if isinstance(kept, Alias):
        return (None, None, None, *secrets, alias_state(kept.to))
    if isinstance(kept, Lease | Note):
        return (None,) * len(MARKS)
    user = kept.user or None
    if kept.ended:  # found by what must not be saved again, and whose it was
        return (user, None, None, None, secrets[1], None, None)
    return (user, tenant_of(kept), kept.client_id or None, *secrets, kept.status.value)


def unseal(record: Record, keys: DataKeys) -> Kept:
    """
    Open a record. Only what is inside the seal counts; its times are outside.

    Raises:
        KeyError: It was sealed under a data key that is not at hand.
        StoreTooNew: A newer tokenkeep wrote it.
        StoreTampered: It does not open, or something of it is not what it should be.
    """
    try:
        if record.kind not in _READ:
            raise _newer("is of a kind")
        bound = _bound(record.id, record.kind, record.version, record.owner)
        # In no local variable: crash reports show those of each frame.
        return _READ[record.kind](
            json.loads(keys.open(record.key, record.sealed, bound=bound)), record
        )
    except (StoreTampered, StoreTooNew) as exc:
        exc.token_id = token_id(record.id)
        raise exc.with_traceback(None) from None  # the frames below have what was opened
    except (ValueError, TypeError, AttributeError, LookupError) as exc:
        if isinstance(exc, KeyError) and record.key not in keys:
            raise
    # Not from within the except: an error of the decoder has all that was opened in it.
    raise StoreTampered(
        "A stored record opens, but holds nothing that makes sense",
        token_id=token_id(record.id),
        hint="It was written by another program; delete it and log in again",
    )


def _newer(what: str) -> StoreTooNew:
    said = f"This record {what} that this tokenkeep does not know"
    return StoreTooNew(said, hint="Upgrade tokenkeep")


def _bound(id_: str, kind: str, version: str, owner: str) -> str:
    return f"{id_}\0{kind}\0{version}\0{owner}"


def _plain(kept: Kept) -> bytes:
    with suppress(TypeError, ValueError):
        if isinstance(kept, Token):
            return _encode(_fields(kept)).encode()
        if isinstance(kept, Lease):
            return _encode({"claim": _shallow(kept.claim), "login": kept.login}).encode()
        if isinstance(kept, Note):
            return _encode({"facts": dict(kept.facts), "until": kept.until}).encode()
        inside = {name: getattr(kept, name) for name in _LEADS}
        return _encode({**inside, "carries": kept.carries and _fields(kept.carries)}).encode()
    raise StoreError(
        "This token holds something that is neither text nor a number",
        token_id=token_id(record_id(kept.id)),
        hint="Decode bytes where they come from",
    )


def _fields(token: Token) -> dict[str, object]:
    inside = {**token.unknown, **_said(token, _EMPTY)}
    if token.history:
        inside["history"] = [
            (each.what, each.at, each.by, each.count, each.since) for each in token.history
        ]
    state = {**token.renewal.unknown, **_said(token.renewal, _NO_STATE)}
    for name in _NESTED.keys() & state.keys():
        state[name] = _shallow(state[name])
    return {**inside, "status": token.status.value, "renewal": state}


def _shallow(nested: Claim | Failure | Notice) -> dict[str, Any]:
    # As below: all in it are texts and numbers.
    return {name: getattr(nested, name) for name in type(nested).__slots__}


def _said(kept: Token | Renewal, empty: Token | Renewal) -> dict[str, Any]:
    # asdict() copies each value deeply, which is a third of a seal.
    usual, given = vars(empty), vars(kept).items()
    return {name: value for name, value in given if name not in _APART and value != usual[name]}


def _token(inside: dict[str, Any], record: Record) -> Token:
    return _token_of(
        inside,
        id=token_id(record.id),
        version=record.version,
        owner=record.owner,
        last_used_at=last_used_at(record),
        ended=record.kind == ENDED,
    )


def _token_of(inside: dict[str, Any], **outside: object) -> Token:
    inside["status"] = _status(inside["status"])
    inside["renewal"] = _renewal(inside["renewal"])
    if "history" in inside:
        inside["history"] = tuple(
            Happening(what=what, at=at, by=by, count=count, since=next(iter(since), at))
            for what, at, by, count, *since in inside["history"]
        )
    if not inside.keys() <= _KNOWN:
        inside["unknown"] = {name: inside.pop(name) for name in inside.keys() - _KNOWN}
    # A copy of an empty one is made in a third of the time of a new one.
    return _EMPTY.but(**outside, **inside)


def _status(value: str) -> Status:
    if value not in {each.value for each in Status}:
        raise _newer("has a status")
    return Status(value)


def _renewal(state: dict[str, Any]) -> Renewal:
    for name in _NESTED.keys() & state.keys():
        state[name] = _nested(name, state[name])
    for name in {"mints", "past"} & state.keys():
        state[name] = tuple(state[name])
    for name in {"to_revoke", "replaced"} & state.keys():
        state[name] = tuple((kind, value) for kind, value in state[name])
    if not state.keys() <= _KNOWN_STATE:
        state["unknown"] = {name: state.pop(name) for name in state.keys() - _KNOWN_STATE}
    return _NO_STATE.but(**state)


def _nested(name: str, inside: dict[str, Any]) -> Any:
    kind = _NESTED[name]
    known = {each.name for each in fields(kind)}
    given = {name: value for name, value in inside.items() if name in known}
    if kind is Notice:
        given["told"] = tuple(given["told"])
    return kind(**given)


def _lease(inside: dict[str, Any], record: Record) -> Lease:
    claim = _nested("claim", inside["claim"])
    return Lease(claim=claim, login=inside.get("login"), **_outside(record))


def _note(inside: dict[str, Any], record: Record) -> Note:
    return Note(facts=inside["facts"], until=inside["until"], **_outside(record))


def _alias(inside: dict[str, Any], record: Record) -> Alias:
    carried, status = inside["carries"], inside["seen_status"]
    return Alias(
        to=str(inside["to"]),
        at=float(inside["at"]),
        name=inside["name"],
        carries=_token_of(carried) if carried else None,
        seen_login=inside["seen_login"],
        seen_status=_status(status) if status else None,
        **_outside(record),
    )


def _outside(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("id", "version", "owner")}


_READ: dict[str, Callable[[dict[str, Any], Record], Kept]] = {
    ROW: _token,
    ALIAS: _alias,
    LEASE: _lease,
    NOTE: _note,
    ENDED: _token,
}
