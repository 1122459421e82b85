"""What the SDK expects of the six methods, and what it does with their answers."""

from __future__ import annotations

import time

import pytest
from sdk_driver import SDKFailed, old_and_new

from tokenkeep.integrations import zoho_sdk


@old_and_new
def test_fills_the_argument(sdk, zoho):
    """`find_token` fills what it is given, returns that, and has the expiry as text."""
    process = sdk.process()
    first = sdk.log_in(process, user=zoho.user)
    found = process.find(refresh_token=first["refresh_token"], **sdk.secrets())

    assert found["is_same"]
    assert {name: found[name] for name in first} == first
    # The SDK calls len() on it.
    assert isinstance(found["expires_in"], str)
    assert 3000 < int(found["expires_in"]) / 1000 - time.time() < 4000


def test_save_sets_the_id(sdk):
    """`save_token` sets the id, a str; saving the same again keeps that and the one row."""
    process = sdk.process()
    process.open()
    first, again = (process.save(refresh_token="r", **sdk.secrets()) for _ in range(2))

    assert isinstance(first["id"], str)
    assert first["id"] == again["id"]
    assert len(process.get_tokens()) == 1


@old_and_new
def test_absent_id(sdk, zoho):
    """An unknown id raises, None would crash most generations; the error is told once, whole."""
    process = sdk.process()
    process.open()
    for name, given in (
        ("find_token_by_id", {"id": "0" * 32}),
        ("start", {"id": "0" * 32, "environment": sdk.environment()}),
    ):
        with pytest.raises(SDKFailed) as failed:
            process.later(name, **given).result()

        assert (failed.value.kind, failed.value.code) == ("SDKException", "TOKENKEEP")
        assert failed.value.cause == "TokenNotFound"
        assert failed.value.is_same
        assert failed.value.text.count("There is no such token") == 1
        begin = "SDKException('TOKENKEEP', 'There is no such token"
        assert failed.value.everything.startswith(begin)
    assert zoho.counters.token_calls() == 0


def test_delete(sdk):
    """Deleting is silent, twice as well; `remove` says True; nothing is left."""
    process = sdk.process()
    first = sdk.log_in(process)

    assert process.remove() is True
    assert process.delete_token(first["id"]) is None
    assert process.get_tokens() == []


def test_delete_all(sdk, zoho):
    """`delete_tokens` empties the store, and a process that runs is told so."""
    process = sdk.process()
    for each in (zoho.user, zoho.add_user("other@us.example.com")):
        sdk.log_in(process, user=each)
    process.delete_tokens()

    assert process.get_tokens() == []
    with pytest.raises(SDKFailed) as failed:
        process.get_token()
    assert failed.value.cause == "TokenNotFound"


@old_and_new
def test_failing_save(sdk):
    """A login that can't be stored fails where the generation shows it, else it is logged."""
    process = sdk.process()
    process.open()
    database = sdk.folder / "tokens.db"
    database.unlink(missing_ok=True)
    database.mkdir()
    try:
        sdk.log_in(process)
    except SDKFailed as failed:
        seen = failed.everything
    else:
        seen = (sdk.folder / "sdk.log").read_text()

    assert "tokens.db" in seen
    with pytest.raises(SDKFailed) as caught:
        process.save(access_token="a")
    assert caught.value.cause == "StoreUnavailable"


def test_sdk_revokes_the_right_one(sdk, zoho):
    """The SDK's own ``revoke(id)`` revokes that user's token and nobody else's."""
    process = sdk.process()
    users = [zoho.user, zoho.add_user("b@us.example.com"), zoho.add_user("c@us.example.com")]
    logins = [sdk.log_in(process, user=each) for each in users]

    assert process.sdk_revoke(logins[1]["id"]) is True
    assert [zoho.is_active(each["refresh_token"]) for each in logins] == [True, False, True]


def test_an_id_of_somebody_else(sdk, zoho):
    """Invariant 8: an object that is another user's or client's is not filled by an id."""
    process = sdk.process()
    first = sdk.log_in(process)
    for theirs in ({"user": "bo"}, {"client_id": "another", "client_secret": "s"}):
        assert process.find(id=first["id"], **theirs) is None

    assert process.find(id=first["id"], user=zoho.user.name)["access_token"]


def test_central_revocation(sdk, zoho):
    """`SDKStore.revoke` reaches Zoho; another process's next CRM call never leaves it."""
    ours, theirs = sdk.process(), sdk.process()
    first = sdk.log_in(ours)
    sdk.start(theirs, id=first["id"])

    assert theirs.call() == 200
    assert ours.revoke(first["id"]) is True
    assert not zoho.is_active(first["refresh_token"])
    before = zoho.counters.calls()
    with pytest.raises(SDKFailed) as failed:
        theirs.get_token()
    with pytest.raises(SDKFailed):
        theirs.call()
    assert failed.value.cause == "TokenRevoked"
    assert zoho.counters.calls() == before


def test_another_stores_kind(sdk):
    """A store of the SDK's own kind is refused, with the way to move its tokens in."""
    with pytest.raises(SDKFailed, match="tokenkeep import") as failed:
        sdk.process().open("file")

    assert failed.value.kind == "TypeError"


def test_has_every_method():
    """SDKStore is only registered as the SDK's TokenStore, and has all its methods."""
    from zohocrmsdk.src.com.zoho.api.authenticator.store.token_store import TokenStore

    assert set(TokenStore.__abstractmethods__) <= set(vars(zoho_sdk.SDKStore))


def test_the_last_hundred_are_remembered():
    """A thread knows what it was given for its last hundred ids, and forgets those before."""
    handed = zoho_sdk._Handed()
    for number in (0, *range(100), 0, 100):
        handed.note(str(number), "a")

    assert [handed.tokens.get(each) for each in "012"] == ["a", None, "a"]
