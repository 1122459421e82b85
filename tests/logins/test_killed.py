"""Processes killed with SIGKILL after every single write: a login stays one, and can be ended."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from itertools import product

import pytest
from killed_worker import is_killed

from tokenkeep import Token, TokenKeepError

ENVIRON = ("HOME", "TOKENKEEP_CONFIG", "TOKENKEEP_STORE", "TOKENKEEP_KEYS")
MOST = 20
"""No move takes so many steps."""

ROTATES = {"rotates": True}
PLACES = {"sqlite": ROTATES, "postgresql": ROTATES, "ids of owners": {"ids_of_owners": True}}
on_sqlite = pytest.mark.parametrize("every_kill", ["sqlite", "ids of owners"], indirect=True)
"""For what comes after a kill; the kill itself is on a server, too."""


@pytest.fixture(params=PLACES)
def every_kill(request, make_stage):
    """
    Yield new stages, and for each a deed that is killed one step later than on the one before.

    Ends after the stage on which the deed needed no more steps, so was not killed.
    """
    how = PLACES[request.param]
    ids = "ids_of_owners" in how
    url = request.getfixturevalue("postgres").url() if request.param == "postgresql" else None

    def _every_kill():
        for after in range(1, MOST):
            stage = make_stage(store=f"{after}.db", url=url, **how)
            stage.open().delete_tokens()
            done = []

            def kill(deed, *, steps=after, done=done, stage=stage, **given):
                environ = {name: os.environ[name] for name in ENVIRON}
                done.append(is_killed(environ, steps, deed, given, ids_of_owners=ids))
                stage.clock.set(time.time())  # the clock it wrote by
                return done[-1]

            yield stage, kill
            if not done[-1]:
                assert after > 1, "nothing was written"
                return
        pytest.fail("this takes too many steps")

    return _every_kill


def fields(token, **changes):
    """Return what is given to a save as JSON can say it."""
    names = ("id", "user", "client_id", "client_secret", "access_token", "refresh_token",
             "grant_token", "expires_at", "issuer", "api_domain")  # fmt: skip
    given = asdict(token.but(**changes))
    return {name: given[name] for name in names if given[name] is not None}


LOOKS = {
    "find": lambda stage, keeper: stage.works(keeper.get(user=stage.ana)),
    "renew": lambda stage, keeper: all(stage.works(keeper.renew(r.id)) for r in stage.living()),
    "renew by old id": lambda stage, keeper: stage.works(keeper.renew(stage.nameless.id)),
    "sweep": lambda _, keeper: keeper.sweep(),
    "save again": lambda stage, keeper: keeper.store.save_token(stage.named),
}
"""What others do who come after a kill."""

SWEEP = "sweep, find, renew by old id, renew, find"
ORDERS = {
    "who asks for the user comes first": "find, renew, sweep, renew by old id, find",
    "who has the old id comes first": "renew by old id, renew, find, sweep, find",
    "a sweep comes first": SWEEP,
    "the login is saved again first": "save again, find, renew by old id, sweep, renew, find",
}


def look(stage, order):
    """Let somebody look in some order: nobody is logged out, nothing is there twice or lost."""
    keeper = stage.keeper()
    for each in order.split(", "):
        assert LOOKS[each](stage, keeper), each
    assert stage.logins() == [stage.zoho.id_of(stage.named.refresh_token)], "one login, one row"
    assert set() == stage.end_everything()


def set_up(stage, *, has_row):
    """Save a login without its user, who has another one already or none."""
    store = stage.open()
    if has_row:
        store.save_token(stage.login(stage.ana))
    login = stage.login()
    stage.nameless = store.save_token(login)
    stage.named = login.but(user=stage.ana)


@pytest.mark.parametrize("has_row", [True, False], ids=["who has a row", "who has none"])
@pytest.mark.parametrize(
    ("every_kill", "order"),
    [*product(["sqlite"], ORDERS), *product([*PLACES][1:], ["a sweep comes first"])],
    indirect=["every_kill"],
)
def test_whose_login_it_is_becomes_known(every_kill, order, has_row):
    """
    A login in two living rows was renewed in both, and no sweep healed it.

    With a provider that rotates its user was logged out.
    """
    for stage, kill in every_kill():
        set_up(stage, has_row=has_row)
        kill("save", **fields(stage.named))
        look(stage, ORDERS[order])


@on_sqlite
@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("finishes", ["save", "sweep", "find"])
def test_who_finishes_it_is_killed_as_well(every_kill, finishes, first):
    """Whoever comes to finish a move may be killed in it, too; the next one goes on."""
    for stage, kill in every_kill():
        set_up(stage, has_row=True)
        assert kill("save", steps=first, **fields(stage.named))
        given = {"save": fields(stage.named), "find": {"id": stage.nameless.id}, "sweep": {}}
        kill(finishes, **given[finishes])
        look(stage, SWEEP)


@on_sqlite
def test_what_is_still_to_be_ended_goes_along(every_kill):
    """Two logins in one row, before it was known whose it is: both end with the user's."""
    for stage, kill in every_kill():
        set_up(stage, has_row=True)
        again = stage.login(id=stage.nameless.id)
        stage.nameless = stage.open().save_token(again)
        stage.named = Token(**fields(again, id=None, user=stage.ana))
        kill("save", **fields(stage.named))
        look(stage, SWEEP)


