"""The emulator as tests hold it: start and stop, and everything the provider can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from .operations import Operations
from .world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from .server import BackgroundServer


class ZohoEmulator(Operations):
    """
    Zoho's accounts servers and CRM on loopback ports of this machine.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. Stopped
    and started again it keeps its ports and all it knows: that is a provider
    which was down for a while.

    Args:
        data_centers: Their names; the first is the default everywhere.
        port: The first port; the others follow, four for each data centre
            (accounts, production, sandbox, developer). None means free ones.
        redirect_uris: Of the first client, beside ``http://127.0.0.1/callback``.
        log_level: Of uvicorn, such as ``"info"``; None means no log.

    Attributes:
        options: Limits and behaviours, assignable at any time.
        faults: Trouble on request.
        counters: What has been asked.
        clock: The emulator's time.
    """

    def __init__(
        self,
        data_centers: Sequence[str] = ("us",),
        *,
        port: int | None = None,
        redirect_uris: Iterable[str] = (),
        log_level: str | None = None,
    ) -> None:
        if isinstance(data_centers, str) or not data_centers:
            raise ValueError("data_centers is a sequence of names, such as ('us', 'eu')")
        super().__init__(World(data_centers))
        self._port = port
        self._log_level = log_level
        self._server: BackgroundServer | None = None
        self._world.registry.register_client(
            redirect_uris=("http://127.0.0.1/callback", *redirect_uris)
        )
        for name in data_centers:
            self.add_user(f"user@{name}.example.com", data_center=name)

    def start(self) -> Self:
        """
        Start serving.

        Raises:
            OSError: A port is taken.
        """
        # Starlette and uvicorn load with the first emulator, not with the package.
        from .server import BackgroundServer

        if self._server is None:
            self._server = BackgroundServer(
                self._world, self, port=self._port, log_level=self._log_level
            )
        return self

    def stop(self) -> None:
        """Stop serving; connections are cut."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._server is None else "running"
        return f"<ZohoEmulator {', '.join(self.data_centers)}: {state}>"
