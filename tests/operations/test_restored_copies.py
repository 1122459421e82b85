"""What an older copy of a store means, as docs/operations.md says it."""

from __future__ import annotations

import pytest

import tokenkeep
from tokenkeep import LoginNeeded, Policies, Policy, Status, StoreUnavailable
from tokenkeep.testing import FakeClock

SESSIONS = Policies([Policy(name="sessions", max_session=3600.0)])
ROTATIONS = ("none", "rotate", "rotate_reuse_kills")


class Restored:
    """A host whose store is put back as it was; what happened since is each test's."""

    def __init__(self, host, folder, rotation="none"):
        self.host = host(rotation=rotation)
        self.zoho, self.folder = self.host.zoho, folder
        self.clock = FakeClock()
        self.before = self.keeper()
        self.ana = self.host.login(self.before, left=3000.0)
        bo = self.zoho.add_user("bo@example.com", data_center="us").name
        self.bo = self.host.login(self.before, user=bo, left=3000.0)
        self.host.type_page("sqlite backup", {"/var/lib/app": folder})

    def keeper(self):
        return self.host.keeper(clock=self.clock)

    def put_back(self):
        """Put the backup back, and nothing else; return what a program that starts then has."""
        self.before.close()
        for each in self.folder.glob("tokens.db*"):
            if each.is_file():
                each.rename(self.folder / f"old{each.name}")
        (self.folder / "backup.db").rename(self.folder / "tokens.db")
        return self.keeper()

    def brought_over(self):
        """Copy what the newer one still has, as the page says."""
        said = self.host.type(f"tokenkeep copy sqlite:///{self.folder}/oldtokens.db configured")
        assert said.status == 0, said.text


@pytest.fixture(params=ROTATIONS)
def rotation(request):
    return request.param


@pytest.fixture
def older(host, tmp_path, rotation):
    return Restored(host, tmp_path, rotation)


@pytest.fixture
def simple(host, tmp_path):
    return Restored(host, tmp_path)


def test_renewed_since(older, rotation):
    """Without rotation nothing is lost; with it, its user has to log in again, and is told so."""
    fresh = older.before.renew(older.ana.id)

    after = older.put_back()

    assert after.get(id=older.ana.id).access_token == older.ana.access_token  # good till its end
    older.clock.advance(2990.0)
    if rotation == "none":
        assert older.zoho.is_active(after.get(id=older.ana.id).access_token)
    else:
        with pytest.raises(LoginNeeded):
            after.get(id=older.ana.id)
        assert (rotation == "rotate") == older.zoho.is_active(fresh.refresh_token)
    again = older.host.login(after, left=3000.0)
    assert (older.ana.id, Status.OK) == (again.id, after.store.reread(again.id).status)


def test_what_the_newer_one_still_has(older):
    """A copy from it heals all: spent refresh tokens, revocations, new logins, policies."""
    fresh = older.before.renew(older.ana.id)
    older.before.revoke(older.bo.id)
    cy = older.zoho.add_user("cy@example.com", data_center="us").name
    cy = older.host.login(older.before, user=cy, left=3000.0)
    older.before.store.set_policies(SESSIONS)

    after = older.put_back()
    older.brought_over()

    assert after.store.reread(older.ana.id).refresh_token == fresh.refresh_token
    assert after.store.reread(older.bo.id).status is Status.REVOKED
    assert after.get(id=cy.id).access_token == cy.access_token
    assert older.zoho.is_active(after.renew(older.ana.id).access_token)
    assert SESSIONS == older.keeper().store.policies


def test_revoked_since(simple):
    """It is handed out again, dead; once revoked again, by its id, it is not."""
    simple.before.revoke(simple.bo.id)
    simple.before.end(simple.ana.id)
    lines = "\n".join(f"revoked: token {each.id}, user x" for each in (simple.ana, simple.bo))
    (simple.host.folder / "revoked-since.txt").write_text(f"{lines}\ndeleted: tk_{'0' * 32}\n")

    after = simple.put_back()

    for each in (simple.ana, simple.bo):
        assert not simple.zoho.is_active(after.get(id=each.id).access_token)
    told = simple.host.type_page("revoked since")
    assert 2 == told.count("Revoked ")
    assert 1 == told.count("no such token")
    again = simple.keeper()
    for each in (simple.ana, simple.bo):
        assert again.store.reread(each.id).status is Status.REVOKED
        assert not again.store.reread(each.id).renewal.to_revoke


