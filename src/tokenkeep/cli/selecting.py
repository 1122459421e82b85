"""Which token a command is about: an id, or a user as the SDK names them."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli.session import Session, pass_session
from tokenkeep.errors import AmbiguousLookup, StoreTampered, visible
from tokenkeep.lookup import trimmed
from tokenkeep.store import not_found
from tokenkeep.token import Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.vault import Vault

SHORTEST_PREFIX = len("tk_0123")
_NARROWING = ("client_id", "environment", "data_center")


def _filled(text: str) -> str:
    """Return an option trimmed; a variable that is not set must not choose among all."""
    if not trimmed(text):
        raise click.BadParameter("It is empty")
    return trimmed(text)


_OPTIONS = (
    click.argument("token_id", metavar="[ID]", required=False, type=trimmed),
    *(
        click.option(*names, metavar=metavar, type=_filled, help=text)
        for *names, metavar, text in (
            ("--id", "id_option", "ID", "The token's id, or how it begins."),
            ("--user", "EMAIL:ZGID", "Whose token, as the SDK names users."),
            ("--client-id", "ID", "Only of this client."),
            ("--environment", "NAME", "production, sandbox or developer."),
            ("--data-center", "NAME", "Only of this data centre."),
        )
    ),
)


def selects_token(*, even_closed: bool = False) -> Callable[[Callable[..., None]], Any]:
    """
    Give a command the options that say which token.

    It is called with its session, its keeper, the token and its own options. With *even_closed*
    a row that does not open is found by its id alone; nothing else of it is known then.
    """

    def selecting(command: Callable[..., None]) -> Any:
        @wraps(command)
        def run(session: Session, token_id: str, id_option: str | None, **given: Any) -> None:
            named = {name: given.pop(name) for name in ("user", *_NARROWING)}
            if token_id and id_option and token_id != id_option:
                raise click.UsageError("Two different ids are given")
            asked = Token(id=token_id or id_option or None, **named)
            if bool(asked.id) == bool(asked.user):
                raise click.UsageError("Say which token, by an ID or by --user EMAIL:ZGID")
            try:
                token = find(session.vault(), asked)
            except StoreTampered as exc:
                token = Token(id=exc.token_id)
                if not even_closed or token != asked:
                    raise
            command(session, session.keeper(), token, **given)

        wrapped: Any = pass_session(run)
        for option in reversed(_OPTIONS):
            wrapped = option(wrapped)
        return wrapped

    return selecting


def find(vault: Vault, asked: Token) -> Token:
    """
    Return the stored token that is meant, whatever its status.

    By its id, or by how that begins, as listings on a terminal show ids. It has to begin with
    ``tk_``: anything else may be somebody's own id.

    Raises:
        TokenNotFound: There is none.
        LookupFailed: The question is ambiguous.
        StoreError: The store can't be read.
    """
    prefix = asked.id if asked.id and asked.id.startswith("tk_") else ""
    try:
        found = vault.find_token(asked)
        if found is None and len(prefix) >= SHORTEST_PREFIX:
            found = _begun(vault, asked, prefix)
    except AmbiguousLookup as exc:
        for name in _NARROWING:
            exc.hint = str(exc.hint).replace(name, f"--{name.replace('_', '-')}")
        raise
    if found is None:
        missing = not_found(vault, token_id=asked.id, user=asked.user)
        if prefix and len(prefix) < SHORTEST_PREFIX:
            missing.hint = f"Give the first {SHORTEST_PREFIX} characters of its id, or more"
        elif asked.id and "@" in asked.id:
            missing.hint = f"Is that a user? Say: --user {visible(asked.id)}"
        raise missing
    return found


def _begun(vault: Vault, asked: Token, prefix: str) -> Token | None:
    found = vault.begin_with(prefix, 2)
    if len(found) > 1:
        what = f"Several tokens have an id that begins with {prefix}"
        raise AmbiguousLookup(what, hint="Say more of it")
    return vault.find_token(asked.but(id=found[0].id)) if found else None
