"""
Forks and signals: no child inherits a lock that is taken or a connection that
is open, and no thread waits for itself.

SQLite's own rule is that a connection must not cross a fork; a child that
opens another one beside it loses commits. So every `ForkSafe` object is
brought to rest before the fork, and both sides start again from there.
What has locks of another kind begins with new ones in the child.
"""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakValueDictionary

from tokenkeep.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_Result = TypeVar("_Result")

_PATIENCE = 10.0
"""
How long a fork waits for the calls that are under way, in seconds. No call
holds the lock while it waits for another process, so only a disk that hangs is
as slow. The child then gets a connection it must not use, and is told so.
"""

_ATTEMPTS = 5
"""How often what a signal handler interrupts by raising is done again."""


class HasLocks(Protocol):
    """Something with locks or other state of one process."""

    def renew_locks(self) -> None:
        """Replace what must not be shared with the parent."""


def renew_in_child(thing: HasLocks) -> None:
    """Call ``thing.renew_locks()`` in each child process, as long as it lives."""
    _forks.add(thing)


class ForkSafe:
    """
    Something with a lock, ``self._lock``, that is at rest while the process forks.

    A signal handler or a finalizer may call a method while its own thread is
    in the midst of one. The lock lets it in, lest it waits for ever;
    ``self._inside`` tells it to turn back.
    """

    def __init__(self) -> None:
        self.renew_locks()
        renew_in_child(self)

    def renew_locks(self) -> None:
        """Begin with a new lock: a thread of the parent may hold the old one."""
        self._lock: _Lock | _Gate = _new_lock()
        self._inside = False

    def _alone(self, work: Callable[[], _Result]) -> _Result:
        """
        Do something while other threads are kept out.

        Raises:
            StoreUnavailable: This thread is inside already.
        """
        # No context manager of Python code: where a signal handler raises as it
        # is entered, the lock stays taken as long as somebody keeps the error.
        with self._lock:
            if self._inside:
                raise reentered()
            try:
                self._inside = True
                return work()
            finally:
                self._inside = False

    def _rest(self) -> None:
        """Close what a child must not inherit. Called with the lock held; may not raise."""


def reentered() -> StoreUnavailable:
    """Return the error for a call in the midst of another one of the same thread."""
    return StoreUnavailable(
        "The store was asked by a signal handler or finalizer that interrupted "
        "a call of the same thread to it",
        hint="Set a flag in the handler, and ask outside of it. Greenlets are kept apart only "
        "where gevent has patched before tokenkeep was imported",
    )


class _Lock(Protocol):
    """What there is of `threading.RLock`."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...  # noqa: FBT001, FBT002 - not ours
    def release(self) -> None: ...
    def _is_owned(self) -> bool: ...  # as threading.Condition uses it
    def __enter__(self) -> bool: ...
    def __exit__(self, *exc: object) -> None: ...


def _new_lock() -> _Lock:
    return threading.RLock()  # type: ignore[return-value]  # its stub lacks _is_owned


class _Gate:
    """
    What stands in a lock's place while a fork waits for it.

    Threads that call again and again would keep a fork waiting: a lock does
    not heed who came first. Who comes now lets the fork go first.
    """

    def __init__(self, lock: _Lock) -> None:
        self.lock = lock

    def __enter__(self) -> bool:
        _forks.let_go_first()
        owned = self.lock._is_owned()  # noqa: SLF001
        try:
            return self.lock.acquire()
        except BaseException:  # a signal handler raised, perhaps with the lock just taken
            if not owned and self.lock._is_owned():  # noqa: SLF001
                self.lock.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lock.release()


class _Forks:
    """
    What is done around each fork of this process.

    Python forks and goes on whatever a signal handler raises meanwhile, even
    as one of these functions begins. So each may be called again, and is.
    """

    def __init__(self) -> None:
        self._things: WeakValueDictionary[int, HasLocks] = WeakValueDictionary()
        self._kinds: set[type] = set()
        # One fork at a time.
        self._lock = _new_lock()
        self._gates: list[tuple[ForkSafe, _Gate]] = []
        self._deadline: float | None = None

    def register(self) -> None:
        os.register_at_fork(
            before=self.before,
            after_in_parent=self.after_in_parent,
            after_in_child=self.after_in_child,
        )

    def add(self, thing: HasLocks) -> None:
        self._things[id(thing)] = thing
        if type(thing) not in self._kinds and _can_fork:
            # Who registered last is called first. Libraries that a store is made
            # with may have registered since, and hold everybody up from then on:
            # filelock does, and a save that it holds up would hold us up.
            os.register_at_fork(before=self.before)
            self._kinds.add(type(thing))

    def let_go_first(self) -> None:
        """Wait for the end of a fork, unless that waits for this very thread."""
        if not any(gate.lock._is_owned() for _, gate in list(self._gates)):  # noqa: SLF001
            with self._lock:
                pass

    def before(self) -> None:
        _to_the_end(self._bring_to_rest)

    def after_in_parent(self) -> None:
        _to_the_end(self._let_go)

    def after_in_child(self) -> None:
        _to_the_end(self._renew)

    def _bring_to_rest(self) -> None:
        if not self._lock._is_owned():  # noqa: SLF001
            self._lock.acquire()
        if self._deadline is None:
            self._deadline = monotonic() + _PATIENCE
        for thing in self._living():
            if isinstance(thing, ForkSafe):
                self._close_gate(thing)
        for member, gate in self._gates:
            left = max(0.0, self._deadline - monotonic())
            if gate.lock._is_owned() or gate.lock.acquire(timeout=left):  # noqa: SLF001
                try:
                    member._inside = True  # noqa: SLF001 - one idea, two classes
                    member._rest()  # noqa: SLF001
                finally:
                    member._inside = False  # noqa: SLF001

    def _close_gate(self, member: ForkSafe) -> None:
        lock = member._lock  # noqa: SLF001
        if isinstance(lock, _Gate):
            return  # an attempt before this one was interrupted
        if lock._is_owned():  # noqa: SLF001
            return  # a fork in a signal handler, in the midst of a call that will go on
        gate = _Gate(lock)
        self._gates.append((member, gate))  # first: what is noted is opened again
        member._lock = gate  # noqa: SLF001

    def _let_go(self) -> None:
        for member, gate in self._gates:
            member._lock = gate.lock  # noqa: SLF001
            if gate.lock._is_owned():  # noqa: SLF001
                gate.lock.release()
        self._gates = []
        self._deadline = None
        if self._lock._is_owned():  # noqa: SLF001
            self._lock.release()

    def _renew(self) -> None:
        self._gates = []
        self._deadline = None
        self._lock = _new_lock()
        for thing in self._living():
            thing.renew_locks()

    def _living(self) -> list[HasLocks]:
        # Not values(): that would go through the dictionary while other threads add to it.
        things = [ref() for ref in self._things.valuerefs()]
        return [thing for thing in things if thing is not None]


def _to_the_end(step: Callable[[], None]) -> None:
    raised: BaseException | None = None
    for _ in range(_ATTEMPTS):
        try:
            step()
            break
        except BaseException as exc:  # noqa: BLE001 - raised below, where Python shows it
            raised = exc
    if raised is not None:
        raise raised


_forks = _Forks()
_can_fork = hasattr(os, "register_at_fork")  # not on Windows

if _can_fork:
    # Twice: a signal handler may raise as one of these functions begins.
    _forks.register()
    _forks.register()
