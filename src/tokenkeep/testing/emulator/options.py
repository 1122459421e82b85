"""The emulator's time, limits and behaviours, all of which tests may change."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

_CHOICES = {
    "rotation": ("none", "rotate", "rotate_reuse_kills", "rotate_grace"),
    "api_domain": ("environment", "production"),
}


class EmulatorClock:
    """
    Run with the wall clock, plus whatever was added by :meth:`advance`.

    Only the emulator's own idea of time moves: codes and tokens grow old for
    the provider, the client's clock stays as it is.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Epoch seconds as the emulator sees them."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> float:
        """Move the emulator's time by *seconds*, back if negative; return epoch seconds then."""
        self._ahead += seconds
        return self.now()


@dataclass(slots=True)
class Options:
    """
    What the emulator does, assignable at any time; defaults are Zoho's.

    A mistyped name raises at once, and so does a word that is no choice.

    Attributes:
        access_token_life: Seconds an access token is good for.
        mints_per_window: Access tokens per refresh token in ten minutes, that of the
            exchange among them; None means no limit.
        api_domain: Whose API server a token answer names: that of the grant's
            ``"environment"``, or always ``"production"``'s.
        rotation: ``"none"``, ``"rotate"`` (the old one is refused), ``"rotate_reuse_kills"``
            (the old one kills its family), ``"rotate_grace"`` (one generation
            back is accepted, and answered with the same successor).
    """

    access_token_life: float = 3600
    mints_per_window: int | None = 10
    api_domain: str = "environment"
    rotation: str = "none"

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse a word that would mean nothing."""
        if value not in _CHOICES.get(name, (value,)):
            raise ValueError(f"{name} is one of {', '.join(_CHOICES[name])}, not {value!r}")
        object.__setattr__(self, name, value)

    def change(self, **values: Any) -> None:
        """Set several, by name."""
        for name, value in values.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Go back to Zoho's values."""
        self.change(**asdict(Options()))
