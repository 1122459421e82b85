"""A host that is gone, as docs/operations.md says it: what others wait for, and its journal."""

from __future__ import annotations

import threading

import pytest
from operations_site import ELSEWHERE

from tokenkeep import Claim, LoginNeeded
from tokenkeep.testing import FakeClock
from tokenkeep.token import Status

JOURNAL = "/mnt/old/var/lib/app/journal"


@pytest.fixture
def url(postgres):
    return postgres.url()


@pytest.mark.parametrize(("rotation", "ago"), [("none", 0), ("rotate", 0), ("rotate", 600)])
def test_its_claim(host, url, rotation, ago):
    """Others wait 22 s, less than a caller's patience, and then ask, once."""
    here, clock = host(url=url, rotation=rotation), FakeClock()
    keeper = here.keeper(clock=clock)
    saved = here.login(keeper)
    claim = Claim(nonce="n", holder=ELSEWHERE, taken_at=clock.now() - ago, length=20.0)
    keeper.store.swap(saved.with_renewal(claim=claim))
    began = clock.monotonic()

    fresh = keeper.get(id=saved.id)

    assert here.zoho.is_active(fresh.access_token)
    assert 22.0 <= clock.monotonic() - began < 23.0
    assert 1 == here.zoho.counters.token_calls("refresh_token")


def test_nobody_waits_while_the_old_one_is_good(host, url):
    """Nor without rotation if the claim has been over for five minutes."""
    here, clock = host(url=url), FakeClock()
    keeper = here.keeper(clock=clock)
    saved = here.login(keeper, left=100.0)
    claim = Claim(nonce="n", holder=ELSEWHERE, taken_at=clock.now(), length=20.0)
    keeper.store.swap(saved.with_renewal(claim=claim))

    assert saved.access_token == keeper.get(id=saved.id).access_token
    assert not clock.slept
    clock.advance(400.0)
    assert here.zoho.is_active(here.keeper(clock=clock).get(id=saved.id).access_token)
    assert not clock.slept


def unsaved(host, postgres, **more):
    """Return a host with an answer in its journal, what it is for, and what its caller got."""
    old = host("old", **more)
    keeper = old.keeper()
    saved = old.login(keeper)
    got = []
    held = old.zoho.faults.add(kind="slow", delay=30.0, after=True)
    asking = threading.Thread(target=lambda: got.append(keeper.get(id=saved.id)))
    asking.start()
    assert held.wait(30)
    postgres.kill()
    old.zoho.faults.clear()
    asking.join(60)
    postgres.start()
    (fresh,) = got  # its caller has it
    return old, saved, fresh


def brought(old, new):
    """Bring the journal over, as the page shows, and sweep; return what that says."""
    (new.folder / "state").mkdir(mode=0o700, exist_ok=True)
    there, here = f"{old.folder}/state/journal", f"{new.folder}/state/"
    return new.type_page("journal", {JOURNAL: there, "/var/lib/app/": here})


def test_its_journal(host, postgres, url):
    """Brought to another host before anybody asks, nothing is lost."""
    old, saved, fresh = unsaved(host, postgres, url=url, rotation="rotate_reuse_kills")
    new = host("new", url=url, rotation="rotate_reuse_kills")

    assert "saved: 1" in brought(old, new)

    stored = new.keeper().get(id=saved.id)
    assert fresh.access_token == stored.access_token
    assert new.zoho.is_active(new.keeper().renew(saved.id).access_token)


def test_its_journal_comes_late(host, postgres, url):
    """Who asks before it comes is told to log in; then it heals the row all the same."""
    old, saved, fresh = unsaved(host, postgres, url=url, rotation="rotate")
    new = host("new", url=url, rotation="rotate")
    keeper = new.keeper(clock=FakeClock())  # who asks waits for the claim's end
    with pytest.raises(LoginNeeded):
        keeper.get(id=saved.id)
    assert keeper.store.reread(saved.id).status is Status.LOGIN_NEEDED

    assert "saved: 1" in brought(old, new)

    assert fresh.access_token == keeper.get(id=saved.id).access_token


def test_another_name_of_the_store(host, postgres, url):
    """Under another name in the URL what waits is not seen; under its own it is."""
    old, saved, fresh = unsaved(host, postgres, url=url, rotation="rotate")
    other = url.replace("127.0.0.1", "localhost")
    assert other != url
    old.environ["TOKENKEEP_STORE"] = other
    assert "saved: 0" in old.type("tokenkeep sweep").text

    old.environ["TOKENKEEP_STORE"] = url
    assert "saved: 1" in old.type("tokenkeep sweep").text
    assert fresh.access_token == old.keeper().get(id=saved.id).access_token


def test_revocations_it_had_begun(host, url):
    """Any other host's sweep has them confirmed: they are in the store."""
    old = host("old", url=url)
    keeper = old.keeper()
    saved = old.login(keeper)
    old.zoho.faults.add(endpoint="revoke", kind="drop", times=None)
    assert keeper.revoke(saved.id).renewal.to_revoke
    old.zoho.faults.clear()

    assert "revoked: 1" in host("new", url=url).type("tokenkeep sweep").text

    assert not old.zoho.is_active(saved.refresh_token)
