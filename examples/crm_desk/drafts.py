"""
Forms that could not be sent before a login, kept until after it.

Whose one is, the session says, and no form. What it is found by is in the
address and in the forms that lead back to it; the session has the latest,
for a login that comes from elsewhere.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crm_desk.ledger import DRAFT_LIFE
from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crm_desk.ledger import Ledger
    from crm_desk.sessions import Session

LONGEST = 64
"""What a draft is found by is shorter; whatever else is sent in its place is none."""


def keep(
    ledger: Ledger, session: Session, path: str, values: Mapping[str, str], before: str = ""
) -> str:
    """
    Keep a form for a day.

    Args:
        ledger: Where.
        session: Whose it is.
        path: Where its form is.
        values: What is in it.
        before: The draft that it comes from. Empty if it comes from none.

    Returns:
        What it is found by. Empty if it is not kept: the ledger can't be
        written, or it is a stranger's, of whom there may be any number.
    """
    if not session.owner:
        return ""
    facts = {"owner": session.owner, "path": path, "values": dict(values)}
    with suppress(StoreUnavailable):
        # The same if the button was pressed again.
        is_same = before and ledger.look(_row(before)) == facts
        name = before if is_same else secrets.token_urlsafe(24)
        ledger.keep(_row(name), facts, DRAFT_LIFE, of=f"drafts of {session.owner}")
        return name
    return ""


def path_of(ledger: Ledger, session: Session, name: str) -> str | None:
    """Return where the form of a draft is. None if there is none of whoever is logged in."""
    kept = _kept(ledger, session, name)
    return None if kept is None else str(kept["path"])


def values_of(ledger: Ledger, session: Session, name: str, path: str) -> dict[str, str] | None:
    """Return what is in a draft. None if there is none of whoever is logged in, for this form."""
    kept = _kept(ledger, session, name)
    return None if kept is None or kept["path"] != path else dict(kept["values"])


def drop(ledger: Ledger, session: Session, name: str) -> None:
    """Keep a draft no longer, if it is one of whoever is logged in."""
    with suppress(StoreUnavailable):
        if _kept(ledger, session, name) is not None:
            ledger.take(_row(name))


def _kept(ledger: Ledger, session: Session, name: str) -> dict[str, Any] | None:
    with suppress(StoreUnavailable):
        kept = ledger.look(_row(name)) if name and session.token_id else None
        if kept is not None and kept["owner"] == session.owner:
            return kept
    return None


def _row(name: str) -> str:
    return f"draft {name[:LONGEST]}"
