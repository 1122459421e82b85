"""Which token a command is about: an id, or a user as the SDK names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tokenkeep.errors import AmbiguousLookup
from tokenkeep.lookup import trimmed
from tokenkeep.store import not_found
from tokenkeep.token import Token

if TYPE_CHECKING:
    from tokenkeep.vault import Vault

_F = TypeVar("_F", bound=Callable[..., Any])

SHORTEST_PREFIX = len("tk_0123")
_TOO_SHORT = f"Give the first {SHORTEST_PREFIX} characters of its id, or more"

_OPTIONS = (
    click.argument("token_id", metavar="[ID]", required=False, type=trimmed),
    *(
        click.option(*names, metavar=metavar, type=trimmed, help=text)
        for *names, metavar, text in (
            ("--id", "id_option", "ID", "The token's id, or how it begins."),
            ("--user", "EMAIL:ZGID", "Whose token, as the SDK names users."),
            ("--client-id", "ID", "Only of this client."),
            ("--environment", "NAME", "production, sandbox or developer."),
            ("--data-center", "NAME", "Only of this data centre."),
        )
    ),
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


def find(vault: Vault, asked: Token) -> Token:
    """
    Return the stored token that is meant, whatever its status.

    Raises:
        TokenNotFound: There is none.
        LookupFailed: The question is ambiguous.
        StoreError: The store can't be read.
    """
    try:
        found = vault.find_token(asked)
        if found is None and asked.id:
            found = _by_prefix(vault, asked)
    except AmbiguousLookup as exc:
        for name in ("client_id", "environment", "data_center"):
            exc.hint = str(exc.hint).replace(name, f"--{name.replace('_', '-')}")
        raise
    if found is None:
        missing = not_found(vault, token_id=asked.id, user=asked.user)
        if asked.id and asked.id.startswith("tk_") and len(asked.id) < SHORTEST_PREFIX:
            missing.hint = _TOO_SHORT
        raise missing
    return found


def _asked(given: dict[str, Any]) -> Token:
    """Take the options off *given* and return the question they are."""
    argument, option = given.pop("token_id"), given.pop("id_option")
    if argument and option and argument != option:
        raise click.UsageError("Two different ids are given")
    names = ("user", "client_id", "environment", "data_center")
    for name in names:
        if given[name] == "":  # a variable that is not set must not choose among all
            raise click.UsageError(f"--{name.replace('_', '-')} is empty")
    asked = Token(id=argument or option or None, **{name: given.pop(name) for name in names})
    if not asked.id and not asked.user:
        raise click.UsageError("Say which token: an ID, or --user EMAIL:ZGID")
    if asked.id and asked.user:
        raise click.UsageError("Give an ID or --user, not both")
    return asked


def _by_prefix(vault: Vault, asked: Token) -> Token | None:
    """
    Return the one token whose id begins so, as listings on a terminal show ids.

    It has to begin with ``tk_``: anything else may be somebody's own id.
    """
    prefix = str(asked.id)
    if len(prefix) < SHORTEST_PREFIX or not prefix.startswith("tk_"):
        return None
    found = vault.begin_with(prefix, 2)
    if len(found) > 1:
        raise AmbiguousLookup(
            f"Several tokens have an id that begins with {prefix}", hint="Say more of it"
        )
    return vault.find_token(asked.but(id=found[0].id)) if found else None
