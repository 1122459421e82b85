"""Sixteen workers that start with the same credential log in once."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed

WORKERS = 16


@pytest.fixture(params=["grant_token"])
def credential(request, zoho):
    """A credential that nobody has stored yet; which, is an indirect parameter."""
    make = {"grant_token": zoho.grant_code, "refresh_token": zoho.refresh_token}
    return {request.param: make[request.param]()}


either = pytest.mark.parametrize("credential", ["grant_token", "refresh_token"], indirect=True)


@pytest.mark.parametrize(
    ("sdk", "credential"), [("5_0", "grant_token"), ("8_0", "refresh_token")], indirect=True
)
def test_fresh_processes(sdk, zoho, credential):
    """Sixteen fresh processes with the same unstored credential make one call."""
    zoho.faults.add(kind="slow", delay=0.5)  # so that all of them come while it lasts
    zoho.faults.add(endpoint="users", kind="slow", delay=0.5)  # it is not over before its save
    workers = [sdk.process() for _ in range(WORKERS)]
    given = {"environment": sdk.environment(), **credential, **sdk.secrets()}
    started = sdk.at_once(workers, "start", **given)

    assert zoho.counters.token_calls() == 1
    assert len({each["access_token"] for each in started}) == 1
    assert len({each["id"] for each in started}) == 1


@pytest.mark.parametrize("store", ["sqlite:///tokens.db", "file:///tokens.json", "list"])
def test_threads(sdk, zoho, credential, store):
    """Eight threads of one process make one call, in any store, your own as well."""
    process = sdk.process()
    sdk.start(process, access_token=zoho.access_token(), store=store)
    given = {"environment": sdk.environment(), **credential, **sdk.secrets()}
    started = process.in_threads("switch", 8, **given)

    [token] = {each["access_token"] for each in started}
    assert zoho.is_active(token)
    assert zoho.counters.token_calls() == 1


@either
def test_asker_crashed(sdk, zoho, credential):
    """When who was to log in is killed, the next one carries on at once."""
    asker = sdk.process()
    sdk.start(asker, access_token=zoho.access_token())
    assert asker.find(**credential, **sdk.secrets()) is None
    asker.kill()
    next_one = sdk.process()
    next_one.open()
    next_one.hurry(speed=0.001)  # no wait runs out
    started = sdk.start(next_one, **credential, **sdk.secrets())

    assert next_one.call() == 200
    assert zoho.counters.token_calls() == 1
    assert len(next_one.get_tokens()) == 2
    assert zoho.is_active(started["access_token"])


def test_asker_does_not_log_in(sdk, zoho, credential):
    """Who was to log in, lives and does not: others wait, until it asks for something else."""
    environment = sdk.environment()
    asker, other = sdk.process(), sdk.process()
    first = sdk.start(asker, access_token=zoho.access_token())
    assert asker.find(**credential, **sdk.secrets()) is None
    other.open()
    other.hurry(speed=50)
    with pytest.raises(SDKFailed) as failed:
        other.start(environment=environment, **credential, **sdk.secrets())
    assert failed.value.cause == "RenewalTimeout"
    assert zoho.counters.token_calls() == 0
    other.hurry(speed=0.001)  # no wait runs out
    asker.find(id=first["id"])
    started = other.start(environment=environment, **credential, **sdk.secrets())

    assert zoho.is_active(started["access_token"])
    assert zoho.counters.token_calls() == 1


def test_login_fails(sdk, zoho):
    """A login that Zoho refuses ends for everybody, each with an error, within bounds."""
    workers = [sdk.process() for _ in range(4)]
    for each in workers:
        each.open()
        each.hurry(speed=20)
    spent = {"grant_token": "1000.spent.code", **sdk.secrets()}
    outcomes = sdk.at_once(workers, "start", environment=sdk.environment(), **spent)

    assert all(isinstance(each, SDKFailed) for each in outcomes)
    assert {each.kind for each in outcomes} == {"SDKException"}
    assert zoho.counters.token_calls() <= len(workers)


def test_login_that_can_not_be_saved(sdk, zoho, credential):
    """It is over with that: who waits goes on at once."""
    asker, other = sdk.process(), sdk.process()
    asker.open()
    assert asker.find(**credential, **sdk.secrets()) is None
    with pytest.raises(SDKFailed) as failed:
        asker.save(id=f"tk_{'0' * 32}", access_token="a", **sdk.secrets())
    assert failed.value.cause == "StoreConflict"
    other.open()
    other.hurry(speed=0.001)  # no wait runs out

    assert sdk.start(other, **credential, **sdk.secrets())["id"]
    assert zoho.counters.token_calls() == 1
