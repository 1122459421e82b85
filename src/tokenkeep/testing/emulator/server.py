"""uvicorn in a background thread, on several ports, that starts and stops at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import weakref
from typing import TYPE_CHECKING

import uvicorn
from starlette.routing import Router
from uvicorn.config import LOGGING_CONFIG
from uvicorn.protocols.http.h11_impl import H11Protocol

from .consent import ConsentPages
from .control_api import ControlApi
from .crm_api import CrmApi
from .gate import Gate
from .oauth import OAuthEndpoints
from .world import HOST

if TYPE_CHECKING:
    from starlette.types import Scope

    from .operations import Operations
    from .world import World

_BACKLOG = 1024
_running: weakref.WeakSet[BackgroundServer] = weakref.WeakSet()


class BackgroundServer:
    """
    Serve a world until :meth:`stop`.

    Args:
        world: What to serve; its ports are chosen here.
        emulator: What the control API operates.
        port: The first port, the rest follow; None means the ones it had
            before, or any free ones.
        log_level: uvicorn's, such as ``"info"``; None means silence.

    Raises:
        OSError: A port is taken.
    """

    def __init__(
        self, world: World, emulator: Operations, *, port: int | None, log_level: str | None
    ) -> None:
        sockets = self._sockets = _listen(world, port)
        oauth = OAuthEndpoints(world)
        accounts = [*oauth.routes, *ConsentPages(world).routes, *ControlApi(emulator).routes]
        gate = Gate(world, Router(accounts), Router(CrmApi(world).routes), self._hang_up)
        config = uvicorn.Config(
            gate,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None if log_level is None else LOGGING_CONFIG,
            log_level=log_level,
            access_log=log_level is not None,
            timeout_keep_alive=30,
            backlog=_BACKLOG,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._run, args=(sockets,), name="zoho-emulator", daemon=True
        )
        self._thread.start()
        self._server.ready.wait()
        _running.add(self)

    def stop(self) -> None:
        """Close all ports and connections; idle clients see them reset."""
        _running.discard(self)
        self._server.leave()
        self._thread.join()

    def close_copies(self) -> None:
        """Close what a fork has copied, in the child."""
        for each in self._sockets:
            each.close()
        for connection in list(self._server.server_state.connections):
            copy = connection.transport.get_extra_info("socket")
            if copy is not None:
                # asyncio shows its socket without a way to close it.
                copy._sock.close()  # noqa: SLF001

    def _run(self, sockets: list[socket.socket]) -> None:
        try:
            asyncio.run(self._server.serve(sockets))
        finally:
            # A start that failed must not leave its caller waiting.
            self._server.ready.set()

    def _hang_up(self, scope: Scope) -> None:
        for connection in list(self._server.server_state.connections):
            # Only HTTP/1.1 is configured; uvicorn's type names all its protocols.
            if isinstance(connection, H11Protocol) and (
                (connection.client, connection.server) == (scope["client"], scope["server"])
            ):
                connection.transport.abort()


class _Server(uvicorn.Server):
    """uvicorn without its waits: it is told to leave, and leaves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._leave = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def leave(self) -> None:
        """Make the server stop; callable from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._leave.set)

    async def main_loop(self) -> None:
        """Run until told to leave."""
        self._loop = asyncio.get_running_loop()
        counter = 0
        await self.on_tick(counter)
        self.ready.set()
        while not self._leave.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leave.wait(), 0.1)
            counter += 1
            await self.on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything now: a provider that is down does not finish its answers."""
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _listen(world: World, port: int | None) -> list[socket.socket]:
    """Open one socket for each site, and note its port."""
    sockets: list[socket.socket] = []
    try:
        for number, site in enumerate(world.sites):
            wanted = world.ports.get(site, 0) if port is None else port + number
            listener = socket.create_server((HOST, wanted), backlog=_BACKLOG)
            sockets.append(listener)
            world.ports[site] = listener.getsockname()[1]
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def _after_fork_in_child() -> None:
    for each in list(_running):
        each.close_copies()
    _running.clear()


# A forked child would keep ports and connections open that its parent closes:
# clients would wait instead of seeing a provider that is down.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
