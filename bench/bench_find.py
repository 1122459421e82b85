"""Find: a sealed token that is asked for again and again, beside a raw indexed select."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import HOT, SELECT, against, fill, folder, in_turn, kept_connection, options, report

from tokenkeep.integrations.zoho_sdk import SDKStore, zoho_tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from common import Case

OFTEN = 5
"""How often one round asks for each of the ten."""

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
    asked = [zoho_tokens.made(vault.find_token_by_id(i), None) for i in hot]
    users = [token.get_user_signature().get_name() for token in asked]
    db = kept_connection(path)
    select = db.cursor().execute

    def by_user(token: Any) -> None:
        token.set_id(None)
        store.find_token(token)

    took = in_turn(
        {
            WHOLE: each(lambda i: select(SELECT, (i,)).fetchone(), hot),
            NARROW: each(lambda i: select(ONE, (i,)).fetchone(), hot),
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
        against(took, ours, WHOLE, n=n, target=2.0, note="floor: the row's 19 columns"),
        against(took, ours, NARROW, n=n, note="floor: the sealed column alone"),
        against(took, "SDKStore.find_token, by user", WHOLE, n=n),
        against(took, "Vault.find_token_by_id", WHOLE, n=n),
        against(took, "Keeper.get, by user", WHOLE, n=n),
    ]


def main() -> None:
    given = options(__doc__)
    with folder() as path:
        found = [case for n in SIZES for case in cases(path, n, 600 if given.full else 150)]
    report("find, hot", "µs a call", found, given)


if __name__ == "__main__":
    main()
