"""Who the emulated Zoho knows: data centres, organisations, users and clients."""

from __future__ import annotations

import itertools
import secrets
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .model import Client, OAuthError, User

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Registry:
    """
    Users and clients.

    Every method is safe to call from any thread.

    Args:
        data_centers: Their names, the first is where things go by default.
    """

    def __init__(self, data_centers: Sequence[str]) -> None:
        self.data_centers: tuple[str, ...] = tuple(data_centers)
        self.users: dict[str, User] = {}
        self.clients: dict[str, Client] = {}
        self._lock = threading.RLock()
        self._zuids = itertools.count(70_000_001)

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
        with self._lock:
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
        with self._lock:
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
        with self._lock:
            self.clients[client.client_id] = client
        return client

    def client(self, client: Client | str | None) -> Client:
        """A registered client, by itself or its id; None means the first."""
        with self._lock:
            if client is None:
                return next(iter(self.clients.values()))
            client_id = client.client_id if isinstance(client, Client) else client
            if client_id not in self.clients:
                raise LookupError(f"no client {client_id!r} is registered")
            return self.clients[client_id]

    def authenticate(self, client_id: str, secret: str | None, data_center: str) -> Client:
        """Check a client's id and secret as *data_center* knows them."""
        with self._lock:
            client = self.clients.get(client_id)
        if client is None or data_center not in client.secrets:
            raise OAuthError("invalid_client")
        if not client.public and not secrets.compare_digest(
            (secret or "").encode(), client.secrets[data_center].encode()
        ):
            raise OAuthError("invalid_client_secret")
        return client

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
