"""Requests and answers as the emulated servers see them."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message


@dataclass(frozen=True)
class Site:
    """
    One server, on a port of its own.

    Attributes:
        environment: None for the accounts server.
    """

    data_center: str
    environment: str | None


@dataclass(frozen=True)
class Request:
    """
    A request.

    Attributes:
        path: Without the query.
        query: Its fields.
        headers: By name, whatever its case.
        site: The server it came to.
        refused: Status and code with which a fault makes the CRM refuse it. None as a rule.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    site: Site
    refused: tuple[int, str] | None = None

    @property
    def form(self) -> dict[str, str]:
        """Its query, its form and HTTP Basic, the later winning."""
        found = {
            **self.query,
            **dict(parse_qsl(self.body.decode("latin-1"), keep_blank_values=True)),
        }
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                pair = base64.b64decode(encoded, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return found
            # RFC 6749, section 2.3.1: both halves are form-encoded first.
            client_id, _, secret = pair.partition(":")
            found |= {"client_id": unquote_plus(client_id), "client_secret": unquote_plus(secret)}
        return found


@dataclass(frozen=True)
class Answer:
    """
    An answer.

    Attributes:
        body: Text.
        headers: Beside the content's type and length.
    """

    status: int
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(body), headers=headers or {})
