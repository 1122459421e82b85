"""
What a backend on a server promises beside `BackendContract`: named errors in time, nothing twice.

    class TestMyServer(ServerContract):
        @pytest.fixture
        def server(self):
            with MyServer() as server:
                yield server

        @pytest.fixture
        def open_at(self, server):
            place = server.new_database()
            return lambda host, port: MyBackend(host, port, place, timeout=0.5)

The server is a real one that may be killed, and has no other clients
meanwhile. It is also reached by way of a `Proxy`, which hangs, drips and cuts
in its place. What a server can't be, such as read-only, is left out:
``test_read_only = None``.
"""

# ruff: noqa: S101 -- these are tests: they assert, and their numbers are the example

from __future__ import annotations

import gc
import inspect
import os
import signal
import socket
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import pytest

from tokenkeep.errors import StoreConflict, StoreUnavailable
from tokenkeep.testing.backend_contract import BackendFixtures
from tokenkeep.testing.proxy import Proxy
from tokenkeep.testing.racing import in_fork, interrupted_after
from tokenkeep.testing.records import again, digits, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tokenkeep.backends.base import Backend, Record
    from tokenkeep.testing.backend_contract import Factory

    OpenAt = Callable[[str, int], Backend]
    Making = Callable[[], AbstractContextManager[object]]

__all__ = ["Server", "ServerContract"]

ONE, OTHER = record(), record("other")
NEW = again(ONE)

CALLS: dict[str, Callable[[Backend], object]] = {
    "read": lambda backend: backend.read(ONE.id),
    "find": lambda backend: backend.find([("access", digits("a")), ("id", ONE.id)]),
    "write": lambda backend: backend.write(NEW, replaces=ONE.version),
    "delete": lambda backend: backend.delete(ONE.id),
    "touch": lambda backend: backend.touch(ONE.id, 5.0),
    "scan": lambda backend: backend.scan(None, 10),
    "due": lambda backend: backend.due(5.0, 10),
    "clear": lambda backend: backend.clear(),
}
FORKS = 3


class Server(Protocol):
    """
    A server that tests may kill.

    Attributes:
        host: Its address, of this machine.
        port: Its port, the same after each start.
        password: What is in no error.
    """

    host: str
    port: int
    password: str

    def kill(self) -> None:
        """End it at once, as a power cut does; return when it has ended."""

    def start(self) -> None:
        """Start it again; return when it answers."""


