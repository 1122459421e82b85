"""Tokens to move."""

from __future__ import annotations

from tokenkeep.journal import Entry
from tokenkeep.token import Claim, Failure, Status, Token

NOW = 1_764_000_000.0


def login(name="ana", **more):
    """Return a token of somebody, as a login makes it."""
    given = {
        "user": name,
        "client_id": "1000.CLIENT",
        "client_secret": "client-secret",
        "access_token": f"access {name}",
        "refresh_token": f"refresh {name}",
        "expires_at": NOW + 3600,
        "api_domain": "https://www.zohoapis.eu",
    }
    return Token(**(given | more))


def renewed(stored, at, **more):
    """Return a stored token as a renewal leaves it."""
    return stored.but(access_token=f"access at {at}", updated_at=at, **more)


def unsaved(stored):
    """Return a provider's answer for a token that could not be saved."""
    names = ("issuer", "client_id", "client_secret", "user", "provider")
    return Entry(
        token_id=stored.id,
        **{name: getattr(stored, name) for name in names},
        base_access=stored.access_token,
        base_refresh=stored.refresh_token,
        access_token="secret new",
        refresh_token="secret newer",
        expires_at=None,
        lifetime=None,
        holder="h",
        answered_at=NOW,
    )


def fill(store):
    """Put one row of each kind into a store; return them by name."""
    rows = {name: store.save_token(login(name)) for name in ("ok", "revoked", "dead", "busy")}
    rows["revoked"] = store.swap(
        rows["revoked"]
        .but(status=Status.REVOKED, access_token=None, updated_at=NOW)
        .with_renewal(to_revoke=(("refresh_token", "refresh revoked"),))
    )
    failure = Failure(
        kind="transient", error="busy", at=NOW, until=NOW + 60, count=2, credential="c"
    )
    rows["dead"] = store.swap(
        rows["dead"]
        .but(status=Status.LOGIN_NEEDED)
        .with_renewal(failure=failure, mints=(1.0, 2.0))
    )
    claim = Claim(nonce="n", holder="h", taken_at=NOW, length=20.0)
    rows["busy"] = store.swap(rows["busy"].with_renewal(claim=claim))
    rows["nameless"] = store.save_token(login("x", user=None))
    # A row without a name whose user turns out to have one already.
    first = store.save_token(login("y", user=None))
    store.save_token(login("ok", access_token="access y", refresh_token="refresh y", id=first.id))
    rows["moved"] = next(row for row in store.iter_rows() if row.status is Status.MOVED)
    rows["ok"] = store.reread(rows["ok"].id)
    rows["pending"] = store.reserve(login("z", user=None), claim)
    return rows
