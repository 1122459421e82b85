"""An answer: what it changes, and what becomes of one that can't be saved on its claim."""

from __future__ import annotations

import pytest
from interference import let_be
from renewal_scenario import NEWER, USER, World, away, failing

from tokenkeep import (
    LoginNeeded,
    Status,
    StoreConflict,
    StoreUnavailable,
    TokenNotFound,
    TokenRevoked,
)

EU = "https://api.example.eu"
BESIDES = {"scope": "granted", "refresh_expires_in": 100.0, "extra": {"realm": "new"}}


@pytest.mark.parametrize(
    ("offset", "correction"), [(None, 0.0), (29.0, 0.0), (31.0, 31.0), (-120.0, -120.0)]
)
def test_changes(world, offset, correction):
    """The access token, its end by a clock that is right to 30 s, its life, and who renewed it."""
    asked = world.clock.now()
    world.provider.extra = {"clock_offset": offset}
    world.provider.during.append(lambda: world.clock.advance(8))

    world.get()

    after = world.stored
    assert after.pair == ("access-2", "login-1/0")
    assert asked + 3600 + correction == after.expires_at  # a slow answer gives no extra life
    assert (3600.0, asked) == (after.renewal.lifetime, after.renewal.renewed_at)
    assert "/" in after.renewal.renewed_by
    assert bool(correction) is ("clock_off" in world.here.names())


def test_no_refresh_token_in_the_answer(rotating):
    """Invariant 3: where the answer has no refresh token the old one stays; so does all else."""
    before = rotating.write(scope="all", extra={"realm": "7"}, refresh_expires_at=2e9)
    rotating.provider.extra = {"refresh_token": None}

    rotating.get()

    assert rotating.stored.pair == ("access-2", "login-1/0")
    for name in ("scope", "extra", "refresh_expires_at", "api_domain", "client_secret", "issuer"):
        assert getattr(before, name) == getattr(rotating.stored, name)


@pytest.mark.parametrize(
    ("environment", "names", "place"),
    [
        (None, EU, (EU, "eu", "production")),
        ("sandbox", EU, ("https://api.example", None, "sandbox")),
        (None, "https://elsewhere.example", ("https://api.example", None, None)),
    ],
)
def test_what_an_answer_says_besides(world, environment, names, place):
    """Scope, when the refresh token ends, what else there was; a place that may be believed."""
    world.write(extra={"kept": 1, "realm": "old"}, environment=environment)
    world.provider.places = {EU: ("eu", "production")}
    world.provider.extra = BESIDES | {"api_domain": names}

    world.get()

    after = world.stored
    assert place == (after.api_domain, after.data_center, after.environment)
    assert (world.id, "granted") == (after.id, after.scope)
    assert world.clock.now() + 100 == after.refresh_expires_at
    assert {"kept": 1, "realm": "new"} == after.extra


@pytest.mark.parametrize("unsaved", [False, True], ids=["saved at once", "by the journal"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_secret", "new"),
        ("scope", "new"),
        ("api_domain", "https://new.example"),
        ("extra", {"new": 1}),
        ("refresh_expires_at", 3e9),
        ("issuer", "https://new.example/token"),
    ],
)
def test_saved_by_somebody_else_meanwhile(rotating, name, value, unsaved):
    """A write changes only its own fields: what was stored during a renewal stays."""
    world = rotating
    world.provider.places = {EU: ("eu", "production")}
    world.provider.extra = BESIDES | {"api_domain": EU}
    world.provider.during.append(lambda: world.write(**{name: value}))
    if unsaved:
        world.here.store.before["save"].append(world.here.store.goes_down)

    world.here.keeper.valid(world.stored, client_secret="the caller's")
    world.here.store.down = False
    world.here.keeper.sweep()

    learnt = {"client_secret": "the caller's", "scope": "granted", "extra": {"realm": "new"}}
    stored = {each: getattr(world.stored, each) for each in {*learnt, name}}
    assert stored == {**learnt, name: value}
    assert ("access-2", "login-1/1") == world.stored.pair


def test_lifetime_not_told(world):
    """Without ``expires_in`` the end is not known, and the token is used until it is rejected."""
    world.provider.extra = {"expires_in": None}

    world.get()
    world.clock.advance(1_000_000)

    assert world.stored.expires_at is None
    assert world.get().access_token == "access-2"
    assert world.calls == 1