class ServerContract(BackendFixtures):
    """
    The promises of a `Backend` on a server, which may fail.

    Subclasses give four fixtures: ``server``, a `Server`, started. ``open_at``, what opens the one
    store by the host and port that are said, with timeouts of about half a second.
    ``full`` and ``read_only``, what makes a context in which the server has no room, or takes no
    changes; what that yields, if it is a text, has to be in the error.
    """

    calls: ClassVar[Mapping[str, Callable[[Backend], object]]] = CALLS
    """All that waits for the server. A store whose `touch` does nothing leaves that out."""

    patience: ClassVar[float] = 3.0
    """How long any call may take when the server hangs or drips, in seconds."""

    sends_again: ClassVar[bool] = False
    """Whether a write whose answer was lost is sent again, because the server recognises it."""

    @pytest.fixture
    def open_backend(self, server: Server, open_at: OpenAt) -> Factory:
        """Open the store without a proxy."""
        return partial(open_at, server.host, server.port)

    @pytest.fixture
    def proxy(self, server: Server) -> Iterator[Proxy]:
        """The other way to the server."""
        proxy = Proxy(server.host, server.port)
        yield proxy
        proxy.close()

    @pytest.fixture
    def connect_through(self, open_at: OpenAt, proxy: Proxy) -> Iterator[Factory]:
        """Open the store by way of the proxy; it is closed at the end."""
        with ExitStack() as stack:
            yield lambda: stack.enter_context(closing(open_at(proxy.host, proxy.port)))
            proxy.go_on()

    @pytest.fixture
    def through(self, connect_through: Factory) -> Backend:
        """A backend behind the proxy, with two records and an open connection."""
        backend = connect_through()
        backend.write(ONE, replaces=None)
        backend.write(OTHER, replaces=None)
        assert backend.find([("owner", ONE.owner)]) == [ONE]
        return backend

    # Out of reach

    def test_nobody_listens(self, server: Server, open_at: OpenAt) -> None:
        """A port where nobody listens is named, soon."""
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]

        assert str(port) in self._ended(lambda: open_at("127.0.0.1", port).read(ONE.id), server)

    def test_killed_and_started(self, server: Server, through: Backend, proxy: Proxy) -> None:
        """A dead server is named by every call; started again it has what was saved."""
        server.kill()
        try:
            for name, call in self.calls.items():
                assert str(proxy.port) in self._ended(partial(call, through), server), name
        finally:
            server.start()

        assert through.read(ONE.id) == ONE
        assert through.scan(None, 10) == sorted((ONE, OTHER), key=lambda each: each.id)
        _until(partial(_replaced, through))

    @pytest.mark.parametrize("trouble", ["hangs", "drips"])
    def test_every_call_ends(
        self,
        server: Server,
        through: Backend,
        connect_through: Factory,
        proxy: Proxy,
        trouble: str,
    ) -> None:
        """
        Whatever is asked of a server that hangs or drips ends in time, opening it too.

        What it says in the end nobody takes for the answer to something else.
        """
        asked = {name: connect_through() for name in self.calls}
        for each in asked.values():
            assert each.read(OTHER.id) == OTHER
        works: list[Callable[[], object]] = [lambda: connect_through().read(ONE.id)]
        works += [partial(self.calls[name], each) for name, each in asked.items()]
        proxy.hold() if trouble == "hangs" else proxy.drip(0.1)

        with ThreadPoolExecutor(len(works)) as threads:
            said = list(threads.map(lambda work: self._ended(work, server), works))

        if trouble == "hangs":
            assert all(said)
        proxy.go_on()
        for each in (through, *asked.values()):
            _until(partial(_answers, each))
            assert each.read(OTHER.id) in (OTHER, None)
            assert each.find([("owner", OTHER.owner)]) in ([OTHER], [])

    # Cut off

    @pytest.mark.parametrize("lost", ["question", "answer"])
    def test_a_lost_write(
        self, server: Server, through: Backend, backend: Backend, proxy: Proxy,
        lost: Literal["question", "answer"],
    ) -> None:  # fmt: skip
        """A write whose answer is lost may have been done: an error, and it is not sent twice."""
        proxy.cut_the_next(lost)

        if self.sends_again:
            CALLS["write"](through)
        else:
            trips = proxy.trips
            assert self._ended(partial(CALLS["write"], through), server)
            assert proxy.trips == trips + 1

        stored = NEW if self.sends_again or lost == "answer" else ONE
        _until(lambda: backend.read(ONE.id) == stored)
        through.write(again(ONE, "3"), replaces=stored.version)
        assert backend.read(ONE.id) == again(ONE, "3")

    @pytest.mark.parametrize("lost", ["question", "answer"])
    def test_a_lost_read(
        self, through: Backend, proxy: Proxy, lost: Literal["question", "answer"]
    ) -> None:
        """A question that changes nothing is asked once more when its connection is lost."""
        proxy.cut_the_next(lost)
        assert through.find([("owner", OTHER.owner)]) == [OTHER]

    @pytest.mark.parametrize("taken", ["cut", "closed"])
    def test_connections_taken_away(self, through: Backend, proxy: Proxy, taken: str) -> None:
        """However often they are cut, or closed, each thread gets its own answer, or an error."""
        with _threads_asking(through):
            for _ in range(20):
                time.sleep(0.02)
                proxy.cut() if taken == "cut" else through.close()

        _until(partial(_answers, through))

    # Takes nothing more

    def test_full(self, backend: Backend, full: Making) -> None:
        """Of a server without room what was saved is read, and with room all goes on."""
        _takes_nothing(backend, full)

    def test_read_only(self, backend: Backend, read_only: Making) -> None:
        """Likewise of one that takes no changes."""
        _takes_nothing(backend, read_only)

    # Interruptions, forks, the end

    @pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no such signals here")
    @pytest.mark.parametrize("at", ["login", "answer"])
    def test_interrupted_answer(self, through: Backend, proxy: Proxy, at: str) -> None:
        """What a signal left unread is not taken by the next call for its own answer."""
        if at == "login":
            through.close()
        proxy.hold()
        interrupted_after(0.1, lambda: through.write(NEW, replaces=ONE.version))
        timer = threading.Timer(0.1, proxy.go_on)
        timer.start()

        assert through.read(OTHER.id) == OTHER
        timer.join()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_forked_over(self, through: Backend, proxy: Proxy) -> None:
        """Whatever other threads are at, a child has connections of its own, and both work."""
        before = proxy.connections
        assert in_fork(partial(_use, through, "with an idle one")) == 0
        assert proxy.connections > before

        with _threads_asking(through):
            ended = [in_fork(partial(_use, through, f"child {n}")) for n in range(FORKS)]
            _use(through, "parent")

        assert ended == [0] * FORKS
        assert len(through.scan(None, 100)) == 2 + 1 + FORKS + 1

    @pytest.mark.parametrize("end", ["closed", "forgotten"])
    def test_no_connection_is_left(self, open_at: OpenAt, proxy: Proxy, end: str) -> None:
        """After `close`, or when it is forgotten, nothing is open."""
        backend = open_at(proxy.host, proxy.port)
        backend.write(ONE, replaces=None)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(backend.read, [ONE.id] * 4))
        assert proxy.connections

        if end == "closed":
            backend.close()
        del backend
        gc.collect()

        _until(lambda: not proxy.alive)

    def _ended(self, work: Callable[[], object], server: Server) -> str:
        """Return the text of the error of *work*, without a password. Empty if there is none."""
        error: BaseException | None = None
        begun, shown, said = time.monotonic(), "", ""
        try:
            with suppress(StoreConflict):  # others have been faster
                work()
        except StoreUnavailable as exc:
            error, said = exc, str(exc)
        assert time.monotonic() - begun < self.patience
        ours = {__file__, inspect.getfile(type(self))}
        while error is not None:
            shown += f"{error!r} {vars(error)!r}"
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if frame.f_code.co_filename not in ours:
                    shown += repr(frame.f_locals)
            error = error.__cause__ or error.__context__
        assert server.password not in shown
        return said


