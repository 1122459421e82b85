"""One HTTP request that ends in time: no retry, no redirect, no kept connection."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.exceptions import SSLError as WrappedSSLError

from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers.address import parse
from tokenkeep.providers.connection import connection_to
from tokenkeep.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import UnionType

    from urllib3.connection import HTTPConnection

    from tokenkeep.providers.address import Address

MAX_BODY = 1_000_000
"""Longest answer that is read, in bytes."""

GRACE = 1.0
"""How much longer a process that was stopped past the deadline may read, in seconds."""

_PROMPT = 0.02  # a process that runs wakes up no later than this after its deadline, in seconds
_CHUNK = 16_384
_OLDEST_DATE = 946_684_800.0  # the year 2000: a clock before it is not set at all
_MULTIPLE_CHOICES, _BAD_REQUEST = 300, 400
_SECRET_FIELDS = frozenset({"client_secret", "refresh_token", "code", "code_verifier", "token"})


class Form:
    """
    The fields of a form post; its ``repr`` shows their names only.

    Not a dict: what prints local variables (crash reporters, rich) looks
    into dicts.

    Args:
        authorization: Value of the ``Authorization`` header. None sends none.
        fields: Those that are None are left out.
    """

    __slots__ = ("_fields", "authorization")

    def __init__(self, authorization: str | None = None, /, **fields: str | None) -> None:
        self.authorization: str | None = authorization
        self._fields = {name: value for name, value in fields.items() if value is not None}

    def __repr__(self) -> str:
        return f"<Form {', '.join(self._fields)}>"

    def is_quoted_in(self, text: str) -> bool:
        """Whether *text* has the value of a secret field in it."""
        return any(self._fields[name] in text for name in _SECRET_FIELDS & self._fields.keys())

    def encode(self) -> bytes:
        """Return the body to send (``application/x-www-form-urlencoded``)."""
        return urlencode(self._fields).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    What came back, read to its end; never a redirect.

    Args:
        clock_offset: The server's clock minus ours, in seconds, when its
            headers came in. None if it sent no date, or a senseless one.
        retry_after: How long it asks to be left alone, in seconds. None if it
            does not say.
    """

    status: int
    body: bytes = field(repr=False)
    clock_offset: float | None = None
    retry_after: float | None = None


def post_form(
    url: str, form: Form, *, timeout: float, clock: Callable[[], float] = time.time
) -> Reply:
    """
    Post a form and read the whole answer.

    *timeout*, in seconds, bounds everything on the wall clock, name resolution
    included; *clock* is our time, in epoch seconds, to compare the server's with.

    Raises:
        ConfigurationError: Nothing may be sent to *url*, or a proxy or CA
            bundle from the environment can't be used.
        ProviderUnavailable: No connection, no answer in time, a redirect, or
            an answer that is too long.
    """
    return _run(_Exchange("POST", parse(url), form, timeout, clock))


def get_json(url: str, *, timeout: float, authorization: str) -> tuple[int, object]:
    """
    Get a JSON document, with the bounds of `post_form`. None for an empty body.

    Raises:
        ConfigurationError: As for `post_form`; or *authorization*, the whole
            header, has characters in it that no header can carry.
        ProviderUnavailable: As for `post_form`; or the answer is not JSON.
    """
    if not (authorization.isascii() and authorization.isprintable()):
        raise ConfigurationError("This access token can't be sent: it has control characters")
    address = parse(url)
    reply = _run(_Exchange("GET", address, Form(authorization), timeout, time.time))
    if not reply.body.strip():
        return reply.status, None
    try:
        return reply.status, json.loads(reply.body)
    except (ValueError, RecursionError):
        raise ProviderUnavailable(
            f"{address.host} answered no JSON (status {reply.status})"
        ) from None


def _run(exchange: _Exchange) -> Reply:
    """
    Make one request in a thread of its own and wait for it, no longer than its timeout.

    A socket's timeout starts anew with each byte, and name resolution has
    none: only somebody who waits outside can keep a wall-clock bound.
    """
    host = exchange.address.host
    try:
        # A daemon: a name server that never answers must not keep the process alive.
        threading.Thread(target=exchange.run, name="tokenkeep-request", daemon=True).start()
        reply = exchange.wait()
    except TimeoutError:
        raise ProviderUnavailable(
            f"{host} did not answer within {exchange.timeout:g} seconds", answered=False
        ) from None
    except (OSError, HTTPError, http.client.HTTPException) as exc:
        # Not chained: texts and frames below this one may hold what was sent.
        raise ProviderUnavailable(f"{host} {_fault(exc)}", answered=False) from None
    except RuntimeError:
        raise ProviderUnavailable(
            f"{host} was not asked: no thread can be started", answered=False
        ) from None
    finally:
        exchange.abandon()
    if _MULTIPLE_CHOICES <= reply.status < _BAD_REQUEST:
        raise ProviderUnavailable(
            f"{host} answered with a redirect (status {reply.status})",
            hint="It is not followed: check the configured address",
        )
    return reply


class _TooLong(http.client.HTTPException):
    """The answer is longer than `MAX_BODY`."""


