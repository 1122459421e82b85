"""The emulator as tests hold it: start and stop, and everything the provider can do."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from .accounts import (
    CODE_LIFE,
    ENVIRONMENTS,
    Access,
    AccessToken,
    Accounts,
    Client,
    DataCenterEmulator,
    RefreshToken,
    User,
)
from .calls import CRM, Call, Faults
from .consent import ConsentPage
from .control import PREFIX, operated
from .crm import Crm
from .server import HOST, Answer, BackgroundServer, Refused, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .calls import Counters
    from .control import EmulatorControl
    from .options import EmulatorClock, Options
    from .server import Request


class ZohoEmulator:
    """
    Zoho's accounts servers and CRM on loopback ports of this machine.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`.

    Where a user is asked for, it is one, its name (``email:zgid``) or an e-mail
    address where that is enough; None means the first.

    Args:
        data_centers: Their names; the first is the default everywhere.
        port: The first port; the others follow, four for each data centre
            (accounts, production, sandbox, developer). None means free ones.
        redirect_uris: Of the first client, beside ``http://127.0.0.1/callback``.

    Attributes:
        data_centers: Their names.
        options: Limits and behaviours, assignable at any time.
        faults: Trouble on request.
        counters: What has been asked.
        clock: The emulator's time.
    """

    def __init__(
        self,
        data_centers: Sequence[str] = ("us",),
        *,
        port: int | None = None,
        redirect_uris: Iterable[str] = (),
    ) -> None:
        if isinstance(data_centers, str) or not data_centers:
            raise ValueError("data_centers is a sequence of names, such as ('us', 'eu')")
        self.data_centers: tuple[str, ...] = tuple(data_centers)
        self._accounts = Accounts(self._url)
        self.clock: EmulatorClock = self._accounts.clock
        self.options: Options = self._accounts.options
        self.counters: Counters = self._accounts.counters
        self.faults: Faults = Faults()
        sites = [Site(each, place) for each in data_centers for place in (None, *ENVIRONMENTS)]
        self._ports = {site: port + number if port else 0 for number, site in enumerate(sites)}
        self._server = BackgroundServer(self._ports, self._answer)
        # Whatever reads or changes what the provider knows holds it, a request as a whole.
        self._lock = threading.RLock()
        self._endpoints = {
            "/oauth/v2/auth": ("auth", ConsentPage(self._accounts, self._url).answer),
            "/oauth/v2/token": ("token", self._accounts.token),
            "/oauth/v2/token/revoke": ("revoke", self._accounts.revoke),
        }
        self._crm = Crm(self._accounts)
        self.register_client(redirect_uris=("http://127.0.0.1/callback", *redirect_uris))
        for name in data_centers:
            self.add_user(f"user@{name}.example.com", data_center=name)

    def start(self) -> Self:
        """Start serving; OSError if a port is taken."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop serving; connections are cut."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Where things are

    @property
    def control_url(self) -> str:
        """What :class:`EmulatorControl` in another process needs."""
        return self._url(self.data_centers[0])

    def __getitem__(self, name: str) -> DataCenterEmulator:
        """A data centre by name; KeyError if there is none, RuntimeError before the start."""
        if name not in self.data_centers:
            raise KeyError(name)
        accounts = self._url(name)
        endpoints = (f"{accounts}{path}" for path in self._endpoints)
        places = (self._url(name, each) for each in ENVIRONMENTS)
        return DataCenterEmulator(name, accounts, *endpoints, *places)

    def __getattr__(self, name: str) -> DataCenterEmulator:
        """``zoho.us`` is ``zoho["us"]``."""
        if not name.startswith("_") and name in self.data_centers:
            return self[name]
        raise AttributeError(name)

    # People and applications

    @property
    def client(self) -> Client:
        """The client that is registered from the start."""
        return next(iter(self._accounts.clients.values()))

    @property
    def user(self) -> User:
        """The user who is there from the start, in the first data centre."""
        return self._accounts.user(None)

    @property
    def users(self) -> list[User]:
        """Everybody."""
        return list(self._accounts.users.values())

    def add_user(
        self,
        email: str,
        *,
        data_center: str | None = None,
        zgid: str | None = None,
    ) -> User:
        """
        Add a person to an organisation; one who is there already is handed back.

        Args:
            email: May be the same in several organisations.
            data_center: Where the organisation lives; None means the first.
            zgid: The organisation; None means the data centre's default one.

        Raises:
            ValueError: There is no such data centre.
        """
        home = self.data_centers[0] if data_center is None else data_center
        if home not in self.data_centers:
            raise ValueError(f"data centre is one of {', '.join(self.data_centers)}, not {home!r}")
        zgid = zgid or str(6_000_001 + self.data_centers.index(home))
        user = User(email, zgid, home)
        return self._accounts.users.setdefault(user.name, user)

    def register_client(
        self,
        name: str = "Example application",
        *,
        redirect_uris: Iterable[str] = ("http://127.0.0.1/callback",),
    ) -> Client:
        """
        Register an application, as in Zoho's API console.

        Its *name* is shown on the consent page; *redirect_uris* are where people may be
        sent back to.
        """
        client_id = f"1000.{secrets.token_hex(15).upper()}"
        client = Client(client_id, secrets.token_hex(21), name, tuple(redirect_uris))
        self._accounts.clients[client_id] = client
        return client

    # Codes and tokens of the first client without the dance; they count as no call

    def grant_code(
        self,
        user: User | str | None = None,
        *,
        environment: str = "production",
        life: float = CODE_LIFE,
    ) -> str:
        """
        Make a grant code for the first client, as a self client does in the API console.

        Args:
            user: Whose.
            environment: ``"production"``, ``"sandbox"`` or ``"developer"``.
            life: Seconds.
        """
        with self._lock:
            return self._accounts.make_grant(self._access(user, environment), life)

    def refresh_token(
        self, user: User | str | None = None, *, environment: str = "production"
    ) -> str:
        """Make a refresh token for the first client; arguments as for :meth:`grant_code`."""
        with self._lock:
            access = self._access(user, environment)
            return self._accounts.make_refresh_token(access).value

    def access_token(
        self, user: User | str | None = None, *, refresh_token: str | None = None
    ) -> str:
        """
        Make an access token of *refresh_token*.

        None means of none, but of *user* in production.
        """
        with self._lock:
            login = None if refresh_token is None else self._login(refresh_token)
            access = login.access if login else self._access(user, "production")
            return self._accounts.make_access_token(access, login).value

    def id_of(self, refresh_token: str) -> str:
        """The id under which :meth:`state` lists a refresh token."""
        return self._login(refresh_token).id

    def is_active(self, token: str) -> bool:
        """Tell whether an access or refresh token works now."""
        found = self._accounts.tokens.get(token)
        return found is not None and found.value == token and self._accounts.is_live(found)

    def secrets(self) -> list[str]:
        """Every code, token and client secret there ever was: what must be in no log of yours."""
        known = self._accounts
        clients = (each.client_secret for each in known.clients.values())
        return [*clients, *known.grants, *known.tokens]

    def records(
        self, user: User | str | None = None, *, environment: str = "production"
    ) -> dict[str, dict[str, Any]]:
        """The leads that *user* sees, by id: the live table, not a copy."""
        with self._lock:
            return self._crm.table(self._accounts.user(user), environment)

    def add_lead(self, user: User | str | None = None, **fields: Any) -> str:
        """Add a lead to *user*'s organisation, and return its id; *fields* by their API names."""
        with self._lock:
            return self._crm.create(self.records(user), fields)

    # What happens at the provider

    def expire_access_tokens(self, user: User | str | None = None) -> None:
        """Let access tokens end now, of one user or of all."""
        self._end(AccessToken, user and self._accounts.user(user))

    def revoke(self, user: User | str | None = None) -> None:
        """Withdraw consent to all applications, as the person does under "Connected apps"."""
        whose = self._accounts.user(user)
        self._end(RefreshToken, whose)
        self._end(AccessToken, whose)

    def state(self) -> dict[str, Any]:
        """Addresses and logins, without the values of tokens."""
        logins = [
            {
                "id": each.id,
                "user": each.access.user.name,
                "status": "active" if self._accounts.is_live(each) else "revoked",
            }
            for each in self._accounts.logins
        ]
        return {"data_centers": {each: self[each] for each in self.data_centers}, "logins": logins}

    def _access(self, user: User | str | None, environment: str) -> Access:
        return Access(self._accounts.user(user), self.client, environment)

    def _login(self, refresh_token: str) -> RefreshToken:
        login = self._accounts.tokens.get(refresh_token)
        if isinstance(login, RefreshToken):
            return login
        raise LookupError("there is no such refresh token here")

    def _end(self, kind: type[AccessToken], user: User | str | None) -> None:
        """End the tokens of a kind, of one user or of all."""
        with self._lock:
            for each in self._accounts.tokens.values():
                if type(each) is kind and user in (None, each.access.user):
                    self._accounts.end(each)

    # Requests

    def _url(self, data_center: str, environment: str | None = None) -> str:
        port = self._ports[Site(data_center, environment)]
        if not port:
            raise RuntimeError("the emulator has no addresses before it is started")
        return f"http://{HOST}:{port}"

    async def _answer(self, request: Request) -> Answer | None:
        """Count a request and answer it, unless it meets a fault."""
        if request.site.environment is not None:
            [_, _, _, place, *_] = [*request.path.split("/"), "", "", ""]
            endpoint = place if place in CRM else "records"
            answer = self._crm.answer
        elif request.path in self._endpoints:
            endpoint, answer = self._endpoints[request.path]
        elif request.path.startswith(PREFIX):
            return operated(self, request)
        else:
            return Answer(404)

        def right(request: Request) -> Answer:
            try:
                with self._lock:
                    return answer(request)
            except Refused as refused:
                self.counters.errors[refused.error] += 1
                return refused.answer

        call = Call(endpoint, request.form.get("grant_type"), request.site.data_center)
        self.counters.add_call(call)
        fault = self.faults.take(call)
        return await fault.met(request, right) if fault else right(request)


def serve(zoho: ZohoEmulator, ready: Callable[[ZohoEmulator], None] | None = None) -> None:
    """
    Run an emulator until it is interrupted, as by Ctrl-C; print nothing.

    Args:
        zoho: What to run, not started yet.
        ready: Called with it once it answers: for the addresses and client
            credentials that a person wants to see. None means nobody does.

    Raises:
        OSError: A port is taken.
    """
    with zoho, suppress(KeyboardInterrupt):
        if ready is not None:
            ready(zoho)
        while True:
            time.sleep(1)


def emulator_configuration(zoho: ZohoEmulator | EmulatorControl) -> str:
    """
    Return a configuration file (TOML) in which the emulator takes the place of Zoho.

    Args:
        zoho: A running emulator, of this process or another one.
    """
    lines = ["# Zoho's data centres as the emulator has them."]
    for name, center in zoho.state()["data_centers"].items():
        lines += [
            f"\n[zoho.data_centers.{name}]",
            f'accounts = "{center.accounts_url}"',
            f'production = "{center.api_url}"',
            f'sandbox = "{center.sandbox_url}"',
            f'developer = "{center.developer_url}"',
            "aliases = []",
        ]
    return "\n".join([*lines, ""])
