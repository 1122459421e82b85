"""Logins of a web application: under way in the store, for one answer, of one browser."""

from __future__ import annotations

from functools import partial
from unittest.mock import Mock
from urllib.parse import parse_qsl, urlsplit

import pytest
from emulated import consent
from reported import reported

import tokenkeep
from tokenkeep.login import NotThisLogin, WebLogin
from tokenkeep.stores.list import ListStore


@pytest.fixture(params=["sqlite", "six methods"])
def open_keeper(request, stage):
    """Return what opens the store as another process does, where it can be shared."""
    if request.param == "sqlite":
        return stage.keeper
    providers = tokenkeep.settings().providers()
    keeper = tokenkeep.Keeper(ListStore(), clock=stage.clock, providers=providers)
    return lambda: keeper


@pytest.fixture
def logins(open_keeper, zoho):
    """Return what makes the logins of another process."""
    return lambda: WebLogin(
        open_keeper(),
        client_id=zoho.client.client_id,
        client_secret=zoho.client.client_secret,
        redirect_uri=zoho.client.redirect_uris[0],
    )


def test_in_two_processes(logins, stage, zoho):
    """One begins, another takes the answer: the token is stored, with its user, once."""
    answer = consent(logins().begin("browser"))

    token = logins().finish(answer, "browser")

    assert token.user == stage.ana
    assert token.status is tokenkeep.Status.OK
    with pytest.raises(NotThisLogin):
        logins().finish(answer, "browser")
    assert zoho.counters.token_calls() == 1


@pytest.mark.parametrize("open_keeper", ["sqlite"], indirect=True)
def test_stored_and_the_answer_lost(logins, open_keeper, monkeypatch):
    """What is stored is told as done, and not revoked as what can't be stored is."""
    answer = consent(logins().begin("browser"))
    kind = type(open_keeper().store.backend)
    write, lost = kind.write, []

    def losing(self, record, *, replaces):
        write(self, record, replaces=replaces)
        if record.kind == "row" and not lost:
            lost.append(record)
            raise tokenkeep.StoreUnavailable("The connection was lost")

    monkeypatch.setattr(kind, "write", losing)
    token = logins().finish(answer, "browser")

    assert len(lost) == 1
    assert open_keeper().renew(token.id).status is tokenkeep.Status.OK


@pytest.mark.parametrize(
    ("answer", "browser", "after"),
    [
        (None, "another", 0),
        (None, "", 0),
        (None, "browser", 601),
        *((wrong, "browser", 0) for wrong in (
            "code=y", "state=", "code=y&state=", "state=x&code=y", "code=y&state={state}x",
            "code=y&state=\ud800", "code=y&state={state}&state={state}",
            "code=y&state={state}&code=z", "&".join(["a=b"] * 99), "http://[x?state={state}",
        )),
    ],
)  # fmt: skip
def test_not_this_one(*, logins, stage, answer, browser, after):
    """An answer to another browser, to nothing, or after ten minutes asks nobody."""
    right = consent(logins().begin("browser"))
    stage.clock.advance(after)
    state = dict(parse_qsl(urlsplit(right).query))["state"]

    with pytest.raises(NotThisLogin):
        logins().finish((answer or right).format(state=state), browser)

    assert stage.zoho.counters.token_calls() == 0
    if not after:
        assert logins().finish(right, "browser").user


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("error=access_denied", tokenkeep.ProviderRefused),
        ("error=<script>", tokenkeep.ProviderRefused),
        ("error=s3cret+x&code=s3cret", tokenkeep.ProviderRefused),
        ("code=&id_token=s3cret", tokenkeep.ProviderUnavailable),
        ("code=s3cret&accounts-server=https://zoho.com.evil.example", tokenkeep.UnknownName),
        ("code=s3cret&accounts-server=http://accounts.zoho.com", tokenkeep.UnknownName),
        ("code=s3cret&accounts-server=https://evil@zoho.example", tokenkeep.UnknownName),
    ],
)
def test_what_can_go_wrong_is_named(*, logins, zoho, answer, error):
    """Each has its error, and nobody is asked; no code is in a report."""
    state = dict(parse_qsl(urlsplit(logins().begin("browser")).query))["state"]
    with pytest.raises(error) as caught:
        logins().finish(f"https://app.example/callback?state={state}&{answer}", "browser")

    for said in ("<script>", "evil"):
        assert said not in str(caught.value)
    for secret in ("s3cret", state):
        assert secret not in reported(caught.value)
    assert zoho.counters.token_calls() == 0


