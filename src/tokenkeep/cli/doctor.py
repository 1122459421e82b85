"""The command that looks whether everything is in order."""

from __future__ import annotations

import os
import stat
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from tokenkeep import errors, folders, keys
from tokenkeep.backends import file_of
from tokenkeep.backends.urls import scheme_of
from tokenkeep.cli.session import Columns, Session, counted, missing, pass_session, told_last
from tokenkeep.cli.tokens import why_unconfirmed
from tokenkeep.clock import CLOCK_TOLERANCE
from tokenkeep.config import settings
from tokenkeep.errors import ConfigurationError, KeyUnsafe, TokenKeepError, UnknownName
from tokenkeep.records import EVER
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep.providers import Providers
    from tokenkeep.vault import Vault

COLUMNS: Columns = {"state": 7, "name": 13, "text": 0, "hint": 0}

_SAMPLE = 3
_SERVER_ERROR = 500
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

Used = dict[str, set[str]]
"""The providers of the first few tokens, and the token endpoints of those that work."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at; ``ok``, ``warning`` or ``failed``; what was seen, what is to be done."""

    name: str
    state: str
    text: str
    hint: str | None = None


@click.command()
@pass_session
def doctor(session: Session) -> None:
    """
    Look whether everything is in order.

    The store, its keys, who can read them, what is left to do, the provider
    and the clock. Exits with 1 if a check failed. Nothing is changed, except
    that opening a store takes away rights that others have to it, and that the
    journal is made where a provider rotates refresh tokens, to see that it can be.
    """
    failed = False

    def told() -> Iterator[dict[str, Any]]:
        nonlocal failed
        for check in examine(session):
            failed = failed or check.state == "failed"
            if session.json or not session.quiet or check.state != "ok":
                yield asdict(check)

    session.rows(COLUMNS, told(), name="check", text="seen", hint="to do")
    click.get_current_context().exit(1 if failed else 0)


def examine(session: Session) -> Iterator[Check]:
    """Yield what there is to say of a store, or of the configured one, one after the other."""
    try:
        configured = settings(store=session.store)
        providers, path = configured.providers(), file_of(configured.store)
        # Before it is opened: opening takes away what rights others have.
        modes = _modes(path)
    except TokenKeepError as exc:
        yield _failed("configuration", exc)
        return
    yield Check("configuration", "ok", f"a {scheme_of(configured.store)} store")
    yield modes
    used: Used = {}
    yield from _tried("store", _of_store(session, configured.store, path, used))
    for name in sorted({*used, providers.default}):
        yield from _tried("provider", _answers(providers, name, used))


def _failed(name: str, exc: TokenKeepError) -> Check:
    about = f" (token {exc.token_id})" if exc.token_id else ""
    return Check(name, "failed", f"{exc.what}{about}", exc.hint)


