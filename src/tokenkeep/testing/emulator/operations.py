"""Everything that the emulated provider can do, whether or not it is being served."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .addresses import DataCenterEmulator
from .model import DEFAULT_SCOPE, describe_client, describe_login, describe_user

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .clock import EmulatorClock
    from .counters import Counters
    from .faults import Faults
    from .model import Client, RefreshToken, User
    from .options import Options
    from .world import World


class Operations:
    """
    What tests, and other processes through the control API, let the provider do.

    Args:
        world: The provider.

    Attributes:
        options: Limits and behaviours, assignable at any time.
        faults: Trouble on request.
        counters: What has been asked.
        clock: The emulator's time.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.clock: EmulatorClock = world.clock
        self.options: Options = world.options
        self.faults: Faults = world.faults
        self.counters: Counters = world.counters

    # Where things are

    @property
    def data_centers(self) -> tuple[str, ...]:
        """The names of the data centres."""
        return self._world.registry.data_centers

    @property
    def control_url(self) -> str:
        """What :class:`EmulatorControl` in another process needs."""
        return self._world.accounts_url(self.data_centers[0])

    def __getitem__(self, name: str) -> DataCenterEmulator:
        """A data centre by name; KeyError if there is none, RuntimeError before the start."""
        if name not in self.data_centers:
            raise KeyError(name)
        world = self._world
        return DataCenterEmulator(
            name,
            world.accounts_url(name),
            world.api_url(name, "production"),
            world.api_url(name, "sandbox"),
            world.api_url(name, "developer"),
        )

    def __getattr__(self, name: str) -> DataCenterEmulator:
        """``zoho.us`` is ``zoho["us"]``."""
        if not name.startswith("_") and name in self.data_centers:
            return self[name]
        raise AttributeError(name)

    # People and applications

    @property
    def client(self) -> Client:
        """The client that is registered from the start."""
        return self._world.registry.client(None)

    @property
    def user(self) -> User:
        """The user who is there from the start, in the first data centre."""
        return self._world.registry.user(None)

    @property
    def users(self) -> list[User]:
        """Everybody."""
        return list(self._world.registry.users.values())

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
        return self._world.registry.add_user(
            email,
            data_center=data_center,
            zgid=zgid,
            first_name=first_name,
            last_name=last_name,
        )

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
        """
        Register an application, as in Zoho's API console.

        Args:
            name: Shown on the consent page.
            redirect_uris: Where it may be sent back to.
            data_centers: Where it is known, its home first; None means all.
            client_id: None means a new one.
            client_secret: For all data centres; None means a new one.
            secrets_by_data_center: Secrets of single data centres.
            public: It has no secret and must use PKCE.
        """
        return self._world.registry.register_client(
            name,
            redirect_uris=redirect_uris,
            data_centers=data_centers,
            client_id=client_id,
            client_secret=client_secret,
            secrets_by_data_center=secrets_by_data_center,
            public=public,
        )

    # Codes and tokens without the dance

    def grant_code(
        self,
        user: User | str | None = None,
        *,
        scope: str | None = None,
        environment: str = "production",
        client: Client | str | None = None,
        life: float | None = None,
    ) -> str:
        """
        Make a grant code as a self client does in the API console.

        Args:
            user: A user, its name or e-mail address; None means the first.
            scope: Separated by commas; None means all that the emulator knows.
            environment: ``"production"``, ``"sandbox"`` or ``"developer"``.
            client: A client or its id; None means the default one.
            life: Seconds; None means what the options say.
        """
        accounts = self._world.accounts
        return accounts.make_grant(
            accounts.registry.user(user),
            accounts.registry.client(client),
            scope=scope,
            environment=environment,
            life=life,
        ).code

    def refresh_token(
        self,
        user: User | str | None = None,
        *,
        scope: str | None = None,
        environment: str = "production",
        client: Client | str | None = None,
    ) -> str:
        """Make a refresh token; arguments as for :meth:`grant_code`. Counts as no call."""
        accounts = self._world.accounts
        return accounts.make_refresh_token(
            accounts.registry.user(user), accounts.registry.client(client), scope, environment
        ).value

    def access_token(
        self,
        user: User | str | None = None,
        *,
        scope: str | None = None,
        environment: str = "production",
        client: Client | str | None = None,
        refresh_token: str | None = None,
    ) -> str:
        """
        Make an access token; arguments as for :meth:`grant_code`. Counts as no call.

        Args:
            user: See there, as for the rest.
            scope: See there.
            environment: See there.
            client: See there.
            refresh_token: Whose access token it is, the arguments before then being
                ignored; None means that it belongs to none.
        """
        accounts = self._world.accounts
        if refresh_token is not None:
            login = self._login(refresh_token)
            return accounts.make_access_token(
                login.user, login.client, login.scope, login.environment, login
            ).value
        return accounts.make_access_token(
            accounts.registry.user(user),
            accounts.registry.client(client),
            scope or DEFAULT_SCOPE,
            environment,
        ).value

    def id_of(self, refresh_token: str) -> str:
        """The id under which counters and listings know a refresh token."""
        return self._login(refresh_token).id

    def is_active(self, token: str) -> bool:
        """Tell whether an access or refresh token works now."""
        accounts = self._world.accounts
        access = accounts.find_access_token(token)
        if access is not None:
            return accounts.is_live(access)
        login = accounts.find_refresh_token(token)
        return login is not None and login.status == "active" and login.value == token

    def records(
        self,
        user: User | str | None = None,
        *,
        environment: str = "production",
        module: str = "Leads",
    ) -> dict[str, dict[str, Any]]:
        """The CRM records that *user* sees, by id: the live table, not a copy."""
        zgid = self._world.registry.user(user).zgid
        return self._world.records.table(zgid, environment, module)

    # What happens at the provider

    def expire_access_tokens(self, user: User | str | None = None) -> int:
        """Let live access tokens expire now, of one user or of all; return how many."""
        accounts = self._world.accounts
        return accounts.expire_access_tokens(
            None if user is None else accounts.registry.user(user)
        )

    def revoke(self, user: User | str | None = None, *, client: Client | str | None = None) -> int:
        """
        Withdraw consent, as the person does under "Connected apps".

        Args:
            user: None means the first.
            client: From which application; None means from all.

        Returns:
            How many refresh tokens ended.
        """
        accounts = self._world.accounts
        return accounts.withdraw(
            accounts.registry.user(user),
            None if client is None else accounts.registry.client(client),
        )

    def decide_device(
        self, user_code: str, user: User | str | None = None, *, accept: bool = True
    ) -> None:
        """
        Grant or refuse what a device asked for, as the person does in a browser.

        Args:
            user_code: What the device shows.
            user: Who decides; None means the first.
            accept: False refuses.
        """
        self._world.devices.decide(user_code, self._world.registry.user(user), accept=accept)

    def evict(self, token: str) -> None:
        """Invalidate one access or refresh token in silence, as a limit would."""
        accounts = self._world.accounts
        access = accounts.find_access_token(token)
        if access is not None:
            access.active = False
        else:
            accounts.end(self._login(token), "evicted")

    def state(self) -> dict[str, Any]:
        """Users, clients, logins and settings, without token values, ready for JSON."""
        accounts = self._world.accounts
        with accounts.lock:
            logins = [describe_login(each) for each in accounts.logins]
        return {
            "data_centers": {name: asdict(self[name]) for name in self.data_centers},
            "users": [describe_user(each) for each in self.users],
            "clients": [describe_client(each) for each in accounts.registry.clients.values()],
            "logins": logins,
            "options": self.options.as_dict(),
            "faults": self.faults.as_list(),
            "now": self.clock.now(),
        }

    def _login(self, refresh_token: str) -> RefreshToken:
        login = self._world.accounts.find_refresh_token(refresh_token)
        if login is None:
            raise LookupError("there is no such refresh token here")
        return login
