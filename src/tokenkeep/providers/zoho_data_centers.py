"""
Zoho's data centres: which host is which.

Sources, one or more for each host:

- the official SDK 8.0, ``crm/api/dc/*_data_center.py``: US EU IN AU CN JP CA SA, all environments
- https://www.zoho.com/accounts/protocol/oauth/multi-dc.html: accounts hosts, without CN AE SG
- https://www.zoho.com/crm/developer/docs/api/v8/multi-dc.html: US EU AU IN CN JP CA
- UK, AE and SG: API and accounts hosts as third parties use them. Their
  sandbox and developer hosts follow the pattern of the others and are not
  confirmed by any page of Zoho's.
- ``api.zoho.*``: Zoho's sample of a token answer names ``https://api.zoho.eu``;
  the others follow its pattern.

No single page of Zoho's lists them all, and it opens new ones: `DataCenters.extend`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.providers.address import host_and_port, parse
from tokenkeep.providers.base import Place
from tokenkeep.providers.checks import expect

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENTS = ("production", "sandbox", "developer")


@dataclass(frozen=True, slots=True)
class DataCenter:
    """
    One region of Zoho's.

    Args:
        name: Lower case, e.g. ``eu``; as in ``location`` of a redirect.
        accounts: Base URL of the accounts server; or a complete token
            endpoint, ending in ``/token``, as portals have it.
        production: Base URL for API calls.
        sandbox: Likewise. None if there is none.
        developer: Likewise. None if there is none.
        aliases: Other hosts of the production API.

    Raises:
        ConfigurationError: One of the URLs is not one tokens can be sent to.
    """

    name: str
    accounts: str
    production: str
    sandbox: str | None = None
    developer: str | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for url in (self.accounts, self.production, self.sandbox, self.developer):
            if url is not None:
                parse(url)

    @property
    def token_endpoint(self) -> str:
        """The complete URL of the token endpoint: the issuer of its tokens."""
        url = self.accounts.rstrip("/")
        return url if url.endswith("/token") else f"{url}/oauth/v2/token"

    def api_domain(self, environment: str = "production") -> str:
        """
        Return the base URL for API calls in one of `ENVIRONMENTS`.

        Raises:
            UnknownName: There is no such environment, or not here.
        """
        url = self._api_domains().get(environment.strip().lower())
        if url is None:
            raise UnknownName(
                f"Data centre {self.name} has no environment {environment!r}",
                hint=f"It has {', '.join(self._api_domains())}",
            )
        return url

    def places(self) -> list[tuple[str, Place]]:
        """Return each API host, as ``host:port``, with its place."""
        hosts = [(url, name) for name, url in self._api_domains().items()]
        hosts += [(alias, "production") for alias in self.aliases]
        return [(host_and_port(host), Place(self.name, name)) for host, name in hosts]

    def _api_domains(self) -> dict[str, str]:
        urls = (self.production, self.sandbox, self.developer)
        return {name: url for name, url in zip(ENVIRONMENTS, urls, strict=True) if url}


class DataCenters:
    """
    A table of data centres, in this order; it never changes, `extend` makes a new one.

    Raises:
        ConfigurationError: Two of them share a name, an accounts server or
            an API host.
    """

    def __init__(self, *centers: DataCenter) -> None:
        self._by_name: dict[str, DataCenter] = {}
        self._by_accounts_server: dict[str, DataCenter] = {}
        self._places: dict[str, Place] = {}
        for center in centers:
            _add(self._by_name, center.name, center)
            _add(self._by_accounts_server, host_and_port(center.accounts), center)
            for host, place in center.places():
                _add(self._places, host, place)

    def __iter__(self) -> Iterator[DataCenter]:
        return iter(self._by_name.values())

    def extend(self, *centers: DataCenter) -> Self:
        """Return a table with these as well; one of a known name takes that one's place."""
        merged = self._by_name | {center.name: center for center in centers}
        return type(self)(*merged.values())

    def get(self, name: str) -> DataCenter | None:
        """Return the data centre of that name. None if there is none."""
        return self._by_name.get(name)

    def by_name(self, name: str) -> DataCenter:
        """
        Return the data centre of that name, in any case.

        Raises:
            UnknownName: There is none.
        """
        center = self._by_name.get(name.strip().lower())
        if center is None:
            raise UnknownName(
                f"There is no data centre {name!r}",
                hint=f"Known are {', '.join(self._by_name)}; "
                "others go into [zoho.data_centers.<name>] of the configuration",
            )
        return center

    def by_accounts_server(self, url: str) -> DataCenter:
        """
        Return the data centre of an accounts server, a URL or a host; the path does not matter.

        A redirect's ``accounts-server`` is anybody's text: only one of this
        table is ever sent a code or a secret (RFC 9700 section 4.4).

        Raises:
            UnknownName: It is not in the table.
        """
        center = self._by_accounts_server.get(host_and_port(url))
        scheme, named, _ = url.strip().lower().partition("://")
        # The scheme counts as well: what the table has as https is not http.
        if center is None or (named and not center.accounts.startswith(f"{scheme}://")):
            raise UnknownName(
                "That accounts server is not one of Zoho's known data centres",
                hint="Nothing was sent to it. Known are " + ", ".join(c.accounts for c in self),
            )
        return center

    def place(self, api_domain: str) -> Place | None:
        """Return the place of an API host, given as a URL or a host. None if it is not known."""
        return self._places.get(host_and_port(api_domain))


