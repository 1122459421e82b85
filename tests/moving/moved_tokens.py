"""Tokens to move."""

from __future__ import annotations

from tokenkeep.journal import Entry
from tokenkeep.lookup import first_login_of
from tokenkeep.moving import Merge, StoreSource
from tokenkeep.saving import died
from tokenkeep.token import Claim, Failure, Status, Token

NOW = 1_764_000_000.0


def copied(source, target, *, dry_run=False, **options):
    """Copy a store, and return all that was done."""
    return list(Merge(StoreSource(source), target, **options).steps(dry_run=dry_run))


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
    return Entry(
        asked=stored,
        access_token="secret new",
        refresh_token="secret newer",
        holder="h",
        answered_at=NOW,
    )


CLAIM = Claim(nonce="n", holder="h", taken_at=NOW, length=20.0)


def revoked(stored, at=NOW):
    """Return a stored token as a revocation leaves it that the provider has not confirmed."""
    return died(stored, Status.REVOKED, at)


def fill(store):
    """Put one of each kind into a store; return the rows by name, and ids that lead to some."""
    rows = {name: store.save_token(login(name)) for name in ("ok", "revoked", "dead", "busy")}
    rows["revoked"] = store.swap(revoked(rows["revoked"]))
    failure = Failure(
        kind="transient", error="busy", at=NOW, until=NOW + 60, count=2, credential="c"
    )
    rows["dead"] = store.swap(
        rows["dead"]
        .but(status=Status.LOGIN_NEEDED)
        .with_renewal(failure=failure, mints=(1.0, 2.0))
    )
    more = {"extra": {"instance_url": "https://x"}, "refresh_expires_at": NOW + 9, "scope": "s"}
    rows["busy"] = store.swap(rows["busy"].but(**more).with_renewal(claim=CLAIM))
    rows["nameless"] = store.save_token(login("x", user=None))
    # A row without a name whose user turns out to have one already.
    first = store.save_token(login("y", user=None))
    store.save_token(login("ok", access_token="access y", refresh_token="refresh y", id=first.id))
    rows["ok"] = store.reread(rows["ok"].id)
    store.add_id("customer-42", rows["busy"])
    store.hold(first_login_of(login("z", user=None)), CLAIM)
    gone = store.swap(revoked(store.save_token(login("gone"))))
    store.delete_token(gone.id)
    return rows, {"former": first.id, "callers": "customer-42", "ended": gone.id}


NEW = [
    *("id", "user_name", "client_id", "client_secret", "refresh_token", "access_token"),
    *("grant_token", "expiry_time", "redirect_uri", "api_domain"),
]
"""The first line of the SDK's CSV file, from zohocrmsdk5_0 to 8_0."""

ANA = {
    "id": "1",
    "user_name": "ana@example.com",
    "client_id": "1000.CLIENT",
    "client_secret": 'se"cret',
    "refresh_token": "1000.refresh",
    "access_token": "1000.access",
    "grant_token": "1000.grant",
    "expiry_time": "1764000000123",
    "redirect_uri": "https://example.com/back",
    "api_domain": "https://www.zohoapis.eu",
}
"""A row as the official SDK keeps it."""
