"""What all steps of the demo work with."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.testing import ZohoEmulator
    from tokenkeep.testing.demo.narration import Narrator
    from tokenkeep.testing.demo.stage import Stage
    from tokenkeep.testing.demo.workers import Crew, Worker

SHORT_LIFE = 5
"""How long an access token lives that is to expire, in seconds."""

LIFE = 3600
"""How long the others live, in seconds: as Zoho's."""


@dataclass(slots=True)
class Scene:
    """
    The demo, as far as it has come.

    Args:
        stage: Where it takes place.
        narrator: Who tells it.
        crew: Its processes.
        worker: The process that works with the first user's leads.
        user: The first user, once logged in.
        token_id: Of this user's token.
        expires: When the last of the short-lived access tokens is expired, in
            epoch seconds.
    """

    stage: Stage
    narrator: Narrator
    crew: Crew
    worker: Worker
    user: str = ""
    token_id: str = ""
    expires: float = field(default=0.0)

    @property
    def zoho(self) -> ZohoEmulator:
        """The provider."""
        return self.stage.zoho

    @property
    def token_calls(self) -> int:
        """How often the token endpoint was called until now."""
        return self.zoho.counters.token_calls()

    def add_user(self, name: str) -> None:
        """
        Let the provider know another user.

        Args:
            name: As the SDK has it, ``email:zgid``.
        """
        email, zgid = name.split(":")
        self.zoho.add_user(email, zgid=zgid)

    @contextmanager
    def short_lives(self) -> Iterator[None]:
        """Let the provider give out access tokens that expire at once."""
        self.zoho.options.access_token_life = SHORT_LIFE
        yield
        self.zoho.options.access_token_life = LIFE
        self.expires = time.time() + SHORT_LIFE

    def wait_for_expiry(self) -> None:
        """Wait until the short-lived access tokens have expired."""
        time.sleep(max(0.0, self.expires - time.time()))
