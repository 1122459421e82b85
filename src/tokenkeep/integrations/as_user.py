"""
The official SDK for many users in one process: switch, call, clear.

The SDK keeps whom it works for on the thread, leaves them there even when
switching to them failed, waits without a limit for changes, and truncates its
files about modules while other processes read them. What a server has to do
about that is here; `SDKStore.as_user` is the way in.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import dc
from zohocrmsdk.src.com.zoho.crm.api.exception.sdk_exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig

from tokenkeep.errors import ConfigurationError, TokenKeepError
from tokenkeep.integrations.refused import is_refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokenkeep.token import Token

_Answer = TypeVar("_Answer")

CONNECTING = 5.0
"""How long connecting to the CRM may take, in seconds."""

READING = 15.0
"""How long the CRM may be silent when something is read, in seconds."""

CHANGING = 50.0
"""How long it may be silent when something is changed, in seconds: given up, nobody knows."""

_PREFIX = "tokenkeep-sdk-"
"""Of the folders that are made here."""

_starting: dict[int, threading.Lock] = {}
"""By process: who held it as a child was forked lives in the parent only."""


@contextmanager
def switched_to(
    stored: Token, token_id: str, *, store: Any, nobody: Any
) -> Iterator[Callable[[Callable[[], _Answer]], _Answer]]:
    """See `SDKStore.as_user`; the SDK is started with *nobody* logged in, where nobody has."""
    environment = environment_of(stored)
    token = OAuthToken(id=token_id)

    def call(work: Callable[[], _Answer]) -> _Answer:
        try:
            answer = ours(work)
        except SDKException as error:
            if not is_refused(error):
                raise
        else:
            if not is_refused(answer):
                return answer
        ours(lambda: store.rejected(token))
        return ours(work)

    before = getattr(Initializer.LOCAL, "init", None)
    start(store, environment, nobody)
    try:
        ours(lambda: Initializer.switch_user(environment=environment, token=token))
        yield call
    finally:
        # Also after a switch that failed: the SDK would leave that user on the thread.
        Initializer.LOCAL.init = before


def environment_of(token: Token) -> Any:
    """Return the SDK's environment of a token: API, accounts and upload hosts are its own."""
    known = dc.DataCenter.get(token.api_domain)
    if known is not None:
        known.accounts_url = token.issuer or known.accounts_url
        return known
    if not (token.api_domain and token.issuer):
        raise ConfigurationError(
            "This token does not say where its API is",
            hint="Save it with its api_domain, or log in again",
        )
    # A data centre the SDK does not know yet, or an emulator.
    addresses = (token.api_domain, token.issuer, token.api_domain)
    # Generation 5_0 wants a name as well.
    takes = dc.DataCenter.Environment.__init__.__code__.co_argcount - 1
    return dc.DataCenter.Environment(*addresses, *["other"][: takes - len(addresses)])


def start(store: Any, environment: Any, nobody: Any) -> None:
    """Start the SDK, unless it was started with this store; see to its folder after a fork."""
    with _starting.setdefault(os.getpid(), threading.Lock()):
        initializer = Initializer.initializer
        if initializer is None:
            _limit_changes()
            Initializer.initialize(
                environment=environment,
                token=nobody,
                store=store,
                resource_path=_folder_of(os.getpid()),
                sdk_config=SDKConfig(connect_timeout=CONNECTING, read_timeout=READING),
                # What goes wrong is said by whoever asked; the SDK would say it as well.
                logger=Logger.get_instance(level=Logger.Levels.CRITICAL),
            )
            Initializer.LOCAL.init = None  # up to 7_0 it is this thread's
        elif initializer.store is not store:
            raise ConfigurationError(
                "The SDK was initialized with another store",
                hint="It keeps one for the whole process: make one SDKStore and use it everywhere",
            )
        elif Path(str(initializer.resource_path)).name.startswith(_PREFIX):
            initializer.resource_path = _folder_of(os.getpid())


@cache
def _folder_of(pid: int) -> str:
    """Make a folder of this process's own for what the SDK learns of modules; it goes with it."""
    path = tempfile.mkdtemp(prefix=f"{_PREFIX}{pid}-")

    def remove() -> None:
        if os.getpid() == pid:  # not in a child, which inherits this
            shutil.rmtree(path, ignore_errors=True)

    atexit.register(remove)
    return path


def _limit_changes() -> None:
    """Let the SDK give up on a change whose answer does not come; it has no limit of its own."""
    import requests
    from zohocrmsdk.src.com.zoho.crm.api.util import api_http_connector

    limited = ModuleType(requests.__name__)
    vars(limited).update(vars(requests))
    for name in ("post", "put", "patch", "delete"):
        bounded = partial(getattr(requests, name), timeout=(CONNECTING, CHANGING))
        setattr(limited, name, bounded)
    # What the SDK's module calls by this name; nobody else's calls are limited.
    api_http_connector.requests = limited


def ours(call: Callable[[], _Answer]) -> _Answer:
    """Make a call of the SDK; raise tokenkeep's own error where the SDK's is made of one."""
    try:
        return call()
    except SDKException as error:
        if not isinstance(error.cause, TokenKeepError):
            raise
        cause = error.cause
    raise cause
