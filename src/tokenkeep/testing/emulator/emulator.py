"""The emulator as tests hold it: start and stop, and everything the provider can do."""

from __future__ import annotations

import secrets
import signal
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from .accounts import (
    CODE_LIFE,
    DEFAULT_SCOPE,
    ENVIRONMENTS,
    Accounts,
    Client,
    DataCenterEmulator,
    User,
)
from .calls import Counters, Faults
from .consent import ConsentPage
from .control import PREFIX, operated
from .crm import Crm
from .oauth import TokenEndpoint
from .options import EmulatorClock, Options
from .server import HOST, Answer, BackgroundServer, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .accounts import Access, RefreshToken
    from .calls import Fault
    from .control import EmulatorControl
    from .server import Request

_CRM = "/crm/"


class ZohoEmulator:
    """
    Zoho's accounts servers and CRM on loopback ports of this machine.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. Stopped
    and started again it keeps its ports and all it knows: that is a provider
    which was down for a while.

    Where a user is asked for, it is one, its name (``email:zgid``) or an e-mail
    address where that is enough; None means the first. A client is one or its id.

    Args:
        data_centers: Their names; the first is the default everywhere.
        port: The first port; the others follow, four for each data centre
            (accounts, production, sandbox, developer). None means free ones.
        redirect_uris: Of the first client, beside ``http://127.0.0.1/callback``.

    Attributes:
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
        self._data_centers = tuple(data_centers)
        self.clock: EmulatorClock = EmulatorClock()
        self.options: Options = Options()
        self.faults: Faults = Faults()
        self.counters: Counters = Counters()
        sites = [Site(each, place) for each in data_centers for place in (None, *ENVIRONMENTS)]
        self._ports = {
            site: 0 if port is None else port + number for number, site in enumerate(sites)
        }
        self._server = BackgroundServer(self._ports, self._met, self._answer)
        # Whatever reads or changes what the provider knows holds it, a request as a whole.
        self._lock = threading.RLock()
        self._accounts = Accounts(self.clock, self.options, self.counters)
        tokens = TokenEndpoint(self._accounts, self._url)
        self._endpoints = {
            "/oauth/v2/auth": ("auth", ConsentPage(self._accounts, self._url).answer),
            "/oauth/v2/token": ("token", tokens.token),
            "/oauth/v2/token/revoke": ("revoke", tokens.revoke),
        }
        self._crm = Crm(self._accounts)
        self.register_client(redirect_uris=("http://127.0.0.1/callback", *redirect_uris))
        for name in data_centers:
            self.add_user(f"user@{name}.example.com", data_center=name)

    def start(self) -> Self:
        """
        Start serving.

        Raises:
            OSError: A port is taken.
        """
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop serving; connections are cut, the ports kept."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def __repr__(self) -> str:
        state = "running" if self._server.running else "stopped"
        return f"<ZohoEmulator {', '.join(self.data_centers)}: {state}>"

    # Where things are

    @property
    def data_centers(self) -> tuple[str, ...]:
        """The names of the data centres."""
        return self._data_centers

    @property
    def control_url(self) -> str:
        """What :class:`EmulatorControl` in another process needs."""
        return self._url(self.data_centers[0])

    def __getitem__(self, name: str) -> DataCenterEmulator:
        """A data centre by name; KeyError if there is none, RuntimeError before the start."""
        if name not in self.data_centers:
            raise KeyError(name)
        places = (self._url(name, each) for each in ENVIRONMENTS)
        return DataCenterEmulator(name, self._url(name), *places)

    def __getattr__(self, name: str) -> DataCenterEmulator:
        """``zoho.us`` is ``zoho["us"]``."""
        if not name.startswith("_") and name in self.data_centers:
            return self[name]
        raise AttributeError(name)

    # People and applications

    @property
    def client(self) -> Client:
        """The client that is registered from the start."""
        return self._accounts.client(None)

    @property
    def user(self) -> User:
        """The user who is there from the start, in the first data centre."""
        return self._accounts.user(None)

    @property
    def users(self) -> list[User]:
        """Everybody."""
        with self._lock:
            return list(self._accounts.users.values())

    def add_user(
        self,
        email: str,
        *,
        data_center: str | None = None,
        zgid: str | None = None,
        first_name: str = "Ana",
        last_name: str = "Example",
    ) -> User:
        """
        Add a person to an organisation; one who is there already is handed back.

        Args:
            email: May be the same in several organisations.
            data_center: Where the organisation lives; None means the first.
            zgid: The organisation; None means the data centre's default one.
            first_name: As the CRM tells it.
            last_name: Likewise.

        Raises:
            ValueError: There is no such data centre, or the organisation lives elsewhere.
        """
        home = self.data_centers[0] if data_center is None else data_center
        if home not in self.data_centers:
            raise ValueError(f"data centre is one of {', '.join(self.data_centers)}, not {home!r}")
        zgid = zgid or str(6_000_001 + self.data_centers.index(home))
        with self._lock:
            known = self._accounts.users
            for other in known.values():
                if other.zgid == zgid and other.data_center != home:
                    raise ValueError(f"organisation {zgid} lives in {other.data_center!r}")
            zuid = str(70_000_000 + next(self._accounts.numbers))
            user = User(email, zgid, home, zuid, first_name, last_name)
            return known.setdefault(user.name, user)

    def register_client(
        self,
        name: str = "Example application",
        *,
        redirect_uris: Iterable[str] = ("http://127.0.0.1/callback",),
        client_id: str | None = None,
        client_secret: str | None = None,
        public: bool = False,
    ) -> Client:
        """
        Register an application, as in Zoho's API console.

        Args:
            name: Shown on the consent page.
            redirect_uris: Where it may be sent back to.
            client_id: None means a new one.
            client_secret: Likewise.
            public: It has no secret and must use PKCE.
        """
        client = Client(
            client_id or f"1000.{secrets.token_hex(15).upper()}",
            client_secret or secrets.token_hex(21),
            name,
            tuple(redirect_uris),
            public,
        )
        with self._lock:
            self._accounts.clients[client.client_id] = client
        return client

    # Codes and tokens without the dance; they count as no call

    def grant_code(
        self,
        user: User | str | None = None,
        *,
        scope: str = DEFAULT_SCOPE,
        environment: str = "production",
        client: Client | str | None = None,
        life: float = CODE_LIFE,
    ) -> str:
        """
        Make a grant code as a self client does in the API console.

        Args:
            user: Whose.
            scope: Separated by commas.
            environment: ``"production"``, ``"sandbox"`` or ``"developer"``.
            client: None means the first.
            life: Seconds.
        """
        with self._lock:
            access = self._accounts.access(user, client, scope, environment)
            return self._accounts.make_grant(access, life).code

    def refresh_token(
        self,
        user: User | str | None = None,
        *,
        scope: str = DEFAULT_SCOPE,
        environment: str = "production",
        client: Client | str | None = None,
    ) -> str:
        """Make a refresh token; arguments as for :meth:`grant_code`."""
        with self._lock:
            access = self._accounts.access(user, client, scope, environment)
            return self._accounts.make_refresh_token(access).value

    def access_token(
        self,
        user: User | str | None = None,
        *,
        scope: str = DEFAULT_SCOPE,
        environment: str = "production",
        client: Client | str | None = None,
        refresh_token: str | None = None,
    ) -> str:
        """
        Make an access token; arguments as for :meth:`grant_code`.

        With *refresh_token* it is that one's, and the others say nothing; None
        means that it belongs to none.
        """
        with self._lock:
            accounts = self._accounts
            login = None if refresh_token is None else self._login(refresh_token)
            access = login.access if login else accounts.access(user, client, scope, environment)
            return accounts.make_access_token(access, login).value

    def id_of(self, refresh_token: str) -> str:
        """The id under which counters and listings know a refresh token."""
        return self._login(refresh_token).id

    def is_active(self, token: str) -> bool:
        """Tell whether an access or refresh token works now."""
        with self._lock:
            access = self._accounts.access_tokens.get(token)
            if access is not None:
                return self._accounts.is_live(access)
            login = self._accounts.refresh_tokens.get(token)
            return login is not None and login.status == "active" and login.value == token

    def secrets(self) -> list[str]:
        """Every code, token and client secret there ever was: what must be in no log of yours."""
        with self._lock:
            known = self._accounts
            clients = [each.client_secret for each in known.clients.values()]
            return [*clients, *known.grants, *known.refresh_tokens, *known.access_tokens]

    def records(
        self, user: User | str | None = None, *, environment: str = "production"
    ) -> dict[str, dict[str, Any]]:
        """The leads that *user* sees, by id: the live table, not a copy."""
        with self._lock:
            return self._crm.table(self._accounts.user(user), environment)

    def add_lead(self, user: User | str | None = None, **fields: Any) -> str:
        """Add a lead to *user*'s organisation, and return its id; *fields* by their API names."""
        with self._lock:
            lead = self._crm.create(self.records(user), fields, self._accounts.user(user))
            return str(lead["id"])

    # What happens at the provider

    def expire_access_tokens(self, user: User | str | None = None) -> int:
        """Let live access tokens expire now, of one user or of all; return how many."""
        with self._lock:
            whose = user and self._accounts.user(user)
            known = self._accounts.access_tokens.values()
            live = [each for each in known if self._accounts.is_live(each)]
            ended = [each for each in live if whose in (None, each.access.user)]
            for each in ended:
                each.expires_at = self.clock.now()
            return len(ended)

    def revoke(self, user: User | str | None = None, *, client: Client | str | None = None) -> int:
        """
        Withdraw consent, as the person does under "Connected apps".

        Args:
            user: None means the first.
            client: From which application; None means from all.

        Returns:
            How many refresh tokens ended.
        """
        with self._lock:
            whose, to = self._accounts.user(user), client and self._accounts.client(client)

            def is_meant(access: Access) -> bool:
                return access.user == whose and to in (None, access.client)

            logins = [each for each in self._accounts.logins if is_meant(each.access)]
            ended = [each for each in logins if each.status == "active"]
            for login in ended:
                self._accounts.end(login)
            for token in self._accounts.access_tokens.values():
                token.active = token.active and not is_meant(token.access)
            return len(ended)

    def state(self) -> dict[str, Any]:
        """Addresses, users, clients and logins, without token values, ready for JSON."""
        with self._lock:
            return {
                "data_centers": {name: asdict(self[name]) for name in self.data_centers},
                "users": [asdict(each) for each in self._accounts.users.values()],
                "clients": [asdict(each) for each in self._accounts.clients.values()],
                "logins": [each.as_dict() for each in self._accounts.logins],
            }

    def _login(self, refresh_token: str) -> RefreshToken:
        login = self._accounts.refresh_tokens.get(refresh_token)
        if login is None:
            raise LookupError("there is no such refresh token here")
        return login

    # Requests

    def _url(self, data_center: str, environment: str | None = None) -> str:
        port = self._ports[Site(data_center, environment)]
        if not port:
            raise RuntimeError("the emulator has no addresses before it is started")
        return f"http://{HOST}:{port}"

    def _met(self, request: Request) -> Fault | None:
        """Count a request, and tell which fault it meets."""
        if request.site.environment is None:
            endpoint, _ = self._endpoints.get(request.path, (None, None))
        else:
            first = request.path.removeprefix(_CRM).partition("/")[2].partition("/")[0]
            named = first if first in ("users", "org", "settings") else "records"
            endpoint = named if request.path.startswith(_CRM) else None
        if endpoint is None:
            return None
        grant_type = request.form.get("grant_type") if endpoint == "token" else None
        self.counters.add_call(endpoint, grant_type, request.site.data_center)
        return self.faults.take(endpoint, grant_type, request.site.data_center)

    def _answer(self, request: Request) -> Answer:
        """Answer a request, one after the other."""
        if request.site.environment is None and request.path.startswith(PREFIX):
            return operated(self, request)
        with self._lock:
            if request.site.environment is not None:
                return self._crm.answer(request)
            _, answer = self._endpoints.get(request.path, ("", None))
            return answer(request) if answer else Answer(404)


