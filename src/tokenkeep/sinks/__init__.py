"""Whom to tell outside of deaths, recoveries and outages, and the link to log in again."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import ConfigurationError, RenewalError
from tokenkeep.providers.checks import expect
from tokenkeep.sinks.signature import verify_signature

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from tokenkeep.errors import TokenKeepError
    from tokenkeep.token import Token

__all__ = ["Notices", "verify_signature"]

_PLACEHOLDERS = ("user", "token_id", "provider")


class Sink(Protocol):
    """Somebody to tell."""

    def tell(self, facts: Mapping[str, object], now: float) -> str | None:
        """Tell facts at a time, in epoch seconds. Return None if they were taken, else why not."""

    def look(self) -> str:
        """Return what can be seen of it without telling it anything; raise what is wrong."""


class Notices:
    """
    Whom to tell: a command, a webhook, both or nobody.

    Args:
        command: A program and its arguments; the facts are in its environment. None for none.
        webhook: A URL that facts are posted to as JSON, signed. None for none.
        webhook_secret: What it is signed with (`verify_signature`).
        allow_private: Whether the webhook may be at an address that is not public.
        login_link: Where a user logs in again: a URL with ``{user}``, ``{token_id}`` or
            ``{provider}`` in it. None if there is none to tell.

    Raises:
        ConfigurationError: One of them is not what it has to be; it says which.
    """

    @without_frames
    def __init__(
        self,
        *,
        command: Sequence[str] | None = None,
        webhook: str | None = None,
        webhook_secret: str | None = None,
        allow_private: bool = False,
        login_link: str | None = None,
    ) -> None:
        expect("allow_private", allow_private, "true or false", so=isinstance(allow_private, bool))
        if webhook is None and webhook_secret is not None:
            raise ConfigurationError("There is a webhook_secret, and no webhook")
        self._sinks: dict[str, Sink] = {}
        if command is not None:
            from tokenkeep.sinks.command import Command

            self._sinks["command"] = Command(command)
        if webhook is not None:
            from tokenkeep.sinks.webhook import Webhook

            self._sinks["webhook"] = Webhook(webhook, webhook_secret, allow_private=allow_private)
        self._login_link = None if login_link is None else _template(login_link)

    def __bool__(self) -> bool:
        return bool(self._sinks)

    def __repr__(self) -> str:
        return f"<Notices {', '.join(self._sinks) or 'to nobody'}>"

    @property
    def names(self) -> frozenset[str]:
        """Who is told: ``command``, ``webhook``."""
        return frozenset(self._sinks)

    def login_link(self, token: Token) -> str | None:
        """Return the link at which a token's user logs in again. None if no template is given."""
        if self._login_link is None:
            return None
        known = {"user": token.user, "token_id": token.id, "provider": token.provider}
        quoted = {
            name: quote(value or "", safe="", errors="replace") for name, value in known.items()
        }
        return self._login_link.format_map(quoted)

    def tell(
        self, facts: Mapping[str, object], now: float, *, told: Collection[str] = ()
    ) -> dict[str, str | None]:
        """
        Tell all, but those that were *told* before.

        Returns:
            For each by its name None if it has taken it, else why not, without a secret.
        """
        return {
            name: _why_not(sink, facts, now)
            for name, sink in self._sinks.items()
            if name not in told
        }

    def look(self) -> Iterator[str | TokenKeepError]:
        """Yield what can be seen of each without telling it anything, or what is wrong with it."""
        for name, sink in self._sinks.items():
            try:
                yield f"{name}: {sink.look()}"
            except (ConfigurationError, RenewalError) as exc:
                yield exc


def expect_notices(given: object) -> None:
    """Raise `TypeError` for what is neither `Notices` nor None."""
    if not isinstance(given, Notices | None):
        wrong = type(given).__name__
        raise TypeError(f'notices has to be tokenkeep.Notices(command=["…"]), not a {wrong}')


def _why_not(sink: Sink, facts: Mapping[str, object], now: float) -> str | None:
    try:
        return sink.tell(facts, now)
    except ConfigurationError as exc:
        return exc.what


def _template(given: object) -> str:
    """Return the template of a link, once it was filled in for nobody."""
    known = ", ".join(f"{{{each}}}" for each in _PLACEHOLDERS)
    so = (
        isinstance(given, str)
        and given.isprintable()
        and given.startswith(("https://", "http://"))
    )
    expect("login_link", given, "a URL", so=so)
    text = str(given)
    try:
        named = [each for each in Formatter().parse(text) if each[1] is not None]
    except ValueError:
        raise ConfigurationError(
            "login_link has a brace that is left open", hint=f"Known are {known}"
        ) from None
    for _, name, form, conversion in named:
        if name not in _PLACEHOLDERS or form or conversion:
            raise ConfigurationError(
                f"login_link has an unknown placeholder {{{name}}}", hint=f"Known are {known}"
            )
    return text
