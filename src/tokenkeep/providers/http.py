"""One HTTP request that ends in time: no retry, no redirect, no kept connection."""

from __future__ import annotations

import http.client
import io
import re
import ssl
import time
import zlib
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
)

from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.waiting import Bound, NoThread, cut, within
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers.address import parse
from tokenkeep.providers.base import Reply
from tokenkeep.providers.connection import connection_to
from tokenkeep.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import UnionType

    from urllib3.connection import HTTPConnection
    from urllib3.util import Url

MAX_BODY = 1_000_000
"""Longest answer that is read, in bytes."""

_HEADERS = {
    "User-Agent": f"tokenkeep/{__version__}",
    "Accept": "application/json",
    "Connection": "close",
}
_CHUNK = 16_384
_UNENDED = "did not end its answer in time"
_BROKEN_OFF = "closed the connection in the middle of its answer"
_LATER = "Try again later; if it stays so, look at this machine's network, DNS and CA certificates"
_MULTIPLE_CHOICES, _BAD_REQUEST = 300, 400


class Form:
    """
    What is posted: *headers*, beside the usual, and *fields* but for those that are None.

    Not a dict: what prints local variables (crash reporters, rich) looks into dicts. The ``repr``
    shows the fields' names only.
    """

    def __init__(self, headers: Mapping[str, str] | None = None, /, **fields: str | None) -> None:
        self.headers: Mapping[str, str] = headers or {}
        self._fields = {name: value for name, value in fields.items() if value is not None}

    def __repr__(self) -> str:
        return f"<Form {', '.join(self._fields)}>"

    def encode(self) -> bytes:
        """Return the body to send."""
        return urlencode(self._fields).encode()


@without_frames
def send(
    method: Literal["GET", "POST"],
    url: str,
    form: Form,
    timeout: float,
    clock: Callable[[], float] = time.time,
    *,
    connect: Callable[[Url, float], HTTPConnection] = connection_to,
    reads: bool = True,
) -> Reply:
    """
    Send one request, and return what comes back.

    All of it takes *timeout* seconds at most, on the wall clock; nothing is sent after them. Of a
    GET's form only the headers are sent. The server's clock is compared with *clock*, in epoch
    seconds. *connect* makes the connection, see `connection_to`; what is not read has no body.

    `ConfigurationError` where nothing may be sent to *url*, *form* can't be sent, or a proxy or CA
    bundle is no use; `ProviderUnavailable` for no connection, no answer in time, or a redirect.
    """
    deadline = time.monotonic() + timeout
    address = parse(url)
    named, hint = str(address.netloc), _LATER
    connection = connect(address, timeout / 2)  # the second address of a host has a turn
    if connection.proxy is not None:
        named += f", through the proxy {connection.proxy.netloc},"
        hint += ", and at HTTPS_PROXY, ALL_PROXY (http://user:password@host:port) and NO_PROXY"
    try:
        ask = partial(_ask, connection, method, address.request_uri, form)
        reply = _exchanged(connection, ask, deadline, partial(_read, clock) if reads else _status)
    except (OSError, HTTPError, http.client.HTTPException) as exc:
        fault = _fault(exc, timeout)
    except ValueError:
        fault = ""
    else:
        if not _MULTIPLE_CHOICES <= reply.status < _BAD_REQUEST:
            return reply
        raise ProviderUnavailable(
            f"{named} answered with a redirect (status {reply.status})",
            hint="It is not followed: check the configured address",
            passing=False,
        )
    finally:
        cut(connection.sock)  # also where another thread is still connecting
        connection.close()
    # Not from within the except: the text of what was caught may hold what was sent.
    if fault:
        raise ProviderUnavailable(f"{named} {fault}", hint=hint, answered=False)
    raise ConfigurationError(
        f"Something that is to be sent to {named} can't be sent: it has "
        "characters that are no text, or control characters"
    )


def _ask(connection: HTTPConnection, method: str, target: str, form: Form) -> None:
    is_form = method == "POST"
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if is_form else {}
    body = form.encode() if is_form else None
    connection.request(method, target, body, {**_HEADERS, **kind, **form.headers})


