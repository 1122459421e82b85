"""The store's own record: its id, its keys and its policies, wrapped under the key ring."""

from __future__ import annotations

import base64
import json
import os
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tokenkeep.backends.base import HEADER, WIDTH, Record
from tokenkeep.backends.forks import renew_in_child
from tokenkeep.errors import (
    ConfigurationError,
    KeyMissing,
    StoreConflict,
    StoreTampered,
    StoreTooNew,
    StoreUnavailable,
)
from tokenkeep.policy import NO_POLICIES, Policies
from tokenkeep.providers.checks import Hidden
from tokenkeep.sealing import KEY_BYTES, DataKeys
from tokenkeep.swapping import attempts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep.backends.base import Backend
    from tokenkeep.sealing import KeySource

FORMAT = 2
LOOK_EVERY = 60.0
"""How often an open store looks at its header before it writes, in seconds."""

_BOUND = f"tokenkeep {FORMAT} header".encode()
_EVER = 1e12
_RESTORE = "Restore the store from a backup; without one, delete all of it and log in again"


@dataclass(frozen=True, kw_only=True)
class Ruled:
    """
    What policies a store has.

    Args:
        policies: They themselves.
        serial: How often they were set.
        at: When, in epoch seconds. None if never.
        by: Who did, for people. None likewise.
        applied: Up to which *serial* all rows were looked at since.
    """

    policies: Policies = NO_POLICIES
    serial: int = 0
    at: float | None = None
    by: str | None = None
    applied: int = 0


