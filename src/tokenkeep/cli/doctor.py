"""The command that looks whether everything is in order; nothing is made or changed."""

from __future__ import annotations

import math
import os
import stat
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import click

from tokenkeep import clock, folders, keys
from tokenkeep.backends import file_of
from tokenkeep.backends.urls import scheme_of
from tokenkeep.cli.description import named, refresh_end
from tokenkeep.cli.output import Columns, counted, together
from tokenkeep.cli.session import Session, exists, pass_session
from tokenkeep.cli.tokens import why_unconfirmed
from tokenkeep.clock import CLOCK_TOLERANCE
from tokenkeep.config import open_store, settings
from tokenkeep.errors import ConfigurationError, KeyUnsafe, TokenKeepError
from tokenkeep.login import PROVIDER
from tokenkeep.records import EVER
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokenkeep.backends import Backend
    from tokenkeep.config import Settings
    from tokenkeep.providers import Provider, Providers
    from tokenkeep.token import Token
    from tokenkeep.vault import Vault

COLUMNS: Columns = {"state": 7, "name": 13, "text": None, "hint": None}

_SAMPLE = 3
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at; ``ok``, ``warning`` or ``failed``; what was seen, what is to be done."""

    name: str
    state: str
    text: str
    hint: str | None = None


@dataclass
class Contents:
    """What is in a store: what no longer works, and the providers of what does."""

    dead: int = 0
    ending: int = 0
    next_end: tuple[float, str] = (math.inf, "")
    """When the first login ends by itself, and whose it is."""
    logins: set[str] = field(default_factory=set)
    """The providers of those that are dead or end."""
    unconfirmed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Revocations, by what is wrong, and what to do."""
    providers: set[str] = field(default_factory=set)
    endpoints: set[tuple[str, str]] = field(default_factory=set)

    def used(self, providers: Providers) -> list[str]:
        """Return the names of the providers that matter here."""
        return sorted({*self.providers, *self.logins, providers.default})


@click.command()
@pass_session
def doctor(session: Session) -> None:
    """
    Look whether everything is in order.

    The store, its keys, who can read them, what is left to do, the provider
    and the clock. Exits with 1 if a check failed. Nothing is changed, except
    that opening a store takes away rights that others have to it.
    """
    failed = False

    def told() -> Iterator[dict[str, Any]]:
        nonlocal failed
        for check in examine(session.store, os.environ):
            failed = failed or check.state == "failed"
            if session.json or not session.quiet or check.state != "ok":
                yield asdict(check)

    session.rows(COLUMNS, told(), page=1)  # as they come: the provider may take its time
    click.get_current_context().exit(1 if failed else 0)


