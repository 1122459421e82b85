"""Disconnecting: what is over stays over, and what is not goes on, whatever comes in between."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet
from desk_driver import ANA

import tokenkeep
from crm_desk.crm import Crm
from crm_desk.disconnecting import NotNoted, disconnect
from crm_desk.ledger import Ledger
from crm_desk.sessions import Login, Session, Sessions
from tokenkeep import Keeper, LoginNeeded, StoreUnavailable, Token
from tokenkeep.vault import Vault


class Place:
    """A keeper and a ledger as the desk has them, and Zoho."""

    def __init__(self, zoho, keeper, ledger):
        self.zoho, self.keeper, self.ledger = zoho, keeper, ledger

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

    def log_in(self, **more):
        saved = self.keeper.store.save_token(self.token(user=ANA, **more))
        return Login(saved.id, ANA, self.ledger.begin_login(saved.id))

    def disconnect(self, login):
        return disconnect(self.keeper, self.ledger, login)

    def works(self, login):
        """Tell whether a session with this login opens anything."""
        seen = Sessions._now(SimpleNamespace(_ledger=self.ledger), Session("browser", login))
        crm = SimpleNamespace(token=self.keeper.store.find_token_by_id, _ledger=self.ledger)
        if None in (seen.token_id, crm.token(login.token_id)):
            return False
        try:
            return Crm.token_of(crm, login).status is tokenkeep.Status.OK
        except LoginNeeded:
            return False

    def before(self, method, act, of=None):
        """Do something once, right before a method is called: of the keeper, or *of* another."""
        of = of or self.keeper
        real = getattr(of, method)

        def called(*given, **named):
            setattr(of, method, real)
            act()
            return real(*given, **named)

        setattr(of, method, called)

    def before_the_deletion(self, act):
        """Do something once, when Zoho has been told and the row is still there."""
        self.before("delete_version", act, of=self.keeper.store)


@pytest.fixture(params=["memory:", "sqlite", "made ids"])
def place(request, zoho, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path}/tokens.db" if request.param == "sqlite" else "memory:"
    ledger = Ledger(tmp_path / "desk.db", Fernet(Fernet.generate_key()))
    with tokenkeep.open_store(url) as store:
        if request.param == "made ids":
            # As AWS Secrets Manager does: what is deleted and comes again has the same id.
            store.backend.id_for = lambda owner: owner[::-1]
        yield Place(zoho, Keeper(store), ledger)
    ledger.close()


@pytest.fixture
def unconfirmed(zoho):
    """Zoho can't be reached to confirm that something was revoked."""
    fault = zoho.faults.add(endpoint="revoke", kind="status", times=None)
    yield fault
    zoho.faults.clear()


def rows(place):
    return place.keeper.store.get_tokens()


def test_all_is_gone(place):
    """Zoho has confirmed it, and no row is left; a login after it works, and nothing else does."""
    login, other = place.log_in(), place.log_in()
    assert place.disconnect(login) is True
    assert rows(place) == []

    again = place.log_in()
    assert [place.works(each) for each in (login, other, again)] == [False, False, True]


def test_a_row_that_got_its_user(place):
    """The id of the session leads to another row by now: both go."""
    place.log_in()
    nameless = place.keeper.store.save_token(place.token())
    login = Login(nameless.id, ANA, place.ledger.begin_login(nameless.id))
    place.keeper.store.save_token(nameless.but(user=ANA))
    assert place.keeper.store.find_token_by_id(login.token_id).id != login.token_id

    assert place.disconnect(login) is True
    assert rows(place) == []


@pytest.mark.usefixtures("unconfirmed")
def test_a_row_that_got_its_user_is_over(place):
    """Neither the sessions with the one id nor those with the other come back."""
    nameless = place.keeper.store.save_token(place.token())
    first = Login(nameless.id, ANA, place.ledger.begin_login(nameless.id))
    row = place.keeper.store.save_token(nameless.but(user=ANA))
    second = Login(row.id, ANA, place.ledger.begin_login(row.id))
    assert place.disconnect(first) is False
    again = place.log_in()

    assert [place.works(each) for each in (first, second, again)] == [False, False, True]


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_a_login_that_is_not_noted(place, request, is_confirmed):
    """It opens nothing to those from before: they are over, whatever comes."""
    login = place.log_in()
    if not is_confirmed:
        request.getfixturevalue("unconfirmed")
    assert place.disconnect(login) is is_confirmed

    place.keeper.store.save_token(place.token(user=ANA))
    assert not place.works(login)


def test_a_login_that_is_noted_late(place):
    """Saved before the disconnection is through, and never noted: nothing before comes back."""
    login = place.log_in()
    place.before_the_deletion(lambda: place.keeper.store.save_token(place.token(user=ANA)))
    assert place.disconnect(login) is True

    assert not place.works(login)


