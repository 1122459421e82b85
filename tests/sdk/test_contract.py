"""What the SDK expects of the six methods, and what it does with their answers."""

from __future__ import annotations

import time

import pytest
from sdk_driver import SDKFailed, each_generation


@each_generation
def test_fills_the_argument(sdk, zoho):
    """`find_token` fills what it is given and returns that same object."""
    process = sdk.process()
    first = sdk.log_in(process, user=zoho.user)
    found = process.find(refresh_token=first["refresh_token"], **sdk.secrets())

    assert found["same"]
    assert {name: found[name] for name in first} == first


@each_generation
def test_nothing_stored(sdk):
    """`find_token` answers None to who is to log in, also when it asks again at once."""
    process = sdk.process()
    process.open()

    assert process.elect_twice(grant_token="g", **sdk.secrets()) == [None, None]


def test_save_sets_the_id(sdk):
    """`save_token` returns nothing and sets the id, a str."""
    process = sdk.process()
    process.open()
    saved = process.save(access_token="a")

    assert saved["returned"] is None
    assert isinstance(saved["id"], str)


def test_save_again(sdk):
    """Saving the same thing again keeps its id and its one row."""
    process = sdk.process()
    process.open()
    first, again = (process.save(refresh_token="r", **sdk.secrets()) for _ in range(2))

    assert first["id"] == again["id"]
    assert len(process.tokens()) == 1


@each_generation
def test_absent_id(sdk):
    """`find_token_by_id` raises for an unknown id; None would crash most generations."""
    process = sdk.process()
    process.open()
    with pytest.raises(SDKFailed) as failed:
        process.find_by_id(token_id="0" * 32)

    assert (failed.value.kind, failed.value.code) == ("SDKException", "TOKENKEEP")
    assert (failed.value.cause, failed.value.raised_from) == ("TokenNotFound", "TokenNotFound")
    assert failed.value.is_same


def test_errors_print_their_text_once(sdk):
    """An error says what happened where only its repr is shown, and once where it is printed."""
    process = sdk.process()
    process.open()
    with pytest.raises(SDKFailed) as failed:
        process.find_by_id(token_id="0" * 32)

    assert failed.value.text.count("There is no such token") == 1
    assert failed.value.everything.startswith("SDKException('TOKENKEEP', 'There is no such token")


def test_start_with_absent_id(sdk, zoho):
    """An id nobody knows ends the start with that error, without asking Zoho."""
    with pytest.raises(SDKFailed) as failed:
        sdk.start(id="0" * 32)

    assert failed.value.cause == "TokenNotFound"
    assert zoho.counters.token_calls() == 0


def test_expiry_is_text(sdk):
    """`expires_in` is a str of epoch milliseconds, as the SDK calls len() on it."""
    first = sdk.log_in()

    assert isinstance(first["expires_in"], str)
    left = int(first["expires_in"]) / 1000 - time.time()
    assert 3000 < left < 4000


def test_stored_object_in_use(sdk):
    """What `get_tokens` returns can be given to the SDK; it is made by its own constructor."""
    process = sdk.process()
    first = sdk.log_in(process)
    again = process.start_with_stored(environment=sdk.environment())

    assert again["id"] == first["id"]
    assert process.call() == 200


@each_generation
def test_delete(sdk):
    """Deleting is silent, twice as well; `remove` says True; nothing is left."""
    process = sdk.process()
    first = sdk.log_in(process)

    assert process.remove() is True
    assert process.delete(token_id=first["id"]) is None
    assert process.tokens() == []


def test_delete_all(sdk, zoho):
    """`delete_tokens` empties the store, and a process that runs is told so."""
    process = sdk.process()
    for each in (zoho.user, zoho.add_user("other@us.example.com")):
        sdk.log_in(process, user=each)
    process.delete_all()

    assert process.tokens() == []
    with pytest.raises(SDKFailed) as failed:
        process.get_token()
    assert failed.value.cause == "TokenNotFound"


