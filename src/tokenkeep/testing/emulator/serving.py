"""The emulator in the foreground, for ``tokenkeep emulate``."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .emulator import ZohoEmulator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class EmulatorConfig:
    """
    What :func:`serve` runs.

    Attributes:
        data_centers: Their names; the first is the default.
        port: The first port, four for each data centre; None means free ones.
        redirect_uris: Of the client that is registered from the start, beside its
            own; empty means only its own.
        options: Options to set, by name.
        log_level: Of uvicorn, such as ``"info"``; None means no log.
    """

    data_centers: tuple[str, ...] = ("us", "eu")
    port: int | None = None
    redirect_uris: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    log_level: str | None = None


def serve(config: EmulatorConfig, ready: Callable[[ZohoEmulator], None] | None = None) -> None:
    """
    Run an emulator until SIGINT or SIGTERM; print nothing.

    Args:
        config: What to run.
        ready: Called once it answers, with the emulator: for the addresses and
            client credentials that a person wants to see. None means nobody does.

    Raises:
        OSError: A port is taken.
        AttributeError: There is no such option.
        ValueError: It can't have this value, or this is not the main thread.
    """
    emulator = ZohoEmulator(
        config.data_centers,
        port=config.port,
        redirect_uris=config.redirect_uris,
        log_level=config.log_level,
    )
    for name, value in config.options.items():
        setattr(emulator.options, name, value)
    told_to_stop = threading.Event()
    previous = {
        each: signal.signal(each, lambda *_: told_to_stop.set())
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with emulator:
            if ready is not None:
                ready(emulator)
            # A signal that comes just as the wait begins does not end it.
            while not told_to_stop.wait(0.5):
                pass
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
