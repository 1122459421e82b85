"""The state behind the accounts servers of all data centres: who holds which token."""

from __future__ import annotations

import itertools
import secrets
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .model import (
    DEFAULT_SCOPE,
    ENVIRONMENTS,
    AccessToken,
    Client,
    Grant,
    OAuthError,
    RefreshToken,
    User,
    new_secret,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .clock import EmulatorClock
    from .counters import Counters
    from .options import Options


class Accounts:
    """
    Users, clients and tokens.

    Every method is safe to call from any thread.

    Args:
        data_centers: Their names, the first is where things go by default.
        clock: Decides what has expired.
        options: Limits, read at every step.
        counters: Told of every token made or evicted.
    """

    def __init__(
        self,
        data_centers: Sequence[str],
        clock: EmulatorClock,
        options: Options,
        counters: Counters,
    ) -> None:
        self.data_centers = tuple(data_centers)
        self.clock = clock
        self.options = options
        self.counters = counters
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.clients: dict[str, Client] = {}
        self.logins: list[RefreshToken] = []
        self.consents: set[tuple[str, str, str]] = set()
        self.grants: dict[str, Grant] = {}
        self._refresh_tokens: dict[str, RefreshToken] = {}
        self._access_tokens: dict[str, AccessToken] = {}
        self._zuids = itertools.count(70_000_001)
        self._login_numbers = itertools.count(1)

    # Users and clients

    def default_zgid(self, data_center: str) -> str:
        """The organisation that users of *data_center* belong to unless told otherwise."""
        return str(6_000_001 + self.data_centers.index(data_center))

    def add_user(
        self,
        email: str,
        *,
        data_center: str | None = None,
        zgid: str | None = None,
        first_name: str = "Ana",
        last_name: str = "Example",
    ) -> User:
        """Add a person to an organisation; one who is there already is handed back."""
        home = self.data_center(data_center)
        zgid = zgid or self.default_zgid(home)
        with self.lock:
            for other in self.users.values():
                if other.zgid == zgid and other.data_center != home:
                    raise ValueError(f"organisation {zgid} lives in {other.data_center!r}")
            zuid = str(next(self._zuids))
            user = User(email, zgid, home, zuid, first_name, last_name)
            return self.users.setdefault(user.name, user)

    def user(self, user: User | str | None) -> User:
        """
        Find a user.

        Args:
            user: A user, its name (``email:zgid``) or its e-mail address where
                that is enough; None means the first.

        Raises:
            LookupError: There is none, or several have this address.
        """
        with self.lock:
            if user is None:
                return next(iter(self.users.values()))
            name = user.name if isinstance(user, User) else user
            found = [each for each in self.users.values() if name in (each.name, each.email)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} users are called {name!r}; say email:zgid")
        return found[0]

    def data_center(self, name: str | None) -> str:
        """Check the name of a data centre; None means the first."""
        if name is None:
            return self.data_centers[0]
        if name not in self.data_centers:
            raise ValueError(f"data centre is one of {', '.join(self.data_centers)}, not {name!r}")
        return name

    def register_client(
        self,
        name: str = "Example application",
        *,
        redirect_uris: Iterable[str] = ("http://127.0.0.1/callback",),
        data_centers: Iterable[str] | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        secrets_by_data_center: Mapping[str, str] | None = None,
        public: bool = False,
    ) -> Client:
        """Register an application; see :meth:`ZohoEmulator.register_client`."""
        enabled = [self.data_center(each) for each in data_centers or self.data_centers]
        secret = client_secret or secrets.token_hex(21)
        own = dict(secrets_by_data_center or {})
        client = Client(
            client_id or "1000." + secrets.token_hex(15).upper(),
            name,
            enabled[0],
            tuple(redirect_uris),
            {each: own.get(each, secret) for each in enabled},
            public,
        )
        with self.lock:
            self.clients[client.client_id] = client
        return client

    def client(self, client: Client | str | None) -> Client:
        """A registered client, by itself or its id; None means the first."""
        with self.lock:
            if client is None:
                return next(iter(self.clients.values()))
            client_id = client.client_id if isinstance(client, Client) else client
            if client_id not in self.clients:
                raise LookupError(f"no client {client_id!r} is registered")
            return self.clients[client_id]

    def authenticate(self, client_id: str, secret: str | None, data_center: str) -> Client:
        """Check a client's id and secret as *data_center* knows them."""
        with self.lock:
            client = self.clients.get(client_id)
        if client is None or data_center not in client.secrets:
            raise OAuthError("invalid_client")
        if not client.public and not secrets.compare_digest(
            (secret or "").encode(), client.secrets[data_center].encode()
        ):
            raise OAuthError("invalid_client_secret")
        return client

    def accepts_redirect(self, client: Client, uri: str) -> bool:
        """Tell whether *uri* is one of the client's, on any loopback port if so optioned."""
        if uri in client.redirect_uris:
            return True
        asked = urlsplit(uri)
        return (
            self.options.loopback_any_port
            and asked.scheme == "http"
            and asked.hostname in ("127.0.0.1", "localhost", "::1")
            and any(
                (asked.hostname, asked.path, asked.query) == (own.hostname, own.path, own.query)
                for own in map(urlsplit, client.redirect_uris)
            )
        )

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
            self.clock.now() + (self.options.code_life if life is None else life),
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
                if self.options.refresh_token_limit_is_error:
                    raise OAuthError("access_denied", "maximum number of refresh tokens reached")
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