@pytest.mark.parametrize(
    ("deed", "down"), [("end", False), ("end", True), ("revoke and delete", True)]
)
def test_the_end_of_a_login(every_kill, deed, down):
    """From the first write on it is not handed out; a sweep ends what is left at the provider."""
    for stage, kill in every_kill():
        keeper = stage.keeper()
        keeper.store.save_token(stage.login(stage.ana))
        row = keeper.store.save_token(stage.login(stage.ana))  # both are to be ended
        if down:
            stage.zoho.faults.add(endpoint="revoke", kind="drop", times=None)
        kill(deed, id=row.id)
        stage.zoho.faults.clear()

        assert [] == stage.living()
        with pytest.raises(TokenKeepError):
            keeper.get(user=stage.ana)
        again = keeper.store.save_token(stage.login(stage.ana))
        keeper.sweep()
        assert {stage.zoho.id_of(again.refresh_token)} == set(stage.logins()) == stage.alive()
        assert stage.works(keeper.get(user=stage.ana))
        stage.end_everything()


@on_sqlite
@pytest.mark.parametrize("got_here", [True, False], ids=["got here", "given"])
def test_a_login_that_replaces_another(every_kill, got_here):
    """From its write on it is the user's; the old one is ended, now or with it."""
    for stage, kill in every_kill():
        stage.open().save_token(stage.login(stage.ana, got_here=got_here))
        stage.named = stage.login(stage.ana, got_here=got_here)
        kill("save", **fields(stage.named))
        look(stage, "find, sweep, renew, find")


@on_sqlite
def test_an_id_that_a_program_brings(every_kill):
    """Saved again after the crash, the login has its one row, and the id leads to it."""
    for stage, kill in every_kill():
        login = stage.login(stage.ana, id="customer-42")
        kill("save", **fields(login))
        saved = stage.open().save_token(login)

        assert [saved] == stage.living() == [stage.open().find_token_by_id("customer-42")]


@on_sqlite
def test_a_deletion(every_kill):
    """The row is gone from the first step on; what led to it leads nowhere, and can be deleted."""
    for stage, kill in every_kill():
        store = stage.open()
        row = store.save_token(stage.login(stage.ana, id="customer-42"))
        kill("delete", id=row.id)

        assert [] == stage.living()
        assert [None, None] == [store.find_token_by_id(each) for each in (row.id, "customer-42")]
        store.delete_token("customer-42")
        stage.keeper().sweep()
        assert ["header"] == [record.kind for record in store.backend.scan(None, 100)]