def examine(url: str | None, environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield what there is to say of a store, or of the configured one, one after the other."""
    try:
        configured = settings(environ, store=url)
        providers = configured.providers()
        # Before it is opened: opening takes away what rights others have.
        modes = _modes(configured, environ)
    except TokenKeepError as exc:
        yield _failed("configuration", exc)
        return
    yield Check("configuration", "ok", f"a {scheme_of(configured.store)} store")
    yield modes
    contents = Contents()
    if exists(configured.store):
        yield from _of_store(configured.store, environ, contents)
    else:
        text = f"nothing yet: {file_of(configured.store)} is made with the first token"
        yield Check("store", "ok", text)
    yield from _of_providers(providers, contents)


def _failed(name: str, exc: TokenKeepError, hint: str | None = None) -> Check:
    about = f" (token {exc.token_id})" if exc.token_id else ""
    return Check(name, "failed", f"{exc.what}{about}", exc.hint or hint)


def _tried(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Yield what there is to say of one thing, or that it failed."""
    try:
        yield from checks
    except TokenKeepError as exc:
        yield _failed(name, exc)


def _modes(configured: Settings, environ: Mapping[str, str]) -> Check:
    """Say whether others can read what is for the owner alone."""
    store, state = file_of(configured.store), folders.state(environ)
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
    try:
        keys.load(environ)
    except KeyUnsafe as exc:
        return _failed("modes", exc)
    except TokenKeepError:
        pass  # opening the store says it
    return Check("modes", "ok", f"for the owner alone: {', '.join(seen) or 'nothing yet'}")


def _of_store(url: str, environ: Mapping[str, str], contents: Contents) -> Iterator[Check]:
    """Yield whether a store opens with the keys at hand; fill in what is in it."""
    try:
        vault = open_store(url, environ=environ)
    except TokenKeepError as exc:
        yield _failed("key" if "Key" in type(exc).__name__ else "store", exc)
        return
    with closing(vault):
        yield Check("store", "ok", vault.describe())
        yield from _tried("server", check_server(vault.backend))
        yield from _tried("key", _tokens(vault, contents))
        yield from _tried("journal", _journal(vault, contents))
    for (why, hint), count in contents.unconfirmed.items():
        text = f"the provider has not confirmed {count}{why}"
        yield Check("revocations", "warning", text, hint)
    if contents.ending:
        end, whose = contents.next_end
        ending = counted(contents.ending, "login ends", "logins end")
        text = f"{ending} soon by itself, or has ended; the first is {whose}: {clock.moment(end)}"
        yield Check("logins", "warning", text, _login(contents.logins))
    if contents.dead:
        text = f"{counted(contents.dead, 'token needs', 'tokens need')} a new login"
        yield Check("tokens", "warning", text, _login(contents.logins))


def _login(providers: set[str]) -> str:
    """Return how people log in again at these providers; the command is for Zoho's alone."""
    others = ", ".join(sorted(providers - {PROVIDER}))
    at_zoho = "; at Zoho with: tokenkeep login" if PROVIDER in providers else ""
    return f"Let them log in again at {others}{at_zoho}" if others else "tokenkeep login"


def check_server(backend: Backend) -> Iterator[Check]:
    """Yield what about the server may lose tokens, if there is one that can be asked."""
    risks = backend.risks()
    if risks == []:
        yield Check("server", "ok", "it keeps what it is given")
    for risk in risks or ():
        yield Check("server", "warning", risk.text, risk.hint)


def _tokens(vault: Vault, contents: Contents) -> Iterator[Check]:
    """Say whether tokens open, of which a few are looked at; and count those that matter."""

    def provider_of(token: Token) -> str:
        return token.provider or vault.providers.default

    if not vault.is_made:
        yield Check("key", "ok", "used with the first token, and made if there is none")
        return
    closed: list[TokenKeepError] = []
    sample = vault.begin_with("", _SAMPLE, closed.append)
    for token in sample:
        contents.providers.add(provider_of(token))
        if token.status is Status.OK and token.issuer:
            contents.endpoints.add((provider_of(token), token.issuer))
    for token in vault.iter_tokens(status=Status.LOGIN_NEEDED, on_error=closed.append):
        contents.dead += 1
        contents.logins.add(provider_of(token))
    for token in vault.ending(time.time(), closed.append):
        contents.ending += 1
        contents.logins.add(provider_of(token))
        contents.next_end = min(contents.next_end, (refresh_end(token) or 0.0, named(token)))
    for row in vault.due(EVER, closed.append):
        if waiting := len(row.renewal.to_revoke):
            why = why_unconfirmed(vault.providers, row)
            said = (f": {why.what}", why.hint or "") if why else ("", "tokenkeep sweep")
            contents.unconfirmed[said] += waiting
    if closed:
        raise together(closed)
    yield Check("key", "ok", "opens the store" + (" and its tokens" if sample else ""))


def _journal(vault: Vault, contents: Contents) -> Iterator[Check]:
    """Say whether answers wait that could not be saved, or not even read; or could not wait."""
    waiting = list(vault.journal.entries())
    unread = [entry for entry in waiting if entry.unread is not None]
    answers = counted(len(unread or waiting), "answer of the provider", "answers of the provider")
    rotating = []
    for name in contents.used(vault.providers):
        with suppress(TokenKeepError):  # one that is not there is told elsewhere
            if vault.providers.named(name).profile.rotates:
                rotating.append(name)
    if unread:
        text = f"{answers} can't be read, of {unread[0].provider} for "
        text += unread[0].user or unread[0].token_id
        hint = "Teach it to read them (docs/providers.md, read_answer), then: tokenkeep sweep"
        yield Check("journal", "warning", text, hint)
    elif waiting:
        yield Check("journal", "warning", f"{answers} not saved yet", "tokenkeep sweep")
    else:
        try:
            if rotating and vault.is_made:
                vault.journal.expect_room()
            yield Check("journal", "ok", "nothing waits to be saved")
        except TokenKeepError as exc:
            text = f"no token of {', '.join(rotating)} can be renewed: {exc.what}"
            yield Check("journal", "warning", text, exc.hint)


def _of_providers(providers: Providers, contents: Contents) -> Iterator[Check]:
    """Yield whether the providers of those tokens are known, and answer; else the default one."""
    endpoints = contents.endpoints
    for name in contents.used(providers):
        try:
            providers.named(name)
        except TokenKeepError as exc:
            yield _failed("provider", exc)
            endpoints = {each for each in endpoints if each[0] != name}
    if not contents.providers and (home := providers.named(providers.default).home_issuer()):
        endpoints = {(providers.default, home)}
    for name, issuer in sorted(endpoints):
        yield _answers(providers.named(name), issuer)


def _answers(provider: Provider, issuer: str) -> Check:
    """Say whether a token endpoint answers, and whether its clock and ours agree."""
    try:
        reply = provider.probe(issuer)
    except ConfigurationError as exc:
        return _failed("provider", exc)
    except TokenKeepError as exc:
        return _failed("provider", exc, "See whether this machine gets there: network, proxy, DNS")
    if reply is None:
        return Check("provider", "ok", f"{issuer} is not asked: {provider.name} has no probe")
    offset = reply.clock_offset
    if offset is not None and abs(offset) > CLOCK_TOLERANCE:
        ahead = "behind" if offset > 0 else "ahead of"
        text = f"this machine's clock is {abs(offset):.0f} s {ahead} that of {issuer}"
        return Check("clock", "warning", text, "Set it, best with NTP")
    its = "but does not say its time" if offset is None else "and the clocks agree"
    return Check("provider", "ok", f"{issuer} answers, {its}")
