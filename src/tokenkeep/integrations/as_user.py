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
from functools import partial
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

_starting = threading.Lock()
_folder: tuple[int, str] | None = None


def _renew_lock() -> None:
    """Start with a new lock in a child: who held it as it was forked lives in the parent only."""
    global _starting  # noqa: PLW0603 - as `_folder`
    _starting = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def switched_to(
    stored: Token, token_id: str, *, store: Any, nobody: Any
) -> Iterator[Callable[[Callable[[], _Answer]], _Answer]]:
    """
    Let the SDK work as one user in this thread; see `SDKStore.as_user`.

    Args:
        stored: Whose token is used, as it is stored.
        token_id: What it was asked by.
        store: The SDK's store.
        nobody: What the SDK is started with, where nobody has.
    """
    environment = environment_of(stored)
    token = OAuthToken(id=token_id)

    def call(work: Callable[[], _Answer]) -> _Answer:
        return _with_one_retry(work, lambda: store.rejected(token))

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
    for name in dir(dc):
        center = getattr(dc, name)
        if name.endswith("DataCenter") and center is not dc.DataCenter:
            for known in (center.PRODUCTION(), center.SANDBOX(), center.DEVELOPER()):
                if known.url == token.api_domain:
                    known.accounts_url = token.issuer or known.accounts_url
                    return known
    if not (token.api_domain and token.issuer):
        raise ConfigurationError(
            "This token does not say where its API is",
            hint="Save it with its api_domain, or log in again",
        )
    # A data centre the SDK does not know yet, or an emulator.
    named = {"name": "other"} if _takes_a_name() else {}
    return dc.DataCenter.Environment(token.api_domain, token.issuer, token.api_domain, **named)


def _takes_a_name() -> bool:
    return "name" in dc.DataCenter.Environment.__init__.__code__.co_varnames  # 5_0


def start(store: Any, environment: Any, nobody: Any) -> None:
    """
    Start the SDK with nobody logged in, unless it was started with this store; after a fork too.

    Raises:
        ConfigurationError: It was started with another store.
    """
    with _starting:
        initializer = Initializer.initializer
        if initializer is None:
            _limit_changes()
            Initializer.initialize(
                environment=environment,
                token=nobody,
                store=store,
                resource_path=_own_folder(),
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
        elif _folder is not None and initializer.resource_path == _folder[1]:
            initializer.resource_path = _own_folder()


def _own_folder() -> str:
    """Return a folder of this process's own for what the SDK learns of modules."""
    global _folder  # noqa: PLW0603 - one of a process, as the SDK's state is
    pid = os.getpid()
    if _folder is None or _folder[0] != pid:
        path = tempfile.mkdtemp(prefix=f"tokenkeep-sdk-{pid}-")
        atexit.register(_remove, pid, path)
        _folder = pid, path
    return _folder[1]


def _remove(pid: int, path: str) -> None:
    if os.getpid() == pid:
        shutil.rmtree(path, ignore_errors=True)


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


def _with_one_retry(work: Callable[[], _Answer], report: Callable[[], None]) -> _Answer:
    try:
        answer = ours(work)
    except SDKException as error:
        if not is_refused(error):
            raise
    else:
        if not is_refused(answer):
            return answer
    ours(report)
    return ours(work)


def ours(call: Callable[[], _Answer]) -> _Answer:
    """Make a call of the SDK; raise tokenkeep's own error where the SDK's is made of one."""
    try:
        return call()
    except SDKException as error:
        if not isinstance(error.cause, TokenKeepError):
            raise
        cause = error.cause
    raise cause
