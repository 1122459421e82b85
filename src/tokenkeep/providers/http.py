"""One HTTP request that ends in time: no retry, no redirect, no kept connection."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import re
import socket
import ssl
import threading
import time
import zlib
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.exceptions import SSLError as WrappedSSLError

from tokenkeep.backends.waiting import Begun, NoThread, begin
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers.address import parse
from tokenkeep.providers.base import Reply
from tokenkeep.providers.connection import connection_to
from tokenkeep.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import UnionType

    from tokenkeep.providers.connection import Certificate, Connection

MAX_BODY = 1_000_000
"""Longest answer that is read, in bytes."""

GRACE = 1.0
"""How much longer a process that was stopped past the deadline may read, in seconds."""

_PROMPT = 0.02  # a process that runs wakes up no later than this after its deadline, in seconds
_CHUNK = 16_384
_TOO_LONG = f"answered more than {MAX_BODY:,} bytes"
_OLDEST_DATE = 946_684_800.0  # the year 2000: a clock before it is not set at all
_MULTIPLE_CHOICES, _BAD_REQUEST = 300, 400
_NO_PASSWORD = 407


class Form:
    """
    What is posted: fields, and headers beside them; its ``repr`` shows the fields' names only.

    Not a dict: what prints local variables (crash reporters, rich) looks
    into dicts.

    Args:
        headers: By name, written as in ``User-Agent``. None sends none but the usual.
        body: Whether the fields go as a ``form``
            (``application/x-www-form-urlencoded``) or as a ``json`` object.
        fields: Those that are None are left out.
    """

    __slots__ = ("_fields", "body", "headers")

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        body: Literal["form", "json"] = "form",
        /,
        **fields: str | None,
    ) -> None:
        self.body: Literal["form", "json"] = body
        self.headers: Mapping[str, str] = headers or {}
        self._fields = {name: value for name, value in fields.items() if value is not None}

    def __repr__(self) -> str:
        return f"<Form {', '.join(self._fields)}>"

    def has_sendable_headers(self) -> bool:
        """Whether its headers can be sent; having none is no trouble."""
        return all(value.isascii() and value.isprintable() for value in self.headers.values())

    def encode(self) -> bytes:
        """Return the body to send."""
        return (json.dumps if self.body == "json" else urlencode)(self._fields).encode()


def post_form(
    url: str,
    form: Form,
    *,
    timeout: float,
    clock: Callable[[], float] = time.time,
    certificate: Certificate | None = None,
) -> Reply:
    """
    Post a form and read the whole answer.

    Args:
        url: Where to.
        form: What.
        timeout: Bounds everything on the wall clock, name resolution included; in seconds.
        clock: Our time, in epoch seconds, to compare the server's with.
        certificate: The client's own. None shows none.

    Raises:
        ConfigurationError: Nothing may be sent to *url*, there is something in
            *form* that can't be sent; or a proxy, CA bundle or certificate
            can't be used.
        ProviderUnavailable: No connection, no answer in time, a redirect, or
            an answer that is too long.
    """
    exchange = _Exchange("POST", url, form, timeout=timeout, clock=clock, certificate=certificate)
    return exchange.reply()


def get_json(url: str, form: Form, *, timeout: float) -> tuple[int, object]:
    """
    Get a JSON document, with the bounds of `post_form`. None for an empty body.

    Of *form* nothing is sent but the headers.

    Raises:
        ConfigurationError: As for `post_form`; or a header can't be sent.
        ProviderUnavailable: As for `post_form`; or the answer is not JSON.
    """
    reply = _Exchange("GET", url, form, timeout=timeout).reply()
    if not (reply.fault or reply.body.strip()):
        return reply.status, None
    # Half a document is none.
    with suppress(ValueError, RecursionError):
        return reply.status, json.loads(reply.body)
    fault = reply.fault or "answered no JSON"
    raise ProviderUnavailable(f"{parse(url).host} {fault} (status {reply.status})")


class _Exchange:
    """
    One request, in a thread of its own, and the means to cut it off.

    A socket's timeout starts anew with each byte, and name resolution has
    none: only somebody who waits outside can keep a wall-clock bound. After
    *timeout* seconds nothing is sent any more, and nobody waits for what was
    not read.
    """

    def __init__(
        self,
        method: Literal["GET", "POST"],
        url: str,
        form: Form,
        *,
        timeout: float,
        clock: Callable[[], float] = time.time,
        certificate: Certificate | None = None,
    ) -> None:
        self._address = parse(url)
        self._method = method
        self._form = form
        self._timeout = timeout
        self._clock = clock
        self._certificate = certificate
        self._deadline = time.monotonic() + timeout
        self._abandoned = False
        self._connection: Connection | None = None
        self._socket: object = None
        self._closing = threading.Lock()

    def reply(self) -> Reply:
        """Return what comes back; see `post_form`."""
        host = self._address.host
        try:
            reply = self._wait(self._begun())
        except TimeoutError:
            fault = f"did not answer within {self._timeout:g} seconds"
        except (OSError, HTTPError, http.client.HTTPException) as exc:
            fault = _fault(exc)
        except ValueError:
            fault = ""
        else:
            return _no_redirect(host, reply)
        finally:
            self._abandon()
        # Not from within the except: texts and frames of what was caught may hold what was sent.
        if not fault:
            raise ConfigurationError(
                f"Something that is to be sent to {host} can't be sent: it has "
                "characters that are no text, or control characters"
            )
        if self._connection is None or self._connection.at_proxy is None:
            raise ProviderUnavailable(f"{host} {fault}", answered=False)
        raise ProviderUnavailable(
            f"{host} can't be reached: the proxy {self._connection.at_proxy} {fault}",
            hint="It is that of HTTPS_PROXY or ALL_PROXY (http://user:password@host:port); "
            "NO_PROXY names hosts to reach without it",
            answered=False,
        )

    def _begun(self) -> Begun[Reply]:
        try:
            return begin(self._exchanged)
        except NoThread:
            raise ProviderUnavailable(
                f"{self._address.host} was not asked: no thread can be started", answered=False
            ) from None

    def _wait(self, answer: Begun[Reply]) -> Reply:
        """Wait for the answer; `TimeoutError` where there is none in time."""
        try:
            return answer.result(self._deadline - time.monotonic())
        except TimeoutError:
            held_up = time.monotonic() - self._deadline > _PROMPT
        # Who was stopped or suspended past the deadline may have the answer in the socket's
        # buffer since long, and it may be the only one.
        return answer.result(GRACE if held_up else 0)

    def _abandon(self) -> None:
        """End the exchange, wherever it is; nothing is sent from now on. Never raises."""
        self._abandoned = True
        # Under a lock, as closing is: what is shut here must not be a descriptor
        # that was closed and given to somebody else in between.
        # Whatever goes wrong, it must not take an outcome's place.
        with self._closing, suppress(Exception):
            sock = self._socket or (self._connection and self._connection.sock)
            # TLS through a TLS proxy wraps the socket instead of being one.
            sock = getattr(sock, "socket", sock)
            if isinstance(sock, socket.socket):
                # SSLSocket.shutdown() would take the TLS state away from
                # under the thread that is reading.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _exchanged(self) -> Reply:
        """Send and read; in the other thread."""
        if not self._form.has_sendable_headers():
            raise ValueError
        self._connection = connection = connection_to(
            self._address, self._remaining(), self._certificate
        )
        try:
            # Whoever switched this on for debugging would print the form.
            connection.set_debuglevel(0)
            connection.connect()
            # Kept here: http.client forgets it once the answer says it is the last.
            self._socket = connection.sock
            connection.sock.settimeout(self._remaining())
            connection.request(
                self._method,
                self._address.target,
                body=self._form.encode() if self._method == "POST" else None,
                headers=self._headers(),
            )
            # From here on _abandon() is what ends it. A timeout of the socket's own
            # would have run out, too, when a stopped process goes on.
            connection.sock.settimeout(None)
            # urllib3's own getresponse() logs headers it can't parse.
            return self._read(http.client.HTTPConnection.getresponse(connection))
        finally:
            # Tidying up never takes the place of what came out.
            with self._closing, suppress(Exception):
                connection.close()

    def _remaining(self) -> float:
        """Return the seconds left; raise TimeoutError if there are none or nobody waits."""
        remaining = self._deadline - time.monotonic()
        if self._abandoned or remaining <= 0:
            raise TimeoutError
        return remaining

    def _headers(self) -> dict[str, str]:
        headers = {
            "User-Agent": f"tokenkeep/{__version__}",
            "Accept": "application/json",
            "Connection": "close",
        }
        if self._method == "POST":
            kind = "json" if self._form.body == "json" else "x-www-form-urlencoded"
            headers["Content-Type"] = f"application/{kind}"
        return {**headers, **self._form.headers}

    def _read(self, response: http.client.HTTPResponse) -> Reply:
        now = self._clock()
        date = _timestamp(response.getheader("Date"))
        body, fault = bytearray(), None
        try:
            while len(body) <= MAX_BODY and (chunk := response.read1(_CHUNK)):
                body += chunk
            if response.length and len(body) <= MAX_BODY:
                raise http.client.IncompleteRead(b"", response.length)
        except (OSError, http.client.HTTPException) as exc:
            # There may be the only token in what came.
            if not body:
                raise
            fault = _fault(exc)
        finally:
            with suppress(Exception):
                response.close()
        plain = bytes(body[:MAX_BODY])
        if len(body) > MAX_BODY:
            fault = _TOO_LONG
        elif fault is None:
            plain, fault = _plain(plain, response.getheader("Content-Encoding", ""))
        return Reply(
            status=response.status,
            body=plain,
            content_type=response.getheader("Content-Type"),
            clock_offset=None if date is None else date - now,
            retry_after=_retry_after(response.getheader("Retry-After"), now),
            fault=fault,
        )


def _no_redirect(host: str, reply: Reply) -> Reply:
    if _MULTIPLE_CHOICES <= reply.status < _BAD_REQUEST:
        raise ProviderUnavailable(
            f"{host} answered with a redirect (status {reply.status})",
            hint="It is not followed: check the configured address",
            passing=False,
        )
    return reply


def _plain(raw: bytes, codings: str) -> tuple[bytes, str | None]:
    """Return a body without its coding and None; or as it came, and what is wrong with it."""
    named = [name for each in codings.lower().split(",") if (name := each.strip()) != "identity"]
    if not any(named):
        return raw, None
    if len(named) > 1 or named[0] not in _CODINGS:
        # Not shown as it stands: the header may say anything.
        return raw, "answered in a content coding that is not known, or in several"
    for unpacked in _CODINGS[named[0]]:
        with suppress(OSError, EOFError, zlib.error):
            body = unpacked(raw)
            return (raw, _TOO_LONG) if len(body) > MAX_BODY else (body, None)
    return raw, f"answered no {named[0]}, though it said so"


def _gunzipped(raw: bytes) -> bytes:
    """Return what was packed, cut off one byte behind the longest answer."""
    # Several members (RFC 1952 section 2.2), their checksums, a missing end: gzip sees to it.
    return gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MAX_BODY + 1)


def _inflated(raw: bytes, window: int = zlib.MAX_WBITS) -> bytes:
    """As `_gunzipped`, for deflate."""
    unpacking = zlib.decompressobj(window)
    body = unpacking.decompress(raw, MAX_BODY + 1)
    if len(body) <= MAX_BODY and (not unpacking.eof or unpacking.unused_data):
        raise EOFError
    return body


_CODINGS: dict[str, tuple[Callable[[bytes], bytes], ...]] = {
    "gzip": (_gunzipped,),
    "x-gzip": (_gunzipped,),
    # Some servers write it without zlib's header.
    "deflate": (_inflated, partial(_inflated, window=-zlib.MAX_WBITS)),
}
"""Content codings (RFC 9110 section 8.4.1): some servers compress though nobody asked for it."""


# The first that matches is said.
_FAULTS: tuple[tuple[type[Exception] | UnionType, str], ...] = (
    (ssl.SSLEOFError, "closed the connection"),  # its alert may be lost with it
    (WrappedSSLError | ssl.SSLError, "can't be reached: TLS failed"),
    (NameResolutionError | LocationParseError, "can't be found: its name does not resolve"),
    (NewConnectionError, "can't be reached: no connection"),
    (ConnectTimeoutError, "can't be reached: no connection in time"),
    (http.client.RemoteDisconnected, "closed the connection without an answer"),
    (http.client.IncompleteRead, "closed the connection in the middle of its answer"),
    (http.client.HTTPException, "answered something that is not HTTP"),
    (ConnectionError, "closed the connection"),
    (Exception, "can't be reached"),
)

_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")
"""What http.client says where a proxy opens no tunnel."""


def _fault(exc: Exception) -> str:
    """Name a fault in words of our own; the exception's may quote what was sent."""
    cause = exc.args[0] if isinstance(exc, WrappedSSLError) and exc.args else exc
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"has a certificate that can't be verified: {cause.verify_message}"
    # A TLS alert of the other side (RFC 8446 section 6.2) that is about our certificate.
    if isinstance(cause, ssl.SSLError) and re.search(
        "ALERT.*(CERTIFICATE|UNKNOWN_CA)", cause.reason or ""
    ):
        return "refuses this client's certificate, or wants one"
    if refused := _TUNNEL_FAILED.match(str(exc)):
        wants = int(refused[1]) == _NO_PASSWORD
        why = "wants a user name and password, or other ones" if wants else "refuses"
        return f"{why} (status {refused[1]})"
    return next(text for kind, text in _FAULTS if isinstance(exc, kind))


def _retry_after(value: str | None, now: float) -> float | None:
    """Seconds or a date (RFC 9110 section 10.2.3)."""
    if value is not None and value.strip().isdecimal():
        return float(value) if len(value.strip()) < len("1000000000") else None
    moment = _timestamp(value)
    return None if moment is None else max(0.0, moment - now)


def _timestamp(date: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError):
        return None
    return moment if moment >= _OLDEST_DATE else None
