"""What can be wrong between a store, its keys and its provider; nothing is made or changed."""

from __future__ import annotations

import math
import os
import stat
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tokenkeep import clock, folders, keys
from tokenkeep.backends import file_of
from tokenkeep.backends.urls import scheme_of
from tokenkeep.cli import output
from tokenkeep.cli.description import refresh_end
from tokenkeep.cli.failures import together
from tokenkeep.cli.session import exists
from tokenkeep.cli.tokens import named, why_unconfirmed
from tokenkeep.clock import CLOCK_TOLERANCE
from tokenkeep.config import open_store, settings
from tokenkeep.errors import ConfigurationError, KeyUnsafe, TokenKeepError
from tokenkeep.login import PROVIDER
from tokenkeep.records import EVER
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tokenkeep.backends import Backend
    from tokenkeep.providers import Provider, Providers
    from tokenkeep.token import Token
    from tokenkeep.vault import Vault

_SAMPLE = 3
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Check:
    """
    What was looked at, and what is to be done about it.

    Args:
        name: What was looked at.
        state: ``ok``, ``warning`` or ``failed``.
        text: What was seen.
        hint: What to do. None if there is nothing to do.
    """

    name: str
    state: Literal["ok", "warning", "failed"]
    text: str
    hint: str | None = None


@dataclass
class Contents:
    """
    What is in a store.

    Args:
        dead: How many tokens need a new login.
        ending: How many logins end soon by themselves, or have ended.
        next_end: When the first of them ends, in epoch seconds, and whose it is.
        unconfirmed: How many revocations the provider has not confirmed, by why it can't be
            asked: what is wrong, and what to do.
        logins: Whose logins are missing or end, by the provider's name.
        providers: Those of the tokens that were looked at, by name.
        endpoints: Those of the tokens in use that were looked at, each with its provider's name.
    """

    dead: int = 0
    ending: int = 0
    next_end: tuple[float, str] = (math.inf, "")
    unconfirmed: Counter[tuple[str, str]] = field(default_factory=Counter)
    logins: set[str] = field(default_factory=set)
    providers: set[str] = field(default_factory=set)
    endpoints: set[tuple[str, str]] = field(default_factory=set)


def examine(url: str | None, environ: Mapping[str, str]) -> Iterator[Check]:
    """
    Yield what there is to say, one thing after the other.

    Args:
        url: Of the store. None means the configured one.
        environ: The environment.
    """
    try:
        configured = settings(environ, store=url)
        where = configured.store
        path, state = file_of(where), folders.state(environ)
        providers = configured.providers()
    except TokenKeepError as exc:
        yield _failed("configuration", exc)
        return
    yield Check("configuration", "ok", f"a {scheme_of(where)} store")
    # Before it is opened: opening takes away what rights others have.
    yield from check_modes(path, state, environ)
    contents = Contents()
    if not exists(where):
        yield Check("store", "ok", f"nothing yet: {path} is made with the first token")
    else:
        yield from check_store(where, environ, contents)
    yield from check_providers(providers, contents)


def check_modes(
    store: Path | None, state: Path | None, environ: Mapping[str, str]
) -> Iterator[Check]:
    """Yield whether others can read what is for the owner alone."""
    paths = [state / "journal"] if state else []
    if store is not None:
        names = ("", "-wal", "-shm", ".journal")
        paths = [store.with_name(store.name + name) for name in names]
    seen = []
    for path in paths:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # not there, or not ours to see: opening it says more
        seen.append(path.name)
        if os.name == "posix" and mode & _OTHERS:
            yield Check(
                "modes",
                "failed",
                f"others have rights to {path} (mode {mode:o})",
                f"chmod go= {path}",
            )
            return
    try:
        keys.load(environ)
    except KeyUnsafe as exc:
        yield _failed("modes", exc)
        return
    except TokenKeepError:
        pass  # opening the store says it
    yield Check("modes", "ok", f"for the owner alone: {', '.join(seen) or 'nothing yet'}")


def check_store(url: str, environ: Mapping[str, str], contents: Contents) -> Iterator[Check]:
    """Yield whether a store opens with the keys at hand; fill in what is in it."""
    try:
        vault = open_store(url, environ=environ)
    except TokenKeepError as exc:
        yield _failed("key" if "Key" in type(exc).__name__ else "store", exc)
        return
    try:
        yield Check("store", "ok", vault.describe())
        yield from check_server(vault.backend)
        yield check_contents(vault, contents)
        yield check_journal(vault, contents)
    finally:
        vault.close()
    for (why, hint), count in contents.unconfirmed.items():
        text = f"the provider has not confirmed {count}{why}"
        yield Check("revocations", "warning", text, hint)
    if contents.ending:
        end, whose = contents.next_end
        text = (
            f"{output.counted(contents.ending, 'login ends', 'logins end')} soon by itself, or "
            f"has ended; the first is {whose}: {clock.moment(end)}"
        )
        yield Check("logins", "warning", text, _login(contents.logins))
    if contents.dead:
        text = f"{output.counted(contents.dead, 'token needs', 'tokens need')} a new login"
        yield Check("tokens", "warning", text, _login(contents.logins))


