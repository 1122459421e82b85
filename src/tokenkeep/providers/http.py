"""One HTTP request that ends in time: no retry, no redirect, no kept connection."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
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
from tokenkeep.providers.base import Reply
from tokenkeep.providers.codings import Undecodable, decoded
from tokenkeep.providers.connection import connection_to
from tokenkeep.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import UnionType

    from tokenkeep.providers.address import Address
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
    return _run(_Exchange("POST", parse(url), form, timeout, clock, certificate=certificate))


def get_json(url: str, form: Form, *, timeout: float) -> tuple[int, object]:
    """
    Get a JSON document, with the bounds of `post_form`. None for an empty body.

    Of *form* nothing is sent but the headers.

    Raises:
        ConfigurationError: As for `post_form`; or a header can't be sent.
        ProviderUnavailable: As for `post_form`; or the answer is not JSON.
    """
    if not form.has_sendable_headers():
        raise ConfigurationError("This access token can't be sent: it has control characters")
    address = parse(url)
    reply = _run(_Exchange("GET", address, form, timeout, time.time))
    if not (reply.fault or reply.body.strip()):
        return reply.status, None
    # Half a document is none.
    with suppress(ValueError, RecursionError):
        return reply.status, json.loads(reply.body)
    fault = reply.fault or "answered no JSON"
    raise ProviderUnavailable(f"{address.host} {fault} (status {reply.status})")


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
    except RuntimeError:
        raise ProviderUnavailable(
            f"{host} was not asked: no thread can be started", answered=False
        ) from None
    try:
        reply = exchange.wait()
    except TimeoutError:
        fault = f"did not answer within {exchange.timeout:g} seconds"
    except (OSError, HTTPError, http.client.HTTPException) as exc:
        fault = _fault(exc)
    except ValueError:
        fault = None
    else:
        return _no_redirect(host, reply)
    finally:
        exchange.abandon()
    # Not from within the except: texts and frames of what was caught may hold what was sent.
    if fault is None:
        raise ConfigurationError(
            f"Something that is to be sent to {host} can't be sent: it has "
            "characters that are no text, or control characters"
        )
    if (proxy := exchange.proxy) is None:
        raise ProviderUnavailable(f"{host} {fault}", answered=False)
    raise ProviderUnavailable(
        f"{host} can't be reached: the proxy {proxy} {fault}",
        hint="It is that of HTTPS_PROXY or ALL_PROXY (http://user:password@host:port); NO_PROXY "
        "names hosts to reach without it",
        answered=False,
    )


def _no_redirect(host: str, reply: Reply) -> Reply:
    if _MULTIPLE_CHOICES <= reply.status < _BAD_REQUEST:
        raise ProviderUnavailable(
            f"{host} answered with a redirect (status {reply.status})",
            hint="It is not followed: check the configured address",
            passing=False,
        )
    return reply


class _Exchange:
    """
    One request under way, and the means to cut it off.

    After *timeout* seconds nothing is sent any more, and nobody waits for what was not read.
    Of *form* a ``GET`` has the headers only.
    """

    def __init__(
        self,
        method: Literal["GET", "POST"],
        address: Address,
        form: Form,
        timeout: float,
        clock: Callable[[], float],
        *,
        certificate: Certificate | None = None,
    ) -> None:
        self.address = address
        self.timeout = timeout
        self._method = method
        self._form = form
        self._clock = clock
        self._certificate = certificate
        self._outcome: Future[Reply] = Future()
        self._deadline = time.monotonic() + timeout
        self._abandoned = False
        self._connection: Connection | None = None
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

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy, as long as it is still the one spoken to. Else None."""
        return None if self._connection is None else self._connection.at_proxy

    def abandon(self) -> None:
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

    def _exchange(self) -> Reply:
        connection = connection_to(self.address, self._remaining(), self._certificate)
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
            return self._reply(http.client.HTTPConnection.getresponse(connection))
        finally:
            # Tidying up never takes the place of what came out.
            with self._closing, suppress(Exception):
                connection.close()

    def _reply(self, response: http.client.HTTPResponse) -> Reply:
        try:
            now = self._clock()
            date = _timestamp(response.getheader("Date"))
            body, fault = self._read(response)
            if fault is None:
                body, fault = _plain(body, response.getheader("Content-Encoding", ""))
            return Reply(
                status=response.status,
                body=body,
                content_type=response.getheader("Content-Type"),
                clock_offset=None if date is None else date - now,
                retry_after=_retry_after(response.getheader("Retry-After"), now),
                fault=fault,
            )
        finally:
            with suppress(Exception):
                response.close()

    def _headers(self) -> dict[str, str]:
        headers = {
            "User-Agent": _user_agent(),
            "Accept": "application/json",
            "Connection": "close",
        }
        if self._method == "POST":
            kind = "json" if self._form.body == "json" else "x-www-form-urlencoded"
            headers["Content-Type"] = f"application/{kind}"
        return {**headers, **self._form.headers}

    def _read(self, response: http.client.HTTPResponse) -> tuple[bytes, str | None]:
        """Return the body and None; or what there was of it, and why that is not all."""
        body = bytearray()
        try:
            while chunk := response.read1(_CHUNK):
                if self._abandoned:
                    raise TimeoutError
                body += chunk
                if len(body) > MAX_BODY:
                    return bytes(body[:MAX_BODY]), _TOO_LONG
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
        except (OSError, http.client.HTTPException) as exc:
            # There may be the only token in what came.
            if self._abandoned or not body:
                raise
            return bytes(body), _fault(exc)
        return bytes(body), None

    def _remaining(self) -> float:
        """Return the seconds left; raise TimeoutError if there are none or nobody waits."""
        remaining = self._deadline - time.monotonic()
        if self._abandoned or remaining <= 0:
            raise TimeoutError
        return remaining