class Header:
    """
    The keys of the store in a backend, read from it, and made with what is written first.

    Two first processes agree: the header of one is inserted, the other one
    finds it. An open store looks at it again now and then before it writes:
    nothing is sealed under keys that nobody else can find.

    Raises:
        KeyMissing: The header is wrapped under a key that is not at hand.
        StoreTooNew: A newer tokenkeep made the store.
        StoreTampered: The header does not open.
    """

    def __init__(
        self, backend: Backend, source: KeySource, monotonic: Callable[[], float]
    ) -> None:
        self._backend = backend
        self._source = source
        self._monotonic = monotonic
        self._record: Record | None = None
        self._looked = monotonic()
        self._keys = _keys_in(_new())
        self.ruled: Ruled = Ruled()
        self.renew_locks()
        renew_in_child(self)
        if not self.is_made:
            expect_new(backend)

    def renew_locks(self) -> None:
        """Begin with a new lock in a child process."""
        self._lock = threading.RLock()  # a signal handler may come in

    @property
    def keys(self) -> DataKeys:
        """The store's keys. Until it is made, some that nothing is found by or sealed under."""
        if self._record is None:
            self.look()
        return self._keys

    @property
    def is_made(self) -> bool:
        """Whether the store is there, made by whatever process meanwhile."""
        if self._record is None:
            self.look()
        return self._record is not None

    def make(self) -> None:
        """Make it, unless it is there, or another process just did."""
        if self.is_made:
            return
        expect_new(self._backend)
        with suppress(StoreConflict):
            self._backend.write(_record(_new(), self._source), replaces=None)
        if not self.is_made:
            raise self._gone("The store's own record was deleted as it was made")

    @property
    def wrapped_under(self) -> str:
        """The id of the key of the ring that the store's keys are wrapped under."""
        return wrapped(self._there())[0]

    def expect_there(self) -> None:
        """
        Make sure, at most once a minute, that the store still has these keys; or make them.

        Raises:
            StoreUnavailable: Its header is gone, or another store's.
            KeyMissing: It is wrapped under a key that is not at hand by now.
        """
        if self._record is None:
            self.make()
        elif self._monotonic() - self._looked >= LOOK_EVERY:
            self.look()

    def look(self) -> None:
        """Read the header again; see `expect_there` for what is raised."""
        with self._lock:
            self._take_up(self._backend.read(HEADER))

    def expect(self, record: Record | None) -> None:
        """Make sure that a header just read, if any was, is this store's; see `expect_there`."""
        with self._lock:
            was = self._record
            if record is not None and (was is None or record.version == was.version):
                self._take_up(record)
            else:  # it is another one; or another thread has looked since it was read
                self.look()

    def _take_up(self, record: Record | None) -> None:
        was = self._record
        if record is None:
            if was is not None:
                raise self._gone("The store's own record is gone")
            return
        # A heartbeat is another version, of the same keys: no service is asked to unwrap them.
        if was is None or (record.version != was.version and wrapped(record) != wrapped(was)):
            try:
                plain = _plain(record, self._source)
            except KeyMissing as exc:
                changed = "The store's header was changed meanwhile. " if was is not None else ""
                exc.what = f"{changed}{exc.what}, for {self._backend.describe()}"
                raise
            keys, ruled = _keys_in(plain), _ruled_in(plain)
            if was is not None and keys.store_id != self._keys.store_id:
                raise self._gone("There is another store by now")
            is_older = not {*self._keys.numbers} <= {*keys.numbers}
            if was is not None and (is_older or ruled.serial < self.ruled.serial):
                raise self._gone("The store's own record is an older one than it was")
            self._keys, self.ruled = keys, ruled
        self._record = record
        self._looked = self._monotonic()

    def beat(self, now: float) -> float | None:
        """
        Write a heartbeat into the header, beside what is wrapped: a proof that this process may.

        Args:
            now: This host's time, in epoch seconds.

        Returns:
            The one that was there, of whatever host. None if there was none.

        Raises:
            StoreUnavailable: There is no store, or it can't be written.
            KeyMissing: As for `expect_there`.
        """
        for _ in attempts():
            with self._lock:
                self.look()
                there = self._record
            if there is None:
                raise StoreUnavailable(
                    f"There is no store yet: nothing in {self._backend.describe()}",
                    hint="The first login makes it, and a program that opens it with make=True",
                )
            last = _heartbeat(there)
            if last is not None and 0 <= now - last < self._backend.beats_every:
                return last
            outside = {**_outside(there), "heartbeat": now}
            beaten = replace(there, version=_version(), sealed=json.dumps(outside).encode())
            with suppress(StoreConflict):  # somebody else was faster: that proves nothing of us
                self._backend.write(beaten, replaces=there.version)
                return last
        raise AssertionError  # attempts() has raised

    def rotate(self) -> bool:
        """Wrap the keys under the newest key of the ring; tell whether it was another one."""
        self.look()
        if self.wrapped_under == self._source.key_ids[0]:
            return False
        self._rewrite(lambda plain: plain)
        return True

    def rotate_data(self) -> int:
        """Add a data key, under which everything is sealed from now on. Return its number."""

        def with_another(plain: Hidden) -> Hidden:
            number = max(map(int, plain["keys"])) + 1
            return Hidden(plain, keys={**plain["keys"], str(number): _text(os.urandom(KEY_BYTES))})

        self._rewrite(with_another)
        return self._keys.newest

    def look_now_and_then(self) -> None:
        """Read it again if that was not done for half a minute; not if it was never made."""
        if self._record is None or self._monotonic() - self._looked >= LOOK_EVERY / 2:
            self.look()

    def rule(self, change: Callable[[Ruled], Ruled]) -> None:
        """Write what *change* makes of the policies, and of how far they are applied."""

        def ruled(plain: Hidden) -> Hidden:
            new = change(_ruled_in(plain))
            return Hidden(plain, ruled={**vars(new), "policies": new.policies.facts()})

        self.make()
        self._rewrite(ruled)

    def _rewrite(self, change: Callable[[Hidden], Hidden]) -> None:
        """Write what *change* makes of what is wrapped, as it is now: nobody's is written over."""
        for _ in attempts():
            with self._lock:
                self.look()
                there = self._there()
                record = _record(change(_plain(there, self._source)), self._source)
                with suppress(StoreConflict):  # somebody else was faster, if only a heartbeat
                    self._backend.write(record, replaces=there.version)
                    self._take_up(record)
                    return

    def _there(self) -> Record:
        self.make()
        assert self._record is not None  # noqa: S101  # for the type checker
        return self._record

    def _gone(self, what: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"{what}: {self._backend.describe()}",
            hint="Its table or file was dropped or replaced. Put it back, or stop all processes "
            "that use it and start them again; nothing was written",
        )


