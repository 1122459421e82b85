"""Who is at the other end: a sealed cookie with the ids of tokens, never a token."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

from crm_desk.threads import Ending
from tokenkeep.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from crm_desk.ledger import Ledger
    from crm_desk.settings import Settings
    from crm_desk.threads import Threads

LIFE = 30 * 86_400
"""How long a browser stays logged in without a visit, in seconds."""

MOST = 10
"""How many logins one browser has, and how many of its earlier names it remembers."""

_RENEW_AFTER = 86_400

_FILES = ("/health", "/favicon.ico")
"""Where nobody asks who it is; nor for static files."""

_NO_PAGE = "/panel"
"""Where no cookie is given out: a browser's first requests would each bring another one."""


class CannotTell(StoreUnavailable):
    """Nobody can tell what a session is worth now."""


@dataclass(frozen=True)
class Login:
    """
    A login of a browser.

    Args:
        token_id: What its token is found by.
        owner: Whose it is, as `Account.owner`.
        since: As `Ledger.begin_login` gave it.
    """

    token_id: str
    owner: str
    since: float


@dataclass(frozen=True)
class Session:
    """
    One browser.

    Args:
        browser: Random, another one after each change of the login. The answer
            to a login has to come back to it, and its forms carry a digest of it.
        login: The one it works with. None if it never had one.
        rest: Its other logins.
        has_ended: Whether *login* has: it opens nothing then, but says whose
            is what is being typed.
        before: What *browser* was before, the latest first: other tabs may be
            in the midst of a login still.
        draft: A form that could not be sent and that no login has come back
            to, as `drafts.keep` gave it. Empty if there is none.
        is_unknown: Whether nobody can tell what it is worth now: it opens
            nothing, but its forms are its own.
    """

    browser: str
    login: Login | None = None
    rest: tuple[Login, ...] = ()
    has_ended: bool = False
    before: tuple[str, ...] = ()
    draft: str = ""
    is_unknown: bool = False

    @property
    def token_id(self) -> str | None:
        """The id of the login it works with. None if it has none."""
        return None if self.is_unknown else self._in_use

    @property
    def _in_use(self) -> str | None:
        return None if self.login is None or self.has_ended else self.login.token_id

    @property
    def others(self) -> tuple[str, ...]:
        """The ids of its other logins. None of them if nobody can tell what it is worth."""
        return () if self.is_unknown else tuple(each.token_id for each in self.rest)

    @property
    def owner(self) -> str:
        """Whose is what is typed, also after the login has ended. Empty if nobody's."""
        return self.login.owner if self.login else ""

    @property
    def form_token(self) -> str:
        """
        What a form carries, and a page elsewhere can't know.

        Another one for each login: a form that was opened as one user and
        sent as another would put one's work into the other's organisation.
        """
        return hashlib.sha256(f"form {self.browser} {self._in_use}".encode()).hexdigest()

    def owns(self, form_token: object) -> bool:
        """Tell whether a form was made for this browser."""
        given = form_token if isinstance(form_token, str) else ""
        return hmac.compare_digest(given.encode(errors="replace"), self.form_token.encode())

    def logged_in(self, login: Login) -> Session:
        """
        Return the session with a login in use, a new one or another of its own.

        It has another name: to be done only by whoever has ended this one,
        by `Ledger.end`. Forms and cookies from before are void then.
        """
        mine = () if self.has_ended or self.login is None else (self.login,)
        rest = tuple(each for each in (*mine, *self.rest) if each.token_id != login.token_id)
        return replace(
            self,
            browser=secrets.token_urlsafe(24),
            login=login,
            rest=rest[: MOST - 1],
            has_ended=False,
            before=(self.browser, *self.before)[:MOST],
        )

    def without(self, token_id: str) -> Session:
        """Return the session without one of its logins; the next one is in use then."""
        rest = tuple(each for each in self.rest if each.token_id != token_id)
        if self.token_id != token_id:
            return replace(self, rest=rest)
        if not rest:
            return replace(self, has_ended=True)
        return replace(self, login=rest[0], rest=rest[1:])


def stranger() -> Session:
    """Return the session of a browser that was never here."""
    return Session(browser=secrets.token_urlsafe(24))


class Sessions:
    """
    Read and write the cookie, around an application.

    A session is in ``request.state.session``; what is put there is written,
    unless its name has ended meanwhile: the browser has a newer one then.
    ``request.state.is_stranger`` tells whether it has brought none of ours.

    Args:
        app: The application.
        settings: Where browsers come from.
        key: Of `session_key`.
        ledger: Has the last word on which names and logins have ended.
        threads: Where it is asked.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, key: Fernet, ledger: Ledger, threads: Threads
    ) -> None:
        self._app = app
        self._key = key
        self._ledger = ledger
        self._threads = threads
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
        state: dict[str, Any] = scope.setdefault("state", {})
        if scope["path"] in _FILES or scope["path"].startswith("/static/"):
            state["session"] = stranger()
            await self._app(scope, receive, send)
            return
        found, is_old = self._read(HTTPConnection(scope).cookies.get(self.cookie, ""))
        try:
            session = await self._threads.note(partial(self._now, found)) if found else stranger()
        except (StoreUnavailable, Ending):
            session = replace(found or stranger(), is_unknown=True)
        state["session"] = session
        state["is_stranger"] = found is None
        # As the browser has it. What has ended is written as well, on its way out.
        before = replace(found or session, is_unknown=session.is_unknown)
        gives = is_old if found else scope["path"] != _NO_PAGE

        async def answer(message: Message) -> None:
            session = state["session"]
            if (
                message["type"] == "http.response.start"
                and (gives or session != before)
                and await self._is_newest(session, found)
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
            login = content.pop("login")
            session = Session(
                login=Login(**login) if login else None,
                rest=tuple(Login(**each) for each in content.pop("rest")),
                before=tuple(content.pop("before")),
                **content,
            )
        except (InvalidToken, ValueError, KeyError, TypeError):
            return None, False
        return session, age > _RENEW_AFTER

    def _now(self, session: Session) -> Session:
        """
        Return what a session is worth now.

        Raises:
            StoreUnavailable: That can't be told.
        """
        if self._ledger.has_ended(session.browser, session.before):
            # A name is left, so that its forms work: it may log in.
            return Session(session.browser, draft=session.draft)
        over = {
            each.token_id
            for each in (session.login, *session.rest)
            if each and each.since < self._ledger.login_since(each.token_id)
        }
        rest = tuple(each for each in session.rest if each.token_id not in over)
        # Not the next one: a page would show the leads of somebody else without being asked to.
        return replace(session, rest=rest, has_ended=session.has_ended or session.token_id in over)

    async def _is_newest(self, session: Session, found: Session | None) -> bool:
        """Tell whether the browser can't have got a newer cookie since it sent this one."""
        if found is None or session.browser != found.browser:
            return True
        try:
            ended = await self._threads.note(partial(self._ledger.has_ended, session.browser))
        except (StoreUnavailable, Ending):
            return False
        return not ended

    def _written(self, session: Session) -> str:
        content = asdict(session)
        del content["is_unknown"]
        return self._key.encrypt(json.dumps(content).encode()).decode()


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
