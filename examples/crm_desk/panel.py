"""What happens behind a page, for the person whose token it is; never with a secret."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokenkeep.decision import current_failure
from tokenkeep.token import Status

if TYPE_CHECKING:
    from crm_desk.crm import Crm
    from crm_desk.ledger import Event, Ledger


@dataclass(frozen=True, kw_only=True)
class Panel:
    """
    One login in facts; times are in epoch seconds.

    Args:
        state: ``valid``, ``expired``, ``renewing``, ``failed`` (the last renewal), ``waiting``
            (until another one), ``login_needed``, ``revoked``.
        where: The store, without a password.
        token_id: The id, which is no secret.
        data_center: Where the user's account is.
        environment: ``production``, ``sandbox``, ``developer``.
        expires_at: Of the access token. None if not known.
        renewed_at: The last renewal. None if there was none.
        renewed_by: The process that renewed last. None if there was none.
        logged_in_at: When the row was made.
        until: Before this time no new access token is asked for. None if one may be.
        minted: Access tokens asked for within the window.
        mint_limit: How many there may be. None means no limit.
        mint_window: In seconds.
        calls: Calls to the CRM so far.
        logins: Codes exchanged so far.
        renewals: Renewals so far.
        refusals: Calls to the token endpoint so far that brought no token.
        events: The latest, the newest first.
    """

    state: str
    where: str
    token_id: str
    data_center: str
    environment: str
    expires_at: float | None
    renewed_at: float | None
    renewed_by: str | None
    logged_in_at: float | None
    until: float | None
    minted: int
    mint_limit: int | None
    mint_window: float
    calls: int
    logins: int
    renewals: int
    refusals: int
    events: list[Event] = field(default_factory=list)

    @property
    def token_calls(self) -> int:
        """Calls to the token endpoint so far."""
        return self.logins + self.renewals + self.refusals

    @property
    def digest(self) -> str:
        """Another one whenever something in it changes."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


def panel(crm: Crm, ledger: Ledger, token_id: str) -> Panel:
    """
    Look a login up, as it is; nothing is renewed by looking.

    Raises:
        TokenNotFound: There is none.
        StoreError: The store can't be read.
    """
    token, now = crm.token(token_id), time.time()
    keeper = crm.store.keeper
    profile = keeper.providers.of(token).profile
    failure = current_failure(token)
    until = failure.until if failure and failure.until > now else None
    expired = token.expires_at is not None and token.expires_at <= now
    if token.status is not Status.OK:
        state = token.status.value
    elif token.renewal.claim:
        state = "renewing"
    elif failure:
        state = "waiting" if until else "failed"
    else:
        state = "expired" if expired else "valid"
    counts = ledger.counts(token_id)
    return Panel(
        state=state,
        where=where(crm),
        token_id=token_id,
        data_center=token.data_center or "not known",
        environment=token.environment or "not known",
        expires_at=token.expires_at,
        renewed_at=token.renewal.renewed_at,
        renewed_by=token.renewal.renewed_by,
        logged_in_at=token.created_at,
        until=until,
        minted=sum(at > now - profile.mint_window for at in token.renewal.mints),
        mint_limit=profile.mint_limit,
        mint_window=profile.mint_window,
        calls=counts.get("calls", 0),
        logins=counts.get("logins", 0),
        renewals=counts.get("renewals", 0),
        refusals=counts.get("refusals", 0),
        events=ledger.events(token_id),
    )


def where(crm: Crm) -> str:
    """Return where the tokens are, in words and without a password."""
    store = crm.store.keeper.store
    backend = getattr(store, "backend", None)
    return str(backend.describe()) if backend is not None else type(store).__name__
