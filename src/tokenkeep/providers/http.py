"""One HTTP request that ends in time: no retry, no redirect, no kept connection."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from typing import TYPE_CHECKING

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.exceptions import SSLError as WrappedSSLError

from tokenkeep.errors import ConfigurationError, ProviderUnavailable
from tokenkeep.providers.address import parse
from tokenkeep.providers.exchange import MAX_BODY, Exchange, Reply, Request, TooLong

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenkeep.providers.form import Basic, Form

_MULTIPLE_CHOICES, _BAD_REQUEST = 300, 400


def post_form(
    url: str,
    form: Form,
    *,
    timeout: float,
    auth: Basic | None = None,
    headers: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Reply:
    """
    Post a form and read the whole answer.

    Args:
        url: Where to; https, or plain http on loopback.
        form: The body.
        timeout: Wall-clock bound for everything, name resolution included,
            in seconds.
        auth: Client authentication. None sends no ``Authorization``.
        headers: More headers, none of them secret. None means no others.
        clock: Our time, in epoch seconds, to compare the server's with.

    Raises:
        ConfigurationError: Nothing may be sent to *url*, or a proxy or CA
            bundle from the environment can't be used.
        ProviderUnavailable: No connection, no answer in time, a redirect, or
            an answer that is too long.
    """
    request = Request(
        "POST",
        parse(url),
        {**(headers or {}), "Content-Type": "application/x-www-form-urlencoded"},
        auth.header() if auth else None,
        form.encode(),
    )
    return _run(request, timeout, clock)


def get_json(
    url: str,
    *,
    timeout: float,
    authorization: str,
    clock: Callable[[], float] = time.time,
) -> tuple[int, object]:
    """
    Get a JSON document, with the bounds of `post_form`.

    Args:
        url: As for `post_form`.
        timeout: As for `post_form`.
        authorization: The whole value of the ``Authorization`` header.
        clock: As for `post_form`.

    Returns:
        The HTTP status and the document; None for an empty body.

    Raises:
        ConfigurationError: As for `post_form`; or *authorization* has
            characters in it that no header can carry.
        ProviderUnavailable: As for `post_form`; or the answer is not JSON.
    """
    if not (authorization.isascii() and authorization.isprintable()):
        raise ConfigurationError("This access token can't be sent: it has control characters")
    address = parse(url)
    reply = _run(Request("GET", address, {}, authorization, None), timeout, clock)
    if not reply.body.strip():
        return reply.status, None
    try:
        return reply.status, json.loads(reply.body)
    except (ValueError, RecursionError):
        raise ProviderUnavailable(
            f"{address.host} answered no JSON (status {reply.status})"
        ) from None


def _run(request: Request, timeout: float, clock: Callable[[], float]) -> Reply:
    """
    Make one request in a thread of its own and wait for it, no longer than *timeout*.

    A socket's timeout starts anew with each byte, and name resolution has
    none: only somebody who waits outside can keep a wall-clock bound.
    """
    exchange = Exchange(request, timeout, clock)
    host = request.address.host
    try:
        # A daemon: a name server that never answers must not keep the process alive.
        threading.Thread(target=exchange.run, name="tokenkeep-request", daemon=True).start()
        reply = exchange.wait()
    except TimeoutError:
        raise ProviderUnavailable(f"{host} did not answer within {timeout:g} seconds") from None
    except (OSError, HTTPError, http.client.HTTPException) as exc:
        # Not chained: texts and frames below this one may hold what was sent.
        raise ProviderUnavailable(f"{host} {_fault(exc)}") from None
    except RuntimeError:
        raise ProviderUnavailable(f"{host} was not asked: no thread can be started") from None
    finally:
        exchange.abandon()
    if _MULTIPLE_CHOICES <= reply.status < _BAD_REQUEST:
        raise ProviderUnavailable(
            f"{host} answered with a redirect (status {reply.status})",
            hint="It is not followed: check the configured address",
        )
    return reply


# The first that matches is said.
_FAULTS: tuple[tuple[type[Exception], str], ...] = (
    (WrappedSSLError, "can't be reached: TLS failed"),
    (ssl.SSLError, "can't be reached: TLS failed"),
    (NameResolutionError, "can't be found: its name does not resolve"),
    (NewConnectionError, "can't be reached: no connection"),
    (ConnectTimeoutError, "can't be reached: no connection in time"),
    (HTTPError, "can't be reached"),
    (TooLong, f"answered more than {MAX_BODY:,} bytes"),
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