def check_server(backend: Backend) -> Iterator[Check]:
    """Yield what about the server may lose tokens, if there is one that can be asked."""
    try:
        risks = backend.risks()
    except TokenKeepError as exc:
        yield _failed("server", exc)
        return
    if risks == []:
        yield Check("server", "ok", "it keeps what it is given")
    for risk in risks or ():
        yield Check("server", "warning", risk.text, risk.hint)


def check_contents(vault: Vault, contents: Contents) -> Check:
    """Say whether tokens open, of which a few are looked at; and count those that matter."""
    closed: list[TokenKeepError] = []
    if not vault.is_made:
        return Check("key", "ok", "used with the first token, and made if there is none")
    try:
        sample = vault.begin_with("", _SAMPLE, closed.append)
        for token in sample:
            contents.providers.add(_named_in(vault, token))
            if token.status is Status.OK and token.issuer:
                contents.endpoints.add((_named_in(vault, token), token.issuer))
        _count(vault, contents, closed.append)
    except TokenKeepError as exc:
        return _failed("key", exc)
    if closed:
        return _failed("key", together(closed))
    return Check("key", "ok", "opens the store" + (" and its tokens" if sample else ""))


def _count(vault: Vault, contents: Contents, note: Callable[[TokenKeepError], None]) -> None:
    for token in vault.iter_tokens(status=Status.LOGIN_NEEDED, on_error=note):
        contents.dead += 1
        contents.logins.add(_named_in(vault, token))
    for token in vault.ending(time.time(), note):
        contents.ending += 1
        contents.logins.add(_named_in(vault, token))
        end = refresh_end(token) or 0.0
        contents.next_end = min(contents.next_end, (end, named(token)))
    for row in vault.due(EVER, note):
        if row.renewal.to_revoke:
            why = why_unconfirmed(vault.providers, row)
            said = (f": {why.what}", why.hint or "") if why else ("", "tokenkeep sweep")
            contents.unconfirmed[said] += len(row.renewal.to_revoke)


def _named_in(vault: Vault, token: Token) -> str:
    return token.provider or vault.providers.default


def check_journal(vault: Vault, contents: Contents) -> Check:
    """Say whether answers wait that could not be saved, or not even read; or could not wait."""
    try:
        waiting = list(vault.journal.entries())
    except TokenKeepError as exc:
        return _failed("journal", exc)
    unread = [entry for entry in waiting if entry.unread is not None]
    if unread:
        text = (
            f"{_answers(unread)} can't be read, of {unread[0].provider} "
            f"for {unread[0].user or unread[0].token_id}"
        )
        hint = "Teach it to read them (docs/providers.md, read_answer), then: tokenkeep sweep"
        return Check("journal", "warning", text, hint)
    if waiting:
        text = f"{_answers(waiting)} not saved yet"
        return Check("journal", "warning", text, "tokenkeep sweep")
    rotating = _rotating(vault.providers, contents)
    if rotating and vault.is_made:
        try:
            vault.journal.expect_room()
        except TokenKeepError as exc:
            text = f"no token of {', '.join(rotating)} can be renewed: {exc.what}"
            return Check("journal", "warning", text, exc.hint)
    return Check("journal", "ok", "nothing waits to be saved")


def _answers(entries: list[Any]) -> str:
    return output.counted(len(entries), "answer of the provider", "answers of the provider")


def check_providers(providers: Providers, contents: Contents) -> Iterator[Check]:
    """Yield whether the providers of those tokens are known, and answer; else the default one."""
    for name in _used(providers, contents):
        try:
            providers.named(name)
        except TokenKeepError as exc:
            yield _failed("provider", exc)
            contents.endpoints = {each for each in contents.endpoints if each[0] != name}
    home = None
    if not contents.providers:
        home = providers.named(providers.default).home_issuer()
    endpoints = contents.endpoints or ({(providers.default, home)} if home else set())
    for name, issuer in sorted(endpoints):
        yield check_provider(providers.named(name), issuer)


def check_provider(provider: Provider, issuer: str) -> Check:
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
    if offset is None:
        return Check("provider", "ok", f"{issuer} answers, but does not say its time")
    if abs(offset) > CLOCK_TOLERANCE:
        ahead = "behind" if offset > 0 else "ahead of"
        text = f"this machine's clock is {abs(offset):.0f} s {ahead} that of {issuer}"
        return Check("clock", "warning", text, "Set it, best with NTP")
    return Check("provider", "ok", f"{issuer} answers, and the clocks agree")


def _used(providers: Providers, contents: Contents) -> list[str]:
    return sorted({*contents.providers, *contents.logins, providers.default})


def _rotating(providers: Providers, contents: Contents) -> list[str]:
    found = []
    for name in _used(providers, contents):
        with suppress(TokenKeepError):  # one that is not there is told elsewhere
            if providers.named(name).profile.rotates:
                found.append(name)
    return found


def _login(providers: set[str]) -> str:
    """Return how people log in again at these providers; the command is for Zoho's alone."""
    others = sorted(providers - {PROVIDER})
    if not others:
        return "tokenkeep login"
    at_zoho = "; at Zoho with: tokenkeep login" if PROVIDER in providers else ""
    return f"Let them log in again at {', '.join(others)}{at_zoho}"


def _failed(name: str, exc: TokenKeepError, hint: str | None = None) -> Check:
    about = f" (token {exc.token_id})" if exc.token_id else ""
    return Check(name, "failed", f"{exc.what}{about}", exc.hint or hint)
