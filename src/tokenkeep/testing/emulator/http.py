"""Requests and answers as the emulated servers see them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

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
        """Its query and its form, the latter winning."""
        return {
            **self.query,
            **dict(parse_qsl(self.body.decode("latin-1"), keep_blank_values=True)),
        }


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
