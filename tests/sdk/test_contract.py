"""What the SDK expects of the six methods, and what it does with their answers."""

from __future__ import annotations

import time

import pytest
from sdk_driver import SDKFailed, old_and_new, refused
from zohocrmsdk.src.com.zoho.api.authenticator.store.token_store import TokenStore

from tokenkeep.integrations.zoho_sdk import SDKStore

OWN = "customer-42"


@old_and_new
def test_fills_the_argument(sdk, zoho):
    """`find_token` fills what its argument lacks, returns that, and has the expiry as text."""
    process = sdk.process()
    first = sdk.log_in(process, user=zoho.user.name)
    own = {"redirect_url": "https://own.example/back"}
    found = process.find(refresh_token=first["refresh_token"], **own, **sdk.secrets)

    assert found["is_same"]
    assert {name: found[name] for name in first} == first | own
    # The SDK calls len() on it.
    assert isinstance(found["expires_in"], str)
    assert 3000 < int(found["expires_in"]) / 1000 - time.time() < 4000


@old_and_new
def test_absent_id(sdk, zoho):
    """An unknown id raises, None would crash most generations; the error is told once, whole."""
    process = sdk.process()
    for ask in (process.find_token_by_id, lambda id: sdk.start(process, id=id)):  # noqa: A006
        with refused("TokenNotFound") as failed:
            ask(id="0" * 32)

        assert (failed.value.kind, failed.value.code) == ("SDKException", "TOKENKEEP")
        assert failed.value.is_same
        assert failed.value.text.count("There is no such token") == 1
        begin = "SDKException('TOKENKEEP', 'There is no such token"
        assert failed.value.everything.startswith(begin)
    assert zoho.counters.token_calls() == 0


def test_delete(sdk, zoho):
    """Deleting is silent, twice as well; `remove` says True; a process that runs is told so."""
    process, other = sdk.process(), sdk.process()
    first = sdk.log_in(process)

    assert process.remove() is True
    assert process.delete_token(first["id"]) is None
    for each in (zoho.user, zoho.add_user("other@us.example.com")):
        sdk.log_in(process, owner=each)
    other.delete_tokens()
    assert process.get_tokens() == []
    with refused("TokenNotFound"):
        process.get_token()


@old_and_new
def test_failing_save(sdk):
    """A login that can't be stored fails where the generation shows it, else it is logged."""
    process = sdk.process()
    process.repr_of_store()  # open, before the file is there
    (sdk.folder / "tokens.db").mkdir()
    try:
        sdk.log_in(process)
    except SDKFailed as failed:
        seen = failed.everything
    else:
        seen = sdk.log("sdk.log")

    assert "tokens.db" in seen
    with refused("StoreUnavailable"):
        process.save(access_token="a")


def test_sdk_revokes_the_right_one(sdk, zoho):
    """The SDK's own ``revoke(id)`` revokes that user's token and nobody else's."""
    process = sdk.process()
    users = [zoho.user, zoho.add_user("b@us.example.com"), zoho.add_user("c@us.example.com")]
    logins = [sdk.log_in(process, owner=each) for each in users]

    assert process.sdk_revoke(logins[1]["id"]) is True
    assert [zoho.is_active(each["refresh_token"]) for each in logins] == [True, False, True]


def test_central_revocation(sdk, zoho):
    """`SDKStore.revoke` reaches Zoho; another process's next CRM call never leaves it."""
    ours, theirs = sdk.process(), sdk.process()
    first = sdk.log_in(ours)
    sdk.start(theirs, id=first["id"])

    assert theirs.call() == 200
    assert ours.revoke(first["id"]) is True
    assert not zoho.is_active(first["refresh_token"])
    before = zoho.counters.calls()
    with refused("TokenRevoked"):
        theirs.get_token()
    with pytest.raises(SDKFailed):
        theirs.call()
    assert zoho.counters.calls() == before


def test_another_stores_kind(sdk):
    """A store of the SDK's own kind is refused, with the way to move its tokens in."""
    with pytest.raises(SDKFailed, match="tokenkeep import") as failed:
        sdk.process().open("file")

    assert failed.value.kind == "TypeError"


def test_has_every_method():
    """SDKStore is only registered as the SDK's TokenStore, and has all its methods."""
    assert set(TokenStore.__abstractmethods__) <= set(vars(SDKStore))


# Ids that programs bring: ``OAuthToken(id="customer-42")`` goes on meaning its token.


@pytest.fixture
def saved(sdk, zoho):
    """A token that was saved under an id of the program's own, before any Initializer."""
    return sdk.process().save(
        id=OWN,
        user=zoho.user.name,
        refresh_token=zoho.refresh_token(),
        access_token=zoho.access_token(),
        expires_in="1",
        api_domain=zoho.us.api_url,
        **sdk.secrets,
    )


@old_and_new
def test_own_id(sdk, zoho, saved):
    """The SDK starts, renews, calls and revokes with that id, and keeps it on its objects."""
    process = sdk.process()
    started = sdk.start(process, id=OWN)

    assert saved["id"] == started["id"] == OWN
    assert started["access_token"] != saved["access_token"]
    assert process.call() == 200
    assert process.find_token_by_id(OWN)["id"] == process.find(id=OWN)["id"] == OWN
    assert len(process.get_tokens()) == 1
    assert zoho.counters.token_calls() == 1
    # The SDK's own way raises always up to 7_0.
    revoke = process.revoke if sdk.generation == "5_0" else process.sdk_revoke
    assert revoke(OWN) is True
    assert not zoho.is_active(saved["refresh_token"])


def test_found_without_it(sdk, zoho, saved):
    """Who asks by user gets the id that the store gave; both mean one token, and go with it."""
    found = sdk.start(user=zoho.user.name)
    process = sdk.process()

    assert found["id"] != saved["id"]
    assert sdk.start(id=found["id"])["access_token"] == sdk.start(process, id=OWN)["access_token"]
    assert zoho.counters.token_calls() == 1
    assert process.remove() is True
    assert process.get_tokens() == []
    with refused("TokenNotFound"):
        process.find_token_by_id(OWN)


def test_a_store_that_keeps_no_second_id(sdk):
    """With a store of your own that knows one id only, that is the one on the object."""
    process = sdk.process()
    process.open("list")
    first = process.save(user="ana", refresh_token="r", **sdk.secrets)
    again = process.save(id=OWN, user="ana", refresh_token="r", access_token="a", **sdk.secrets)

    assert again["id"] == first["id"]