@contextmanager
def _threads_asking(backend: Backend) -> Iterator[None]:
    """Have threads ask for a record each, all the time; what they get is that, or an error."""
    done = threading.Event()

    def ask(mine: Record) -> None:
        while not done.is_set():
            with suppress(StoreUnavailable):
                assert backend.read(mine.id) == mine

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask, each) for each in (ONE, OTHER) * 2]
        try:
            yield
        finally:
            done.set()
        for each in asking:
            each.result()


def _takes_nothing(backend: Backend, making: Making) -> None:
    stored = set[str]()

    def fill() -> None:
        for n in range(1000):
            more = record(str(n), sealed=os.urandom(50_000))
            backend.write(more, replaces=None)
            stored.add(more.id)

    backend.write(ONE, replaces=None)
    with making() as said:
        with pytest.raises(StoreUnavailable) as caught:
            fill()
        assert not isinstance(said, str) or said in str(caught.value)
        assert backend.read(ONE.id) == ONE

    _until(partial(_replaced, backend))
    assert stored <= {each.id for each in backend.scan(None, 2000)}


def _replaced(backend: Backend) -> bool:
    """Tell whether the record has been replaced, now or by a try before that seemed to fail."""
    with suppress(StoreUnavailable):
        with suppress(StoreConflict):
            backend.write(NEW, replaces=ONE.version)
        return backend.read(ONE.id) == NEW
    return False


def _answers(backend: Backend) -> bool:
    with suppress(StoreUnavailable):
        backend.scan(None, 10)
        return True
    return False


def _use(backend: Backend, name: str) -> None:
    """Read and write as somebody who has just been forked."""
    _until(partial(_answers, backend))  # a busy machine may not have a connection in time
    assert backend.read(ONE.id) == ONE
    backend.write(record(name), replaces=None)
    assert backend.read(record(name).id) == record(name)


def _until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30.0
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