def test_no_two_are_alike(logins):
    """What binds an answer to its login, and a code to who asked, is random."""
    first, second = (dict(parse_qsl(urlsplit(logins().begin("b")).query)) for _ in range(2))

    assert first["state"] != second["state"]
    assert first["code_challenge"] != second["code_challenge"]
    assert ("S256", 43) == (first["code_challenge_method"], len(first["code_challenge"]))


def test_whose_it_is(logins):
    """Said by who begins it, nobody is asked, and no scope for that is asked for."""
    url = logins().begin("browser", user="ana")

    assert "users.READ" not in url
    assert "users.READ" in logins().begin("browser")
    assert "ana" == logins().finish(consent(url), "browser").user


@pytest.mark.parametrize("blank", ["", " ", None])
def test_no_browser(logins, zoho, blank):
    """What any browser can show begins no login, and ends none."""
    with pytest.raises(ValueError, match=r"token_urlsafe\(32\) into this one's session"):
        logins().begin(blank)

    answer = consent(logins().begin("browser"))
    with pytest.raises(NotThisLogin):
        logins().finish(answer, blank)
    assert zoho.counters.token_calls() == 0
    assert logins().finish(answer, "browser").user


def test_swept(logins, open_keeper):
    """What nobody came back for goes with a sweep, when its time is over; no token is listed."""
    logins().begin("browser")
    keeper = open_keeper()

    assert list(keeper.tokens()) == []
    assert keeper.sweep().deleted == 0
    if isinstance(keeper.store, tokenkeep.Vault):
        assert keeper.store.tidy(keeper.clock.now() + 601) == 1


def test_where(logins, zoho):
    """The user's data centre is asked; one that there is not is an error."""
    with pytest.raises(tokenkeep.UnknownName):
        logins().begin("browser", data_center="mars")

    assert logins().begin("browser", data_center="eu").startswith(zoho.eu.accounts_url)


@pytest.fixture
def break_store(monkeypatch, open_keeper):
    """Return what makes the store fail as a login is kept or taken."""
    away = Mock(side_effect=tokenkeep.StoreUnavailable("away"))

    def break_():
        store = open_keeper().store
        is_vault = isinstance(store, tokenkeep.Vault)
        for name in ("find", "write") if is_vault else ("let_go", "hold"):
            monkeypatch.setattr(type(store.backend if is_vault else store), name, away)

    return break_


@pytest.mark.parametrize(
    "trouble", ["another browser", "no state", "store", "provider", "store, first", "no place"]
)
def test_frames(*, logins, zoho, break_store, trouble):
    """No frame of a login that fails shows the code, the state, or what its browser shows."""
    browser = "a-browser.s3cret"
    answer = consent(logins().begin(browser))
    given = dict(parse_qsl(urlsplit(answer).query))
    if trouble == "provider":
        zoho.faults.add(endpoint="token", kind="drop", times=None)
    if "store" in trouble:
        break_store()
    if trouble == "no state":
        answer = f"code={given['code']}"
    if trouble == "another browser":
        browser = "another.s3cret"

    deed = partial(logins().finish, answer, browser)
    if trouble in ("store, first", "no place"):
        place = "mars" if trouble == "no place" else None
        deed = partial(logins().begin, browser, data_center=place)
    with pytest.raises(tokenkeep.TokenKeepError) as caught:
        deed()

    found = reported(caught.value)
    assert "WebLogin." in found
    assert [each for each in ("s3cret", given["code"], given["state"]) if each in found] == []