def _exchanged(
    connection: HTTPConnection,
    ask: Callable[[], None],
    deadline: float,
    read: Callable[[http.client.HTTPResponse], Reply],
) -> Reply:
    def connect() -> None:
        connection.connect()
        if time.monotonic() > deadline:  # nobody waits any more
            connection.close()

    # Whoever switched this on for debugging would print the form.
    connection.set_debuglevel(0)
    within(deadline - time.monotonic(), connect)
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError
    connection.timeout = None  # from here on by the wall clock alone
    reply, has_end = None, False
    try:
        with Bound(left, partial(cut, connection.sock)):
            ask()
            # urllib3's own logs headers that it can't parse.
            with http.client.HTTPConnection.getresponse(connection) as response:
                has_end = response.length is not None
                reply = read(response)
    except TimeoutError:
        if reply is None or not reply.body:
            raise
        # There may be the only token in what came; and nobody knows whether that is all.
        reply = reply if has_end and not reply.fault else replace(reply, fault=_UNENDED)
    return reply


def _status(response: http.client.HTTPResponse) -> Reply:
    return Reply(status=response.status, body=b"")


def _read(clock: Callable[[], float], response: http.client.HTTPResponse) -> Reply:
    now, body, fault = clock(), io.BytesIO(), None
    try:
        while body.tell() <= MAX_BODY and body.write(response.read1(_CHUNK)):
            pass
    except (OSError, http.client.HTTPException):
        if not body.tell():
            raise
        fault = _BROKEN_OFF
    if response.length:
        fault = _BROKEN_OFF
    if body.tell() > MAX_BODY:
        fault = f"answered more than {MAX_BODY:,} bytes"
    plain = body.getvalue()[:MAX_BODY]  # there may be the only token in what came
    if fault is None:
        plain, fault = _plain(plain, response.getheader("Content-Encoding", ""))
    sent_at = _parsed_date(response.getheader("Date", ""))
    wait = response.getheader("Retry-After", "")
    return Reply(
        status=response.status,
        body=plain,
        content_type=response.getheader("Content-Type"),
        clock_offset=None if sent_at is None else sent_at - now,
        retry_after=float(wait) if wait.isdecimal() else None,
        fault=fault,
    )


@lru_cache(maxsize=8)  # of one second they are all the same
def _parsed_date(text: str) -> float | None:
    """Return a ``Date`` header in epoch seconds. None if it is missing, or senseless."""
    with suppress(ValueError, OverflowError):
        return parsedate_to_datetime(text).timestamp()
    return None


def _plain(raw: bytes, coding: str) -> tuple[bytes, str | None]:
    """Return a body without its coding and None; or as it came, and what is wrong with it."""
    if coding.lower() in {"", "identity"}:
        return raw, None
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # some servers send gzip all the same
    with suppress(zlib.error):
        plain = unpacker.decompress(raw, MAX_BODY)
        if unpacker.eof and not unpacker.unused_data:
            return plain, None
    return raw, "answered in a content coding that can't be read"


# The first that matches is said.
_FAULTS: tuple[tuple[type[Exception] | UnionType, str], ...] = (
    (NoThread, "was not asked: no thread can be started"),
    (NameResolutionError | LocationParseError, "can't be found: its name does not resolve"),
    (NewConnectionError | ConnectTimeoutError, "can't be reached: no connection"),
    (TimeoutError, "did not answer within {:g} seconds"),
    # Where TLS ends without a word, its alert may be lost.
    (ConnectionError | ssl.SSLEOFError, "closed the connection without an answer"),
    (ssl.SSLError, "can't be reached: TLS failed"),
    (http.client.HTTPException, "answered something that is not HTTP"),
    (Exception, "can't be reached"),
)


def _fault(exc: Exception, timeout: float) -> str:
    """Name a fault in words of our own; the exception's may quote what was sent."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"has a certificate that can't be verified: {exc.verify_message}"
    if refused := re.match("Tunnel connection failed: ([0-9]{3})", str(exc)):
        return f"can't be reached: the proxy refuses (status {refused[1]})"
    return next(text for kind, text in _FAULTS if isinstance(exc, kind)).format(timeout)