@pytest.mark.parametrize("provider", [{"rotates": True, "mint_limit": 10}, {}])
def test_mint_times_with_another_refresh_token(provider):
    """The limit is one of the refresh token: another one starts anew; none is kept without one."""
    world = World(**provider)
    world.write_renewal(mints=(world.clock.now() - 1,))

    world.get()

    assert world.stored.renewal.mints == ()


def test_same_access_token_again_after_a_conflict(world):
    """Its late save is not taken for one that was made already: the end is written, too."""
    world.provider.extra = {"access_token": "access-1"}
    world.provider.during.append(lambda: world.write(scope="all"))

    world.get()

    assert world.stored.expires_at == world.clock.now() + 3600
    assert world.stored.renewal.claim is None


# LATE: what becomes of it on the row as it is by then.

FRESH = ("refresh_token", "login-1/1")
SPENT = ("refresh_token", "login-1/0")
SAVED = ("saved", "login-1/0")
ANSWER = ("access-2", "login-1/0")
ROTATED = ("access-2", "login-1/1")
ROWS = {
    # What others do, what the caller gets where the refresh token stays the same, and where it
    # rotates, and what has been revoked at the provider then; None is what the answer brought.
    "write": (ANSWER, ROTATED, []),
    "log in": (NEWER, NEWER, []),
    "save": (SAVED, ROTATED, []),
    "log in without": (SAVED, ROTATED, []),
    "reject": (LoginNeeded, ROTATED, []),
    "reject, log in without": (SAVED, ROTATED, []),
    "revoke": (TokenRevoked, TokenRevoked, ["login-1/0", None]),
    "revoke, log in without": (("saved", None), ("saved", None), ["login-1/0"]),
    "delete": (TokenNotFound, TokenNotFound, [None]),
    "delete, log in": (TokenNotFound, TokenNotFound, []),
}


@pytest.mark.parametrize("when", ["in the call", "before the save", "it waits in the journal"])
@pytest.mark.parametrize("row", ROWS)
def test_the_row_as_it_is_now(either, when, row):
    """Invariants 4 and 7: an answer is saved where it still may be, else seen to; one call."""
    world, store = either, either.here.store
    happens, (same, rotates, revoked) = world.step(row), ROWS[row]

    def kept_until_it_is_final():
        assert len(world.kept) == world.provider.rotates

    if when == "it waits in the journal":
        store.before["save"].append(store.goes_down)
        assert world.get().access_token == "access-2"
        store.down = False
        happens()
        world.here.keeper.sweep()
    else:
        (world.provider.during if when == "in the call" else store.before["save"]).append(happens)
        store.before["save"] += [kept_until_it_is_final] * 3

    outcome = world.outcome()

    assert outcome == (rotates if world.provider.rotates else same)
    answer = "login-1/1" if world.provider.rotates else "access-2"
    assert [each or answer for each in revoked] == world.provider.revoked
    assert world.calls == 1
    assert world.kept == []
    is_discarded = outcome not in (ANSWER, ROTATED, TokenRevoked, TokenNotFound)
    assert ("superseded" in world.here.names()) is is_discarded
    if isinstance(outcome, tuple):
        assert (*outcome, "wider") == (*world.stored.pair, world.stored.scope)
        assert Status.OK is world.stored.status
        assert world.stored.expires_at == world.clock.now() + 3600
        world.expire()
        assert world.outcome() != outcome
        works = LoginNeeded if outcome[1] is None else world.stored.pair
        assert works == world.outcome()
    elif row.endswith("log in"):
        assert NEWER == world.there.keeper.get(user=USER).pair
    else:
        rows = [(row.status, row.access_token) for row in world.vault.get_tokens()]
        dead = {TokenRevoked: [(Status.REVOKED, None)], TokenNotFound: []}
        assert rows == dead.get(outcome, [(Status.LOGIN_NEEDED, "access-1")])


