"""Sixteen workers that start with the same credential log in once."""

from __future__ import annotations

import pytest
from sdk_driver import SDKFailed, refused

WORKERS = 16


@pytest.fixture(params=["grant_token"])
def credential(request, sdk, zoho):
    """A credential that nobody has stored yet; which, is an indirect parameter."""
    make = {"grant_token": zoho.grant_code, "refresh_token": zoho.refresh_token}
    return {request.param: make[request.param](), **sdk.secrets}


@pytest.mark.parametrize(
    ("sdk", "credential"), [("5_0", "grant_token"), ("8_0", "refresh_token")], indirect=True
)
def test_fresh_processes(sdk, zoho, credential):
    """Sixteen fresh processes with the same unstored credential make one call."""
    zoho.faults.add(kind="slow", delay=0.5)  # so that all of them come while it lasts
    zoho.faults.add(endpoint="users", kind="slow", delay=0.5)  # it is not over before its save
    workers = [sdk.process() for _ in range(WORKERS)]
    started = sdk.at_once(workers, "start", environment=sdk.environment(), **credential)
    assert [getattr(each, "everything", "") for each in started] == [""] * WORKERS

    assert zoho.counters.token_calls() == 1
    assert len({each["access_token"] for each in started}) == 1
    assert len({each["id"] for each in started}) == 1


@pytest.mark.parametrize("store", ["sqlite:///tokens.db", "file:///tokens.json", "list"])
def test_threads(sdk, zoho, credential, store):
    """Eight threads of one process make one call, in any store, your own as well."""
    process = sdk.process()
    process.open(store)
    sdk.start(process, access_token=zoho.access_token())
    started = process.in_threads("switch", 8, environment=sdk.environment(), **credential)

    [token] = {each["access_token"] for each in started}
    assert zoho.is_active(token)
    assert zoho.counters.token_calls() == 1


@pytest.mark.parametrize(
    ("end", "credential"),
    [
        ("is killed", "grant_token"),
        ("is killed", "refresh_token"),
        ("asks for something else", "grant_token"),
        ("can not save", "grant_token"),
    ],
    indirect=["credential"],
)
def test_asker_is_gone(sdk, zoho, credential, end):
    """Who was to log in does not: others wait while it may, and carry on at once when it can't."""
    asker, other = sdk.process(), sdk.process()
    first = sdk.start(asker, access_token=zoho.access_token())
    assert asker.find(**credential) is None
    other.hurry(speed=50)
    with refused("RenewalTimeout"):
        sdk.start(other, **credential)
    assert zoho.counters.token_calls() == 0
    if end == "is killed":
        asker.kill()
    elif end == "asks for something else":
        asker.find(id=first["id"])
    else:
        with refused("StoreConflict"):
            asker.save(id=f"tk_{'0' * 32}", access_token="a", **sdk.secrets)
    other.hurry(speed=0.001)  # no wait runs out
    started = sdk.start(other, **credential)

    assert other.call() == 200
    assert zoho.counters.token_calls() == 1
    assert len(other.get_tokens()) == 2
    assert zoho.is_active(started["access_token"])


def test_login_fails(sdk, zoho):
    """A login that Zoho refuses ends for everybody, each with an error, within bounds."""
    workers = [sdk.process() for _ in range(4)]
    for each in workers:
        each.hurry(speed=20)
    spent = {"grant_token": "1000.spent.code", "environment": sdk.environment()}
    outcomes = sdk.at_once(workers, "start", **spent, **sdk.secrets)

    assert all(isinstance(each, SDKFailed) for each in outcomes)
    assert {each.kind for each in outcomes} == {"SDKException"}
    assert zoho.counters.token_calls() <= len(workers)
