"""Policies in other stores and beside other programs: who keeps them, and who takes them up."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import pytest
from policy_stage import ANA, DAY, HOUR, ISSUER, NOON, OfOne, TimelyProvider, ruled
from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.user_signature import UserSignature

import tokenkeep
from tokenkeep import (
    ConfigurationError,
    Keeper,
    KeyRing,
    Policies,
    Policy,
    PolicyEnded,
    Status,
    StoreTooNew,
    StoreUnavailable,
    Token,
    TokenRevoked,
    Vault,
    policy_readers,
)
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.local_swap import LocalSwap
from tokenkeep.providers import Providers
from tokenkeep.providers.zoho import Zoho
from tokenkeep.stores.list import ListStore
from tokenkeep.testing import FakeClock


class KeepsAll(ListStore):
    """Six methods that keep all there is of a token."""

    def save_token(self, token):
        saved = super().save_token(token)
        when = {"logged_in_at": token.logged_in_at or NOON, "history": token.history}
        self._rows = [row.but(**when) if row.id == saved.id else row for row in self._rows]
        return self.find_token_by_id(saved.id)


def keeper_of(store, stage):
    return Keeper(store, providers=OfOne(TimelyProvider(stage, stage.clock)), clock=stage.clock)


LOGIN = Token(
    user=ANA, client_id="c", access_token="a", refresh_token="r",
    expires_at=NOON + 30 * DAY, issuer=ISSUER,
)  # fmt: skip


def test_six_methods(stage):
    """A store of six methods holds to the policies of its process, by what it keeps."""
    keeper = keeper_of(KeepsAll(), stage)
    token = keeper.save(LOGIN)
    keeper.store.set_policies(ruled(max_session=12 * HOUR, keep_dead=DAY))
    stage.clock.advance(12 * HOUR - 1)
    assert keeper.get(id=token.id).access_token == "a"
    stage.clock.advance(1)

    with pytest.raises(PolicyEnded):
        keeper.get(id=token.id)

    assert keeper.store.reread(token.id).status is Status.REVOKED
    stage.clock.advance(DAY)
    keeper.store.reread(token.id)
    keeper.sweep()
    keeper.close()


def test_six_methods_that_keep_less(stage):
    """A session is not taken for as old as its row where nobody has kept when it began."""
    keeper = keeper_of(ListStore(), stage)
    token = keeper.save(LOGIN)
    keeper.store.set_policies(ruled(max_session=12 * HOUR))
    stage.clock.advance(10 * DAY)

    assert keeper.get(id=token.id).access_token == "a"
    assert keeper.sweep().ended == 0
    keeper.revoke(token.id)
    with pytest.raises(TokenRevoked):
        keeper.get(id=token.id)
    keeper.close()


class WithoutUse(MemoryBackend):
    """A backend that does not note use, as those at AWS."""

    notes_use = False

    def touch(self, record_id, last_used_at):
        pass


def vault_without_use(stage):
    return Vault(WithoutUse(), stage.ring, clock=stage.clock)


REFUSED = {
    "list, idle": (lambda _: LocalSwap(ListStore()), {"idle": DAY}, "does not note use"),
    "list, most": (
        lambda _: LocalSwap(ListStore()), {"at_most_per_user": 2}, "finds one, not several",
    ),
    "AWS": (vault_without_use, {"idle": DAY}, "does not note use"),
}  # fmt: skip


@pytest.mark.parametrize(("opened", "settings", "why"), REFUSED.values(), ids=REFUSED)
def test_stores_that_can_not(stage, opened, settings, why):
    """A store that can't hold to a policy refuses it by name, and has the former ones still."""
    store = opened(stage)
    store.set_policies(ruled(max_session=DAY))

    with pytest.raises(ConfigurationError, match=rf"Policy 'rule': .* {why}"):
        store.set_policies(ruled(**settings))

    assert store.policies == ruled(max_session=DAY)


