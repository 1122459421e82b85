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
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from urllib3.exceptions import HTTPError
from urllib3.exceptions import SSLError as WrappedSSLError

from tokenkeep.backends.waiting import NoThread, begin
from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers.address import parse
from tokenkeep.providers.base import Reply
from tokenkeep.providers.connection import Unreached, connection_to
from tokenkeep.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import UnionType

    from tokenkeep.providers.connection import Certificate, Connection

MAX_BODY = 1_000_000
"""Longest answer that is read, in bytes."""

GRACE = 1.0
"""How much longer a process that was stopped past the deadline may read, in seconds."""

_HEADERS = {"User-Agent": f"tokenkeep/{__version__}", "Accept": "application/json"}
_PROMPT = 0.02  # a process that runs wakes up no later than this after its deadline, in seconds
_CHUNK = 16_384
_LATER = "Try again later; if it stays so, look at this machine's network, proxy and DNS"
_TOO_LONG = f"answered more than {MAX_BODY:,} bytes"
_OLDEST_DATE = 946_684_800.0  # the year 2000: a clock before it is not set at all
_MULTIPLE_CHOICES, _BAD_REQUEST = 300, 400
_NO_PASSWORD = 407


class Form:
    """
    What is posted: *headers*, beside the usual, and *fields* but for those that are None.

    Not a dict: what prints local variables (crash reporters, rich) looks into dicts. The ``repr``
    shows the fields' names only.
    """

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        body: Literal["form", "json"] = "form",
        /,
        **fields: str | None,
    ) -> None:
        self.headers: Mapping[str, str] = headers or {}
        self.content_type = f"application/{'json' if body == 'json' else 'x-www-form-urlencoded'}"
        self._encode = json.dumps if body == "json" else urlencode
        self._fields = {name: value for name, value in fields.items() if value is not None}

    def __repr__(self) -> str:
        return f"<Form {', '.join(self._fields)}>"

    def encode(self) -> bytes:
        """Return the body to send."""
        return self._encode(self._fields).encode()


@dataclass(eq=False, repr=False)
class Exchange:
    """
    One request, in a thread of its own, and the means to cut it off.

    A socket's timeout starts anew with each byte, and name resolution has
    none: only somebody who waits outside can keep a wall-clock bound. After
    *timeout* seconds nothing is sent any more, and nobody waits for what was
    not read.

    Of a GET's form only the headers are sent. The server's clock is compared with *clock*, in
    epoch seconds. `ConfigurationError` where nothing may be sent to *url*.
    """

    method: Literal["GET", "POST"]
    url: str
    form: Form
    timeout: float
    clock: Callable[[], float] = time.time
    certificate: Certificate | None = None

    def __post_init__(self) -> None:
        self._address = parse(self.url)
        self._deadline = time.monotonic() + self.timeout
        self._abandoned = False
        self._connection: Connection | None = None
        self._socket: object = None
        self._closing = threading.Lock()

    def reply(self) -> Reply:
        """
        Return what comes back.

        `ConfigurationError` where the form can't be sent, or a proxy, CA bundle or certificate
        can't be used; `ProviderUnavailable` for no connection, no answer in time, or a redirect.
        """
        host = self._address.shown
        try:
            reply = self._wait()
        except NoThread:
            fault = "was not asked: no thread can be started"
        except TimeoutError:
            fault = f"did not answer within {self.timeout:g} seconds"
        except (OSError, HTTPError, http.client.HTTPException) as exc:
            fault = _fault(exc)
        except ValueError:
            fault = ""
        else:
            if not _MULTIPLE_CHOICES <= reply.status < _BAD_REQUEST:
                return reply
            raise ProviderUnavailable(
                f"{host} answered with a redirect (status {reply.status})",
                hint="It is not followed: check the configured address",
                passing=False,
            )
        finally:
            self._abandon()
        # Not from within the except: texts and frames of what was caught may hold what was sent.
        if not fault:
            raise ConfigurationError(
                f"Something that is to be sent to {host} can't be sent: it has "
                "characters that are no text, or control characters"
            )
        proxy = self._connection and self._connection.at_proxy
        if proxy is None:
            raise ProviderUnavailable(f"{host} {fault}", hint=_LATER, answered=False)
        raise ProviderUnavailable(
            f"{host} can't be reached: the proxy {proxy} {fault}",
            hint="It is that of HTTPS_PROXY or ALL_PROXY (http://user:password@host:port); "
            "NO_PROXY names hosts to reach without it",
            answered=False,
        )

    def _wait(self) -> Reply:
        """Wait for the answer; `TimeoutError` where there is none in time."""
        answer = begin(self._exchanged)
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
        with self._closing, suppress(OSError):  # nobody is connected any more
            sock = self._socket or (self._connection and self._connection.sock)
            # TLS through a TLS proxy wraps the socket instead of being one.
            sock = getattr(sock, "socket", sock)
            if isinstance(sock, socket.socket):
                # SSLSocket.shutdown() would take the TLS state away from
                # under the thread that is reading.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _exchanged(self) -> Reply:
        """Send and read; in the other thread."""
        self._headers()  # or nobody is asked; kept in no local, since what follows may raise
        connection = connection_to(self._address, self._remaining(), self.certificate)
        self._connection = connection
        try:
            # Whoever switched this on for debugging would print the form.
            connection.set_debuglevel(0)
            connection.connect()
            # Kept here: http.client forgets it once the answer says it is the last.
            self._socket = connection.sock
            connection.sock.settimeout(self._remaining())
            body = self.form.encode() if self.method == "POST" else None
            connection.request(self.method, self._address.target, body, self._headers())
            # From here on _abandon() is what ends it. A timeout of the socket's own
            # would have run out, too, when a stopped process goes on.
            connection.sock.settimeout(None)
            # urllib3's own getresponse() logs headers it can't parse.
            with http.client.HTTPConnection.getresponse(connection) as response:
                return self._read(response)
        finally:
            with self._closing:
                connection.close()

    def _remaining(self) -> float:
        """Return the seconds left; raise TimeoutError if there are none or nobody waits."""
        remaining = self._deadline - time.monotonic()
        if self._abandoned or remaining <= 0:
            raise TimeoutError
        return remaining

    def _headers(self) -> Mapping[str, str]:
        """Return the headers; `ValueError` if one can't be sent."""
        given = self.form.headers
        if not all(value.isascii() and value.isprintable() for value in given.values()):
            raise ValueError
        kind = {"Content-Type": self.form.content_type} if self.method == "POST" else {}
        return {**_HEADERS, "Connection": "close", **kind, **given}

    def _read(self, response: http.client.HTTPResponse) -> Reply:
        now = self.clock()
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