def table_from_mapping(mapping: Mapping[str, Mapping[str, Any]]) -> DataCenters:
    """
    Return `DATA_CENTERS` with the TOML tables ``[zoho.data_centers.<name>]`` added.

    What one leaves out is taken from the known data centre of that name.

    Raises:
        ConfigurationError: A key is unknown or missing, or a value is not
            what belongs there.
    """
    added = [_center(name.strip().lower(), entry) for name, entry in mapping.items()]
    return DATA_CENTERS.extend(*added)


def _center(name: str, entry: Mapping[str, Any]) -> DataCenter:
    where = f"[zoho.data_centers.{name}]"
    if not isinstance(entry, Mapping):  # a secret in the wrong place is not shown
        raise ConfigurationError(f"{where} has to be a table")
    allowed = [f.name for f in fields(DataCenter) if f.name != "name"]
    for key, value in entry.items():
        if key not in allowed:
            raise ConfigurationError(
                f"{where} has an unknown key {key!r}", hint=f"Known are {', '.join(allowed)}"
            )
        option = f"{where} {key}"
        if key == "aliases":
            expect(option, value, "a list of hosts", so=isinstance(value, list))
        for host in value if key == "aliases" else [value]:
            expect(option, host, "a text", so=isinstance(host, str))
    values: dict[str, Any] = {
        key: tuple(value) if key == "aliases" else value for key, value in entry.items()
    }
    known = DATA_CENTERS.get(name)
    if known is not None:
        return replace(known, **values)
    missing = [key for key in ("accounts", "production") if key not in values]
    if missing:
        raise ConfigurationError(f"{where} lacks {' and '.join(missing)}")
    return DataCenter(name, **values)


def _add(table: dict[str, Any], key: str, value: object) -> None:
    if table.setdefault(key, value) != value:
        raise ConfigurationError(
            f"{key} stands for two data centres or environments",
            hint="Each name, accounts server and API host may occur once",
        )


def _zoho(name: str, domain: str, api: str, *aliases: str) -> DataCenter:
    return DataCenter(
        name,
        f"https://accounts.{domain}",
        f"https://www.{api}",
        f"https://sandbox.{api}",
        f"https://developer.{api}",
        (f"api.{domain}", *aliases),
    )


DATA_CENTERS = DataCenters(
    _zoho("us", "zoho.com", "zohoapis.com", "content.zohoapis.com"),
    _zoho("eu", "zoho.eu", "zohoapis.eu", "content.zohoapis.eu"),
    _zoho("in", "zoho.in", "zohoapis.in", "content.zohoapis.in"),
    _zoho("au", "zoho.com.au", "zohoapis.com.au", "content.zohoapis.com.au"),
    _zoho("cn", "zoho.com.cn", "zohoapis.com.cn", "content.zohoapis.com.cn"),
    _zoho("jp", "zoho.jp", "zohoapis.jp", "content.zohoapis.jp"),
    # Not zoho.ca: Canada alone has another name for its accounts.
    _zoho("ca", "zohocloud.ca", "zohoapis.ca", "upload.zohocloud.ca"),
    _zoho("sa", "zoho.sa", "zohoapis.sa", "files.zoho.sa"),
    _zoho("uk", "zoho.uk", "zohoapis.uk"),
    _zoho("ae", "zoho.ae", "zohoapis.ae"),
    _zoho("sg", "zoho.sg", "zohoapis.sg"),
)
"""The data centres known when this version was made."""