def test_of_the_store(stage):
    """Policies are sealed in the store: they outlive its processes, and keys that are rotated."""
    stage.rule(name="secret-name", max_session=DAY)
    header = stage.backend.read("0" * 32) or stage.backend.scan(None, 1)[0]
    assert b"secret-name" not in header.sealed
    host = stage.host()
    host.vault.rotate_data()
    for _ in host.vault.rotate_data(anew=False):
        pass
    newer = Vault(stage.backend, KeyRing([b"n" * 32, b"k" * 32]), clock=stage.clock)
    newer.rotate()

    only = Vault(stage.backend, KeyRing([b"n" * 32]), clock=stage.clock)
    assert only.policies == ruled(name="secret-name", max_session=DAY)
    assert (only.ruled.at, only.ruled.serial) == (NOON, 1)


def test_set_twice_at_once(stage):
    """Of two that set policies at once both are counted, and the last one's hold."""
    other = stage.host().vault
    write, turns = stage.backend.write, []

    def between(record, *, replaces):
        if not turns:
            turns.append(1)
            other.set_policies(ruled(max_session=HOUR))
        return write(record, replaces=replaces)

    stage.backend.write = between
    stage.here.vault.set_policies(ruled(max_session=DAY))

    assert stage.host().vault.ruled.serial == 2
    assert stage.host().vault.policies == ruled(max_session=DAY)


def test_of_a_newer_version(stage, monkeypatch):
    """Who does not know a setting that is in the store does not go on as if it were not there."""
    with monkeypatch.context() as newer:
        newer.setattr(
            Policies, "facts", lambda _: [{"name": "a", "max_session": 3600.0, "moon_phase": 1}]
        )
        with suppress(StoreTooNew):  # this process does not know it either
            stage.here.vault.set_policies(ruled(max_session=DAY))

    with pytest.raises(StoreTooNew, match=r"does not know: Policy .*moon_phase"):
        stage.host()


PROGRAM = """
import sys, tokenkeep
from tokenkeep.testing import FakeClock
from tokenkeep.providers import Providers
from tokenkeep.providers.zoho import Zoho

class Quiet(Zoho):
    def probe(self, issuer):
        return None

class One(Providers):
    def of(self, token):
        return Quiet()

clock = FakeClock(float(sys.argv[2]))
store = tokenkeep.open_store(clock=clock)
keeper = tokenkeep.Keeper(store, providers=One(), clock=clock)
for line in sys.stdin:
    clock.advance(float(line))
    try:
        print(keeper.get(id=sys.argv[1]).access_token, flush=True)
    except tokenkeep.TokenKeepError as exc:
        print(type(exc).__name__, exc.policy, flush=True)
"""


@pytest.fixture
def other_process(tmp_path, monkeypatch):
    """A token, a process that asks for it, and the store that it is in."""
    monkeypatch.setenv("TOKENKEEP_STORE", f"sqlite:///{tmp_path}/tokens.db")
    monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    clock = FakeClock(NOON)
    with tokenkeep.open_store(clock=clock, make=True) as store:
        token = store.save_token(LOGIN.but(issuer="https://accounts.zoho.com/oauth/v2/token"))
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, token.id, str(NOON + 2 * HOUR)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ),
        )  # fmt: skip

        def ask(seconds):
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield store, ask
        process.communicate()


def test_another_process(other_process):
    """A process that runs already takes up within a minute what is set, and says that it has."""
    store, ask = other_process
    assert ask(0) == "a"
    assert store.policy_readers() == []

    store.set_policies(ruled(name="short", max_session=HOUR))

    assert ask(61) == "PolicyEnded short"
    (reader,) = store.policy_readers()
    assert reader.version == store.policies.version
    assert str(os.getpid()) not in reader.process


def readers(stage):
    return {each.process: each.version for each in stage.here.vault.policy_readers()}


def test_readers(stage, monkeypatch):
    """Who goes on for a minute notes which policies it has; short commands never write that."""
    first = ruled(max_session=30 * DAY)
    stage.here.vault.set_policies(first)
    long, short = stage.host(), stage.host()
    token = short.login()
    assert short.get(token) == "ok"
    assert readers(stage) == {}
    writes = []
    monkeypatch.setattr(policy_readers.holder, "me", lambda: '{"host": "web", "pid": 7}')
    write = stage.backend.write
    stage.backend.write = lambda *a, **g: (writes.append(1), write(*a, **g))[1]

    for _ in range(10):
        stage.clock.advance(61)
        assert long.get(token) == "ok"
    assert readers(stage) == {"web/7": first.version}
    stage.here.vault.set_policies(second := ruled(max_session=20 * DAY))
    assert readers(stage) == {"web/7": first.version}
    stage.clock.advance(61)
    assert long.get(token) == "ok"

    assert readers(stage) == {"web/7": second.version}
    assert len(writes) == 3
    stage.clock.advance(8 * DAY)
    assert readers(stage) == {}


