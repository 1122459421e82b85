"""
The audit: who did what to tokens, a line of JSON for each deed, chained to the one before.

Each line has the seal of the one before it and, last, its own: a MAC under a key of the store's
that no rotation changes. So nobody without the store's keys can write, change or exchange a line;
and as the store notes how far a chain has come, nobody can cut its end off either.

A deed is done first, then audited, and never undone because it can't be: then it is reported
(``unaudited``), counted in the store, and the next line says how many are ``missed``.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol
from weakref import WeakMethod

from tokenkeep import environment, events, holder
from tokenkeep.backends import private_file
from tokenkeep.backends.forks import renew_in_child
from tokenkeep.errors import (
    ConfigurationError,
    StoreConflict,
    StoreUnavailable,
    TokenKeepError,
)
from tokenkeep.swapping import attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tokenkeep.clock import Clock
    from tokenkeep.sealing import DataKeys
    from tokenkeep.token import Token

ACTOR = "TOKENKEEP_ACTOR"
LOGGING = "logging"
"""In the place of a file's path: the lines go to the logger ``tokenkeep.audit``."""

OF_A_LOG = "logging "
"""How the name of a chain begins that no file has: one of a process, whose end nobody notes."""

LONGEST = 65_536
"""No line is longer, in bytes."""

_PAUSE = 0.002
_KEPT = 2 * 366 * 86400.0
"""How long it is noted how far a chain came that nobody writes to any more, in seconds."""
_MOST_TEXT = 1000
_DIGITS = 64
_NEW = b',"mac":"%s"}'
_SEAL = len(_NEW) - 2 + _DIGITS

_actor: ContextVar[str | None] = ContextVar("tokenkeep_actor", default=None)


@contextmanager
def acting(name: str) -> Iterator[None]:
    """
    Say who does what is done inside, for the audit; in this thread or task alone.

    Args:
        name: A person, a job, a request: whatever tells who is behind it. Without it, the
            variable TOKENKEEP_ACTOR does, else SUDO_USER.
    """
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)


class Notes(Protocol):
    """Where a store notes how far a chain has come: see `tokenkeep.store.Store`."""

    def note(self, name: str) -> tuple[str, Mapping[str, str]] | None:
        """See `tokenkeep.store.Store.note`."""

    def put_note(
        self,
        name: str,
        facts: Mapping[str, str],
        *,
        replaces: str | None,
        until: float | None = None,
    ) -> str:
        """See `tokenkeep.store.Store.put_note`."""


class Head(NamedTuple):
    """
    How far a chain has come.

    Args:
        seq: The number of its last line. 0 if it has none.
        mac: The seal of that line. Empty likewise.
        missed: How many deeds could not be written since, and no line says so yet.
    """

    seq: int = 0
    mac: str = ""
    missed: int = 0


class Line(NamedTuple):
    """A line that is as one of us wrote it; *prev* is the seal of the one before."""

    store: str
    chain: str
    seq: int
    prev: str
    mac: str
    at: float
    missed: int


def sealed(facts: Mapping[str, object], keys: DataKeys) -> tuple[bytes, str]:
    """Return the line for these facts, with its end, and its seal."""
    body = json.dumps(facts, separators=(",", ":"), default=str).encode()
    mac = keys.audit_mac(body)
    return body[:-1] + _NEW % mac.encode() + b"\n", mac


def opened(raw: bytes, keys: DataKeys) -> Line | None:
    """Return what a line, without its end, says. None if it is not as one of us wrote it."""
    body, mac = raw[:-_SEAL] + b"}", raw[-2 - _DIGITS : -2]
    if raw[-_SEAL:] != _NEW % mac or not compare_digest(keys.audit_mac(body).encode(), mac):
        return None
    facts = json.loads(body)
    facts |= {"mac": mac.decode(), "missed": facts.get("missed", 0)}
    return Line(*(facts[name] for name in Line._fields))


def name_of(keys: DataKeys) -> str:
    """Return how a store is called in its lines."""
    return keys.store_id[:12]


