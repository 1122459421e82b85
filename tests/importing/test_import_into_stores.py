"""An import into each kind of store: compare and write on the row that was judged."""

from __future__ import annotations

import os

import pytest
from sdk_rows import ANA

import tokenkeep
from tokenkeep import Token
from tokenkeep.moving import Importer, open_source

SERVERS = {"mysql": "mariadb", "postgresql": "postgres", "redis": "redis_server"}
OTHER = {"refresh_token": "r2", "access_token": "a2", "grant_token": "g2"}


@pytest.fixture(params=["file", *SERVERS, "aws-secretsmanager", "dynamodb"])
def store(request, tmp_path):
    """An empty store of each kind."""
    kind = request.param
    if kind == "file":
        url = f"file:///{tmp_path}/tokens.json"
    else:
        server = request.getfixturevalue(SERVERS.get(kind, "aws"))
        url = server.url() if kind in SERVERS else server.url(kind)
    opened = tokenkeep.open_store(url, keys_newest_first=[os.urandom(32)], environ={})
    yield opened
    opened.close()


def test_each_way_a_row_can_go(run, store, write_csv):
    """New, known, its user learnt, renewed, and another login of that user."""
    nameless = ANA | {"user_name": ""}
    renewed = ANA | {"access_token": "later", "expiry_time": "1764009999000"}
    known = store.find_token_by_id

    assert [("new", None)] == run(write_csv(nameless))
    (first,) = store.get_tokens()
    assert [("already there", None)] == run(write_csv(nameless))
    assert [("update", "adds user")] == run(write_csv(ANA))
    assert [("update", "adds access_token, expires_at")] == run(write_csv(renewed))
    assert "skipped" == run(write_csv(ANA | OTHER))[0][0]

    (token,) = store.get_tokens()
    assert (ANA["user_name"], "later", "1000.refresh") == (token.user, *token.pair)
    assert token.id == known(first.id).id
    assert "update" == run(write_csv(ANA | OTHER), replace=True)[0][0]
    assert ("a2", "r2") == known(first.id).pair


@pytest.mark.parametrize("before", ["nobody", "nameless", "named"])
def test_a_login_made_meanwhile_stays(store, write_csv, before):
    """Whatever the row was judged by, the login that was made since is what is stored."""
    names = ("client_id", "refresh_token", "api_domain")
    login = {name: ANA[name] for name in names}
    if before != "nobody":
        user = ANA["user_name"] if before == "named" else None
        store.save_token(Token(**login, user=user, access_token="spent", expires_at=1.0))
    importer = Importer(open_source(write_csv(ANA)), store)
    (step,) = importer.plan()
    theirs = store.save_token(Token(**login | {"refresh_token": "r2"}, user=ANA["user_name"]))

    done = importer.apply(step)

    assert "skipped" == done.action
    assert (theirs.id, "r2") == (done.stored.id, store.reread(theirs.id).refresh_token)