def test_overtaken_while_it_was_held_up(world):
    """Invariant 2: who was held up past its claim saves nothing over who took it over."""
    world.provider.during.append(world.step("renew"))

    assert ("access-3", "login-1/0") == world.outcome() == world.stored.pair
    assert world.calls == 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_outcome_of_the_save_is_not_known(world, when):
    """A save that was committed without a word is recognised; one that was not is made again."""
    getattr(world.here.store, when)["save"].append(away)

    assert world.get().access_token == world.stored.access_token == "access-2"
    assert world.calls == 1
    assert world.here.store.written.count("save") == 1
    assert world.here.names() == ["renewed"]


def test_late_save_keeps_other_processes_mint_times(limited):
    """Invariant 6: a late save does not write its own old image of the mint times."""

    def claim_elsewhere():
        mints = limited.stored.renewal.mints
        limited.write_renewal(mints=(*mints, limited.clock.now()))
        limited.claim()

    limited.provider.during.append(claim_elsewhere)

    limited.get()

    assert limited.stored.access_token == "access-2"
    assert len(limited.stored.renewal.mints) == 2
    assert limited.stored.renewal.claim is None


@pytest.mark.parametrize(
    ("since", "pair"), [("renew", ("access-3", "login-1/2")), ("save", ("saved", "login-1/1"))]
)
def test_entry_of_what_was_saved_long_ago(rotating, since, pair):
    """An answer that was stored does not come back over what has become of the row since."""
    kept = []
    rotating.here.journal.remove = kept.append  # as a crash before it does
    rotating.get()
    rotating.expire()
    rotating.step(since)()
    assert len(kept) == 1

    assert rotating.beside.keeper.sweep().discarded == 1
    assert (rotating.stored.renewal.replaced, rotating.stored.renewal.to_revoke) == ((), ())
    assert pair == rotating.stored.pair


each_grant = pytest.mark.parametrize(
    "grant", [False, True], ids=["each by itself", "the whole consent"]
)


@each_grant
def test_superseded_answer_is_seen_to(grant):
    """Invariant 15: the fresh refresh token of a login that was replaced is not forgotten."""
    world = World(rotates=True, revokes_grant=grant)
    world.provider.during.append(world.step("log in"))

    assert NEWER == world.outcome()
    renewal = world.stored.renewal
    # In the place of the spent one; it waits where revoking it would end the new login, too.
    assert FRESH in (renewal.replaced if grant else renewal.to_revoke)
    assert SPENT not in renewal.replaced + renewal.to_revoke
    world.here.keeper.sweep()
    assert "login-2" not in world.provider.dead
    world.here.keeper.revoke(world.id)
    assert {"login-1", "login-2"} == world.provider.dead


@pytest.mark.parametrize("away", [False, True])
def test_superseded_answer_is_seen_to_in_the_end(rotating, away):
    """It compares and writes as all else does; until it could, the journal keeps the answer."""
    store = rotating.here.store
    rotating.provider.during.append(rotating.step("log in"))
    # The first is the save of the answer, the second sees to it.
    store.before["save"] += [
        lambda: setattr(store, "down", away),
        lambda: rotating.write(scope="all"),
    ]
    rotating.get()
    store.down = False

    assert away == rotating.here.keeper.sweep().discarded
    assert away or rotating.stored.scope == "all"
    assert FRESH in rotating.stored.renewal.replaced
    assert rotating.kept == []


def deleted_in_vain(world):
    """Let the row be deleted while it is renewed, and the provider be out of reach."""
    world.provider.unreachable = True
    world.provider.during.append(world.step("delete"))
    assert TokenNotFound is world.outcome()
    assert "revocation_pending" in world.here.names()
    assert set() == world.provider.dead
    world.provider.unreachable = False


@each_grant
def test_its_user_logs_in_before_the_sweep(grant):
    """Invariant 7: nothing is revoked that would end the newer login, nor forgotten alive."""
    world = World(rotates=True, revokes_grant=grant)
    deleted_in_vain(world)
    world.step("log in")()

    world.here.keeper.sweep()

    assert world.kept == []
    assert world.provider.revoked == ([] if grant else ["login-1/1"])
    newer = world.here.keeper.get(user=USER)
    assert NEWER == newer.pair
    world.here.keeper.end(newer.id)
    assert {"login-1", "login-2"} == world.provider.dead