def expect_new(backend: Backend) -> None:
    """
    Make sure that a store without a header holds nothing: it gets none beside sealed records.

    Raises:
        StoreTampered: It holds records, which no new keys would open.
    """
    if backend.scan(None, 1) and backend.read(HEADER) is None:
        gone = "The store's own record is gone, and with it the keys of all others, in "
        raise StoreTampered(f"{gone}{backend.describe()}", hint=_RESTORE)


def _record(plain: Hidden, source: KeySource) -> Record:
    key_id, sealed = source.wrap(json.dumps(plain).encode(), _BOUND)
    outside = json.dumps({"tokenkeep": FORMAT, "key": key_id, "wrapped": _text(sealed)}).encode()
    return Record(
        id=HEADER, version=_version(), owner=HEADER, kind="header", key=0, sealed=outside
    )


def _version() -> str:
    return secrets.token_hex(WIDTH // 2)


def _outside(record: Record) -> dict[str, object]:
    outside: dict[str, object] = json.loads(record.sealed)
    return outside


def _heartbeat(record: Record) -> float | None:
    """Return the time of a header's heartbeat. None if there is none: anybody may write there."""
    beat = _outside(record).get("heartbeat")
    return float(beat) if isinstance(beat, int | float) and abs(beat) < _EVER else None


def _new() -> Hidden:
    return Hidden(
        store=secrets.token_hex(WIDTH // 2),
        keys={"1": _text(os.urandom(KEY_BYTES))},
        index=_text(os.urandom(KEY_BYTES)),
    )


def _keys_in(plain: Hidden) -> DataKeys:
    # What is suppressed has keys in it: no error may come from it.
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        return DataKeys(
            str(plain["store"]),
            {int(number): _bytes(key) for number, key in plain["keys"].items()},
            _bytes(plain["index"]),
        )
    raise _damaged()


def _ruled_in(plain: Hidden) -> Ruled:
    found, which = plain.get("ruled", {}), ""
    try:
        policies = Policies.of_facts(found.get("policies", ()), since=found.get("at"))
        return Ruled(**{**found, "policies": policies})
    except ConfigurationError as exc:
        which = f": {exc.what}"
    except (ValueError, TypeError, AttributeError):
        pass
    raise StoreTooNew(
        f"The policies of this store say something that this tokenkeep does not know{which}",
        hint="Upgrade tokenkeep: it would not hold to them. A time zone comes with tzdata",
    )


def _plain(record: Record, source: KeySource) -> Hidden:
    key_id, sealed = wrapped(record)
    with suppress(ValueError, TypeError):  # as above
        return Hidden(json.loads(source.unwrap(key_id, sealed, _BOUND)))
    raise _damaged()


def wrapped(record: Record) -> tuple[str, bytes]:
    """
    Return the id of the key that a header is wrapped under, and what is wrapped.

    Raises:
        StoreTooNew: A newer tokenkeep made the store.
        StoreTampered: It is damaged.
    """
    try:
        outside = json.loads(record.sealed)
        made_by = int(outside["tokenkeep"])
        if made_by <= FORMAT:
            return str(outside["key"]), _bytes(outside["wrapped"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise _damaged() from None
    said = f"This store was made by a newer tokenkeep (format {made_by})"
    raise StoreTooNew(said, hint="Upgrade tokenkeep")


def _damaged() -> StoreTampered:
    said = "The store's own record is damaged: without it no token in the store opens"
    return StoreTampered(said, hint=_RESTORE)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: object) -> bytes:
    return base64.b64decode(str(text), validate=True)
