"""What was disconnected, or withdrawn at Zoho, stays so in all browsers; what was not goes on."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet
from desk_driver import ANA, BEN, Browser, DeskServer, consent, running
from desk_moments import locked, meanwhile

import tokenkeep
from crm_desk.crm import Crm
from crm_desk.disconnecting import disconnect
from crm_desk.ledger import Ledger
from crm_desk.sessions import Login, Session, Sessions
from tokenkeep import Keeper, LoginNeeded, StoreUnavailable, Token


def test_disconnected_stays_disconnected(browser, desk, zoho):
    """A new login brings no browser back from before, though Zoho could not be reached."""
    other = Browser(desk)
    browser.log_in(ANA)
    other.log_in(ANA)
    zoho.faults.add(endpoint="revoke", kind="status", times=None)
    done = browser.send(browser.get("/account/disconnect"), "/account/disconnect")
    zoho.faults.clear()
    assert "done=unconfirmed" in done.location
    assert "goes on trying" in browser.get(done.location).text
    again = Browser(desk)
    again.log_in(ANA)

    assert other.get("/leads").trouble == "disconnected"
    assert other.get("/panel").status == 410
    assert "ana@example.com" not in other.get("/nowhere").text
    assert again.get("/leads").status == 200
    other.log_in(ANA)
    assert {each.get("/leads").status for each in (again, other)} == {200}


def test_a_login_during_a_disconnection(browser, desk, zoho):
    """However long Zoho takes: what was in use before is over, what came meanwhile is not."""
    browser.log_in(ANA)
    other = Browser(desk)
    other.log_in(ANA)
    page = browser.get("/account/disconnect")
    slow = zoho.faults.add(endpoint="revoke", kind="slow", delay=2.0, times=1)
    with meanwhile(slow, lambda: browser.send(page, "/account/disconnect")):
        again = Browser(desk)
        again.log_in(ANA)

    assert other.get("/leads").trouble == "not-logged-in"
    third = Browser(desk)
    third.log_in(ANA)
    assert {each.get("/leads").status for each in (again, third)} == {200}
    assert other.get("/leads").trouble == "not-logged-in"


def test_disconnected_while_it_begins(zoho, tmp_path):
    """Stored, revoked and only then noted: nobody is logged in, nor with the next login."""
    with running(DeskServer(zoho, tmp_path)) as desk:
        browser, again = Browser(desk), Browser(desk)
        answer = consent(browser.begin(), user=ANA)
        slow = zoho.faults.add(endpoint="token", kind="slow", delay=1.5, times=1)
        with meanwhile(slow, browser.callback, answer) as answers, locked(desk):
            revoke_first(desk)
        again.log_in(ANA)

        assert [each.trouble for each in answers] == ["revoked"]
        assert again.get("/leads").status == 200
        assert browser.get("/leads").trouble == "not-logged-in"


def revoke_first(desk):
    """Revoke the first token that is stored there, as soon as it has its user."""
    with desk.open_store() as store:
        deadline = time.monotonic() + 30
        while not (tokens := [t for t in store.get_tokens() if t.user]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        store.swap(tokens[0].but(status=tokenkeep.Status.REVOKED))


def test_withdrawn_stays_withdrawn(browser, desk):
    """A login that Zoho has ended comes back nowhere; the next one is offered and not taken."""
    other = Browser(desk)
    other.log_in(BEN)
    other.log_in(ANA)
    browser.log_in(ANA)
    desk.withdraw(ANA)
    desk.expire(ANA)
    assert browser.get("/leads").trouble == "login-needed"
    browser.log_in(ANA)

    assert browser.get("/leads").status == 200
    gone = other.get("/leads")
    assert gone.trouble == "not-logged-in"
    assert "Switch to ben@example.com" in gone.text
    other.send(gone, "/account/use", token_id=gone.value("token_id"))
    page = other.get("/leads")
    assert "ben@example.com" in page.text
    assert "ana@example.com" not in page.text


# Its steps, and what comes between them


class Place:
    """A keeper and a ledger as the desk has them, and Zoho."""

    def __init__(self, zoho, keeper, ledger):
        self.zoho, self.keeper, self.ledger = zoho, keeper, ledger
        self.store = keeper.store

    def token(self, **more):
        client = self.zoho.client
        return Token(
            provider="zoho",
            issuer=self.zoho.us.token_url,
            client_id=client.client_id,
            client_secret=client.client_secret,
            refresh_token=self.zoho.refresh_token(ANA),
            **more,
        )

    def log_in(self):
        saved = self.store.save_token(self.token(user=ANA))
        return Login(saved.id, ANA, self.ledger.begin_login(saved.id))

    def disconnect(self, login):
        return disconnect(self.keeper, self.ledger, login)

    def works(self, login):
        """Tell whether a session with this login opens anything."""
        seen = Sessions._now(SimpleNamespace(_ledger=self.ledger), Session("browser", login))
        crm = SimpleNamespace(token=self.store.find_token_by_id, _ledger=self.ledger)
        if None in (seen.token_id, crm.token(login.token_id)):
            return False
        try:
            return Crm.token_of(crm, login).status is tokenkeep.Status.OK
        except LoginNeeded:
            return False

    def before(self, step, act):
        """Do something once, right before a step: of the keeper, the store or the ledger."""
        part, _, method = step.partition(".")
        of = getattr(self, part)
        real = getattr(of, method)

        def called(*given, **named):
            setattr(of, method, real)
            act()
            return real(*given, **named)

        setattr(of, method, called)


@pytest.fixture(params=["random ids", "made ids"])
def place(request, zoho, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ledger = Ledger(tmp_path / "desk.db", Fernet(Fernet.generate_key()))
    with tokenkeep.open_store("memory:") as store:
        if request.param == "made ids":
            # As AWS Secrets Manager does: what is deleted and comes again has the same id.
            store.backend.id_for = lambda owner: owner[::-1]
        yield Place(zoho, Keeper(store), ledger)
    ledger.close()


def down():
    raise StoreUnavailable("not now")


def test_all_is_gone(place):
    """Zoho has confirmed it, and no row is left; a login after it works, and nothing else does."""
    login, other = place.log_in(), place.log_in()
    assert place.disconnect(login) is True
    assert place.store.get_tokens() == []

    again = place.log_in()
    assert [place.works(each) for each in (login, other, again)] == [False, False, True]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_row_that_got_its_user(place, is_known):
    """The id of the session may lead to another row by now: all go, and none comes back."""
    if is_known:
        place.log_in()
    nameless = place.store.save_token(place.token())
    first = Login(nameless.id, ANA, place.ledger.begin_login(nameless.id))
    row = place.store.save_token(nameless.but(user=ANA))
    second = Login(row.id, ANA, place.ledger.begin_login(row.id))
    assert place.disconnect(first) is True
    assert place.store.get_tokens() == []

    again = place.log_in()
    assert [place.works(each) for each in (first, second, again)] == [False, False, True]


def test_a_login_that_is_not_noted(place):
    """It opens nothing to those from before: they are over, whatever comes."""
    login = place.log_in()
    assert place.disconnect(login) is True

    place.store.save_token(place.token(user=ANA))
    assert not place.works(login)


@pytest.mark.parametrize(
    ("step", "stays"),
    [("keeper.revoke", False), ("store.delete_version", True), ("ledger.end_login", True)],
)
def test_a_login_in_between(place, step, stays):
    """Who logs in before the revocation was revoked as well; who does later goes on."""
    login, between = place.log_in(), []
    if not stays:
        place.zoho.faults.add(endpoint="revoke", kind="status", times=None)
    place.before(step, lambda: between.append(place.log_in()))
    assert place.disconnect(login) is stays
    place.zoho.faults.clear()
    again = place.log_in()

    assert [place.works(each) for each in (login, *between, again)] == [False, stays, True]


def test_nothing_was_revoked(place):
    """The store did not answer: the login goes on, also beside the next one of its person."""
    login = place.log_in()
    place.before("keeper.revoke", down)
    with pytest.raises(StoreUnavailable):
        place.disconnect(login)
    again = place.log_in()

    assert (place.works(login), place.works(again)) == (True, True)


@pytest.mark.parametrize("step", ["store.delete_version", "ledger.end_login"])
def test_it_can_not_be_finished(place, step):
    """It is revoked all the same, and said not to be done; done again, it is."""
    login = place.log_in()
    place.before(step, down)
    with pytest.raises(StoreUnavailable):
        place.disconnect(login)
    assert not place.works(login)

    assert place.disconnect(login) is True
    again = place.log_in()
    assert len(place.store.get_tokens()) == 1
    assert (place.works(login), place.works(again)) == (False, True)
