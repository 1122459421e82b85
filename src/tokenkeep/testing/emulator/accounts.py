"""The tokens of all data centres: who holds which, and what ends them."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from .model import (
    DEFAULT_SCOPE,
    ENVIRONMENTS,
    AccessToken,
    Grant,
    RefreshToken,
    new_secret,
)

if TYPE_CHECKING:
    from .clock import EmulatorClock
    from .counters import Counters
    from .model import Client, User
    from .options import Options
    from .registry import Registry

CODE_LIFE = 60
"""Seconds a grant code is good for, unless its maker said otherwise."""


class Accounts:
    """
    Logins and their tokens.

    Every method is safe to call from any thread.

    Args:
        registry: Who may hold one.
        clock: Decides what has expired.
        options: Limits, read at every step.
        counters: Told of every token made or evicted.
    """

    def __init__(
        self,
        registry: Registry,
        clock: EmulatorClock,
        options: Options,
        counters: Counters,
    ) -> None:
        self.registry = registry
        self.clock = clock
        self.options = options
        self.counters = counters
        self.lock: threading.RLock = threading.RLock()
        self.logins: list[RefreshToken] = []
        self.consents: set[tuple[str, str, str]] = set()
        self.grants: dict[str, Grant] = {}
        self._refresh_tokens: dict[str, RefreshToken] = {}
        self._access_tokens: dict[str, AccessToken] = {}
        self._login_numbers = itertools.count(1)

    # Making tokens

    def make_grant(
        self,
        user: User,
        client: Client,
        *,
        scope: str | None = None,
        environment: str = "production",
        life: float | None = None,
        redirect_uri: str | None = None,
        offline: bool = True,
        challenge: str | None = None,
        challenge_method: str = "plain",
    ) -> Grant:
        """Make a grant code."""
        grant = Grant(
            new_secret(),
            user,
            client,
            scope or DEFAULT_SCOPE,
            _environment(environment),
            self.clock.now() + (CODE_LIFE if life is None else life),
            redirect_uri,
            offline,
            challenge,
            challenge_method,
        )
        with self.lock:
            self.grants[grant.code] = grant
        return grant

    def make_refresh_token(
        self, user: User, client: Client, scope: str | None = None, environment: str = "production"
    ) -> RefreshToken:
        """Make a login; the oldest one too many goes, with its access tokens."""
        with self.lock:
            limit = self.options.refresh_tokens
            mine = [
                each
                for each in self.logins
                if each.status == "active" and (each.user, each.client) == (user, client)
            ]
            if limit is not None and len(mine) >= limit:
                for oldest in mine[: len(mine) - int(limit) + 1]:
                    self.end(oldest, "evicted")
                    self.counters.add("evictions", "refresh_token")
            login = RefreshToken(
                f"rt-{next(self._login_numbers)}",
                new_secret(),
                user,
                client,
                scope or DEFAULT_SCOPE,
                _environment(environment),
                self.clock.now(),
            )
            self.logins.append(login)
            self._refresh_tokens[login.value] = login
            self.consents.add((user.name, client.client_id, environment))
            return login

    def make_access_token(
        self,
        user: User,
        client: Client,
        scope: str,
        environment: str,
        login: RefreshToken | None = None,
    ) -> AccessToken:
        """Make an access token; of *login*'s live ones the oldest one too many goes."""
        now = self.clock.now()
        token = AccessToken(
            new_secret(),
            user,
            client,
            scope,
            _environment(environment),
            now,
            now + self.options.access_token_life,
            login,
        )
        with self.lock:
            self._access_tokens[token.value] = token
            if login is not None:
                live = [each for each in login.access_tokens if self.is_live(each)]
                live.append(token)
                limit = self.options.active_access_tokens
                surplus = 0 if limit is None else max(0, len(live) - int(limit))
                for oldest in live[:surplus]:
                    oldest.active = False
                    self.counters.add("evictions", "access_token")
                login.access_tokens = live[surplus:]
        return token

    def rotate(self, login: RefreshToken) -> str:
        """Give *login* a new refresh token, keeping the old value for recognition."""
        with self.lock:
            login.previous.append(login.value)
            login.value = new_secret()
            self._refresh_tokens[login.value] = login
            return login.value

    # Finding and ending them

    def is_live(self, token: AccessToken) -> bool:
        """Tell whether *token* works now."""
        return token.active and self.clock.now() < token.expires_at

    def find_access_token(self, value: str) -> AccessToken | None:
        """The access token with this value, dead or alive."""
        with self.lock:
            return self._access_tokens.get(value)

    def find_refresh_token(self, value: str) -> RefreshToken | None:
        """The login that has, or had, this refresh token."""
        with self.lock:
            return self._refresh_tokens.get(value)

    def end(self, login: RefreshToken, status: str = "revoked") -> None:
        """End a login and its access tokens."""
        with self.lock:
            login.status = status
            self.kill_access_tokens(login)

    def kill_access_tokens(self, login: RefreshToken) -> None:
        """Invalidate the access tokens of *login*."""
        with self.lock:
            for token in login.access_tokens:
                token.active = False
            login.access_tokens = []

    def revoke_value(self, value: str, data_center: str, client: Client | None = None) -> bool:
        """
        Revoke an access or refresh token.

        Args:
            value: The token.
            data_center: Where the request came in; it knows its own tokens only.
            client: Its owner; None means anybody may.

        Returns:
            Whether there was a living one.
        """
        with self.lock:
            login = self._refresh_tokens.get(value)
            token = self._access_tokens.get(value)
            found = login or token
            if (
                found is None
                or found.user.data_center != data_center
                or client not in (None, found.client)
            ):
                return False
            if login is not None:
                alive = login.status == "active"
                self.end(login)
            else:
                assert token is not None  # noqa: S101 - for the type checker: found is one of two
                alive = self.is_live(token)
                token.active = False
            return alive

    def withdraw(self, user: User, client: Client | None = None) -> int:
        """End what *user* granted to *client*, or to all; return how many logins that were."""
        with self.lock:
            ended = [
                each
                for each in self.logins
                if each.status == "active" and each.user == user and client in (None, each.client)
            ]
            for login in ended:
                self.end(login)
            for token in self._access_tokens.values():
                if token.user == user and client in (None, token.client):
                    token.active = False
            return len(ended)

    def expire_access_tokens(self, user: User | None = None) -> int:
        """Let the live access tokens of *user*, or of all, expire now; return how many."""
        with self.lock:
            now = self.clock.now()
            live = [
                each
                for each in self._access_tokens.values()
                if self.is_live(each) and user in (None, each.user)
            ]
            for token in live:
                token.expires_at = now
            return len(live)


def _environment(name: str) -> str:
    if name not in ENVIRONMENTS:
        raise ValueError(f"environment is one of {', '.join(ENVIRONMENTS)}, not {name!r}")
    return name
