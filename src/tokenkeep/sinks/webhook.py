"""A webhook: signed, over HTTP that ends in time, to no address inside unless that is allowed."""

from __future__ import annotations

import ipaddress
import json
import socket
from functools import partial
from typing import TYPE_CHECKING

from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.waiting import within
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.events import logger
from tokenkeep.providers.address import parse
from tokenkeep.providers.connection import connection_at
from tokenkeep.providers.http import Form, send
from tokenkeep.sinks.signature import SIGNATURE, signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3.connection import HTTPConnection
    from urllib3.util import Url

TIMEOUT = 10.0
"""How long one delivery may take in all, in seconds."""

_SHORTEST = 16
"""Of a secret, in characters."""

_MOST_PLACES = 4
"""So many addresses of a host are tried."""

_OK, _BEYOND, _GONE = 200, 300, 410

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 behind NAT64 (RFC 6052)."""


class Webhook:
    """
    Tell by a POST of JSON.

    Args:
        url: Where to; https, or http on this machine where *allow_private*.
        secret: What it is signed with.
        allow_private: Whether it may be at an address that is not public.

    Raises:
        ConfigurationError: The URL is none, or at such an address; or the secret is too short.
    """

    @without_frames
    def __init__(self, url: object, secret: object, *, allow_private: bool = False) -> None:
        try:
            self._address = parse(url)
        except ConfigurationError as exc:
            what = exc.what.replace("a URL tokens can be sent to", "a webhook's URL")
            raise ConfigurationError(f"webhook: {what}", hint=exc.hint) from None
        if not isinstance(secret, str) or len(secret) < _SHORTEST:
            raise ConfigurationError(
                f"webhook needs a webhook_secret of {_SHORTEST} characters or more",
                hint='Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"; put '
                "it into the file that webhook_secret_file names, and where the webhook is",
            )
        self._url, self._secret = str(url), secret
        self._is_free = allow_private
        host = str(self._address.host).strip("[]")
        if not allow_private and (host == "localhost" or _is_inside_if_one(host)):
            raise _refused(self.host, host)

    @property
    def host(self) -> str:
        """The host and port, which is all that may be shown of the URL."""
        return str(self._address.netloc)

    def tell(self, facts: Mapping[str, object], now: float) -> str | None:
        """
        Post facts. Return None if they were taken, else why not.

        Raises:
            ConfigurationError: It is at an address inside.
        """
        try:
            body = json.dumps(facts).encode()
            form = _Document(body, self.host, signature(self._secret, body, int(now)))
            reply = send("POST", self._url, form, TIMEOUT, connect=self._connection, reads=False)
        except ProviderUnavailable as exc:
            return exc.what
        if reply.status == _GONE:
            logger.error("The webhook %s says that it is gone for good (status 410)", self.host)
            return None
        is_taken = _OK <= reply.status < _BEYOND
        return None if is_taken else f"{self.host} answered with status {reply.status}"

    def look(self) -> str:
        """
        Return where it is, once that was looked up; nothing is sent.

        Raises:
            ConfigurationError: It is at an address inside.
            ProviderUnavailable: Its name does not resolve.
        """
        self._places(TIMEOUT)
        return f"{self.host} can be told"

    def _connection(self, address: Url, timeout: float) -> HTTPConnection:
        return connection_at(address, self._places(timeout), timeout)

    def _places(self, timeout: float) -> list[str]:
        """Return the addresses of the host, each of which was looked at."""
        host = str(self._address.host).strip("[]")
        ask = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
        try:
            found = [str(each[4][0]) for each in within(timeout, ask)]
        except (OSError, UnicodeError):  # a TimeoutError too
            found = []
        if not found:
            raise ProviderUnavailable(f"{self.host} can't be found: its name does not resolve")
        # Connected is to just what was looked at here: another answer of the name server's
        # a moment later leads nowhere else.
        inside = [each for each in found if _is_inside(each)]
        if inside and not self._is_free:
            raise _refused(self.host, inside[0])
        return list(dict.fromkeys(found))[:_MOST_PLACES]


class _Document(Form):
    """A body as it is to be sent, with the header that signs it."""

    def __init__(self, body: bytes, host: str, signed: str) -> None:
        kind = "application/json"
        super().__init__({"Host": host, "Content-Type": kind, SIGNATURE: signed})
        self._body = body

    def encode(self) -> bytes:
        return self._body


def _is_inside_if_one(host: str) -> bool:
    try:
        return _is_inside(host)
    except ValueError:
        return False  # a name: it is looked up when something is told


def _is_inside(place: str) -> bool:
    """Tell whether an address is not one of the public internet, or leads to one that is not."""
    found = ipaddress.ip_address(place)
    if isinstance(found, ipaddress.IPv6Address):
        four = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if found in _TRANSLATED:
            four = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if four is not None:
            found = four
        elif found.is_site_local:
            return True
    return not found.is_global or found.is_multicast or found.is_reserved


def _refused(host: str, place: str) -> ConfigurationError:
    return ConfigurationError(
        f"The webhook {host} is at an address that is not public: {place}",
        hint="If it is yours, allow_private = true in [notices] allows that",
    )
