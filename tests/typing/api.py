"""A user's program, for the type checkers: every line here has to be accepted. Never run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, assert_type

import tokenkeep
from tokenkeep import (
    Event,
    GrantRejected,
    Keeper,
    KeyRing,
    Provider,
    Providers,
    RenewalError,
    Revoked,
    Status,
    Swept,
    Token,
    TokenStore,
    Vault,
)
from tokenkeep.backends import Backend, Record
from tokenkeep.lookup import find
from tokenkeep.moving import Merge, Step, StoreSource, open_source
from tokenkeep.providers import Answer, Profile, Reply
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import FakeClock, StoreContract, SwapContract

if TYPE_CHECKING:
    from collections.abc import Mapping


class MyStore(TokenStore):
    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}

    def find_token(self, token: Token) -> Token | None:
        return find(token, self.get_tokens())

    def save_token(self, token: Token) -> Token:
        saved = token.but(id="1", version="1")
        self.tokens["1"] = saved
        return saved

    def delete_token(self, token_id: str) -> None:
        self.tokens.pop(token_id, None)

    def get_tokens(self) -> list[Token]:
        return list(self.tokens.values())

    def delete_tokens(self) -> None:
        self.tokens.clear()

    def find_token_by_id(self, token_id: str) -> Token | None:
        return self.tokens.get(token_id)


class MyProvider(OAuth2):
    profile = Profile(rotates=False, mint_limit=10)
    errors: ClassVar = {**OAuth2.errors, "bad_token": GrantRejected, 190: GrantRejected}

    def read_answer(self, reply: Reply) -> Mapping[str, object]:
        assert_type(reply.content_type, str | None)
        fields = super().read_answer(reply)
        data = fields.get("data")
        return data if isinstance(data, dict) else fields

    def meaning(self, status: int, fields: Mapping[str, object]) -> type[RenewalError] | None:
        return GrantRejected if status == 410 else super().meaning(status, fields)


def ask(token: Token) -> None:
    mine = MyProvider("mine", headers={"X-Key": "k"}, errors={190: GrantRejected})
    assert_type(mine.refresh(token), Answer)
    providers = Providers("mine", {"mine": mine, "other": {"kind": "oauth2", "lifetime": 60}})
    assert_type(providers.of(token), Provider)
    assert_type(tokenkeep.open_store("memory:", providers=providers), Vault)


class TestMyStore(StoreContract, SwapContract):
    """The contracts can be subclassed."""


def listen(event: Event) -> None:
    assert_type(event.token_id, str)
    assert_type(event.user, str | None)


def keep() -> None:
    vault = tokenkeep.open_store("sqlite:///tokens.db", clock=FakeClock())
    assert_type(vault, Vault)
    keeper = Keeper(vault, on_event=listen)
    token = keeper.get(user="ana@example.com:1", environment="sandbox")
    assert_type(token, Token)
    assert_type(token.access_token, str | None)
    assert_type(token.expires_at, float | None)
    assert_type(token.status, Status)
    assert_type(token.logged_in_at, float | None)
    assert_type(token.history[0].what, str)
    assert_type(token.history[0].since, float)
    assert_type(token.but(scope="x"), Token)
    if token.id is not None:
        assert_type(keeper.renew(token.id), Token)
        assert_type(keeper.rejected(token.id, "access token"), Token)
        assert_type(keeper.revoke(token.id), Token)
        assert_type(keeper.end(token.id), Token)
        assert_type(keeper.delete(token.id), Token | None)
    assert_type(keeper.save(Token(user="ana", refresh_token="r")), Token)
    assert_type(keeper.sweep(), Swept)
    for told in keeper.revoke_all(client_id="c", status=Status.OK, dry_run=True):
        assert_type(told, Revoked)
        assert_type(told.token, Token)
        assert_type(told.outcome, Literal["confirmed", "unknown", "pending", "planned"])
        assert_type(told.why, str | None)
    for each in keeper.tokens():
        assert_type(each, Token)
    keeper.close()
    Keeper(MyStore())
    Keeper(ListStore())


class MyKeys:
    @property
    def key_ids(self) -> tuple[str, ...]:
        return ("alias/tokens",)

    def wrap(self, plain: bytes, bound: bytes) -> tuple[str, bytes]:
        return "alias/tokens", plain + bound

    def unwrap(self, key_id: str, wrapped: bytes, bound: bytes) -> bytes:
        return wrapped.removesuffix(bound + key_id.encode())


def rotate(vault: Vault) -> None:
    assert_type(vault.rotate(), bool)
    assert_type(sum(vault.rotate_data(anew=False)), int)
    wrapped_under, records = vault.key_status()
    assert_type(wrapped_under, str)
    assert_type(records, dict[int, int])
    for token in vault.iter_tokens(user="ana", status=Status.REVOKED):
        assert_type(token, Token)


def go_wrong(keeper: Keeper) -> float | None:
    try:
        keeper.get(id="7f")
    except tokenkeep.CoolingDown as error:
        return error.until
    except tokenkeep.LoginNeeded as error:
        assert_type(error.user, str | None)
    except (tokenkeep.DuplicateRefreshToken, tokenkeep.StaleToken) as error:
        assert_type(error.token_id, str | None)
    except tokenkeep.TokenKeepError as error:
        assert_type(error.hint, str | None)
    return None


def seal(backend: Backend) -> Vault:
    assert_type(backend.read("7f"), Record | None)
    assert_type(tokenkeep.generate_key(), str)
    Vault(backend, MyKeys())
    return Vault(backend, KeyRing([bytes(32)]), cache_size=10)


def take_over(vault: Vault, other: Vault) -> list[Step]:
    """Import, and copy."""
    source = open_source(Path("sdk_tokens.txt"))
    steps = list(Merge(source, vault).steps(dry_run=True))
    for step in Merge(StoreSource(vault), other, replace=True).steps():
        assert_type(step, Step)
    return steps
