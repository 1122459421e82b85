"""Which stored token a partial one means: the one rule every store follows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import TYPE_CHECKING

from tokenkeep.errors import AmbiguousLookup, EmptyLookup, LookupFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenkeep.token import Token

SECRETS = {"access": "access_token", "refresh": "refresh_token", "grant": "grant_token"}
"""Field of a record that holds a digest -> attribute of the token it is of."""

FIXED = ("user", "client_id", "provider", "data_center", "environment")
"""What a row is for: filled in where it was not known, never changed; has to match in a lookup."""

_ATTRIBUTE = {"id": "id", "user": "user", **SECRETS}
_ASKED = ("id", *FIXED, *SECRETS.values())

_SENT = (*SECRETS.values(), "client_id", "client_secret", "redirect_uri")
"""What goes to the provider, and has to be what it gave, to the letter."""

_BLANK = r"[\s\ufeff\u200b-\u200d\u2060]"
_EDGES = re.compile(rf"\A{_BLANK}+|{_BLANK}+\Z")
_UNSENDABLE = re.compile(rf"\A{_BLANK}|{_BLANK}\Z|[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclasses.dataclass(frozen=True, slots=True)
class Lookup:
    """
    One question to a store.

    Args:
        field: ``id``, ``user``, ``access``, ``grant`` or ``refresh``.
        value: What the field has to equal.
        where: What those of `FIXED` have to equal. None means any.
    """

    field: str
    value: str = dataclasses.field(repr=False)
    where: tuple[str | None, ...]

    @classmethod
    def of(cls, token: Token) -> tuple[Lookup, ...]:
        """
        Return the questions a partial token asks, to be tried in this order.

        Two where both a grant and a refresh token are given; none where what is given
        identifies nothing (a refresh token without its client, say).

        Raises:
            EmptyLookup: There is nothing in it at all.
            LookupFailed: A field is not text.
        """
        require_text(token)
        where = tuple(getattr(token, name) or None for name in FIXED)
        asked = []
        if token.id:
            asked = [("id", token.id)]
        elif token.user:
            asked = [("user", token.user)]
        elif token.access_token and not token.client_id and not token.client_secret:
            asked = [("access", token.access_token)]
        else:
            if token.grant_token:
                asked = [("grant", token.grant_token)]
            if token.refresh_token and token.client_id:
                asked.append(("refresh", token.refresh_token))
            if not (asked or token.access_token or token.refresh_token):
                raise EmptyLookup(
                    "There is nothing in this token to look for",
                    hint="Give an id, a user, an access token, a grant token, "
                    "or a refresh token with its client id",
                )
        return tuple(cls(field, value, where) for field, value in asked)

    def choose(self, tokens: Iterable[Token]) -> Token | None:
        """
        Return the one of stored tokens that answers. None if there is none.

        No preference decides between several: what was asked for, or nothing.

        Raises:
            AmbiguousLookup: Several answer.
        """
        name = _ATTRIBUTE[self.field]
        rows = [t for t in tokens if getattr(t, name) == self.value and self.admits(t)]
        if len(rows) > 1:
            differing = [n for n in FIXED[1:] if len({getattr(t, n) for t in rows}) > 1]
            raise AmbiguousLookup(
                f"{len(rows)} stored tokens answer this question",
                user=rows[0].user,
                hint=f"Add {' or '.join(differing) or 'what tells them apart'}, or ask by id: "
                f"{', '.join(sorted(str(t.id) for t in rows))}",
            )
        return rows[0] if rows else None

    def admits(self, token: Token) -> bool:
        """Tell whether a stored token keeps to the conditions, whatever it was found by."""
        pairs = zip(self.where, FIXED, strict=True)
        return all(wanted in (None, getattr(token, name)) for wanted, name in pairs)


def find(token: Token, stored: Iterable[Token]) -> Token | None:
    """
    Return the stored token that *token* means, from all there are.

    Args:
        token: A partial token.
        stored: All stored tokens, in any order.

    Raises:
        EmptyLookup: There is nothing in *token* to look for.
        AmbiguousLookup: Several tokens answer.
    """
    rows = list(stored)
    answers = (question.choose(rows) for question in Lookup.of(token))
    return next((each for each in answers if each is not None), None)


def is_email(user: str) -> bool:
    """Tell whether a user is said by an e-mail address alone, without the organisation's id."""
    return "@" in user and ":" not in user


def has_email(user: str | None, email: str) -> bool:
    """Tell whether a stored user's name is an e-mail address and the organisation's id."""
    return user is not None and user.rpartition(":")[0] == email


def require_text(token: Token, names: Iterable[str] = _ASKED) -> None:
    """
    Refuse fields that no store can keep and compare byte for byte.

    Raises:
        LookupFailed: A field is not a str, or holds half of a surrogate pair.
    """
    # No value is in a local variable here, nor in a chained error: crash reports show both.
    for name in names:
        if getattr(token, name) is not None and not is_text(getattr(token, name)):
            raise LookupFailed(
                f"The {name} is not text: not a str, or one with half of a surrogate pair",
                hint="Decode it as UTF-8 where it comes from",
            )


def require_id(token_id: object) -> None:
    """
    Refuse what is no id.

    Raises:
        LookupFailed: It is not text.
    """
    if not is_text(token_id):
        raise LookupFailed("An id is text", hint="Give the one that the store gave")


def trimmed(text: str) -> str:
    """Return a text without the blanks, line breaks and marks that files and clipboards add."""
    return _EDGES.sub("", text)


def require_sendable(token: Token) -> None:
    """
    Refuse secrets, a client id and a redirect URI that are not what the provider gave.

    Raises:
        LookupFailed: One begins or ends with a blank or a line break, or has a
            control character in it.
    """
    # No value is in a local variable here: crash reports show those of each frame.
    for name in _SENT:
        if not is_sendable(getattr(token, name)):
            raise LookupFailed(
                f"The {name} begins or ends with a blank or a line break, or has a control "
                "character in it: it can't be what the provider gave",
                token_id=token.id,
                user=token.user,
                hint="Trim it where it comes from: files and variables often end in a line break",
            )


def is_sendable(text: str | None) -> bool:
    """Tell whether a text can be what a provider gave."""
    return not (text and _UNSENDABLE.search(text))


def is_text(value: object) -> bool:
    """Tell whether a value is what every store can keep and compare byte for byte."""
    try:
        return isinstance(value, str) and (value.isascii() or bool(value.encode()))
    except UnicodeEncodeError:
        return False


def credentials(token: Token) -> list[tuple[str, str]]:
    """Return what tells a token without a user apart, as fields of a record and the secrets."""
    values = [(field, getattr(token, SECRETS[field])) for field in ("grant", "refresh", "access")]
    return [(field, value) for field, value in values if value]


def first_login_of(token: Token) -> str:
    """Return what a first login is known by, a digest: of its place and its credential."""
    place = (token.provider, token.client_id, token.data_center, token.environment)
    return digest_of(repr((place, next(iter(credentials(token))))))


def owner_of(token: Token, credential: tuple[str, str] | None = None) -> str:
    """
    Return what a token is for, as text; a store has one row of each.

    Encoded as JSON, so that no delimiter in a user's name can make two of them
    one. One of `credentials` stands in for a user that is not known.
    """
    who: object = {"credential": credential} if credential else token.user
    return json.dumps([token.provider, token.client_id, who, token.data_center, token.environment])


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
