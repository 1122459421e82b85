"""Find: a sealed token that is asked for again and again, beside a raw indexed select."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING, Any

from common import (
    HOT,
    SELECT,
    against,
    fill,
    folder,
    in_turn,
    kept_connection,
    options,
    record_id,
    report,
    user_of,
)

from tokenkeep.integrations.zoho_sdk import SDKStore, theirs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from common import Case

OFTEN = 5
"""How often one round asks for each of the ten."""

SOME = 100
"""How many tokens one round of the cold ones asks for."""

SIZES = (1, 100, 10_000, 100_000)

WHOLE = "select, whole row"
NARROW = "select, one column"
ONE = "SELECT sealed FROM token WHERE id = ?"


def each(call: Callable[[Any], object], items: list[Any]) -> Callable[[], None]:
    """Return what calls *call* with each of *items*; the loop is the same for all."""

    def run() -> None:
        for item in items:
            call(item)

    return run


def cases(path: Path, n: int, rounds: int) -> list[Case]:
    path = path / f"{n}.db"
    store = SDKStore(f"sqlite:///{path}")
    vault = store.keeper.store
    ids = fill(vault, path, n)
    hot = [ids[i * n // min(HOT, n)] for i in range(min(HOT, n))] * OFTEN
    asked = [theirs(vault.find_token_by_id(i), None, i) for i in hot]
    users = [token.get_user_signature().get_name() for token in asked]
    raw = [record_id(i) for i in hot]
    db = kept_connection(path)
    select = db.cursor().execute

    def by_user(token: Any) -> None:
        token.set_id(None)
        store.find_token(token)

    took = in_turn(
        {
            WHOLE: each(lambda i: select(SELECT, (i,)).fetchone(), raw),
            NARROW: each(lambda i: select(ONE, (i,)).fetchone(), raw),
            "SDKStore.find_token_by_id": each(store.find_token_by_id, hot),
            "SDKStore.find_token, by user": each(by_user, asked),
            "Vault.find_token_by_id": each(vault.find_token_by_id, hot),
            "Keeper.get, by user": each(lambda user: store.keeper.get(user=user), users),
        },
        rounds=rounds,
        calls=len(hot),
    )
    db.close()
    store.close()
    ours = "SDKStore.find_token_by_id"
    return [
        against(took, ours, WHOLE, n=n, target=1.5, note="floor: the row's 15 columns"),
        against(took, ours, NARROW, n=n, note="floor: the sealed column alone"),
        against(took, "SDKStore.find_token, by user", WHOLE, n=n, target=3.0),
        against(took, "Vault.find_token_by_id", WHOLE, n=n),
        against(took, "Keeper.get, by user", WHOLE, n=n),
    ]


def cold(path: Path, n: int, rounds: int) -> list[Case]:
    """Ask for tokens at random that are in no cache: for none of them twice."""
    path = path / f"cold-{n}.db"
    url = f"sqlite:///{path}"
    by_sdk, by_vault, by_user = (SDKStore(url) for _ in range(3))
    find, keeper = by_vault.keeper.store.find_token_by_id, by_user.keeper
    ids = fill(by_vault.keeper.store, path, n)
    numbers = list(range(n))
    random.Random(1).shuffle(numbers)
    db = kept_connection(path)
    select = db.cursor().execute

    def next_ones(call: Callable[[int], object]) -> Callable[[], None]:
        left = iter(numbers)

        def run() -> None:
            for number in islice(left, SOME):
                call(number)

        return run

    took = in_turn(
        {
            WHOLE: next_ones(lambda n: select(SELECT, (record_id(ids[n]),)).fetchone()),
            "SDKStore.find_token_by_id": next_ones(lambda n: by_sdk.find_token_by_id(ids[n])),
            "Vault.find_token_by_id": next_ones(lambda n: find(ids[n])),
            "Keeper.get, by user": next_ones(lambda n: keeper.get(user=user_of(n))),
        },
        rounds=rounds,
        calls=SOME,
    )
    db.close()
    for store in (by_sdk, by_vault, by_user):
        store.close()
    return [
        against(took, "SDKStore.find_token_by_id", WHOLE, n=n, target=10.0),
        against(took, "Vault.find_token_by_id", WHOLE, n=n),
        against(took, "Keeper.get, by user", WHOLE, n=n),
    ]


def main() -> None:
    given = options(__doc__)
    rounds = 600 if given.full else 150
    with folder() as path:
        hot = [case for n in SIZES for case in cases(path, n, rounds)]
        at_random = cold(path, SIZES[-1], rounds)
    report("find, hot", "µs a call", hot, given)
    report("find, cold: each token once, at random", "µs a call", at_random, given)


if __name__ == "__main__":
    main()
