"""Ids that programs bring: they work as in the official stores, as long as their row is there."""

from __future__ import annotations

import re

import pytest
from login_stage import refused, sdk_token

from tokenkeep import Token

IDS = (
    "customer-42",
    "2",
    "6f1c1d6e-3a3c-4d5e-9a55-0b6f4e2f9d10",
    "a" * 32,
    "tk_2",
    "é\N{PILE OF POO}",
)


@pytest.mark.parametrize("own", IDS)
def test_an_id_given_to_a_store(stage, own):
    """The row has an id of ours; both lead to it, for whatever is done with it."""
    keeper = stage.keeper()
    saved = keeper.store.save_token(stage.login(stage.ana, id=own))

    assert saved == stage.open().find_token_by_id(own) == stage.open().find_token_by_id(saved.id)
    assert saved == stage.open().find_token(Token(id=own))
    assert saved.access_token == stage.keeper().get(id=own).access_token
    assert saved.id == stage.keeper().renew(own).id
    assert saved.id == stage.keeper().revoke(own).id
    assert set() == stage.alive()
    assert re.fullmatch(r"tk_[0-9a-f]{32}", saved.id)


def test_the_id_from_the_old_file(stage, run):
    """Programs start with the id they had in the SDK's own file: ``OAuthToken(id="2")``."""
    login = stage.login(stage.ana)
    names = ("id", "user_name", "client_id", "client_secret", "refresh_token", "access_token",
             "grant_token", "expiry_time", "redirect_url", "api_domain")  # fmt: skip
    values = ("2", stage.ana, login.client_id, login.client_secret, login.refresh_token,
              login.access_token, "", str(int(login.expires_at * 1000)), "",
              login.api_domain)  # fmt: skip
    (stage.folder / "old.csv").write_text(f"{','.join(names)}\n{','.join(values)}\n")
    assert 0 == run("import", "old.csv").exit_code

    assert login.access_token == stage.sdk_store().find_token_by_id("2").get_access_token()
    asked = sdk_token(id="2")
    assert asked is stage.sdk_store().find_token(asked)
    assert login.refresh_token == asked.get_refresh_token()


def test_several_ids_of_one_row(stage):
    """Each of them goes on working."""
    login = stage.login(stage.ana)
    for own in ("1", "2", "customer-42", "1"):
        saved = stage.open().save_token(login.but(id=own))

    store = stage.open()
    assert [saved] * 3 == [store.find_token_by_id(own) for own in ("1", "2", "customer-42")]


@pytest.mark.parametrize("how", ["caller's", "ours"])
def test_an_id_of_somebody_elses_row(stage, how):
    """No id makes one user's login another's."""
    ana = stage.open().save_token(stage.login(stage.ana, id="customer-42"))
    own = {"caller's": "customer-42", "ours": ana.id}[how]

    with refused("StoreConflict"):
        stage.open().save_token(stage.login(stage.bo, at="eu", id=own))

    assert [ana] == stage.open().get_tokens()


def test_a_row_that_is_gone(stage):
    """Its ids lead nowhere, and are free for another login; nothing is left of them."""
    keeper = stage.keeper()
    keeper.store.save_token(stage.login(stage.ana, id="customer-42"))
    keeper.delete("customer-42")

    assert stage.open().find_token_by_id("customer-42") is None
    with refused("TokenNotFound"):
        stage.keeper().get(id="customer-42")
    bo = stage.open().save_token(stage.login(stage.bo, at="eu", id="customer-42"))
    assert bo == stage.open().find_token_by_id("customer-42")
