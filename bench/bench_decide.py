"""Decide: what to do with a token, with ten policies and with none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from common import against, in_turn, made_up, options, report, user_of

from tokenkeep import Policies, Policy, saving
from tokenkeep.decision import decide
from tokenkeep.policy import NO_POLICIES
from tokenkeep.providers.zoho import Zoho

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep import Token

USERS = 100
"""How many tokens one round decides about."""

HOUR, DAY = 3600.0, 86_400.0

TEN = Policies(
    [
        Policy(name="all", max_session=30 * DAY, idle=20 * DAY, keep_dead=7 * DAY),
        Policy(name="app", client_id="1000.MADEUPCLIENT0000000000000000", max_session=12 * HOUR),
        Policy(name="zoho", provider="zoho", idle=10 * HOUR, at_most_per_user=5),
        Policy(name="sandbox", environment="sandbox", max_session=HOUR, action="delete"),
        *(Policy(name=f"u{n}", user=f"user{n}*", max_session=(9 + n) * HOUR) for n in range(6)),
    ]
)


def over(tokens: list[Token], now: float, policies: Policies) -> Callable[[], None]:
    """Return what decides about each of some tokens."""
    profile = Zoho.profile

    def run() -> None:
        for token in tokens:
            decide(token, now, profile, policies=policies)

    return run


def main() -> None:
    given = options(__doc__)
    now = time.time()
    tokens = [saving.first(made_up(n), login="l", now=now - HOUR) for n in range(USERS)]
    tokens = [each.with_renewal(lifetime=HOUR).but(expires_at=now + 3000) for each in tokens]
    assert TEN.limits(tokens[0]).max_session.policy == "u0", user_of(0)
    took = in_turn(
        {"none": over(tokens, now, NO_POLICIES), "ten": over(tokens, now, TEN)},
        rounds=2000 if given.full else 500,
        calls=USERS,
    )
    note = "floor: without policies"
    found = [against(took, "ten", "none", n=10, label="decide", target=1.3, note=note)]
    report("decide, policies", "µs a token", found, given)


if __name__ == "__main__":
    main()
