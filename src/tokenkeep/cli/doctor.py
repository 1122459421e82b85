"""The command that looks whether everything is in order."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tokenkeep.backends import file_of
from tokenkeep.backends.urls import scheme_of
from tokenkeep.cli.session import Columns, Session, counted, missing, pass_session, told_last
from tokenkeep.clock import CLOCK_TOLERANCE, Clock, moment
from tokenkeep.config import settings
from tokenkeep.errors import LOGIN_AGAIN, TokenKeepError, UnknownName
from tokenkeep.health import troubles
from tokenkeep.policy import TAKEN_UP
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.config import Settings
    from tokenkeep.providers import Provider, Providers
    from tokenkeep.sinks import Notices
    from tokenkeep.vault import Vault

_COLUMNS: Columns = {"state": 7, "name": 13, "text": 0, "hint": 0}
_SAMPLE = 3
_DAY = 86_400.0
_SERVER_ERROR = 500

Check = dict[str, str | None]
"""What was looked at; ``ok``, ``warning`` or ``failed``; what was seen, what is to be done."""

Used = dict[str, set[str]]
"""The providers of the first few tokens, and the token endpoints of those that work."""


@click.command()
@pass_session
def doctor(session: Session) -> None:
    """
    Look whether everything is in order.

    The store, its keys, what is left to do, the provider and the clock. Exits
    with 1 if a check failed. Nothing is changed, except that opening a store
    takes away rights that others have to it, that the time is written into the
    store's own record, to see that it can be, and that the journal is made where
    a provider rotates refresh tokens, likewise.
    """
    states = set()

    def told() -> Iterator[Check]:
        for check in _tried("configuration", _examined(session)):
            states.add(check["state"])
            if session.json or not session.quiet or check["state"] != "ok":
                yield check

    session.rows(_COLUMNS, told())
    click.get_current_context().exit(1 if "failed" in states else 0)


def _check(name: str, state: str, text: str, hint: str | None = None) -> Check:
    return {"name": name, "state": state, "text": text, "hint": hint}


def _tried(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Yield these checks, or that the one of this name has failed."""
    try:
        yield from checks
    except TokenKeepError as exc:
        about = f" (token {exc.token_id})" if exc.token_id else ""
        which = "key" if type(exc).__name__.startswith("Key") else name
        yield _check(which, "failed", f"{exc.what}{about}", exc.hint)


def _examined(session: Session) -> Iterator[Check]:
    configured = settings(store=session.store)
    providers = configured.providers()
    yield _check("configuration", "ok", f"a {scheme_of(configured.store)} store")
    if configured.notices:
        yield from _told(configured.notices)
    used: Used = {}
    yield from _tried("store", _of_store(session, configured, used))
    for name, issuers in sorted((used or {providers.default: set()}).items()):
        yield from _tried("provider", _answers(providers, name, issuers))


def _told(whom: Notices) -> Iterator[Check]:
    """Say whether those to be told of deaths and outages are there; nothing is told."""
    for seen in whom.look():
        if isinstance(seen, TokenKeepError):
            yield _check("notices", "failed", seen.what, seen.hint)
        else:
            yield _check("notices", "ok", seen)


def _of_store(session: Session, configured: Settings, used: Used) -> Iterator[Check]:
    """Yield whether a store opens with the keys at hand, and what is in it."""
    if absent := missing(configured.store):
        text = f"nothing yet: {absent}; it is made with the first token"
        yield _check("store", "ok", text)
        return
    vault = session.open(configured.store)
    path = file_of(configured.store)
    places = (path, path.parent) if path else ()
    closed = [each for each in places if not os.access(each, os.W_OK)]
    if closed:
        hint = "Give this user the right to write there, or name another path"
        yield _check("store", "failed", f"{closed[0]} can't be written", hint)
    elif vault.is_made and (found := list(troubles(vault, Clock()))):
        yield from (_check(each.check, "failed", each.text, each.hint) for each in found)
    else:
        yield _check("store", "ok", vault.describe())
    yield from _tried("server", _risks(vault))
    yield from _tried("key", _tokens(vault, used))
    yield from _tried("policies", _policies(vault))
    yield from _tried("journal", _journal(vault, used))
    yield from _tried("audit", _audit(vault))


def _risks(vault: Vault) -> Iterator[Check]:
    """Say what a server may do to the data. Nothing if none can be asked."""
    risks = vault.backend.risks()
    if risks == []:
        yield _check("server", "ok", "it keeps what it is given")
    for risk in risks or ():
        yield _check("server", "warning", risk.text, risk.hint)


