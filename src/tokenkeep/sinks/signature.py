"""The signature of a webhook: HMAC-SHA256 over time and body, so that nobody sends it later."""

from __future__ import annotations

import hashlib
import hmac
import re
import time

from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError

SIGNATURE = "Tokenkeep-Signature"
"""The header with the time and the signature."""

_PART = re.compile(r"(t)=([0-9]{1,15})|(v1)=([0-9a-f]{64})")


@without_frames
def signature(secret: str, body: bytes, at: int) -> str:
    """Return the header for a body that is sent at a time, in epoch seconds."""
    return f"t={at},v1={_digest(secret, body, at)}"


@without_frames
def verify_signature(
    secret: str,
    body: bytes,
    signature: str | None,
    *,
    now: float | None = None,
    tolerance: float = 300.0,
) -> bool:
    """
    Tell whether a webhook was called by a tokenkeep that has the secret, and just now.

    Args:
        secret: As in ``webhook_secret``.
        body: As it came, not read and written anew.
        signature: The header ``Tokenkeep-Signature``. None if there is none: False.
        now: Epoch seconds. None means the operating system's.
        tolerance: How old it may be, or ahead, in seconds: who has listened can't send it again
            later.

    Raises:
        ConfigurationError: The secret is empty: anybody could sign with it.
    """
    if not secret:
        raise ConfigurationError("The secret of the webhook is empty", hint="Set it here, too")
    parts = [_PART.fullmatch(each.strip()) for each in (signature or "").split(",")]
    times = [int(each[2]) for each in parts if each and each[1]]
    if len(times) != 1 or abs((time.time() if now is None else now) - times[0]) > tolerance:
        return False
    wanted = _digest(secret, body, times[0])
    return any(hmac.compare_digest(wanted, each[4]) for each in parts if each and each[3])


def _digest(secret: str, body: bytes, at: int) -> str:
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
