"""Logging in to the sample application; answers and cookies that are not what they say."""

from __future__ import annotations

import json
import socket
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import Fernet
from desk_driver import ANA, BEN, EVA, Browser, consent, secrets_of
from desk_moments import copy_of, token_id


def query(address):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))


def test_first_visit(browser):
    """The first page is hardened, and gives out a cookie that no script can read."""
    page = browser.get("/")

    assert page.status == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    cookie = page.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert page.headers["Cache-Control"] == "no-store"
    assert "<script>" not in page.source
    assert "style=" not in page.source


def test_log_in(browser, desk, zoho):
    """Consent, and there are the leads; the browser holds the token's id and nothing else."""
    assert browser.log_in(ANA) == "/leads"
    page = browser.get("/leads")

    assert "Ada Boyle" in page.text
    assert "ana@example.com" in page.text
    assert "in the file" in page.text
    key = Fernet((desk.folder / "desk/emulated/session.key").read_text())
    [cookie] = browser.cookies.values()
    content = json.loads(key.decrypt(cookie))
    assert set(content) == {"browser", "login", "rest", "has_ended", "before", "draft"}
    assert content["login"]["token_id"] == token_id(page)
    assert not any(secret in json.dumps(content) for secret in secrets_of(zoho, desk))
    for name in ("session.key", "desk.db"):
        assert (desk.folder / "desk/emulated" / name).stat().st_mode & 0o777 == 0o600


def test_data_centres(browser, zoho):
    """A login begins where its person says, and the code is exchanged where they live."""
    assert browser.begin("eu").startswith(zoho.eu.auth_url)
    # "cn" is Zoho's, and not emulated: nobody is sent to a real one.
    for nowhere in ("mars", "cn"):
        refused = browser.send(browser.get("/"), "/login", data_center=nowhere)
        assert (refused.status, refused.trouble) == (400, "no-such-place")
    assert browser.begin().startswith(zoho.us.auth_url)

    assert browser.log_in(EVA) == "/leads"
    assert zoho.counters.token_calls("authorization_code", data_center="eu") == 1
    assert zoho.counters.token_calls("authorization_code", data_center="us") == 0


def test_three_tabs_log_in(browser):
    """Logins that were begun before others ended go on, however many there were."""
    begun = [browser.begin() for _ in range(4)]
    users = (ANA, BEN, EVA, ANA)

    for address, user in zip(begun, users, strict=True):
        assert browser.callback(consent(address, user=user)).location == "/leads"
    assert "ana@example.com" in browser.get("/leads").text


# Answers


def test_forged_state(browser, zoho):
    """An answer with another state is refused, and uses nothing up."""
    answer = consent(browser.begin(), user=ANA)
    state = query(answer)["state"]
    for forged in (answer.replace(state, "A" * len(state)), answer.replace("state=", "estat=")):
        refused = browser.callback(forged)
        assert (refused.status, refused.trouble) == (400, "not-this-login")

    assert zoho.counters.token_calls() == 0
    assert browser.callback(answer).status == 303


def test_the_answer_belongs_to_the_browser(browser, desk, zoho):
    """Somebody who is sent another's answer is not logged in as them, and the owner still can."""
    answer = consent(browser.begin(), user=ANA)
    mallory = Browser(desk)
    mallory.log_in(BEN)
    zoho.counters.reset()

    for stranger in (mallory, Browser(desk)):
        assert stranger.callback(answer).trouble == "not-this-login"
    assert zoho.counters.token_calls() == 0
    assert "ben@example.com" in mallory.get("/leads").text
    assert browser.callback(answer).location == "/leads"


def test_an_answer_counts_once(browser, zoho):
    """Of eight that come with the same answer one logs in, and none later; Zoho is asked once."""
    answer = consent(browser.begin(), user=ANA)
    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(lambda _: copy_of(browser).callback(answer), range(8)))

    assert sorted(each.status for each in came) == [303] + [400] * 7
    assert copy_of(browser).callback(answer).trouble == "not-this-login"
    assert zoho.counters.token_calls("authorization_code") == 1


def test_accounts_server_elsewhere(browser, zoho):
    """An accounts server that is none of Zoho's is sent nothing."""
    with socket.create_server(("127.0.0.1", 0)) as evil:
        evil.settimeout(0.5)
        elsewhere = urllib.parse.quote(f"http://127.0.0.1:{evil.getsockname()[1]}", safe="")
        answer = consent(browser.begin(), user=ANA)
        real = urllib.parse.quote(zoho.us.accounts_url, safe="")
        assert real in answer
        refused = browser.callback(answer.replace(real, elsewhere))
        assert (refused.status, refused.trouble) == (400, "unknown-server")
        assert elsewhere not in refused.source
        with pytest.raises(TimeoutError):
            evil.accept()

    assert zoho.counters.token_calls() == 0


def test_code_of_somebody_else(browser):
    """A code that was made for another login does not fit this one's proof key."""
    stolen, answer = (consent(browser.begin(), user=user) for user in (BEN, ANA))

    refused = browser.callback(answer.replace(query(answer)["code"], query(stolen)["code"]))

    assert (refused.status, refused.trouble) == (400, "code-rejected")
    assert browser.get("/leads").trouble == "not-logged-in"


# Cookies


def test_tampered_cookie(browser, desk):
    """A cookie that was changed, or sealed with another key, is nobody's."""
    browser.log_in(ANA)
    [(name, good)] = browser.cookies.items()
    forged = Fernet(Fernet.generate_key()).encrypt(b'{"browser": "x", "token_id": "x"}').decode()
    changed = good[:40] + ("A" if good[40] != "A" else "B") + good[41:]
    for bad in (good[:-4] + "AAAA", changed, "", "x" * 5000, forged):
        other = Browser(desk)
        other.cookies = {name: bad}
        answer = other.get("/leads")
        assert (answer.status, answer.trouble) == (401, "not-logged-in")
        assert "ana@example.com" not in answer.text


def test_a_copied_cookie_ends_with_the_next_login(browser):
    """What was copied before is worth nothing after it, gets no other, and can still log in."""
    browser.log_in(ANA)
    copied = copy_of(browser)
    browser.log_in(BEN)
    gone = copied.get("/leads")

    assert gone.trouble == "not-logged-in"
    # It might replace the newer one.
    assert not gone.headers.get_all("Set-Cookie")
    copied.log_in(EVA)
    page = copied.get("/leads")
    assert "eva@example.eu" in page.text
    assert "Switch to" not in page.text
    assert browser.get("/leads").status == 200