def test_the_first_note_fails(place, monkeypatch):
    """Nothing tells who logs in meanwhile from those before: nobody stays."""
    login, between = place.log_in(), []

    def refuse(*_):
        raise StoreUnavailable("not now")

    monkeypatch.setattr(place.ledger, "begin_to_end_login", refuse)
    place.before_the_deletion(lambda: between.append(place.log_in()))
    assert place.disconnect(login) is True
    again = place.log_in()

    assert [place.works(each) for each in (login, *between, again)] == [False, False, True]


def test_a_login_before_the_last_note(place, monkeypatch):
    """Who logs in once all is deleted goes on, also beside the next login."""
    login, after = place.log_in(), []
    real = place.ledger.end_login

    def noted(token_id, since):
        if not after:
            after.append(place.log_in())
        real(token_id, since)

    monkeypatch.setattr(place.ledger, "end_login", noted)
    assert place.disconnect(login) is True
    again = place.log_in()

    assert [place.works(each) for each in (login, *after, again)] == [False, True, True]


@pytest.mark.usefixtures("unconfirmed")
def test_a_login_in_another_worker(place, monkeypatch):
    """Whose look is behind, as on stores without a revision, does not end it."""
    backend = place.keeper.store.backend
    monkeypatch.setattr(type(backend), "revision", lambda _: None)
    other = Vault(backend, place.keeper.store.ring, journal=place.keeper.store.journal)
    elsewhere = Place(place.zoho, Keeper(other), place.ledger)
    login, after = place.log_in(), []
    revoke = place.keeper.revoke

    def revoked(token_id):
        token = revoke(token_id)
        place.keeper.store.find_token_by_id(token_id)  # a page is looked at
        after.append(elsewhere.log_in())
        return token

    monkeypatch.setattr(place.keeper, "revoke", revoked)
    assert place.disconnect(login) is False
    again = elsewhere.log_in()

    assert [elsewhere.works(each) for each in (login, *after, again)] == [False, True, True]


def test_nothing_was_revoked(place):
    """The store did not answer: the login goes on, also beside the next one of its person."""
    login = place.log_in()

    def down():
        raise StoreUnavailable("not now")

    place.before("revoke", down)
    with pytest.raises(StoreUnavailable):
        place.disconnect(login)
    again = place.log_in()

    assert (place.works(login), place.works(again)) == (True, True)


def test_a_login_before_it_was_revoked(place):
    """It was revoked with the other, and does not come back either."""
    login, between = place.log_in(), []
    place.zoho.faults.add(endpoint="revoke", kind="status", times=None)
    place.before("revoke", lambda: between.append(place.log_in()))
    assert place.disconnect(login) is False
    place.zoho.faults.clear()
    again = place.log_in()

    assert [place.works(each) for each in (login, *between, again)] == [False, False, True]


def test_a_login_after_it_was_revoked(place):
    """It stays, and so do those after it; what was before it is over."""
    login, other, after = place.log_in(), place.log_in(), []

    def log_in():
        after.append(place.log_in())
        place.ledger.note(after[0].token_id, "Logged in")

    place.before_the_deletion(log_in)
    assert place.disconnect(login) is True
    assert [event.text for event in place.ledger.events(login.token_id)] == ["Logged in"]
    again = place.log_in()

    works = [place.works(each) for each in (login, other, *after, again)]
    assert works == [False, False, True, True]


def test_sealed_anew_in_between(place):
    """That is no login: the row goes."""
    login = place.log_in()

    def seal_anew():
        vault = place.keeper.store
        [row] = vault.get_tokens()
        vault.swap(row)

    place.before_the_deletion(seal_anew)
    assert place.disconnect(login) is True
    assert rows(place) == []


def test_it_can_not_be_deleted(place):
    """It is revoked all the same, and said not to be done; done again, it is."""
    login = place.log_in()

    def down():
        raise StoreUnavailable("not now")

    place.before_the_deletion(down)
    with pytest.raises(StoreUnavailable):
        place.disconnect(login)
    assert not place.works(login)

    assert place.disconnect(login) is True
    again = place.log_in()
    assert len(rows(place)) == 1
    assert (place.works(login), place.works(again)) == (False, True)


def test_it_can_not_be_noted(place, monkeypatch):
    """It is revoked all the same, and said not to be done; done again, it is."""
    login = place.log_in()

    def refuse(*_):
        raise StoreUnavailable("not now")

    monkeypatch.setattr(place.ledger, "end_login", refuse)
    with pytest.raises(NotNoted):
        place.disconnect(login)
    monkeypatch.undo()
    assert not place.works(login)

    assert place.disconnect(login) is True
    again = place.log_in()
    assert (place.works(login), place.works(again)) == (False, True)