class Audit:
    """Where deeds are told; this one tells nobody, for where no audit is configured."""

    def note(self, what: str, token: Token | None = None, **details: object) -> None:
        """
        Write down what somebody has just done. It may fail, and is no error then.

        Args:
            what: The deed, such as ``revoked``.
            token: To which token. None if to several, or to none.
            details: More about it, without a secret.
        """

    def report_to(self, report: Callable[[events.Event], None]) -> None:
        """Let a method be told of what could not be audited; as long as its object lives."""

    def recall(self) -> None:
        """Learn how far the chain has come, before the store forgets all that it has noted."""

    def examine(self) -> int:
        """
        Return how many deeds are missing that no line tells of yet.

        Raises:
            StoreUnavailable: The audit can't be written.
            StoreError: The store can't be read.
        """
        return 0

    def describe(self) -> str | None:
        """Return where the lines go, for people. None if nowhere."""
        return None


class _Written(Audit):
    """Make lines; what could not be written is reported."""

    def __init__(self, keys: Callable[[], DataKeys], clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._reports: list[WeakMethod[Callable[[events.Event], None]]] = []

    def note(self, what: str, token: Token | None = None, **details: object) -> None:
        """See `Audit.note`."""
        deed = {
            "at": round(self._clock.now(), 3),
            "what": what,
            "by": _by(),
            "token": token and _cut(token.id),
            "user": token and _cut(token.user),
            "details": {name: _cut(value) for name, value in details.items() if value is not None},
        }
        try:
            self._write(deed)
        except (TokenKeepError, OSError) as exc:
            if isinstance(exc, OSError) and exc.errno is None:
                raise  # a signal handler's own
            self._missing()
            error = exc.what if isinstance(exc, TokenKeepError) else exc.strerror
            self._report("unaudited", token, what=what, **_by(), error=error)

    def report_to(self, report: Callable[[events.Event], None]) -> None:
        """See `Audit.report_to`."""
        self._reports = [each for each in self._reports if each()] + [WeakMethod(report)]

    def _write(self, deed: Mapping[str, object]) -> None:
        raise NotImplementedError

    def _missing(self) -> None:
        """Note that a deed is not in the audit."""

    def _sealed(self, chain: str, last: Head, deed: Mapping[str, object]) -> tuple[bytes, Head]:
        """Return the line behind the last one, and how far the chain comes with it."""
        keys = self._keys()
        where = {"store": name_of(keys), "chain": chain, "seq": last.seq + 1}
        missed = {"missed": last.missed} if last.missed else {}
        facts = {**where, **deed, **missed, "prev": last.mac}
        line, mac = sealed(facts, keys)
        if len(line) > LONGEST:
            line, mac = sealed({**facts, "details": {"too_long": len(line)}}, keys)
        return line, Head(last.seq + 1, mac)

    def _report(self, name: str, token: Token | None, **details: object) -> None:
        event = events.Event(
            name=name,
            token_id=str((token and token.id) or ""),
            user=token.user if token else None,
            at=self._clock.now(),
            details=details,
        )
        events.log(event)
        for report in filter(None, (each() for each in self._reports)):
            report(event)


class LoggedAudit(_Written):
    """Lines of the logger ``tokenkeep.audit``, a chain for each process."""

    def __init__(self, keys: Callable[[], DataKeys], clock: Clock) -> None:
        super().__init__(keys, clock)
        self._logger = logging.getLogger(f"{events.logger.name}.audit")
        if self._logger.level == logging.NOTSET:
            self._logger.setLevel(logging.INFO)
        self.renew_locks()
        renew_in_child(self)

    def renew_locks(self) -> None:
        """Begin a chain of this process's own."""
        self._lock = threading.RLock()  # a signal handler may come in
        self._chain = f"{OF_A_LOG}{holder.name(holder.me())} {secrets.token_hex(4)}"
        self._last = Head()

    def describe(self) -> str:
        """See `Audit.describe`."""
        return f"the logger {self._logger.name}"

    def _write(self, deed: Mapping[str, object]) -> None:
        with self._lock:
            line, self._last = self._sealed(self._chain, self._last, deed)
            self._logger.info("%s", line.decode().rstrip("\n"))


class FileAudit(_Written):
    """
    Lines in a file that processes, threads and several stores of a host write to at once.

    A chain is of one store and of one place, which is a path on a host. Whoever writes holds
    the file's lock (``flock``), and none while it asks the store. A file that was moved away
    or emptied is begun anew, and the chain goes on in it.

    Args:
        path: The file; made with mode 0600, and its folder, if it is missing.
        keys: Returns the store's keys.
        notes: Where it is noted how far the chain has come.
        clock: The time.
        patience: How long to wait for other processes that write to the file, in seconds.

    Raises:
        ConfigurationError: This system has no such locks.
    """

    def __init__(
        self,
        path: Path,
        keys: Callable[[], DataKeys],
        notes: Notes,
        clock: Clock,
        *,
        patience: float = 5.0,
    ) -> None:
        super().__init__(keys, clock)
        if os.name != "posix":
            raise ConfigurationError(
                "An audit has no file on this system", hint=f'Say "{LOGGING}" in its place'
            )
        path = path.absolute()
        self.path: Path = Path(os.path.realpath(path.parent)) / path.name
        self.chain: str = f"{socket.gethostname()}:{self.path}"
        self._notes = notes
        self._patience = patience
        self._noted: tuple[str | None, Head] | None = None
        self._last = Head()
        self.renew_locks()
        renew_in_child(self)

    def renew_locks(self) -> None:
        """Begin with a new lock in a child; what its parent has missed is its parent's."""
        self._lock = threading.RLock()  # a signal handler may come in
        self._unnoted = 0

    def describe(self) -> str:
        """See `Audit.describe`."""
        return str(self.path)

    def recall(self) -> None:
        """See `Audit.recall`."""
        with suppress(TokenKeepError):
            self._last = max(self._last, self._look()[1])

    def examine(self) -> int:
        """See `Audit.examine`."""
        _, now = self._look()
        if os.path.lexists(self.path):
            with self._locked():
                return now.missed
        above = next(each for each in self.path.parents if each.exists())
        private_file.expect_shared(above)
        if not os.access(above, os.W_OK | os.X_OK):
            raise StoreUnavailable(f"{above} can't be written", hint=private_file.HINT)
        return now.missed

    # One line

    def _write(self, deed: Mapping[str, object]) -> None:
        _, seen = self._noted or self._look()
        written = self._append(deed, seen, is_sure=False)
        if written is None:  # others have written, or somebody has moved or cut the file
            _, seen = self._look()
            written = self._append(deed, seen, is_sure=True)
        assert written is not None  # noqa: S101  # for the type checker
        self._last = max(self._last, written)
        try:
            self._put(lambda now: _come(now, written, seen.missed))
        except TokenKeepError as exc:
            # The line is there; the next one is noted, and this one with it.
            events.logger.warning("%s: its end could not be noted: %s", self.path, exc)

    def _append(self, deed: Mapping[str, object], seen: Head, *, is_sure: bool) -> Head | None:
        """Write behind the last line. None: what is noted has to be seen anew, before."""
        with self._locked() as file:
            end, last, before = _tail(file, self.chain, self._keys())
            if not is_sure and (last is None or last.mac != seen.mac):
                return None
            known = max(self._last, seen, key=lambda head: head.seq)
            base = Head(last.seq, last.mac) if last and last.seq >= known.seq else known
            # A line that is newer than what is noted has told of what was missed till then.
            told = 0 if last and last.seq > seen.seq else seen.missed
            with self._lock:
                unnoted = self._unnoted
            line, head = self._sealed(self.chain, base._replace(missed=told + unnoted), deed)
            try:
                _shorten(file, end)  # what was cut off as it was written is taken back
                _write_all(file, before + line)
                os.fsync(file)
            except BaseException:
                with suppress(OSError):
                    _shorten(file, end)
                raise
            with self._lock:
                self._unnoted -= unnoted
            return head

    def _missing(self) -> None:
        """Count in the store what is in no line: the next one may be another process's."""
        with self._lock:
            count, self._unnoted = self._unnoted + 1, 0
        try:
            self._put(lambda now: now._replace(missed=now.missed + count))
        except TokenKeepError:
            with self._lock:
                self._unnoted += count

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Yield the file, locked. Each try opens it anew: it may be moved meanwhile."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                file = private_file.open_to_append(self.path)
            except OSError as exc:
                private_file.refuse(self.path, exc)
            try:
                if _lock(file):
                    yield file
                    return
            finally:
                # A fork may have left it to a child, which must not keep the lock.
                _unlock(file)
                os.close(file)
            if time.monotonic() >= deadline:
                raise StoreUnavailable(
                    f"{self.path} was busy for {self._patience:g} seconds",
                    hint="Another process holds it: look which one hangs",
                )
            time.sleep(_PAUSE)

    # How far the chain has come

    def _look(self) -> tuple[str | None, Head]:
        """Read what is noted."""
        self._noted = noted(self._notes, self.chain)
        return self._noted

    def _put(self, change: Callable[[Head], Head | None]) -> None:
        """Note what becomes of what is noted now; None leaves it so."""
        version, now = self._noted or self._look()
        for _ in attempts():
            changed = change(now)
            if changed is None:
                return
            try:
                version = put(self._notes, self.chain, changed, version, self._clock.now())
            except StoreConflict:
                version, now = self._look()
            else:
                self._noted = version, changed
                return


def noted(notes: Notes, chain: str) -> tuple[str | None, Head]:
    """Return the version of a chain's note, None if there is none, and how far it has come."""
    found = notes.note(f"audit {chain}")
    if found is None:
        return None, Head()
    version, facts = found
    return version, Head(int(facts["seq"]), facts["mac"], int(facts["missed"]))


def put(notes: Notes, chain: str, head: Head, replaces: str | None, now: float) -> str:
    """Note how far a chain has come; see `tokenkeep.store.Store.put_note`."""
    facts = {name: str(value) for name, value in head._asdict().items()}
    return notes.put_note(f"audit {chain}", facts, replaces=replaces, until=now + _KEPT)


def _come(now: Head, written: Head, told: int) -> Head | None:
    """Return what to note once a line is written that *told* of what was missed."""
    if now.seq >= written.seq:
        return None  # somebody has noted a later line
    return written._replace(missed=max(0, now.missed - told))


def _tail(file: int, chain: str, keys: DataKeys) -> tuple[int, Line | None, bytes]:
    """
    Return where the whole lines of a file end, the last one of a chain, and what is to precede.

    What stands behind the last line's end was cut off as it was written, but for a line that
    only lacks its end, or what is too long to be a line of ours: that gets one.
    """
    size = os.fstat(file).st_size
    block = os.pread(file, LONGEST, max(0, size - LONGEST))
    *lines, rest = block.split(b"\n")
    end, before = size - len(rest), b""
    if rest and (opened(rest, keys) or len(rest) == LONGEST):
        lines, end, before = [*lines, rest], size, b"\n"
    ours = f'"chain":{json.dumps(chain)}'.encode()
    for raw in reversed(lines):
        if ours in raw and (line := opened(raw, keys)) and line.chain == chain:
            return end, line, before
    return end, None, before


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _shorten(file: int, end: int) -> None:
    """Take away what stands behind *end*; a file that others have emptied stays so."""
    if os.fstat(file).st_size > end:
        os.ftruncate(file, end)


def _lock(file: int) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: int) -> None:
    import fcntl

    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)


def _by() -> dict[str, str]:
    """Return who does it: the process, the system's name for its user, and who acts, if known."""
    actor = _actor.get() or environment.given(os.environ, ACTOR) or os.environ.get("SUDO_USER")
    by = {"process": holder.name(holder.me()), "account": _account()}
    return by | ({"actor": str(_cut(actor))} if actor else {})


def _account() -> str:
    if os.name != "posix":
        return os.environ.get("USERNAME", "")
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _cut(value: object) -> object:
    return value[:_MOST_TEXT] if isinstance(value, str) else value