def test_readers_that_are_gone(stage, monkeypatch):
    """A process that is known to be dead is told no more, and dropped by the next who notes."""
    stage.rule(max_session=30 * DAY)
    vault = stage.here.vault
    for number in range(policy_readers.MOST + 5):
        monkeypatch.setattr(policy_readers.holder, "me", lambda n=number: f'{{"pid": {n}}}')
        policy_readers.tell(vault, "v", NOON)
    _, facts = vault.note("policy readers")
    assert len(facts) == policy_readers.MOST

    monkeypatch.setattr(policy_readers.holder, "is_dead", lambda who: who != '{"pid": 204}')
    assert len(vault.policy_readers()) == 1
    policy_readers.tell(vault, "v", NOON)
    assert len(vault.note("policy readers")[1]) == 1


def test_noting_costs_nobody_a_token(stage, monkeypatch):
    """Where that can't be noted, the token is handed out all the same."""
    stage.rule(max_session=30 * DAY)
    token = stage.here.login()
    stage.clock.advance(61)

    def down(*_, **__):
        raise StoreUnavailable("down")

    monkeypatch.setattr(stage.backend, "write", down)

    assert stage.here.get(token) == "ok"


class Quiet(Zoho):
    """A Zoho that is not asked what time it is, and confirms whatever it is told to revoke."""

    def probe(self, issuer):
        del issuer

    def revoke(self, token):
        del token


class OnlyQuiet(Providers):
    def named(self, name):
        del name
        return Quiet()


def sdk_token(number):
    """Return what the SDK has when a user has just logged in."""
    token = OAuthToken(
        client_id="c", client_secret="s", grant_token=f"g{number}", refresh_token=f"r{number}",
        user_signature=UserSignature(ANA),
    )  # fmt: skip
    token.set_access_token(f"a{number}")
    token.set_expires_in(str(int((NOON + 30 * DAY) * 1000)))
    token.set_api_domain("https://www.zohoapis.com")
    return token


def asked_by_user():
    return OAuthToken(client_id="c", refresh_token="r0", user_signature=UserSignature(ANA))


def test_official_sdk():
    """The SDK's users too: out after twelve hours, and not again right after they logged in."""
    clock = FakeClock(NOON)
    vault = Vault(MemoryBackend(), KeyRing([b"k" * 32]), providers=OnlyQuiet(), clock=clock)
    store = SDKStore(vault, clock=clock)
    vault.set_policies(ruled(name="sessions", max_session=12 * HOUR))
    mine = sdk_token(0)
    store.save_token(mine)
    for number in range(1, 4):
        clock.advance(12 * HOUR - 1)
        assert store.find_token_by_id(mine.get_id()).get_access_token() == f"a{number - 1}"
        clock.advance(1)
        with pytest.raises(SDKException) as over:
            store.find_token_by_id(mine.get_id())
        assert isinstance(over.value.cause, PolicyEnded)
        assert over.value.cause.policy == "sessions"
        clock.advance(3 * HOUR)
        store.keeper.sweep()

        again = sdk_token(number)
        store.save_token(again)

        assert again.get_id() == mine.get_id()
    # As the program has it that kept its object: with the tokens from before.
    with pytest.raises(SDKException):
        store.save_token(mine)
    assert store.find_token_by_id(mine.get_id()).get_access_token() == "a3"
    store.close()


def test_two_of_several_scopes(stage):
    """Policies of several scopes hold at once, each for its own, the strictest for one token."""
    stage.here.vault.set_policies(
        Policies(
            [
                Policy(name="all", max_session=DAY),
                Policy(name="guests", user="guest*", max_session=HOUR),
            ]
        )
    )
    token, guest = stage.here.login(), stage.here.login(user="guest1@example.com:1")
    stage.clock.advance(HOUR)

    assert stage.here.get(token) == "ok"
    assert stage.here.get(guest).policy == "guests"
