"""In emulator mode: make things happen, to see what the desk does about them."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import ProviderUnavailable, StoreConflict
from tokenkeep.keeper import FRESH
from tokenkeep.testing import EmulatorControl

if TYPE_CHECKING:
    from collections.abc import Callable

    from crm_desk.crm import Crm
    from crm_desk.ledger import Ledger
    from tokenkeep.token import Token

_ALWAYS = None
_MINTS = 10


@dataclass(frozen=True)
class Button:
    """
    Something that can be made to happen.

    Args:
        name: Of the action.
        label: For people.
        hint: What it does, for people.
        is_on: Whether it is going on now.
    """

    name: str
    label: str
    hint: str
    is_on: bool = False


@dataclass(frozen=True)
class Now:
    """The buttons as they are now, and how long an access token lives, in seconds."""

    buttons: list[Button]
    life: float


class Strip:
    """
    Drive the emulator.

    Args:
        url: Of its control.
        ledger: Where it is noted that somebody did.
        crm: Has the store.
    """

    def __init__(self, url: str, ledger: Ledger, crm: Crm) -> None:
        self._zoho = EmulatorControl(url, timeout=5.0)
        self._ledger = ledger
        self._crm = crm
        self._actions: dict[str, tuple[str, Callable[[Token], object]]] = {
            "expire": (
                "Emulator: access token expired, which the next call will notice",
                self._expire,
            ),
            "down": ("Emulator: login server down", lambda t: self._fault(t, "accounts")),
            "crm": ("Emulator: CRM down", lambda t: self._fault(t, "crm")),
            "slow": ("Emulator: everything slow", lambda t: self._fault(t, "*", kind="slow")),
            "throttle": ("Emulator: no more access tokens for now", self._throttle),
            "revoke": ("Emulator: consent withdrawn", self._revoke),
            "normal": ("Emulator: back to normal", self._normal),
        }

    def now(self) -> Now | None:
        """Return what can be made to happen, and what goes on. None if no emulator answers."""
        try:
            faults = {(each["endpoint"], each["kind"]) for each in self._zoho.faults.as_list()}
            options = self._zoho.options.as_dict()
        except ConnectionError:
            return None
        buttons = [
            Button("expire", "Expire now", "Zoho takes your access token no more"),
            Button(
                "down",
                "Login server down",
                "No access token can be had; the one you have goes on working",
                ("accounts", "status") in faults,
            ),
            Button("crm", "CRM down", "No call is answered", ("crm", "status") in faults),
            Button("slow", "Slow", "Each answer takes three seconds", ("*", "slow") in faults),
            Button(
                "throttle",
                "Too many requests",
                "Your access token ends, and Zoho makes you wait for another one",
                options["mints_per_window"] == 0,
            ),
            Button("revoke", "Revoke from outside", "You withdraw your consent at Zoho"),
            Button(
                "normal",
                "Back to normal",
                "All of this ends; a wait that Zoho asked for still lasts",
            ),
        ]
        return Now(buttons, float(options["access_token_life"]))

    def press(self, action: str, token: Token) -> str | None:
        """
        Make something happen.

        Args:
            action: The name of a button.
            token: Whose: it happens in its data centre, or to its user.

        Returns:
            What was done. None if there is no such button.

        Raises:
            ProviderUnavailable: No emulator answers.
        """
        if action not in self._actions:
            return None
        text, act = self._actions[action]
        try:
            act(token)
        except ConnectionError as exc:
            raise ProviderUnavailable("The emulator does not answer") from exc
        self._ledger.note(str(token.id), text)
        return text

    def _fault(self, token: Token, endpoint: str, *, kind: str = "status") -> None:
        self._zoho.faults.clear()
        self._zoho.faults.add(
            endpoint=endpoint, kind=kind, times=_ALWAYS, delay=3.0, data_center=token.data_center
        )

    def _expire(self, token: Token) -> None:
        self._zoho.expire_access_tokens(token.user)
        self._a_minute_passes(token)

    def _revoke(self, token: Token) -> None:
        self._zoho.revoke(token.user)
        self._a_minute_passes(token)

    def _a_minute_passes(self, token: Token) -> None:
        with suppress(StoreConflict):  # it is another one by now
            self._crm.store.keeper.store.swap(a_minute_older(token))

    def _throttle(self, token: Token) -> None:
        self._zoho.options.mints_per_window = 0
        self._expire(token)

    def _normal(self, _token: Token) -> None:
        self._zoho.faults.clear()
        self._zoho.options.mints_per_window = _MINTS


def a_minute_older(token: Token) -> Token:
    """
    Return a token as if a minute had passed since its access token was made.

    tokenkeep does not believe that a younger one is what the CRM refuses, and
    nobody wants to wait to see what happens.
    """
    then, renewal = time.time() - FRESH, token.renewal
    return token.but(
        logged_in_at=min(token.logged_in_at or then, then),
        renewal=renewal.but(renewed_at=renewal.renewed_at and min(renewal.renewed_at, then)),
    )