def _tokens(vault: Vault, used: Used) -> Iterator[Check]:
    """Say whether tokens open, of which a few are looked at; and what some of them need."""
    if not vault.is_made:
        yield _check("key", "ok", "used with the first token, and made if there is none")
        return
    with told_last() as closed:
        for token in vault.begin_with("", _SAMPLE, closed.append):
            endpoints = used.setdefault(token.provider or vault.providers.default, set())
            if token.status is Status.OK and token.issuer:
                endpoints.add(token.issuer)
        due = vault.due(time.time() + _DAY, closed.append)  # by whatever clock
        if count := sum(len(row.renewal.to_revoke) for row in due):
            text = f"the provider has not confirmed {counted(count, 'revocation', 'revocations')}"
            yield _check("revocations", "warning", text, "tokenkeep sweep")
        dead = vault.iter_tokens(status=Status.LOGIN_NEEDED, on_error=closed.append)
        if count := sum(1 for _ in dead):
            text = f"{counted(count, 'token needs', 'tokens need')} a new login"
            yield _check("tokens", "warning", text, LOGIN_AGAIN)
        if not closed:
            yield _check("key", "ok", "opens the store" + (" and its tokens" if used else ""))


def _policies(vault: Vault) -> Iterator[Check]:
    """Say which policies hold, and which each process has that goes on for long."""
    ruled = vault.ruled
    if ruled.at is None:
        return
    version, is_applied = ruled.policies.version, vault.is_applied
    rules = counted(len(ruled.policies.rules), "policy", "policies")
    text = f"{rules}, version {version}, set {moment(ruled.at)} by {ruled.by}"
    text += "" if is_applied else "; the next sweep looks at each token once"
    yield _check("policies", "ok", text, None if is_applied else "tokenkeep sweep")
    for reader in vault.policy_readers():
        is_late = reader.version != version and time.time() > ruled.at + TAKEN_UP
        text = f"{reader.process} has version {reader.version}, as it said {moment(reader.at)}"
        hint = "If it still runs, start it again: it should have taken them up within a minute"
        state = "warning" if is_late else "ok"
        yield _check("policies", state, text, hint if is_late else None)


def _journal(vault: Vault, used: Used) -> Iterator[Check]:
    """Say whether answers wait that could not be saved, or read; and that more have a place."""
    if waiting := sum(1 for _ in vault.journal.entries()):
        answers = counted(waiting, "answer of the provider", "answers of the provider")
        yield _check("journal", "warning", f"{answers} not saved yet", "tokenkeep sweep")
    if any(_rotates(vault.providers, name) for name in {*used, vault.providers.default}):
        vault.journal.prepare()
    if not waiting:
        yield _check("journal", "ok", "nothing waits to be saved")


def _audit(vault: Vault) -> Iterator[Check]:
    """Say where the audit goes, and whether it can be written. Nothing if it goes nowhere."""
    where = vault.audit.describe()
    if where is None:
        return
    if missed := vault.audit.examine():
        text = f"{where}: {counted(missed, 'deed', 'deeds')} could not be written"
        yield _check("audit", "warning", text, "The next line tells; look into the log for why")
    else:
        yield _check("audit", "ok", f"goes to {where}")


def _rotates(providers: Providers, name: str) -> bool:
    with suppress(UnknownName):  # said when it is asked
        return providers.named(name).profile.rotates
    return False


def _answers(providers: Providers, name: str, issuers: set[str]) -> Iterator[Check]:
    """Say whether a provider's token endpoints answer, and whether their clocks and ours agree."""
    provider = providers.named(name)
    for issuer in sorted(issuers or filter(None, [provider.home_issuer()])):
        yield from _tried("provider", _answer(provider, issuer))


def _answer(provider: Provider, issuer: str) -> Iterator[Check]:
    reply = provider.probe(issuer)
    if reply is None:
        yield _check("provider", "ok", f"{issuer} is not asked: there is no probe")
    elif reply.status >= _SERVER_ERROR:
        text = f"{issuer} answers with an error of its own (status {reply.status})"
        hint = "Try again later; if it stays so, ask the provider"
        yield _check("provider", "warning", text, hint)
    elif abs(offset := reply.clock_offset or 0.0) > CLOCK_TOLERANCE:
        ahead = "behind" if offset > 0 else "ahead of"
        text = f"this machine's clock is {abs(offset):.0f} s {ahead} that of {issuer}"
        yield _check("clock", "warning", text, "Set it, best with NTP")
    else:
        its = "but does not say its time" if reply.clock_offset is None else "and the clocks agree"
        yield _check("provider", "ok", f"{issuer} answers, {its}")