def _plain(raw: bytes, codings: str) -> tuple[bytes, str | None]:
    """Return a body decoded and None, or as it came and what is wrong with it."""
    try:
        body = decoded(raw, codings, limit=MAX_BODY)
    except Undecodable as exc:
        return raw, str(exc)
    return (raw, _TOO_LONG) if len(body) > MAX_BODY else (body, None)


# The first that matches is said.
_FAULTS: tuple[tuple[type[Exception] | UnionType, str], ...] = (
    (ssl.SSLEOFError, "closed the connection"),  # its alert may be lost with it
    (WrappedSSLError | ssl.SSLError, "can't be reached: TLS failed"),
    (NameResolutionError, "can't be found: its name does not resolve"),
    (NewConnectionError, "can't be reached: no connection"),
    (ConnectTimeoutError, "can't be reached: no connection in time"),
    (HTTPError, "can't be reached"),
    (http.client.RemoteDisconnected, "closed the connection without an answer"),
    (http.client.IncompleteRead, "closed the connection in the middle of its answer"),
    (http.client.HTTPException, "answered something that is not HTTP"),
    (ConnectionError, "closed the connection"),
    (OSError, "can't be reached"),
)

_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")
"""What http.client says where a proxy opens no tunnel."""

_NO_PASSWORD = 407


def _fault(exc: Exception) -> str:
    """Name a fault in words of our own; the exception's may quote what was sent."""
    cause = exc.args[0] if isinstance(exc, WrappedSSLError) and exc.args else exc
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"has a certificate that can't be verified: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and _about_ours(cause.reason or ""):
        return "refuses this client's certificate, or wants one"
    if refused := _TUNNEL_FAILED.match(str(exc)):
        status = int(refused[1])
        why = (
            "wants a user name and password, or other ones"
            if status == _NO_PASSWORD
            else "refuses"
        )
        return f"{why} (status {status})"
    return next(text for kind, text in _FAULTS if isinstance(exc, kind))


def _about_ours(alert: str) -> bool:
    """Whether a TLS alert of the other side (RFC 8446 section 6.2) is about our certificate."""
    return "ALERT" in alert and ("CERTIFICATE" in alert or "UNKNOWN_CA" in alert)


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
