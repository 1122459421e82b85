"""The accounts of all data centres: users, clients, who holds which token, and what ends one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .model import ENVIRONMENTS, Access, AccessToken, Client, Grant, RefreshToken, User, new_secret

if TYPE_CHECKING:
    from .counters import Counters
    from .options import EmulatorClock, Options

CODE_LIFE = 60
"""Seconds a grant code is good for, unless its maker said otherwise."""


class Accounts:
    """
    All that the accounts servers know.

    Whoever calls it holds the emulator's lock.

    Args:
        clock: Decides what has expired.
        options: Limits, read at every step.
        counters: Told of every error and every access token of a login.
    """

    def __init__(
        self,
        clock: EmulatorClock,
        options: Options,
        counters: Counters,
    ) -> None:
        self.clock = clock
        self.options = options
        self.counters = counters
        self.users: dict[str, User] = {}
        self.clients: dict[str, Client] = {}
        self.grants: dict[str, Grant] = {}
        self.logins: list[RefreshToken] = []
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.access_tokens: dict[str, AccessToken] = {}
        self.numbers: itertools.count[int] = itertools.count(1)

    # Users and clients

    def user(self, user: User | str | None) -> User:
        """
        Find a user.

        Args:
            user: A user, its name (``email:zgid``) or its e-mail address where
                that is enough; None means the first.

        Raises:
            LookupError: There is none, or several have this address.
        """
        if user is None:
            return next(iter(self.users.values()))
        name = user.name if isinstance(user, User) else user
        found = [each for each in self.users.values() if name in (each.name, each.email)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} users are called {name!r}; say email:zgid")
        return found[0]

    def client(self, client: Client | str | None) -> Client:
        """A registered client, by itself or its id; None means the first."""
        if client is None:
            return next(iter(self.clients.values()))
        client_id = client.client_id if isinstance(client, Client) else client
        if client_id not in self.clients:
            raise LookupError(f"no client {client_id!r} is registered")
        return self.clients[client_id]

    def accepts_redirect(self, client: Client, uri: str) -> bool:
        """Tell whether *uri* is one of the client's, on any loopback port (RFC 8252, 7.3)."""
        if uri in client.redirect_uris:
            return True
        asked = urlsplit(uri)
        return (
            asked.scheme == "http"
            and asked.hostname in ("127.0.0.1", "localhost", "::1")
            and any(
                (asked.hostname, asked.path, asked.query) == (own.hostname, own.path, own.query)
                for own in map(urlsplit, client.redirect_uris)
            )
        )

    def access(
        self, user: User | str | None, client: Client | str | None, scope: str, environment: str
    ) -> Access:
        """What a user grants to a client, each of them checked."""
        if environment not in ENVIRONMENTS:
            raise ValueError(
                f"environment is one of {', '.join(ENVIRONMENTS)}, not {environment!r}"
            )
        return Access(self.user(user), self.client(client), scope, environment)

    # Making tokens

    def make_grant(self, access: Access, life: float = CODE_LIFE, **asked: object) -> Grant:
        """Make a grant code, good for *life* seconds; *asked* is what else it stands for."""
        grant = Grant(new_secret(), access, self.clock.now() + life, **asked)  # type: ignore[arg-type]
        self.grants[grant.code] = grant
        return grant

    def make_refresh_token(self, access: Access) -> RefreshToken:
        """Make a login; the oldest one too many goes, with its access tokens."""
        limit = self.options.refresh_tokens
        mine = [
            each
            for each in self.logins
            if each.status == "active" and _parties(each.access) == _parties(access)
        ]
        surplus = 0 if limit is None else max(0, len(mine) + 1 - int(limit))
        for oldest in mine[:surplus]:
            self.end(oldest, "evicted")
        login = RefreshToken(f"rt-{next(self.numbers)}", new_secret(), access)
        self.logins.append(login)
        self.refresh_tokens[login.value] = login
        return login

    def make_access_token(self, access: Access, login: RefreshToken | None = None) -> AccessToken:
        """Make an access token; of *login*'s live ones the oldest one too many goes."""
        token = AccessToken(
            new_secret(), access, self.clock.now() + self.options.access_token_life
        )
        self.access_tokens[token.value] = token
        if login is not None:
            live = [each for each in login.access_tokens if self.is_live(each)]
            live.append(token)
            limit = self.options.active_access_tokens
            surplus = 0 if limit is None else max(0, len(live) - int(limit))
            for oldest in live[:surplus]:
                oldest.active = False
            login.access_tokens = live[surplus:]
        return token

    def rotate(self, login: RefreshToken) -> None:
        """Give *login* a new refresh token, keeping the old value for recognition."""
        login.previous.append(login.value)
        login.value = new_secret()
        self.refresh_tokens[login.value] = login

    def has_consent(self, access: Access) -> bool:
        """Tell whether this user gave this client a refresh token for this environment before."""
        return any(
            (*_parties(each.access), each.access.environment)
            == (*_parties(access), access.environment)
            for each in self.logins
        )

    def logins_since(self, moment: float, access: Access) -> int:
        """Count the codes of this user and client that were exchanged since *moment*."""
        return sum(
            each.exchanged_at is not None
            and each.exchanged_at > moment
            and each.offline
            and _parties(each.access) == _parties(access)
            for each in self.grants.values()
        )

    # Ending them

    def is_live(self, token: AccessToken) -> bool:
        """Tell whether *token* works now."""
        return token.active and self.clock.now() < token.expires_at

    def end(self, login: RefreshToken, status: str = "revoked") -> None:
        """End a login and its access tokens."""
        login.status = status
        for token in login.access_tokens:
            token.active = False

    def revoke_value(self, value: str, data_center: str) -> bool:
        """
        Revoke an access or refresh token.

        Args:
            value: The token.
            data_center: Where the request came in; it knows its own tokens only.

        Returns:
            Whether there was a living one.
        """
        login, token = self.refresh_tokens.get(value), self.access_tokens.get(value)
        if login is not None and login.access.user.data_center == data_center:
            alive = login.status == "active"
            self.end(login)
            return alive
        if token is not None and token.access.user.data_center == data_center:
            alive = self.is_live(token)
            token.active = False
            return alive
        return False


def _parties(access: Access) -> tuple[User, str]:
    return access.user, access.client.client_id
