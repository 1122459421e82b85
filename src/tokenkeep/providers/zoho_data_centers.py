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
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.providers.address import host_and_port, parse
from tokenkeep.providers.base import Place
from tokenkeep.providers.checks import expect, expect_taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_Value = TypeVar("_Value")

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
        ConfigurationError: One of the URLs is not one tokens can be sent to, or *aliases*
            are no list.
    """

    name: str
    accounts: str
    production: str
    sandbox: str | None = None
    developer: str | None = None
    aliases: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("accounts", *ENVIRONMENTS):
            url = getattr(self, name)
            if url is not None:
                parse(url)
        so = isinstance(self.aliases, list | tuple)
        so = so and all(isinstance(each, str) for each in self.aliases)
        expect("aliases", self.aliases, "a list of hosts", so=so)

    @property
    def token_endpoint(self) -> str:
        """The complete URL of the token endpoint: the issuer of its tokens."""
        url = self.accounts.rstrip("/")
        return url if url.endswith("/token") else f"{url}/oauth/v2/token"

    def api_domain(self, environment: str = "production") -> str:
        """Return the base URL for API calls in one of `ENVIRONMENTS`; else `UnknownName`."""
        known = {name: url for name in ENVIRONMENTS if (url := getattr(self, name))}
        url = known.get(environment.strip().lower())
        if url is None:
            raise UnknownName(
                f"Data centre {self.name} has no environment {environment!r}",
                hint=f"It has {', '.join(known)}",
            )
        return str(url)

    def places(self) -> list[tuple[str, Place]]:
        """Return each API host, as ``host:port``, with its place."""
        hosts = [(getattr(self, name), name) for name in ENVIRONMENTS]
        hosts += [(alias, "production") for alias in self.aliases]
        return [(host_and_port(host), Place(self.name, name)) for host, name in hosts if host]


class DataCenters:
    """
    A table of data centres, in this order; it never changes, `extend` makes a new one.

    Raises:
        ConfigurationError: Two of them share a name, an accounts server or
            an API host.
    """

    def __init__(self, *centers: DataCenter) -> None:
        self._by_name = _once((center.name, center) for center in centers)
        self._by_accounts_server = _once((host_and_port(each.accounts), each) for each in centers)
        self._places = _once(pair for center in centers for pair in center.places())

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
        """Return the data centre of that name, in any case; else `UnknownName`."""
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
        Return the data centre of an accounts server, a URL or a host; else `UnknownName`.

        A redirect's ``accounts-server`` is anybody's text: only one of this
        table is ever sent a code or a secret (RFC 9700 section 4.4).
        """
        center = self._by_accounts_server.get(host_and_port(url))
        if center is None:
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

    What one leaves out is taken from the known data centre of that name. `ConfigurationError`
    where a key is unknown or missing, or a value is not what belongs there.
    """
    added = []
    for name, entry in mapping.items():
        where = f"[zoho.data_centers.{name}]"
        expect(where, entry, "a table", so=isinstance(entry, Mapping))
        known = DATA_CENTERS.get(name.lower())
        values = (asdict(known) if known else {"name": name.lower()}) | {**entry}
        expect_taken(values, DataCenter, where)
        try:
            added.append(DataCenter(**values))
        except ConfigurationError as exc:
            exc.what = f"{where}: {exc.what}"
            raise
    return DATA_CENTERS.extend(*added)


def _once(pairs: Iterable[tuple[str, _Value]]) -> dict[str, _Value]:
    table: dict[str, _Value] = {}
    for key, value in pairs:
        if table.setdefault(key, value) != value:
            raise ConfigurationError(
                f"{key} stands for two data centres or environments",
                hint="Each name, accounts server and API host may occur once",
            )
    return table


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
