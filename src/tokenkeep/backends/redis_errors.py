"""What a Redis server or its driver says, as errors of ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from redis import exceptions

from tokenkeep.errors import StoreError, StoreForeign, StoreUnavailable

if TYPE_CHECKING:
    from tokenkeep.backends.redis_scripts import Keys
    from tokenkeep.backends.redis_url import RedisURL

FOREIGN = (exceptions.RedisError, OSError)
"""What `explain` makes ours."""

_BUSY = re.compile(r"(LOADING|BUSY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN)\b")
"""The server did nothing, and will soon be able to."""

_CLASSES = {
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.NoPermissionError: "NOPERM",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.TryAgainError: "TRYAGAIN",
    exceptions.MovedError: "MOVED",
    exceptions.AskError: "ASK",
    exceptions.NoScriptError: "NOSCRIPT",
}
"""Codes that the driver takes off the text."""

_REASONS = (
    ("LOADING", "it is still loading its data after a restart", "Try again"),
    ("BUSY", "it is busy with somebody's long script", "Try again, or SCRIPT KILL"),
    (
        "OOM",
        "its memory is full (maxmemory)",
        "Give it more memory, or delete what is not needed; tokens that are stored stay",
    ),
    (
        "MISCONF",
        "it can't write to its disk, and takes no changes",
        "Look into its log; free or repair the disk",
    ),
    (
        "READONLY",
        "it is a replica, which can't be written to",
        "Name the primary; after a failover the one that is it now",
    ),
    (
        "NOREPLICAS",
        "it has fewer replicas than min-replicas-to-write asks for",
        "Look after the replicas",
    ),
    (
        "MOVED|ASK|CROSSSLOT",
        "the tokens are on another node of the cluster",
        "Name that node, or a proxy that knows the nodes; see docs/redis.md",
    ),
    ("CLUSTERDOWN|TRYAGAIN", "the cluster is not complete now", "Try again; see CLUSTER INFO"),
    ("MASTERDOWN", "it is a replica that has lost its primary", "Try again"),
    (
        "NOAUTH|Authentication required|already authenticated",
        "it asks for a password",
        "Put it into the URL: redis://user:password@host",
    ),
    (
        "WRONGPASS|invalid password|invalid username-password",
        "it refuses this user name or password",
        "Correct them in the URL; special characters are percent-encoded",
    ),
    (
        "without any password configured|no password is set",
        "it has no password, but the URL names one",
        "Take it out of the URL, or give the server one",
    ),
    ("DB index is out of range", "it has no database of this number", "See its `databases`"),
    ("SELECT is not allowed in cluster mode", "a cluster has one database, 0", "Name that"),
    ("max number of clients reached", "it has too many clients", "See its `maxclients`"),
    ("Too many connections", "this process has too many calls to it under way", "Try again"),
    (
        "Hostname mismatch|IP address mismatch",
        "its certificate is for another host",
        "Name the host as the certificate does",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is not to be trusted",
        "Name the authority that signed it: ?ssl_ca_certs=/path/to/ca.pem",
    ),
    ("WRONG_VERSION_NUMBER|RECORD_LAYER", "it does not speak TLS there", "Write redis://"),
)

_LOOK = {
    False: "See whether it runs and can be reached; if it speaks TLS, write rediss://",
    True: "See whether it runs, can be reached, and speaks TLS on this port; "
    "it may ask for a certificate of yours (ssl_certfile, ssl_keyfile)",
}
"""What to do when there is no answer, without TLS and with."""

_COMMAND = re.compile(r"^(\w+): |'([\w|]+)' command|command ['`](\w+)")
_NO_COMMAND = re.compile(
    r"permissions to run|can't run this command|unknown( redis)? command", re.IGNORECASE
)
_NO_KEYS = re.compile(
    r"permissions to access|can't access at least one of the keys", re.IGNORECASE
)


def is_busy(exc: BaseException) -> bool:
    """Return whether nothing was done, because the server can't do anything just now."""
    return isinstance(exc, exceptions.RedisError) and bool(_BUSY.match(_text(exc)))


def is_forbidden(exc: BaseException) -> bool:
    """Return whether the server has no such command, or not for this user."""
    return bool(_NO_COMMAND.search(_text(exc)))


def is_demoted(exc: BaseException) -> bool:
    """Return whether the server has become a replica, or always was one."""
    return "READONLY" in _text(exc)


def is_lost(exc: BaseException) -> bool:
    """Return whether a connection was closed or could not be made. Not whether time ran out."""
    return type(exc) is exceptions.ConnectionError


def explain(
    exc: BaseException, url: RedisURL, keys: Keys, record_id: str | None = None
) -> StoreError:
    """
    Return our error for one of the server's or driver's; every one of them passes here.

    The frames that *exc* came through are taken from it: they hold the password.

    Args:
        exc: What they say.
        url: Where the server is.
        keys: The keys of the store.
        record_id: The record that was asked for or written. None if it was none, or several.
    """
    _bare(exc)
    text = _text(exc)
    if "WRONGTYPE" in text:
        return foreign(url, keys)
    what, hint = _reason(exc, text, url, keys)
    return StoreUnavailable(
        f"Redis at {url.place} can't be used: {what}", token_id=record_id, hint=hint
    )


def foreign(url: RedisURL, keys: Keys) -> StoreForeign:
    """Return the error for keys of ours that somebody else uses."""
    prefix = keys.record.rpartition(":")[0]
    return StoreForeign(
        f"Redis at {url.place} has keys {prefix}:… that tokenkeep did not make",
        hint="They are left as they are. Give the store another name with ?prefix=",
    )


def _reason(exc: BaseException, text: str, url: RedisURL, keys: Keys) -> tuple[str, str | None]:
    if isinstance(exc, exceptions.TimeoutError):
        return "it does not answer in time", _LOOK[url.secure]
    for pattern, what, hint in _REASONS:
        if re.search(rf"(?<!\w)({pattern})(?!\w)", text):
            return what, hint
    if _NO_KEYS.search(text):
        prefix = keys.record.rpartition(":")[0]
        return "this user has no right to its keys", f"ACL SETUSER name ~{prefix}:*"
    if is_forbidden(exc):
        found = _COMMAND.search(text)
        name = next(filter(None, found.groups())).lower() if found else "…"
        return (
            f"this user may not run the command {name.upper()}",
            f"ACL SETUSER name +{name}; docs/redis.md lists what is needed",
        )
    return text.rstrip("."), _LOOK[url.secure] if is_lost(exc) else None


def _text(exc: BaseException) -> str:
    """Return what was said, the code of the error in front."""
    code = next((code for kind, code in _CLASSES.items() if isinstance(exc, kind)), "")
    return f"{code} {exc}".strip()


def _bare(exc: BaseException | None) -> None:
    """
    Take the frames, and what was given to an unknown command, out of a chain of errors.

    A server that does not know AUTH repeats the password.
    """
    while exc is not None:
        exc.__traceback__ = None
        if exc.args and ", with args" in str(exc.args[0]):
            exc.args = (str(exc.args[0]).partition(", with args")[0],)
        exc = exc.__cause__ or exc.__context__
