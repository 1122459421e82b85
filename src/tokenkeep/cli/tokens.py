"""Commands about stored tokens, and which one is meant: an id, or a user as the SDK names them."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.cli import completion
from tokenkeep.cli.description import describe, in_words, lived, named, summary
from tokenkeep.cli.filters import matching, whole_name
from tokenkeep.cli.life import told
from tokenkeep.cli.session import (
    Columns,
    Session,
    filled,
    listed,
    pass_session,
    time_left,
    told_last,
)
from tokenkeep.clock import moment
from tokenkeep.errors import AmbiguousLookup, StoreTampered, visible
from tokenkeep.store import not_found
from tokenkeep.token import Status, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tokenkeep.ending import Planned
    from tokenkeep.keeper import Keeper
    from tokenkeep.vault import Vault

_LIVED: Columns = dict.fromkeys(("id", "user", "told"), 0)
_PLANNED: Columns = {"id": 11, "what": 7, "since": 20, "why": 20, "user": 0}
_SHORTEST_PREFIX = len("tk_0123")
_NARROWING = ("client_id", "environment", "data_center")
_OPTIONS = (
    ("--user", "EMAIL[:ZGID]", "Whose, as the SDK says it."),
    ("--client-id", "ID", "Only of this client."),
    ("--environment", "NAME", "Only of this environment."),
    ("--data-center", "NAME", "Only of this data centre."),
)


def says_which(command: Callable[..., None]) -> Any:
    """Give a command the options that say which token; `meant` takes them."""
    for name, metavar, text in reversed(_OPTIONS):
        given: dict[str, Any] = {"metavar": metavar, "help": text, "type": filled}
        if name == "--user":
            given["shell_complete"] = completion.users
        command = click.option(name, **given)(command)
    given = {"metavar": "[ID]", "required": False, "type": filled}
    return click.argument("token_id", shell_complete=completion.ids, **given)(command)


def meant(
    session: Session, token_id: str | None, given: dict[str, Any], *, even_closed: bool = False
) -> Token:
    """
    Return the stored token that the options of `says_which` say, and take them out of *given*.

    With *even_closed* a row that does not open is found by its id alone; nothing else of it
    is known then.
    """
    asked = Token(id=token_id, **{name: given.pop(name) for name in ("user", *_NARROWING)})
    if bool(asked.id) == bool(asked.user):
        raise click.UsageError("Say which token, by an ID or by --user EMAIL:ZGID")
    try:
        return find(session, asked)
    except StoreTampered as exc:
        token = Token(id=exc.token_id)
        if not even_closed or token != asked:
            raise
        return token


def selects_token(command: Callable[..., None], *, even_closed: bool = False) -> Any:
    """
    Give a command the options that say which token; *even_closed* is as for `meant`.

    It is called with its session, its keeper, the token and its own options.
    """

    @says_which
    @pass_session
    @wraps(command)
    def run(session: Session, token_id: str | None, **given: Any) -> None:
        token = meant(session, token_id, given, even_closed=even_closed)
        command(session, session.keeper(), token, **given)

    return run


def find(session: Session, asked: Token) -> Token:
    """
    Return the stored token that is meant, whatever its status.

    By its id, or by how that begins, as listings on a terminal show ids. It has to begin with
    ``tk_``: anything else may be somebody's own id. By its user, or by the e-mail address of the
    only user who has it. `TokenNotFound` says what was asked for.
    """
    vault = session.vault()
    given = {f"--{name.replace('_', '-')}": getattr(asked, name) for name in _NARROWING}
    try:
        found = vault.find_token(asked) or _begun(vault, asked)
        if found is None and (whole := whole_name(session, asked)):
            found = vault.find_token(asked.but(user=whole))
    except AmbiguousLookup as exc:
        for option in given:
            exc.hint = str(exc.hint).replace(option[2:].replace("-", "_"), option)
        raise
    if found:
        return found
    missing = not_found(vault, token_id=asked.id, user=asked.user)
    if said := " ".join(f"{option} {value}" for option, value in given.items() if value):
        missing.what += f" with {said}"
        missing.hint = "Leave that out, or see tokenkeep list"
    elif asked.id and "@" in asked.id:
        missing.hint = f"Is that a user? Say: --user {visible(asked.id)}"
    raise missing


def _begun(vault: Vault, asked: Token) -> Token | None:
    prefix = asked.id or ""
    if not prefix.startswith("tk_") or len(prefix) < _SHORTEST_PREFIX:
        return None
    begun = vault.begin_with(prefix, 2)
    if len(begun) > 1:
        what = f"Several tokens have an id that begins with {prefix}"
        raise AmbiguousLookup(what, hint="Say more of it")
    return vault.find_token(asked.but(id=begun[0].id)) if begun else None


@click.command()
@selects_token
def show(session: Session, keeper: Keeper, token: Token) -> None:
    """Show all about a token that is not secret."""
    found, lived = describe(keeper, token), told(token.history, keeper.clock.now())
    words = {name: in_words(name, found[name]) for name in found if name != "history"}
    session.facts(found, {**words, "history": lived})


@click.command()
@click.option("--all", "every", is_flag=True, help="Of all tokens, or all that the options leave.")
@says_which
@pass_session
def history(session: Session, token_id: str | None, *, every: bool, **given: Any) -> None:
    """
    Tell what happened to a token: the last 16 events, a run of the same as one.

    With --json for export: one document, with --all one a line.
    """
    now = session.keeper().clock.now()
    if not every:
        token = meant(session, token_id, given)
        said = "\n".join(visible(each) for each in told(token.history, now))
        session.answer(said, lived(token))
        return
    if token_id:
        raise click.UsageError("An ID is one token, --all is all that the options leave")
    with told_last() as troubles:
        tokens = matching(session.vault(), Token(**given), on_error=troubles.append)
        if session.draws:
            for each in tokens:
                lines = [named(each), *(f"  {sentence}" for sentence in told(each.history, now))]
                session.answer("\n".join(map(visible, lines)), None)
            return
        lives = (lived(each) for each in tokens)
        if not session.json:
            lives = (
                lived(each) | {"told": sentence}
                for each in tokens
                for sentence in told(each.history, now)
            )
        session.rows(_LIVED, lives)


@click.command()
@click.option("--header", is_flag=True, help="Print the header to send: curl -H @- takes it.")
@selects_token
def token(session: Session, keeper: Keeper, token: Token, *, header: bool) -> None:
    """
    Print a valid access token, renewed if need be; for scripts.

    With --json also what it is good for and how long.
    """
    valid = keeper.get(id=token.id)
    access = valid.access_token or ""
    authorization = f"{keeper.providers.of(valid).authorization_scheme} {access}"
    facts = describe(keeper, valid)
    good_for = {name: facts[name] for name in ("api_domain", "expires_at", "expires_in")}
    session.answer(
        f"Authorization: {authorization}" if header else access,
        {"access_token": access, "authorization": authorization, **good_for},
    )


@click.command()
@selects_token
def renew(session: Session, keeper: Keeper, token: Token) -> None:
    """Renew a token now, whether or not it has to be."""
    renewed = keeper.renew(str(token.id))
    facts = describe(keeper, renewed)
    left = time_left(facts["expires_in"]) or "end not known"
    session.tell(f"Renewed {named(renewed)}: {left} left", facts)


@click.command()
@selects_token
def logout(session: Session, keeper: Keeper, token: Token) -> None:
    """
    Revoke a token at the provider and delete it, in one.

    If the provider can't be reached, "tokenkeep sweep" goes on trying.
    """
    ended = keeper.end(str(token.id))
    session.tell(f"Logged out {ended_in_words(ended)}", _deleted(keeper, ended))


@click.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
@partial(selects_token, even_closed=True)
def delete(session: Session, keeper: Keeper, token: Token, *, yes: bool) -> None:
    """
    Delete a token here.

    A token that was not revoked goes on working at the provider: "tokenkeep
    logout" ends it there too.
    """
    confirm(f"Delete {visible(named(token))}?", yes=yes)
    was = keeper.delete(str(token.id)) or token
    name = named(was)
    if was.renewal.to_revoke:
        name = ended_in_words(was)
    elif was.status is not Status.REVOKED and was.refresh_token:
        name += "; it was not revoked and goes on working at the provider"
    session.tell(f"Deleted {name}", _deleted(keeper, was))


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would happen to which token.")
@pass_session
def sweep(session: Session, *, dry_run: bool) -> None:
    """
    Tidy up after crashes and outages, and end what policies say; run it now and then.

    Saves answers that could not be saved, finishes revocations, tells of tokens
    that died and of outages, drops what first logins and ids of deleted tokens
    have left behind.
    """
    if dry_run:
        foresee(session, session.keeper().planned())
        return
    with told_last() as troubles:
        with session.progress("Sweeping"):
            swept = asdict(session.keeper().sweep(on_error=troubles.append))
        session.tell(", ".join(f"{name}: {count}" for name, count in swept.items()), swept)


def foresee(session: Session, planned: Iterable[Planned]) -> None:
    """List what would happen to tokens, and how many in all; nothing is changed."""
    counts = Counter[str]()

    def rows() -> Iterator[dict[str, Any]]:
        for each in planned:
            counts[each.what] += 1
            facts = {"id": each.token.id, "user": each.token.user, "what": each.what}
            since = each.since if session.json else moment(each.since)
            yield facts | {"why": each.why, "since": since}

    session.rows(_PLANNED, rows())
    if session.json:
        session.answer("", {"dry_run": True, "tokens": counts})
    else:
        session.note(f"{listed(counts) or 'nothing'}. Dry run, nothing was changed.")


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if ``--yes`` or the answer says so."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("Nothing was done: there is no terminal to ask at. Use --yes")
    if not yes and not click.confirm(question, err=True):
        raise click.ClickException("Nothing was done")


def ended_in_words(token: Token) -> str:
    """Name a token that was revoked here, and say whether it is at the provider too."""
    if not token.renewal.to_revoke:
        return f"{named(token)}; the provider has confirmed it"
    return f"{named(token)}; the provider has not confirmed it yet, run: tokenkeep sweep"


def _deleted(keeper: Keeper, token: Token) -> dict[str, object]:
    pending = bool(token.renewal.to_revoke)
    return {"deleted": summary(token, keeper.clock.now()), "revocation_pending": pending}
