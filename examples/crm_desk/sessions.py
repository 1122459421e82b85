"""Who is at the other end: a sealed cookie with the ids of tokens, never a token."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from crm_desk.settings import Settings

LIFE = 30 * 86_400
"""How long a browser stays logged in without a visit, in seconds."""

MOST = 10
"""How many logins one browser has."""

_RENEW_AFTER = 86_400

_NO_PAGES = ("/static/", "/health", "/panel", "/favicon.ico")
"""Where no cookie is given out: a browser's first requests would each bring another one."""


@dataclass(frozen=True)
class Session:
    """
    One browser.

    Args:
        browser: Random. The answer to a login has to come back to it, and its
            forms carry a digest of it.
        token_id: The login it works with. None if it has none.
        others: Its other logins.
        before: What *browser* was before the last login: another tab may be
            in the midst of a login still. None if there was none.
    """

    browser: str
    token_id: str | None = None
    others: tuple[str, ...] = ()
    before: str | None = None

    @property
    def form_token(self) -> str:
        """
        What a form carries, and a page elsewhere can't know.

        Another one for each login: a form that was opened as one user and
        sent as another would put one's work into the other's organisation.
        """
        return hashlib.sha256(f"form {self.browser} {self.token_id}".encode()).hexdigest()

    def owns(self, form_token: object) -> bool:
        """Tell whether a form was made for this browser."""
        given = form_token if isinstance(form_token, str) else ""
        return hmac.compare_digest(given.encode(errors="replace"), self.form_token.encode())

    def logged_in(self, token_id: str) -> Session:
        """Return the session after a login: forms and cookies from before it are void."""
        new = secrets.token_urlsafe(24)
        return replace(self.using(token_id), browser=new, before=self.browser)

    def using(self, token_id: str) -> Session:
        """Return the session with another of its logins in use."""
        left = dict.fromkeys((self.token_id, *self.others))
        others = tuple(each for each in left if each and each != token_id)[: MOST - 1]
        return replace(self, token_id=token_id, others=others)

    def without(self, token_id: str | None) -> Session:
        """Return the session without one of its logins; the next one is in use then."""
        left = [each for each in (self.token_id, *self.others) if each and each != token_id]
        return replace(self, token_id=left[0] if left else None, others=tuple(left[1:]))


def stranger() -> Session:
    """Return the session of a browser that was never here."""
    return Session(browser=secrets.token_urlsafe(24))


class Sessions:
    """
    Read and write the cookie, around an application.

    A session is in ``request.state.session``; what is put there is written.

    Args:
        app: The application.
        settings: Where browsers come from.
        key: Of `session_key`.
        has_ended: Tells of a browser's random name whether it has logged out,
            or has another one: a copy of its cookie is worth nothing then.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        key: Fernet,
        has_ended: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._app = app
        self._key = key
        self._has_ended = has_ended
        port = urlsplit(settings.url).port
        # Cookies don't know ports: two desks of one machine would log each other out.
        name = "crm_desk" if port is None else f"crm_desk_{port}"
        # With this prefix no other host, nor plain http, can set it.
        self.cookie: str = f"__Host-{name}" if settings.is_secure else name
        self._attributes = f"Path=/; Max-Age={LIFE}; HttpOnly; SameSite=Lax" + (
            "; Secure" if settings.is_secure else ""
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found, is_old = None, False
        if not _is_for_nobody(scope["path"]):
            found, is_old = self._read(HTTPConnection(scope).cookies.get(self.cookie, ""))
        if found and found.token_id and await self._has_ended(found.browser):
            found, is_old = None, False
        state: dict[str, Any] = scope.setdefault("state", {})
        state["session"] = before = found or stranger()
        gives = not scope["path"].startswith(_NO_PAGES)

        async def answer(message: Message) -> None:
            session = state["session"]
            if message["type"] == "http.response.start" and (
                session != before or (gives and (found is None or is_old))
            ):
                cookie = f"{self.cookie}={self._written(session)}; {self._attributes}"
                MutableHeaders(scope=message).append("Set-Cookie", cookie)
            await send(message)

        await self._app(scope, receive, answer)

    def _read(self, cookie: str) -> tuple[Session | None, bool]:
        """Return the session of a cookie, None if it is not ours; and whether to renew it."""
        try:
            content = json.loads(self._key.decrypt(cookie, ttl=LIFE))
            age = time.time() - self._key.extract_timestamp(cookie)
            content["others"] = tuple(content["others"])
            session = Session(**content)
        except (InvalidToken, ValueError, KeyError, TypeError):
            return None, False
        return session, age > _RENEW_AFTER

    def _written(self, session: Session) -> str:
        return self._key.encrypt(json.dumps(asdict(session)).encode()).decode()


def _is_for_nobody(path: str) -> bool:
    """Tell whether what is there is the same for everybody: no cookie is looked at for it."""
    return path in ("/health", "/favicon.ico") or path.startswith("/static/")


def session_key(settings: Settings) -> Fernet:
    """
    Return the key of cookies and drafts: the configured one, else one made once for all workers.

    Raises:
        ConfigurationError: It is no key, or can't be read or made.
    """
    given = settings.session_key or _from_file(settings.folder / "session.key")
    try:
        return Fernet(given)
    except ValueError as exc:
        raise ConfigurationError(
            "The session key is none",
            hint="Make one: python -c "
            "'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'",
        ) from exc


def _from_file(path: Path) -> str:
    """Return the key in a file, which is made if there is none."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(Fernet.generate_key())
                # A link appears whole and never replaces: one worker makes it for all.
                os.link(aside, path)
            except FileExistsError:
                pass
            finally:
                aside.unlink()
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(
                f"Others can read the session key {path}",
                hint="Delete it: a new one is made, and everybody logs in again",
            )
        return path.read_text().strip()
    except OSError as exc:
        raise ConfigurationError(f"The session key {path} can't be had: {exc.strerror}") from exc
