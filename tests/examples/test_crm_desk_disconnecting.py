"""Disconnecting: what is over stays over, and what is not goes on, whatever comes in between."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet
from desk_driver import ANA

import tokenkeep
from crm_desk.disconnecting import NotNoted, disconnect
from crm_desk.ledger import Ledger
from crm_desk.sessions import Login, Session, Sessions
from tokenkeep import Keeper, StoreUnavailable, Token


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
        token = self.keeper.store.find_token_by_id(login.token_id)
        return None not in (seen.token_id, token) and token.status is tokenkeep.Status.OK

    def meanwhile(self, method, act):
        """Do something once, as a method of the keeper is called."""
        real = getattr(self.keeper, method)

        def called(*given, **named):
            setattr(self.keeper, method, real)
            act()
            return real(*given, **named)

        setattr(self.keeper, method, called)


@pytest.fixture(params=["memory:", "sqlite"])
def place(request, zoho, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    url = "memory:" if request.param == "memory:" else f"sqlite:///{tmp_path}/tokens.db"
    ledger = Ledger(tmp_path / "desk.db", Fernet(Fernet.generate_key()))
    with tokenkeep.open_store(url) as store:
        yield Place(zoho, Keeper(store), ledger)
    ledger.close()


def rows(place):
    return list(place.keeper.store.iter_rows())


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


def test_nothing_was_revoked(place):
    """The store did not answer: the login goes on, also beside the next one of its person."""
    login = place.log_in()

    def down():
        raise StoreUnavailable("not now")

    place.meanwhile("revoke", down)
    with pytest.raises(StoreUnavailable):
        place.disconnect(login)
    again = place.log_in()

    assert (place.works(login), place.works(again)) == (True, True)


def test_a_login_before_it_was_revoked(place):
    """It was revoked with the other, and does not come back either."""
    login, between = place.log_in(), []
    place.zoho.faults.add(endpoint="revoke", kind="status", times=None)
    place.meanwhile("revoke", lambda: between.append(place.log_in()))
    assert place.disconnect(login) is False
    place.zoho.faults.clear()
    again = place.log_in()

    assert [place.works(each) for each in (login, *between, again)] == [False, False, True]


def test_a_login_after_it_was_revoked(place):
    """It stays, and so do those after it; what was before it is over."""
    login, other, after = place.log_in(), place.log_in(), []
    place.meanwhile("delete", lambda: after.append(place.log_in()))
    assert place.disconnect(login) is True
    again = place.log_in()

    works = [place.works(each) for each in (login, other, *after, again)]
    assert works == [False, False, True, True]


def test_sealed_anew_in_between(place):
    """That is no login: the row goes."""
    login = place.log_in()

    def seal_anew():
        vault = place.keeper.store
        [row] = vault.iter_rows()
        vault._rows.swap(row)

    place.meanwhile("delete", seal_anew)
    assert place.disconnect(login) is True
    assert rows(place) == []


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
