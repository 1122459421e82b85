"""A limit for calls of the SDK that change something: of its own it has one for reading only."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import requests
from zohocrmsdk.src.com.zoho.crm.api.util import api_http_connector


def limit_changes(connecting: float, answering: float) -> None:
    """
    Let the SDK give up on a change whose answer does not come.

    Args:
        connecting: How long that may take, in seconds.
        answering: How long the CRM may be silent then, in seconds.
    """
    ours = ModuleType(requests.__name__)
    vars(ours).update(vars(requests))
    for name in ("post", "put", "patch", "delete"):
        limited = partial(getattr(requests, name), timeout=(connecting, answering))
        setattr(ours, name, limited)
    # What the SDK's module calls by this name; nobody else's calls are limited.
    api_http_connector.requests = ours
