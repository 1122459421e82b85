"""Read what a token endpoint answered, without believing any of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokenkeep.providers.checks import LONGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenkeep.providers.http import Reply

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{0,9})?")
_VISIBLE = re.compile(r"[ -~]+")


@dataclass(frozen=True, slots=True)
class Body:
    """The JSON object of an answer; if it is none, *fault* says in words of our own what it is."""

    fields: Mapping[str, object] = field(repr=False)
    fault: str | None = None

    def text(self, name: str) -> str | None:
        """Return a field that is a non-empty string. None for all else."""
        value = self.fields.get(name)
        return value if isinstance(value, str) and value else None

    def token(self, name: str) -> str | None:
        """Return a field of visible ASCII (RFC 6749 appendix A). None for all else."""
        value = self.text(name)
        return value if value and _VISIBLE.fullmatch(value) else None


def read(reply: Reply) -> Body:
    """
    Read the body of an answer.

    Its text is never part of *fault*: there may be a token in it.
    """
    where = f"(status {reply.status})"
    if reply.fault:
        return Body({}, f"{reply.fault} {where}")
    if not reply.body.strip():
        return Body({}, f"answered nothing {where}")
    try:
        # With a byte order mark is not JSON, but some servers write one.
        document = json.loads(reply.body.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        kind = "HTML" if reply.body.lstrip().startswith(b"<") else "no JSON"
        return Body({}, f"answered {kind} {where}")
    if not isinstance(document, dict):
        return Body({}, f"answered JSON that is not an object {where}")
    return Body(document)


def seconds(value: object) -> float | None:
    """
    Return a duration a provider named, as a number or a string with one.

    More than 0 and at most `LONGEST`: what is beyond that is a date or a mistake. None for all
    else: a bool, NaN, nothing, something negative or absurd says nothing about how long a token
    lives.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before it becomes a float: JSON integers can be longer than one.
    return float(value) if 0 < value <= LONGEST else None