def _plain(raw: bytes, coding: str) -> tuple[bytes, str | None]:
    """Return a body without its coding and None; or as it came, and what is wrong with it."""
    if coding.strip().lower() in {"", "identity"}:
        return raw, None
    # Some servers compress though nobody asked for it. The others are not shown as they stand:
    # the header may say anything.
    if coding.strip().lower() not in {"gzip", "x-gzip"}:
        return raw, "answered in a content coding other than gzip, or in several"
    try:
        # Several members, their checksums, a missing end: gzip sees to it.
        body = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MAX_BODY + 1)
    except (OSError, EOFError, zlib.error):
        return raw, "answered no gzip, though it said so"
    return (raw, _TOO_LONG) if len(body) > MAX_BODY else (body, None)


# The first that matches is said.
_FAULTS: tuple[tuple[type[Exception] | UnionType, str], ...] = (
    (ssl.SSLEOFError, "closed the connection"),  # its alert may be lost with it
    (WrappedSSLError | ssl.SSLError, "can't be reached: TLS failed"),
    (http.client.RemoteDisconnected, "closed the connection without an answer"),
    (http.client.IncompleteRead, "closed the connection in the middle of its answer"),
    (http.client.HTTPException, "answered something that is not HTTP"),
    (ConnectionError, "closed the connection"),
    (Exception, "can't be reached"),
)


def _fault(exc: Exception) -> str:
    """Name a fault in words of our own; the exception's may quote what was sent."""
    if isinstance(exc, Unreached):
        return str(exc)
    cause = exc.args[0] if isinstance(exc, WrappedSSLError) and exc.args else exc
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"has a certificate that can't be verified: {cause.verify_message}"
    # A TLS alert of the other side (RFC 8446 section 6.2) that is about our certificate.
    said = (isinstance(cause, ssl.SSLError) and cause.reason) or ""
    if re.search("ALERT.*(CERTIFICATE|UNKNOWN_CA)", said):
        return "refuses this client's certificate, or wants one"
    # What http.client says where a proxy opens no tunnel.
    if refused := re.match(r"Tunnel connection failed: ([0-9]{3})\b", str(exc)):
        wants = int(refused[1]) == _NO_PASSWORD
        why = "wants a user name and password, or other ones" if wants else "refuses"
        return f"{why} (status {refused[1]})"
    return next(text for kind, text in _FAULTS if isinstance(exc, kind))


def _retry_after(value: str | None, now: float) -> float | None:
    """Seconds or a date (RFC 9110 section 10.2.3)."""
    if value is not None and value.strip().isdecimal():
        return float(value)
    moment = _timestamp(value)
    return None if moment is None else max(0.0, moment - now)


def _timestamp(date: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError):
        return None
    return moment if moment >= _OLDEST_DATE else None