def test_answer_of_a_row_that_is_gone_holds_no_other_up():
    """What only waits to be taken back is left to the sweep: no caller tries it."""
    world = World(revokes_grant=False)
    deleted_in_vain(world)
    world.id = world.login().id  # the same login, saved anew

    assert world.get().access_token == "access-3"
    assert world.provider.revoked == []

    world.here.keeper.sweep()
    assert world.provider.revoked == ["access-2"]


@pytest.mark.parametrize("rotates", [False, True])
@pytest.mark.parametrize(("gone", "error"), [("revoke", TokenRevoked), ("delete", TokenNotFound)])
@pytest.mark.parametrize("when", ["in the call", "in a call that fails", "before the claim"])
def test_taken_back_during_an_early_renewal(rotates, gone, error, when):
    """Invariant 7: from the commit on nobody gets it, also who read it before."""
    world = World(rotates=rotates)
    world.write(expires_at=world.clock.now() + 200)
    claim = world.here.store.before["claim"]
    (claim if when == "before the claim" else world.provider.before).append(world.step(gone))
    if when == "in a call that fails":
        world.down()

    assert error is world.outcome()


# While the store can't be written: kept sealed, handed out, saved later.

full = failing(StoreUnavailable("The disk is full"))


def fills(world):
    """Return a step: the disk is full from then on, until `let_be`."""
    return lambda: setattr(world.backend, "write", full)


@pytest.fixture
def unsaved(either, tmp_path):
    """A renewal whose answer could not be saved: the disk is full since."""
    either.folder = tmp_path / "journal"
    either.keep_in(either.folder)
    either.here.store.before["save"].append(fills(either))
    either.given = either.get()
    assert either.given.access_token == "access-2"
    return either


def test_handed_out_and_kept(unsaved):
    """Invariant 4: the caller gets it, the journal has it sealed, and another process saves it."""
    world = unsaved
    assert world.provider.accepts(world.given.refresh_token)
    assert world.stored.pair == ("access-1", "login-1/0")
    assert world.here.names() == ["unsaved"]
    (path,) = world.folder.iterdir()
    assert not [secret for secret in world.given.pair if secret.encode() in path.read_bytes()]
    with pytest.raises(StoreUnavailable):
        world.beside.keeper.sweep()
    assert len(world.kept) == 1
    let_be(world)

    assert world.beside.keeper.sweep().saved == 1

    assert world.stored.pair == world.given.pair
    assert world.stored.renewal.claim is None
    assert list(world.folder.iterdir()) == []
    assert world.calls == 1


@pytest.mark.parametrize("wait", [0.0, 30.0, 400.0, 1800.0])
def test_goes_on_being_handed_out(unsaved, wait):
    """Invariant 4: the journal's answer serves this host's callers while the store is full."""
    world = unsaved
    world.clock.advance(wait)
    for actor in (world.here, world.beside, world.here):
        assert world.get(actor).access_token == "access-2"
    let_be(world)
    began = world.clock.monotonic()

    assert world.get(world.beside).access_token == world.stored.access_token == "access-2"

    assert world.clock.monotonic() - began < 5
    assert list(world.folder.iterdir()) == []
    assert world.calls == 1


def test_neither_store_nor_journal(rotating):
    """Invariant 4: where nothing can be written the token is handed out and that is reported."""
    rotating.here.journal.put = full
    rotating.here.store.before["save"].append(fills(rotating))

    assert rotating.provider.accepts(rotating.get().refresh_token)
    assert "unjournaled" in rotating.here.names()
    assert rotating.here.names()[-1] == "unsaved"


def test_no_version_of_what_is_stored(unsaved):
    """It is not handed out once it was refused, or has ended; it brings no deleted row back."""
    unsaved.clock.advance(61)
    with pytest.raises(StoreUnavailable):
        unsaved.here.keeper.rejected(unsaved.id, unsaved.given.access_token)
    unsaved.clock.advance(7200)
    assert StoreUnavailable is unsaved.outcome()
    let_be(unsaved)
    assert unsaved.given.version is None
    unsaved.vault.delete_token(unsaved.id)

    with pytest.raises(StoreConflict):
        unsaved.vault.swap(unsaved.given)
    assert unsaved.vault.get_tokens() == []
