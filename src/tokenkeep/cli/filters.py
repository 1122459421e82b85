"""Which tokens are meant: by what they have in common, or by a user's e-mail address alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenkeep.errors import AmbiguousLookup, TokenKeepError
from tokenkeep.lookup import has_email, is_email

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.cli.session import Session
    from tokenkeep.errors import OnError
    from tokenkeep.token import Status, Token
    from tokenkeep.vault import Vault

_PLACE = ("provider", "data_center", "environment")
_MOST_NAMED = 5
"""How many users an error names."""


def matching(
    vault: Vault,
    asked: Token,
    *,
    organisation: str | None = None,
    state: Status | None = None,
    after: str | None = None,
    on_error: OnError = None,
) -> Iterator[Token]:
    """
    Return the tokens that have all that *asked* says of user, client and place.

    User, client, organisation and state are read by marks; the rest is looked at in
    whatever those leave. A user who is said by an e-mail address alone is whoever has
    it, if nobody is stored under just that: then all have to be read.

    Raises:
        UnknownName: There is no such provider, data centre or environment.
    """
    vault.providers.expect_known(asked)
    email = asked.user if is_alone(vault, asked.user) else None
    place = {name: value for name in _PLACE if (value := getattr(asked, name))}
    found = vault.iter_tokens(
        user=None if email else asked.user,
        client_id=asked.client_id,
        tenant=organisation,
        status=state,
        after=after,
        on_error=on_error,
    )
    return (
        token
        for token in found
        if (email is None or has_email(token.user, email))
        and all(getattr(token, name) == value for name, value in place.items())
    )


def is_alone(vault: Vault, user: str | None) -> bool:
    """Tell whether this is an e-mail address under which alone nobody is stored."""
    if user is None or not is_email(user):
        return False
    closed: list[TokenKeepError] = []  # what does not open is there, too
    return (
        not any(True for _ in vault.iter_tokens(user=user, on_error=closed.append)) and not closed
    )


def whole_name(session: Session, asked: Token) -> str | None:
    """
    Return who is meant by an e-mail address alone, if just one stored user has it.

    None if nobody has it, or the user is not said by that. All tokens of the client are
    read, of all clients if it is not given; those of other places don't count.

    Raises:
        AmbiguousLookup: Several have it, or may have; no other is hit instead.
    """
    vault, email, closed = session.vault(), asked.user, list[TokenKeepError]()
    if not is_alone(vault, email):
        return None
    with session.progress("Looking for the user"):
        users = {str(token.user) for token in matching(vault, asked, on_error=closed.append)}
    if len(users) > 1:
        some = " or ".join(f"--user {each}" for each in sorted(users)[:_MOST_NAMED])
        more = f", or see: tokenkeep list --user {email}" if len(users) > _MOST_NAMED else ""
        raise AmbiguousLookup(
            f"{len(users)} stored users have this e-mail address",
            user=email,
            hint=f"Say which: {some}{more}",
        )
    if users and closed:
        raise AmbiguousLookup(
            "A stored row does not open, so that nobody knows whether it is this user's, too",
            user=email,
            hint=f"Say who is meant: --user {users.pop()}",
        )
    return users.pop() if users else None
