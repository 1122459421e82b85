"""Ids that programs bring: they work as in the official stores, as long as their row is there."""

from __future__ import annotations

import re

import pytest
from login_stage import refused

from tokenkeep import Token
from tokenkeep.backends.base import HEADER

IDS = ["customer-42", "2", "6f1c1d6e-3a3c-4d5e-9a55-0b6f4e2f9d10", "x" * 65_536, "a" * 32, "tk_",
       f"tk_{'A' * 32}", f"tk_{'a' * 31}", "a\0b", "\n", "'; DROP TABLE token; --", "\U0001f4a9",
]  # fmt: skip


@pytest.mark.parametrize("own", IDS, ids=lambda own: ascii(own[:20]))
def test_an_id_given_to_a_store(stage, own):
    """
    Any text: the row has an id of ours, and both lead to it, whatever is done with it.

    Before and after it leads nowhere, and is free for another login.
    """
    keeper = stage.keeper()
    keeper.store.delete_token(own)
    with refused("TokenNotFound") as error:
        keeper.get(id=own)
    assert not {"\n", "\0"} & {*error.why}

    saved = keeper.store.save_token(stage.login(stage.ana, id=own))

    assert re.fullmatch(r"tk_[0-9a-f]{32}", saved.id)
    assert saved == stage.open().find_token_by_id(own) == stage.open().find_token_by_id(saved.id)
    assert saved == stage.open().find_token(Token(id=own))
    assert saved.access_token == stage.keeper().get(id=own).access_token
    assert saved.id == stage.keeper().renew(own).id == stage.keeper().revoke(own).id
    assert set() == stage.alive()
    stage.keeper().delete(own)
    assert stage.open().find_token_by_id(own) is None
    bo = stage.open().save_token(stage.login(stage.bo, at="eu", id=own))
    assert bo == stage.open().find_token_by_id(own)


@pytest.mark.parametrize("which", ["caller's", "ours", "header", "other store", "deleted", "lost"])
def test_an_id_of_something_else(stage, which):
    """No id makes one user's login another's, nor reaches what is no token of this store."""
    store = stage.open()
    ana = store.save_token(stage.login(stage.ana, id="customer-42"))
    other = stage.open(f"sqlite:///{stage.folder}/other.db").save_token(stage.login(stage.bo))
    gone, lost = (store.save_token(stage.login(f"{name}:1", id=name)) for name in ("eva", "ute"))
    store.delete_token(gone.id)
    store.backend.delete(lost.id[3:], replaces=lost.version)
    ids = {"caller's": "customer-42", "ours": ana.id, "header": f"tk_{HEADER}"}
    token_id = (ids | {"other store": other.id, "deleted": gone.id, "lost": lost.id})[which]

    with refused("StoreConflict"):
        stage.open().save_token(stage.login(stage.bo, at="eu", id=token_id))

    if token_id not in (ana.id, "customer-42"):
        assert stage.open().find_token_by_id(token_id) is None
        for deed in (stage.keeper().revoke, stage.keeper().renew, stage.keeper().end):
            with refused("TokenNotFound"):
                deed(token_id)
        stage.open().touch(token_id, 1.0)
        stage.open().delete_token(token_id)
    assert [ana] == stage.open().get_tokens()
