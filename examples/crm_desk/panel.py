"""What happens behind a page: facts of the token, none of them secret; the emulator's buttons."""

from __future__ import annotations

import os
import time

from tokenkeep import TokenNotFound
from tokenkeep.testing import EmulatorControl

BUTTONS = {
    "expire": "Expire now",
    "down": "Login server down",
    "revoke": "Revoke from outside",
    "normal": "Back to normal",
}


def facts(keeper, token_id):
    """Return what there is to see of a token; nothing is renewed by looking."""
    token = keeper.store.find_token_by_id(token_id)
    if token is None:
        return {"Access token": "gone: this login is not there any more"}
    profile, now, renewal = keeper.providers.of(token).profile, time.time(), token.renewal
    left = (token.expires_at or now) - now
    state = token.status.value.replace("_", " ")
    if state == "ok":
        state = "valid" if left > 0 else "expired; the next call renews it"
    made = sum(at > now - profile.mint_window for at in renewal.mints)
    return {
        "Access token": state,
        "Ends": f"in {max(0, round(left))} s",
        "Renewed last": f"{clock(renewal.renewed_at)} {renewal.renewed_by or ''}",
        "Access tokens made": f"{made} of {profile.mint_limit} in {profile.mint_window:g} s",
        "Kept in": f"{keeper.store.describe()}, sealed",
        "Data centre": f"{token.data_center}, {token.environment}",
        "History": ", ".join(f"{each.what} {clock(each.at)}" for each in token.history[-6:]),
    }


def clock(at):
    return time.strftime("%H:%M:%S", time.localtime(at)) if at else "not yet"


def press(keeper, token_id, action):
    """Make something happen at the emulator, to this user."""
    zoho = EmulatorControl(os.environ["CRM_DESK_EMULATOR"])
    token = keeper.store.reread(token_id)
    if token is None:
        raise TokenNotFound("This login is not there any more")
    zoho.faults.clear()
    if action == "down":
        zoho.faults.add(
            endpoint="accounts", kind="status", times=None, data_center=token.data_center
        )
    elif action in ("expire", "revoke"):
        (zoho.revoke if action == "revoke" else zoho.expire_access_tokens)(token.user)
        # A token younger than a minute is not believed to be what the CRM refuses, and nobody
        # wants to wait: it is made older.
        then = time.time() - 60
        renewal = token.renewal.but(renewed_at=token.renewal.renewed_at and then)
        keeper.store.swap(token.but(logged_in_at=then, renewal=renewal))