def serve(zoho: ZohoEmulator, ready: Callable[[ZohoEmulator], None] | None = None) -> None:
    """
    Run an emulator until SIGINT or SIGTERM; print nothing.

    Args:
        zoho: What to run, not started yet.
        ready: Called with it once it answers: for the addresses and client
            credentials that a person wants to see. None means nobody does.

    Raises:
        OSError: A port is taken.
        ValueError: This is not the main thread.
    """
    told_to_stop = threading.Event()
    previous = {
        each: signal.signal(each, lambda *_: told_to_stop.set())
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with zoho:
            if ready is not None:
                ready(zoho)
            # A signal that comes just as the wait begins does not end it.
            while not told_to_stop.wait(0.5):
                pass
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)


def emulator_configuration(zoho: ZohoEmulator | EmulatorControl) -> str:
    """
    Return a configuration file (TOML) in which the emulator takes the place of Zoho.

    Args:
        zoho: A running emulator, of this process or another one. Its data
            centres, and its budget of access tokens if that is not Zoho's.
    """
    lines = ["# Zoho's data centres as the emulator has them."]
    for name in zoho.data_centers:
        center = zoho[name]
        lines += [
            f"\n[zoho.data_centers.{name}]",
            f'accounts = "{center.accounts_url}"',
            f'production = "{center.api_url}"',
            f'sandbox = "{center.sandbox_url}"',
            f'developer = "{center.developer_url}"',
            "aliases = []",
        ]
    mints, window = zoho.options.mints_per_window, zoho.options.throttle_window
    if mints is not None and (mints, window) != (
        Options.mints_per_window,
        Options.throttle_window,
    ):
        lines += [
            "\n[providers.zoho.profile]",
            f"mint_limit = {mints:d}",
            f"mint_window = {window:g}",
        ]
    return "\n".join([*lines, ""])