class _Exchange:
    """
    One request under way, and the means to cut it off.

    After *timeout* seconds nothing is sent any more, and nobody waits for what was not read.
    Of *form* a ``GET`` has the authorization only.
    """

    def __init__(
        self,
        method: Literal["GET", "POST"],
        address: Address,
        form: Form,
        timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self.address = address
        self.timeout = timeout
        self._method = method
        self._form = form
        self._clock = clock
        self._outcome: Future[Reply] = Future()
        self._deadline = time.monotonic() + timeout
        self._abandoned = False
        self._connection: HTTPConnection | None = None
        self._socket: object = None
        self._closing = threading.Lock()

    def run(self) -> None:
        """Send and read, in a thread; the end, whatever it is, is for `wait`."""
        try:
            self._outcome.set_result(self._exchange())
        except BaseException as exc:  # noqa: BLE001 - raised again in the waiting thread
            self._outcome.set_exception(exc)

    def wait(self) -> Reply:
        """
        Wait for the end until the deadline.

        A process that was stopped or suspended has missed its deadline when
        it goes on, but the answer may lie in the socket's buffer since long,
        and be the only one: it gets `GRACE` from then on to read it. One that
        runs waits no longer than the deadline, or `GRACE` longer if it was
        held up just then.

        Raises:
            TimeoutError: There is no answer yet.
        """
        end, tolerated = self._deadline, _PROMPT
        while True:
            try:
                return self._outcome.result(end - time.monotonic())
            except TimeoutError:
                if self._outcome.done():
                    return self._outcome.result()
                now = time.monotonic()
                if now - end <= tolerated:
                    raise
                end, tolerated = now + GRACE, GRACE

    def abandon(self) -> None:
        """End the exchange, wherever it is; nothing is sent from now on."""
        self._abandoned = True
        # Under a lock, as closing is: what is shut here must not be a descriptor
        # that was closed and given to somebody else in between.
        with self._closing:
            sock = self._socket or (self._connection and self._connection.sock)
            # TLS through a TLS proxy wraps the socket instead of being one.
            sock = getattr(sock, "socket", sock)
            if isinstance(sock, socket.socket):
                # SSLSocket.shutdown() would take the TLS state away from
                # under the thread that is reading.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _exchange(self) -> Reply:
        connection = connection_to(self.address, self._remaining())
        self._connection = connection
        try:
            # Whoever switched this on for debugging would print the form.
            connection.set_debuglevel(0)
            connection.connect()
            # Kept here: http.client forgets it once the answer says it is the last.
            self._socket = connection.sock
            connection.timeout = self._remaining()
            connection.request(
                self._method,
                self.address.target,
                body=self._form.encode() if self._method == "POST" else None,
                headers=self._headers(),
            )
            # From here on abandon() is what ends it. A timeout of the socket's own
            # would have run out, too, when a stopped process goes on.
            connection.sock.settimeout(None)
            # urllib3's own getresponse() logs headers it can't parse.
            with http.client.HTTPConnection.getresponse(connection) as response:
                now = self._clock()
                date = _timestamp(response.getheader("Date"))
                return Reply(
                    status=response.status,
                    body=self._read(response),
                    clock_offset=None if date is None else date - now,
                    retry_after=_retry_after(response.getheader("Retry-After"), now),
                )
        finally:
            with self._closing:
                connection.close()

    def _headers(self) -> dict[str, str]:
        headers = {
            "User-Agent": _user_agent(),
            "Accept": "application/json",
            "Connection": "close",
        }
        if self._method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if self._form.authorization:
            headers["Authorization"] = self._form.authorization
        return headers

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        body = bytearray()
        while chunk := response.read1(_CHUNK):
            if self._abandoned:
                raise TimeoutError
            body += chunk
            if len(body) > MAX_BODY:
                raise _TooLong
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return bytes(body)

    def _remaining(self) -> float:
        """Return the seconds left; raise TimeoutError if there are none or nobody waits."""
        remaining = self._deadline - time.monotonic()
        if self._abandoned or remaining <= 0:
            raise TimeoutError
        return remaining


# The first that matches is said.
_FAULTS: tuple[tuple[type[Exception] | UnionType, str], ...] = (
    (WrappedSSLError | ssl.SSLError, "can't be reached: TLS failed"),
    (NameResolutionError, "can't be found: its name does not resolve"),
    (NewConnectionError, "can't be reached: no connection"),
    (ConnectTimeoutError, "can't be reached: no connection in time"),
    (HTTPError, "can't be reached"),
    (_TooLong, f"answered more than {MAX_BODY:,} bytes"),
    (http.client.RemoteDisconnected, "closed the connection without an answer"),
    (http.client.IncompleteRead, "closed the connection in the middle of its answer"),
    (http.client.HTTPException, "answered something that is not HTTP"),
    (ConnectionError, "closed the connection"),
    (OSError, "can't be reached"),
)


def _fault(exc: Exception) -> str:
    """Name a fault in words of our own; the exception's may quote what was sent."""
    cause = exc.args[0] if isinstance(exc, WrappedSSLError) and exc.args else exc
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"has a certificate that can't be verified: {cause.verify_message}"
    return next(text for kind, text in _FAULTS if isinstance(exc, kind))


def _user_agent() -> str:
    return f"tokenkeep/{__version__}"


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