@each_generation
def test_failing_save(sdk):
    """A login that can't be stored fails where the generation shows it, else it is logged."""
    process = sdk.process()
    process.open()
    database = sdk.folder / "tokens.db"
    database.unlink()
    database.mkdir()
    try:
        sdk.log_in(process)
    except SDKFailed as failed:
        seen = failed.everything
    else:
        seen = (sdk.folder / "sdk.log").read_text()

    assert "tokens.db" in seen


def test_save_alone_fails(sdk):
    """`save_token` itself never fails in silence."""
    process = sdk.process()
    process.open()
    database = sdk.folder / "tokens.db"
    database.unlink()
    database.mkdir()
    with pytest.raises(SDKFailed) as failed:
        process.save(access_token="a")

    assert failed.value.cause == "StoreUnavailable"


@pytest.mark.parametrize("user", [0, 1, 2])
def test_sdk_revokes_the_right_one(sdk, zoho, user):
    """The SDK's own ``revoke(id)`` revokes that user's token and nobody else's."""
    process = sdk.process()
    users = [zoho.user, zoho.add_user("b@us.example.com"), zoho.add_user("c@us.example.com")]
    logins = [sdk.log_in(process, user=each) for each in users]

    assert process.sdk_revoke(token_id=logins[user]["id"]) is True
    alive = [zoho.is_active(each["refresh_token"]) for each in logins]
    assert alive == [number != user for number in range(3)]


def test_read_by_id_only(sdk, zoho):
    """An id alone in `find_token` only reads: a dead token is filled, an absent one is None."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.edit(token_id=first["id"], expires_in=-1)

    assert process.find(id=first["id"])["refresh_token"] == first["refresh_token"]
    assert process.find(id="0" * 32) is None
    assert zoho.counters.token_calls() == 1


def test_central_revocation(sdk, zoho):
    """`SDKStore.revoke` reaches Zoho, and a process that runs is refused at its next call."""
    ours, theirs = sdk.process(), sdk.process()
    first = sdk.log_in(ours)
    sdk.start(theirs, id=first["id"])

    assert theirs.call() == 200
    assert ours.revoke(token_id=first["id"]) is True
    assert not zoho.is_active(first["refresh_token"])
    with pytest.raises(SDKFailed) as failed:
        theirs.get_token()
    assert failed.value.cause == "TokenRevoked"
    assert zoho.counters.token_calls() == 1


@each_generation
def test_revoked_call(sdk, zoho):
    """A CRM call with a revoked token never leaves the process."""
    process = sdk.process()
    first = sdk.log_in(process)
    process.revoke(token_id=first["id"])
    before = zoho.counters.calls("records")
    with pytest.raises(SDKFailed):
        process.call()

    assert zoho.counters.calls("records") == before


def test_another_stores_kind(sdk):
    """A store of the SDK's own kind is refused, with the way to move its tokens in."""
    with pytest.raises(SDKFailed, match="tokenkeep import") as failed:
        sdk.process().wrap_own_store()

    assert failed.value.kind == "TypeError"


def test_before_any_initializer(sdk):
    """The store works before the SDK is initialised."""
    process = sdk.process()
    process.open()
    saved = process.save(refresh_token="r", **sdk.secrets())

    assert process.find(id=saved["id"])["refresh_token"] == "r"


def test_repr(sdk):
    """The store prints where it is, and no secret."""
    process = sdk.process()
    first = sdk.log_in(process)

    assert "tokens.db" in process.repr_of_store()
    assert first["refresh_token"] not in process.repr_of_store()


def test_has_every_method():
    """SDKStore is only registered as the SDK's TokenStore, and has all its methods."""
    from zohocrmsdk.src.com.zoho.api.authenticator.store.token_store import TokenStore

    from tokenkeep.integrations.zoho_sdk import SDKStore

    assert set(TokenStore.__abstractmethods__) <= set(vars(SDKStore))