def _tried(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    try:
        yield from checks
    except TokenKeepError as exc:
        yield _failed(name, exc)


def _modes(store: Path | None) -> Check:
    """Say whether others can read what is for the owner alone."""
    state = folders.state(os.environ)
    paths = [state / "journal"] if state else []
    if store is not None:
        paths = [store.with_name(store.name + end) for end in ("", "-wal", "-shm", ".journal")]
    seen = []
    for path in paths:
        with suppress(OSError):  # not there, or not ours to see: opening it says more
            mode = stat.S_IMODE(path.stat().st_mode)
            seen.append(path.name)
            if os.name == "posix" and mode & _OTHERS:
                text = f"others have rights to {path} (mode {mode:o})"
                return Check("modes", "failed", text, f"chmod go= {path}")
    with suppress(ConfigurationError):  # opening the store says it
        try:
            keys.load(os.environ)
        except KeyUnsafe as exc:
            return _failed("modes", exc)
    return Check("modes", "ok", f"for the owner alone: {', '.join(seen) or 'nothing yet'}")


def _refused(path: Path) -> tuple[str, str] | None:
    """Say what keeps us from writing a store's file, and others beside it. None: nothing."""
    # What lies in a folder that is closed to us is not there, so the folder is named.
    there = next(each for each in path.parents if os.access(each, os.F_OK))
    for each in (path, there):
        if os.access(each, os.F_OK) and not os.access(each, os.W_OK):
            hint = "Give this user the right to write there, or name another path"
            return f"{each} can't be written", hint
    return None


def _of_store(session: Session, url: str, path: Path | None, used: Used) -> Iterator[Check]:
    """Yield whether a store opens with the keys at hand, and what is in it."""
    absent, refused = missing(url), path and _refused(path)
    if refused:
        yield Check("store", "failed", *refused)
    elif absent:
        yield Check("store", "ok", f"nothing yet: {absent}; it is made with the first token")
    if absent:
        return
    try:
        vault = session.open(url)
    except TokenKeepError as exc:
        yield _failed("key" if "Key" in type(exc).__name__ else "store", exc)
        return
    yield Check("store", "ok", vault.describe())
    yield from _tried("server", _risks(vault))
    yield from _tried("key", _tokens(vault, used))
    yield from _tried("journal", _journal(vault, used))


def _risks(vault: Vault) -> Iterator[Check]:
    """Say what a server may do to the data. Nothing if none can be asked."""
    risks = vault.backend.risks()
    if risks == []:
        yield Check("server", "ok", "it keeps what it is given")
    for risk in risks or ():
        yield Check("server", "warning", risk.text, risk.hint)


def _tokens(vault: Vault, used: Used) -> Iterator[Check]:
    """Say whether tokens open, of which a few are looked at; and what some of them need."""
    if not vault.is_made:
        yield Check("key", "ok", "used with the first token, and made if there is none")
        return
    with told_last() as closed:
        for token in vault.begin_with("", _SAMPLE, closed.append):
            endpoints = used.setdefault(token.provider or vault.providers.default, set())
            if token.status is Status.OK and token.issuer:
                endpoints.add(token.issuer)
        unconfirmed = Counter[tuple[str, str | None]]()
        for row in vault.due(EVER, closed.append):
            why = why_unconfirmed(vault.providers, row)
            said = (f": {why.what}", why.hint) if why else ("", "tokenkeep sweep")
            unconfirmed[said] += len(row.renewal.to_revoke)
        for (why_not, hint), count in unconfirmed.items():
            text = counted(count, "revocation", "revocations")
            text = f"the provider has not confirmed {text}{why_not}"
            yield Check("revocations", "warning", text, hint)
        dead = vault.iter_tokens(status=Status.LOGIN_NEEDED, on_error=closed.append)
        if count := sum(1 for _ in dead):
            text = f"{counted(count, 'token needs', 'tokens need')} a new login"
            yield Check("tokens", "warning", text, errors.LOGIN_AGAIN)
        if not closed:
            yield Check("key", "ok", "opens the store" + (" and its tokens" if used else ""))


def _journal(vault: Vault, used: Used) -> Iterator[Check]:
    """Say whether answers wait that could not be saved, or read; and that more have a place."""
    waiting = list(vault.journal.entries())
    unread = [entry for entry in waiting if entry.unread is not None]
    answers = counted(len(unread or waiting), "answer of the provider", "answers of the provider")
    text, hint = f"{answers} not saved yet", "tokenkeep sweep"
    if unread:
        asked = unread[0].asked
        text = f"{answers} can't be read, of {asked.provider} for {asked.user or asked.id}"
        hint = "Teach it to read them (docs/providers.md, read_answer), then: tokenkeep sweep"
    if waiting:
        yield Check("journal", "warning", text, hint)
    if any(_rotates(vault.providers, name) for name in {*used, vault.providers.default}):
        vault.journal.prepare()
    if not waiting:
        yield Check("journal", "ok", "nothing waits to be saved")


def _rotates(providers: Providers, name: str) -> bool:
    with suppress(UnknownName):  # said when it is asked
        return providers.named(name).profile.rotates
    return False


def _answers(providers: Providers, name: str, used: Used) -> Iterator[Check]:
    """Say whether a provider's token endpoints answer, and whether their clocks and ours agree."""
    provider = providers.named(name)
    home = provider.home_issuer() if name in used or not used else None
    for issuer in sorted(used.get(name) or filter(None, [home])):
        try:
            reply = provider.probe(issuer)
        except TokenKeepError as exc:
            yield _failed("provider", exc)
            continue
        if reply is None:
            yield Check("provider", "ok", f"{issuer} is not asked: {name} has no probe")
            continue
        if reply.status >= _SERVER_ERROR:
            text = f"{issuer} answers with an error of its own (status {reply.status})"
            hint = "Try again later; if it stays so, ask the provider"
            yield Check("provider", "warning", text, hint)
            continue
        offset = reply.clock_offset
        if offset is not None and abs(offset) > CLOCK_TOLERANCE:
            ahead = "behind" if offset > 0 else "ahead of"
            text = f"this machine's clock is {abs(offset):.0f} s {ahead} that of {issuer}"
            yield Check("clock", "warning", text, "Set it, best with NTP")
        else:
            its = "but does not say its time" if offset is None else "and the clocks agree"
            yield Check("provider", "ok", f"{issuer} answers, {its}")