def test_deleted_since(simple):
    """No copy of the newer store can tell; it is dead at the provider, and logged out again."""
    simple.before.end(simple.bo.id)

    after = simple.put_back()
    simple.brought_over()

    assert after.store.reread(simple.bo.id).status is Status.OK
    assert not simple.zoho.is_active(simple.bo.refresh_token)
    assert "Logged out bo" in simple.host.type(f"tokenkeep logout {simple.bo.id}").text
    assert after.store.reread(simple.bo.id) is None


def test_not_confirmed_since(simple):
    """What the provider had not confirmed is back, and alive: revoked first of all."""
    simple.zoho.faults.add(endpoint="revoke", kind="drop", times=None)
    simple.before.revoke(simple.bo.id)
    simple.zoho.faults.clear()

    after = simple.put_back()

    assert simple.zoho.is_active(after.get(id=simple.bo.id).access_token)
    after.revoke(simple.bo.id)
    assert not simple.zoho.is_active(simple.bo.refresh_token)


def test_a_session_that_a_policy_had_ended(host, tmp_path):
    """It ends again by itself, as the backup's policies say."""
    here = Restored(host, tmp_path)
    here.before.store.set_policies(SESSIONS)
    (tmp_path / "backup.db").unlink()
    here.host.type_page("sqlite backup", {"/var/lib/app": tmp_path})
    here.clock.advance(3700.0)
    here.zoho.clock.advance(3700.0)
    assert 2 == here.before.sweep().ended

    after = here.put_back()

    with pytest.raises(tokenkeep.PolicyEnded):
        after.get(id=here.ana.id)
    assert 1 == after.sweep().ended


def test_policies_set_since(postgres, host):
    """One that still runs refuses the older header; one that starts anew holds to the old ones."""
    url = postgres.url()
    here = host(url=url)
    clock = FakeClock()
    keeper = here.keeper(clock=clock)
    saved = here.login(keeper, left=9000.0)
    instead = {"postgresql://app@db/app": url}
    here.type_page("postgresql backup", instead)
    keeper.store.set_policies(SESSIONS)

    here.type_page("postgresql restore", instead)

    clock.advance(61.0)
    with pytest.raises(StoreUnavailable, match="older one"):
        keeper.get(id=saved.id)
    anew = here.keeper(clock=clock)
    assert Policies() == anew.store.policies
    assert anew.get(id=saved.id).access_token == saved.access_token
    anew.store.set_policies(SESSIONS)
    assert keeper.get(id=saved.id).access_token == saved.access_token  # both agree again


def test_the_key_was_rotated_since(host, tmp_path):
    """The backup opens with the key that it was made under, and can be rotated anew."""
    here = Restored(host, tmp_path)
    old = here.host.key_file.read_text().split()
    new = tokenkeep.generate_key()
    here.host.hold([new, *old])
    assert here.host.type("tokenkeep keys rotate").status == 0
    here.host.hold([new])
    here.before.close()
    assert here.host.type("tokenkeep list").status == 0
    (tmp_path / "tokens.db").rename(tmp_path / "newer.db")
    (tmp_path / "backup.db").rename(tmp_path / "tokens.db")

    refused = here.host.type("tokenkeep list")
    here.host.hold([new, *old])
    done = here.host.type("tokenkeep keys rotate && tokenkeep list")

    assert (1, True) == (refused.status, "wrapped under key" in refused.text)
    assert (0, True) == (done.status, here.ana.id in done.text)


def test_the_audit_goes_on(host, tmp_path):
    """What was revoked since is in its lines; the chain goes on behind them, whole."""
    here = Restored(host, tmp_path)
    audit = tmp_path / "audit.jsonl"
    here.host.environ["TOKENKEEP_AUDIT"] = str(audit)
    assert here.host.type(f"tokenkeep revoke {here.bo.id}").status == 0
    (here.host.folder / "revoked-since.txt").write_text(audit.read_text())

    here.put_back()
    assert "Revoked bo" in here.host.type_page("revoked since")

    done = here.host.type("tokenkeep audit verify")
    assert (0, True) == (done.status, "2 lines, 1 to 2, whole" in done.text), done.text
