"""What happened, for hooks, the log and metrics; never with a secret."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tokenkeep.errors import visible

logger: logging.Logger = logging.getLogger("tokenkeep")

_CALM = {"renewed", "revoked", "deleted", "recovered", "outage_over"}
"""Events that are nothing to worry about; most others are warnings."""
_LOUD = {"unaudited"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    Something happened to a token.

    Args:
        name: ``renewed``, ``renewal_failed``, ``login_needed``, ``unsaved``
            (renewed, but the store could not be written), ``unjournaled``,
            ``superseded`` (a late answer was discarded), ``unreadable`` (an answer
            could not be read, and is kept if there may be the only token in it), ``clock_off``,
            ``revoked``, ``revocation_pending``, ``deleted``, ``recovered`` (it works again
            after ``login_needed``), ``outage``, ``outage_over`` (of its provider), ``unaudited``
            (done, but the audit could not be written).
        token_id: Which token; of an outage one that has met it. Empty if it is about no
            single one.
        user: Whose. None if not known.
        at: Epoch seconds.
        details: More about it, without a secret.
    """

    name: str
    token_id: str
    user: str | None
    at: float
    details: Mapping[str, object] = field(default_factory=dict)


Listener = Callable[[Event], None]


def log(event: Event) -> None:
    """Write an event to the log ``tokenkeep``."""
    level = logging.ERROR if event.name in _LOUD else logging.WARNING
    level = logging.INFO if event.name in _CALM else level
    if not logger.isEnabledFor(level):
        return
    said = ", ".join(f"{key}: {value}" for key, value in event.details.items())
    if event.token_id:
        details = f" ({said})" if said else ""
        said = f"token {event.token_id}, user {event.user or 'not known'}{details}"
    logger.log(level, "%s: %s", visible(event.name), visible(said))
