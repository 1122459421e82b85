"""Health: whether tokens could be handed out and renewed here, seen without asking a provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.clock import moment
from tokenkeep.decision import CLOCK_SKEW
from tokenkeep.errors import ConfigurationError, TokenKeepError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.clock import Clock
    from tokenkeep.clock_errors import ClockErrors
    from tokenkeep.store import Store


@dataclass(frozen=True, slots=True)
class Trouble:
    """
    Something that keeps tokens from being handed out.

    Args:
        check: ``configuration``, ``key`` (opens the store's header), ``store`` (can be written)
            or ``clock`` (agrees with the other hosts').
        text: What was seen.
        hint: What to do about it. None if *text* says it already.
    """

    check: str
    text: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """
    What a look has found.

    Args:
        troubles: What is wrong. Empty if all is well.
        seconds: How long the look took.
    """

    troubles: tuple[Trouble, ...] = ()
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.troubles


def trouble_of(error: TokenKeepError | OSError) -> Trouble:
    """Return the trouble that an error of the store, or of opening it, means."""
    if not isinstance(error, TokenKeepError):
        return Trouble("store", str(error))
    if type(error).__name__.startswith("Key"):
        return Trouble("key", error.what, error.hint)
    check = "configuration" if isinstance(error, ConfigurationError) else "store"
    return Trouble(check, error.what, error.hint)


def troubles(store: Store, clock: Clock, errors: ClockErrors | None = None) -> Iterator[Trouble]:
    """
    Look at a store and the clock, by a heartbeat; nothing is made.

    Args:
        store: Which one.
        clock: This host's.
        errors: What has been learnt of it from providers. None if nothing has.
    """
    now = clock.now()
    try:
        last = store.beat(now)
    except (TokenKeepError, OSError) as exc:
        yield trouble_of(exc)
        last = None
    if last is not None and last > now + CLOCK_SKEW:
        yield Trouble(
            "clock",
            f"By this host's clock it is {moment(now)}, and the last heartbeat in the store, "
            f"another host's or an earlier one of this host, is of {moment(last)}",
            "One of the two clocks is wrong: set those of all hosts, best with NTP",
        )
    behind = errors.largest() if errors else 0.0
    if abs(behind) > CLOCK_SKEW:
        which = "behind" if behind > 0 else "ahead of"
        said = f"This host's clock is {abs(behind):.0f} s {which} that of a provider"
        yield Trouble("clock", said, "Set it, best with NTP")
