"""Which token a command is about: an id, or a user as the SDK names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tokenkeep.errors import AmbiguousLookup, TokenNotFound
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from tokenkeep.keeper import Keeper

_F = TypeVar("_F", bound=Callable[..., Any])

ID_LENGTH = 32
SHORTEST_PREFIX = 4
_TOO_SHORT = f"Give the first {SHORTEST_PREFIX} characters of its id, or more"
_HIDDEN = (Status.PENDING, Status.MOVED)

_OPTIONS = (
    click.argument("token_id", metavar="[ID]", required=False),
    click.option("--id", "id_option", metavar="ID", help="The token's id, or how it begins."),
    click.option("--user", metavar="EMAIL:ZGID", help="Whose token, as the SDK names users."),
    click.option("--client-id", metavar="ID", help="Only of this client."),
    click.option("--environment", metavar="NAME", help="production, sandbox or developer."),
    click.option("--data-center", metavar="NAME", help="Rather of this data centre."),
)


def selects_token(command: _F) -> _F:
    """Give a command the options that say which token; it gets a `Token` named *asked*."""

    def with_asked(*args: Any, **given: Any) -> Any:
        return command(*args, asked=_asked(given), **given)

    with_asked.__name__ = command.__name__
    with_asked.__doc__ = command.__doc__
    wrapped: Any = with_asked
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators are generic over any callable


def find(keeper: Keeper, asked: Token) -> Token:
    """
    Return the stored token that is meant, whatever its status.

    Raises:
        TokenNotFound: There is none.
        LookupFailed: The question is ambiguous.
        StoreError: The store can't be read.
    """
    found = keeper.store.find_token(asked)
    if found is None and asked.id:
        found = _by_prefix(keeper, asked.id)
    if found is None:
        raise TokenNotFound(
            "There is no such token",
            token_id=asked.id,
            user=asked.user,
            hint=_TOO_SHORT
            if asked.id and len(asked.id) < SHORTEST_PREFIX
            else "See those there are with: tokenkeep list",
        )
    return found


def _asked(given: dict[str, Any]) -> Token:
    """Take the options off *given* and return the question they are."""
    argument, option = given.pop("token_id"), given.pop("id_option")
    if argument and option and argument != option:
        raise click.UsageError("Two different ids are given")
    names = ("user", "client_id", "environment", "data_center")
    asked = Token(id=argument or option or None, **{name: given.pop(name) for name in names})
    if not asked.id and not asked.user:
        raise click.UsageError("Say which token: an ID, or --user EMAIL:ZGID")
    if asked.id and asked.user:
        raise click.UsageError("Give an ID or --user, not both")
    return asked


def _by_prefix(keeper: Keeper, prefix: str) -> Token | None:
    """Return the one token whose id begins so, as listings on a terminal show ids."""
    backend = getattr(keeper.store, "backend", None)
    if backend is None or not SHORTEST_PREFIX <= len(prefix) < ID_LENGTH:
        return None
    found: list[str] = []
    after = prefix
    # Ids are read in order, so those that begin so come first.
    while (page := backend.scan(after, 2)) and len(found) <= 1:
        after = page[-1].id
        mine = [r for r in page if r.id.startswith(prefix)]
        found += [r.id for r in mine if r.status not in _HIDDEN]
        if len(mine) < len(page):
            break
    if len(found) > 1:
        raise AmbiguousLookup(
            f"Several tokens have an id that begins with {prefix}", hint="Say more of it"
        )
    return keeper.store.find_token_by_id(found[0]) if found else None
