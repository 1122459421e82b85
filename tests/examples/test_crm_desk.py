"""The sample application, over HTTP: what it does, and what it refuses."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.parse

import pytest
from cryptography.fernet import Fernet
from desk_driver import ANA, BEN, EVA, Browser, consent, secrets_of

# Logging in


def test_first_visit(browser):
    """The first page is small, hardened, and gives out a cookie that no script can read."""
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
    assert content["login"]["token_id"] in page.source
    assert not any(secret in json.dumps(content) for secret in secrets_of(zoho, desk))
    assert (desk.folder / "desk/emulated/session.key").stat().st_mode & 0o777 == 0o600
    assert (desk.folder / "desk/emulated/desk.db").stat().st_mode & 0o777 == 0o600


def test_the_answer_says_which_data_centre(browser, zoho):
    """Whoever lives elsewhere than the login began has the code exchanged at home."""
    assert browser.log_in(EVA) == "/leads"

    assert zoho.counters.token_calls("authorization_code", data_center="eu") == 1
    assert zoho.counters.token_calls("authorization_code", data_center="us") == 0
    assert "data centre EU" in browser.get("/leads").text


def test_choosing_the_data_centre(browser, zoho):
    """The login begins where the person says; a place nobody knows is refused."""
    assert browser.begin("eu").startswith(zoho.eu.auth_url)
    assert browser.begin().startswith(zoho.us.auth_url)
    # "cn" is Zoho's, and not emulated: nobody is sent to a real one.
    for nowhere in ("mars", "cn"):
        refused = browser.send(browser.get("/"), "/login", data_center=nowhere, draft="a-draft")
        assert (refused.status, refused.trouble) == (400, "no-such-place")
        assert refused.value("draft") == "a-draft"


def test_proof_key(browser):
    """The code alone is worth nothing: PKCE, and another state each time."""
    first, second = (dict(urllib.parse.parse_qsl(browser.begin())) for _ in range(2))

    assert first["code_challenge_method"] == "S256"
    assert first["code_challenge"] != second["code_challenge"]
    assert first["state"] != second["state"]


def test_login_refused(browser):
    """Who says no at Zoho is told that nothing was stored."""
    answer = browser.callback(consent(browser.begin(), decision="reject"))

    assert (answer.status, answer.trouble) == (403, "login-refused")


def test_forged_state(browser, zoho):
    """An answer with another state is refused, and uses nothing up."""
    answer = consent(browser.begin(), user=ANA)
    state = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer).query))["state"]
    for forged in (answer.replace(state, "A" * len(state)), answer.replace("state=", "estat=")):
        refused = browser.callback(forged)
        assert (refused.status, refused.trouble) == (400, "not-this-login")

    assert zoho.counters.token_calls() == 0
    assert browser.callback(answer).status == 303


def test_the_answer_belongs_to_the_browser(browser, desk, zoho):
    """Somebody who is sent another's answer is not logged in as them, and the owner still can."""
    answer = consent(browser.begin(), user=ANA)
    stranger = Browser(desk)
    stranger.get("/")

    assert stranger.callback(answer).trouble == "not-this-login"
    assert Browser(desk).callback(answer).trouble == "not-this-login"
    assert zoho.counters.token_calls() == 0
    assert browser.callback(answer).location == "/leads"


def test_replayed_code(browser, zoho):
    """The same answer again, even with the cookie of before, is refused; Zoho is not asked."""
    begun = browser.begin()
    cookies = dict(browser.cookies)
    answer = consent(begun, user=ANA)
    browser.callback(answer)
    for jar in (browser.cookies, cookies):
        browser.cookies = dict(jar)
        assert browser.callback(answer).trouble == "not-this-login"

    assert zoho.counters.token_calls("authorization_code") == 1


def test_two_answers_at_once(browser, desk, zoho):
    """Of eight that come with the same answer one logs in."""
    answer = consent(browser.begin(), user=ANA)
    results = []

    def come():
        other = Browser(desk)
        other.cookies = dict(browser.cookies)
        results.append(other.callback(answer).status)

    threads = [threading.Thread(target=come) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(results) == [303] + [400] * 7
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
    stolen = dict(
        urllib.parse.parse_qsl(urllib.parse.urlsplit(consent(browser.begin(), user=BEN)).query)
    )["code"]
    answer = consent(browser.begin(), user=ANA)
    code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer).query))["code"]

    refused = browser.callback(answer.replace(code, stolen))

    assert (refused.status, refused.trouble) == (400, "code-rejected")
    assert browser.get("/leads").trouble == "not-logged-in"


# Who may send what


def test_tampered_cookie(browser, desk):
    """A cookie that was changed, or sealed with another key, is nobody's."""
    browser.log_in(ANA)
    [(name, good)] = browser.cookies.items()
    forged = Fernet(Fernet.generate_key()).encrypt(b'{"browser": "x", "token_id": "x"}').decode()
    for bad in (good[:-4] + "AAAA", good[:40] + ("A" if good[40] != "A" else "B") + good[41:],
                "", "x" * 5000, forged):  # fmt: skip
        other = Browser(desk)
        other.cookies = {name: bad}
        answer = other.get("/leads")
        assert (answer.status, answer.trouble) == (401, "not-logged-in")
        assert "ana@example.com" not in answer.text


def test_cross_site_post(browser, zoho):
    """What another site lets a browser send is refused, whatever it claims."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    form = {"form_token": page.form_token, "Last_Name": "Forged"}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": None, "Sec_Fetch_Site": "cross-site"},
        {"Origin": None, "Sec_Fetch_Site": "same-site"},
    ):
        assert browser.post("/leads", form, **headers).status == 403
        assert browser.post("/account/logout", form, **headers).status == 403
    for token in ("", "0" * 64):
        for path in ("/leads", "/login", "/account/use", "/emulator/revoke",
                     "/account/disconnect", "/leads/1/delete"):  # fmt: skip
            answer = browser.post(path, form | {"form_token": token})
            assert (answer.status, answer.trouble) == (403, "stale-form"), path

    assert "Forged" not in [each["Last_Name"] for each in zoho.records(ANA).values()]
    assert browser.get("/leads").status == 200


def test_foreign_host(browser, desk):
    """A name that somebody else let point here is no name of the desk."""
    for host in ("evil.example", f"evil.example:{desk.port}", f"localhost:{desk.port}", ""):
        answer = browser.get("/", Host=host)
        assert answer.status == 421
        assert "evil" not in answer.source
        assert not answer.headers.get_all("Set-Cookie")


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example"]
)
def test_no_open_redirect(browser, zoho, elsewhere):
    """Nothing that a request names is where a browser is sent to."""
    names = dict.fromkeys(("next", "url", "back", "draft", "location", "redirect_uri"), elsewhere)
    begun = browser.send(browser.get("/"), "/login", **names)
    assert begun.location.startswith(zoho.us.auth_url)
    answer = consent(begun.location, user=ANA)
    extra = urllib.parse.urlencode({k: v for k, v in names.items() if k != "location"})

    assert browser.callback(f"{answer}&{extra}").location == "/leads"
    out = browser.send(browser.get("/leads"), "/account/logout", **names)
    assert out.location == "/?done=out"


def test_too_long(browser):
    """What no form of the desk can be is not read."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    form = {"form_token": page.form_token, "Last_Name": "x" * 600_000}

    assert browser.post("/leads", form).status == 413
    assert browser.get("/leads").status == 200


# Leads


def test_a_lead_from_beginning_to_end(browser, zoho):
    """Added, seen, changed, emptied, deleted, in the CRM."""
    browser.log_in(BEN)
    added = browser.add_lead("Tester", First_Name="Ida", Company="Ärger & Söhne", Phone="1")
    assert added.location == "/leads?done=created"
    page = browser.get(added.location)
    assert "The lead was added." in page.text
    [lead] = [each for each, name in page.leads.items() if name == "Ida Tester"]
    form = browser.get(f"/leads/{lead}")
    assert form.value("Company") == "Ärger & Söhne"
    changed = browser.send(form, f"/leads/{lead}", First_Name="", Last_Name="Other", Phone="")
    assert changed.location == "/leads?done=updated"
    assert zoho.records(BEN)[lead]["Full_Name"] == "Other"
    assert not zoho.records(BEN)[lead]["Phone"]
    asked = browser.get(f"/leads/{lead}/delete")
    assert "Delete Other?" in asked.text
    assert browser.send(asked, f"/leads/{lead}/delete").location == "/leads?done=deleted"

    assert lead not in zoho.records(BEN)
    assert browser.get(f"/leads/{lead}").trouble == "no-such-lead"
    assert browser.send(form, f"/leads/{lead}", Last_Name="x").trouble == "no-such-lead"


def test_paging(browser, zoho):
    """Ten on a page, each lead on one of them."""
    table = zoho.records(EVA)
    for number in range(23):
        zoho._world.records.create(table, {"Last_Name": f"Nr {number}"}, zoho.users[-1])
    browser.log_in(EVA)
    pages = [browser.get(f"/leads?page={number}") for number in (1, 2, 3, 4)]

    assert [len(each.leads) for each in pages] == [10, 10, len(table) - 20, 0]
    assert {lead for each in pages for lead in each.leads} == set(table)
    assert ['rel="next"' in each.source for each in pages] == [True, True, False, False]
    for odd in ("0", "-1", "x", "9" * 30):
        assert browser.get(f"/leads?page={odd}").status == 200
    for beyond in ("page=999999", "token=abc"):
        refused = browser.get(f"/leads?{beyond}")
        assert (refused.status, refused.trouble) == (400, "crm-refused-reading")
        assert "send it again" not in refused.text


def test_markup_is_text(browser, zoho):
    """A user and a lead with HTML in their names are shown as they are written."""
    name = "<img/src=x/onerror=alert(1)>@example.com"
    zoho.add_user(name, data_center="us", zgid="666")
    browser.log_in(f"{name}:666")
    script = "<script>alert('1')</script>\"'&{{ 7*7 }}"
    browser.add_lead(script, Company=script, Description="</textarea>" + script)
    page = browser.get("/leads")
    [lead] = [each for each, shown in page.leads.items() if shown == script]
    form = browser.get(f"/leads/{lead}")
    asked = browser.get(f"/leads/{lead}/delete")

    for each in (page, form, asked, browser.get("/account/disconnect")):
        assert "<script>" not in each.source
        assert "<img/" not in each.source
        assert name in each.text
    assert form.value("Last_Name") == script
    assert "49" not in form.value("Last_Name")


def test_each_sees_their_own(browser, desk, zoho):
    """Organisations are apart: another's lead is none, whatever is asked for."""
    other = Browser(desk)
    browser.log_in(ANA)
    other.log_in(BEN)
    other.add_lead("Ben's")
    [lead] = [each for each, name in other.get("/leads").leads.items() if name == "Ben's"]

    assert "Ben's" not in browser.get("/leads").text
    assert browser.get(f"/leads/{lead}").trouble == "no-such-lead"
    form = browser.get("/leads/new")
    assert browser.send(form, f"/leads/{lead}", Last_Name="Stolen").trouble == "no-such-lead"
    assert browser.send(form, f"/leads/{lead}/delete").trouble == "no-such-lead"
    assert zoho.records(BEN)[lead]["Last_Name"] == "Ben's"


# Logins of one browser


def test_several_logins(browser, desk):
    """One browser may have several logins, switch between them, and leave."""
    browser.log_in(ANA)
    first = browser.get("/leads").source
    browser.log_in(EVA)
    page = browser.get("/leads")
    assert "data centre EU" in page.text
    assert "Switch to ana@example.com" in page.text
    token_id = _between(page.source, 'name="token_id" value="', '"')
    assert token_id in first
    browser.send(page, "/account/use", token_id=token_id)
    assert "data centre US" in browser.get("/leads").text
    # The id of a login alone opens nothing.
    thief = Browser(desk)
    thief.log_in(BEN)
    thief.send(thief.get("/leads"), "/account/use", token_id=token_id)
    assert "ben@example.com" in thief.get("/leads").text

    copied = dict(browser.cookies)
    assert browser.send(browser.get("/leads"), "/account/logout").location == "/?done=out"
    for cookies in (browser.cookies, copied):
        browser.cookies = cookies
        assert browser.get("/leads").trouble == "not-logged-in"


def test_a_form_is_of_the_login_it_was_opened_with(browser, zoho):
    """Opened as one user and sent as another, it is shown again instead of sent."""
    browser.log_in(ANA)
    browser.log_in(BEN)
    form = browser.get("/leads/new")
    token_id = _between(form.source, 'name="token_id" value="', '"')
    browser.send(form, "/account/use", token_id=token_id)
    refused = browser.send(form, "/leads", Last_Name="Whose?")

    assert (refused.status, refused.trouble) == (403, "stale-form")
    assert refused.value("Last_Name") == "Whose?"
    for user in (ANA, BEN):
        assert "Whose?" not in [each["Last_Name"] for each in zoho.records(user).values()]


def test_disconnect(browser, desk, zoho):
    """Revoked at Zoho, deleted here, for all browsers of that person."""
    other = Browser(desk)
    browser.log_in(ANA)
    other.log_in(ANA)
    [login] = [each for each in zoho._world.accounts.logins if each.status == "active"
               and each.user.name == ANA][-1:]  # fmt: skip
    asked = browser.get("/account/disconnect")
    done = browser.send(asked, "/account/disconnect")

    assert "done=disconnected" in done.location
    assert "Zoho has revoked" in browser.get(done.location).text
    assert login.status == "revoked"
    gone = other.get("/leads")
    assert (gone.status, gone.trouble) == (401, "disconnected")
    assert other.log_in(ANA) == "/leads"


def test_disconnect_while_zoho_is_down(browser, zoho):
    """Nothing uses the login any more, and the desk says that Zoho does not know yet."""
    browser.log_in(ANA)
    zoho.faults.add(endpoint="revoke", kind="status", times=None)
    done = browser.send(browser.get("/account/disconnect"), "/account/disconnect")

    assert "done=unconfirmed" in done.location
    assert "goes on trying" in browser.get(done.location).text
    zoho.faults.clear()
    assert browser.log_in(ANA) == "/leads"
    assert browser.get("/leads").status == 200


# Renewals, and what can go wrong


def test_expired_before_its_time(browser, zoho):
    """An access token that the CRM refuses is renewed once, and the page comes all the same."""
    browser.log_in(ANA)
    browser.get("/leads")
    zoho.counters.reset()
    browser.desk.expire(ANA)

    page = browser.get("/leads")

    assert page.status == 200
    assert zoho.counters.token_calls("refresh_token") == 1
    assert "Access token renewed" in page.text
    assert f"by process {socket.gethostname()}/{page.process}" in page.text


def test_a_write_that_was_refused_is_made_once(browser, zoho):
    """The one retry after a refusal adds one lead."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    browser.desk.expire(ANA)

    assert browser.send(page, "/leads", Last_Name="Once").location == "/leads?done=created"
    assert [each["Last_Name"] for each in zoho.records(ANA).values()].count("Once") == 1


def test_the_panel_changes_by_itself(browser):
    """What is asked for again is sent again only if it changed; no secret is in it."""
    browser.log_in(ANA)
    page = browser.get("/leads")
    seen = _between(page.source, 'data-digest="', '"')

    assert browser.get(f"/panel?seen={seen}").status == 204
    browser.desk.expire(ANA)
    browser.get("/leads")
    panel = browser.get(f"/panel?seen={seen}")

    assert panel.status == 200
    assert "Access token renewed" in panel.text
    renewals = [int(re.search(r"renewals (\d+)", each.text)[1]) for each in (page, panel)]
    assert renewals[1] == renewals[0] + 1
    assert Browser(browser.desk).get("/panel").status == 401


def test_what_was_typed_survives(browser, zoho):
    """Whatever Zoho does, the form comes back as it was typed."""
    browser.log_in(ANA)
    typed = {"Last_Name": "Typed", "Company": "Typed & Co", "Description": "Line 1\r\nLine 2"}
    page = browser.get("/leads/new")
    trouble = {}
    for name, prepare in {
        "missing": lambda: None,
        "crm down": lambda: zoho.faults.add(endpoint="crm", kind="status", times=None),
        "crm drops": lambda: zoho.faults.add(endpoint="records", kind="drop", times=None),
        "busy": lambda: setattr(zoho.options, "api_credits", 0),
        "not allowed": lambda: setattr(zoho.options, "no_api_access", (ANA,)),
    }.items():
        prepare()
        given = typed | ({"Last_Name": ""} if name == "missing" else {})
        answer = browser.send(page, "/leads", **given)
        trouble[name] = answer.trouble
        assert answer.status >= 400
        assert answer.value("Company") == typed["Company"]
        assert answer.value("Description").replace("\r", "") == "Line 1\nLine 2"
        zoho.faults.clear()
        zoho.options.api_credits, zoho.options.no_api_access = 50_000, ()
    stale = browser.post("/leads", typed | {"form_token": "0" * 64})
    trouble["stale"] = stale.trouble
    assert stale.value("Company") == typed["Company"]

    assert trouble == {
        "missing": None, "crm down": "crm-silent-writing", "crm drops": "crm-silent-writing",
        "busy": "crm-busy", "not allowed": "no-permission", "stale": "stale-form",
    }  # fmt: skip
    assert browser.send(stale, "/leads", **typed).location == "/leads?done=created"


def test_revoked_elsewhere(browser, desk):
    """A page says so; what was typed waits behind the login, for the same person only."""
    browser.log_in(ANA)
    page = browser.get("/leads/new")
    other = browser.get("/leads").source
    token_id = _between(other, "<code>", "</code>")
    browser.desk.withdraw(ANA)

    refused = browser.send(page, "/leads", Last_Name="Kept", Company="Kept & Co")
    assert (refused.status, refused.trouble) == (401, "login-needed")
    assert refused.value("Company") == "Kept & Co"
    assert browser.get("/leads").trouble == "login-needed"
    draft = _between(refused.source, 'name="draft" value="', '"')
    begun = browser.send(refused, "/login", draft=draft, data_center="")
    back = browser.callback(consent(begun.location, user=ANA))

    assert back.location == f"/leads/new?draft={draft}"
    form = browser.get(back.location)
    assert form.value("Company") == "Kept & Co"
    assert token_id in form.source
    stranger = Browser(desk)
    stranger.log_in(BEN)
    assert stranger.get(back.location).value("Company") == ""
    assert browser.send(form, "/leads", draft=draft, Last_Name="Kept").status == 303
    assert browser.get(back.location).value("Company") == ""


def test_provider_down(browser, zoho):
    """A good token goes on working; without one a page says what to do, and nothing is lost."""
    browser.log_in(ANA)
    zoho.faults.add(endpoint="accounts", kind="status", times=None)
    assert browser.get("/leads").status == 200
    browser.desk.expire(ANA)
    down = browser.get("/leads")
    assert (down.status, down.trouble) == (503, "provider-down")
    typed = browser.add_lead("Typed")
    assert typed.status == 503
    assert typed.value("Last_Name") == "Typed"
    zoho.faults.clear()
    deadline = time.monotonic() + 20
    while browser.get("/leads").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_login_while_zoho_is_down(browser, zoho):
    """A code that can't be exchanged is a page, and no login."""
    answer = consent(browser.begin(), user=ANA)
    zoho.faults.add(endpoint="token", kind="drop")

    assert browser.callback(answer).trouble == "provider-down"
    assert browser.get("/leads").trouble == "not-logged-in"


def test_rate_limit(browser, zoho):
    """The page says how long to wait; programs are told, too."""
    browser.log_in(ANA)
    zoho.options.mints_per_window = 0
    browser.desk.expire(ANA)
    limited = browser.get("/leads")

    assert (limited.status, limited.trouble) == (429, "rate-limit")
    assert 500 < int(limited.headers["Retry-After"]) <= 600
    assert "UTC" in limited.text
    assert 'id="again" href="/leads"' in limited.source
    beside = browser.get("/leads?page=2&x=%22%3E").source
    assert 'id="again" href="/leads?page=2&amp;x=%22%3E"' in beside
    typed = browser.add_lead("Typed")
    assert (typed.status, typed.value("Last_Name")) == (429, "Typed")


def test_a_crm_that_hangs_holds_nobody_else_up(browser, desk, zoho):
    """While one data centre hangs, people of the other one work."""
    browser.log_in(ANA)
    browser.get("/leads")
    other = Browser(desk)
    other.log_in(EVA)
    other.get("/leads")
    zoho.faults.add(endpoint="crm", kind="hang", times=None, data_center="us")
    hanging = [threading.Thread(target=browser.get, args=("/leads",)) for _ in range(15)]
    for each in hanging:
        each.start()
    time.sleep(1)
    began = time.monotonic()
    status = other.get("/leads").status
    took = time.monotonic() - began
    panel = browser.get("/panel").status
    zoho.faults.clear()
    for each in hanging:
        each.join()

    assert (status, panel) == (200, 200)
    assert took < 10


# The emulator's buttons, and the rest


@pytest.mark.parametrize(
    ("action", "trouble"),
    [("expire", None), ("down", None), ("crm", "crm-silent"), ("throttle", "rate-limit"),
     ("revoke", "login-needed"), ("normal", None)],
)  # fmt: skip
def test_buttons(browser, action, trouble):
    """Each does what it says, for a script and for a person without one."""
    browser.log_in(EVA)
    page = browser.get("/leads")
    pressed = browser.send(page, f"/emulator/{action}")
    assert pressed.location == "/leads"
    assert browser.get("/leads").trouble == trouble
    answer = browser.post(
        "/emulator/normal", {"form_token": page.form_token}, Accept="application/json"
    )

    assert json.loads(answer.source) == {"done": "Emulator: back to normal", "on": []}
    assert browser.send(page, "/emulator/nothing").status == 404


def test_there_is_nothing_else(browser):
    """An unknown address, a wrong method and a file that is not there are answered plainly."""
    assert (browser.get("/nowhere").status, browser.get("/nowhere").trouble) == (404, "not-here")
    assert browser.get("/static/../app.py").status == 404
    assert browser.get("/static/%2e%2e/app.py").status == 404
    assert browser.get("/login").status == 405
    for odd in ("12x", "-1", "9" * 5000, "٣"):
        assert browser.get(f"/leads/{urllib.parse.quote(odd)}").status == 404


@pytest.mark.parametrize("name", ["nothing.css", "%00", "a" * 3000, "..%2fsettings.py"])
def test_no_such_file(browser, name):
    """What is not there below the static files is plain, tells nobody's name, and is not kept."""
    browser.log_in(ANA)
    answer = browser.get(f"/static/{name}")

    assert (answer.status, answer.text) == (404, "There is no such file\n")
    assert answer.headers["Cache-Control"] == "no-store"
    refused = browser.post("/static/desk.css", {})
    assert (refused.status, refused.headers["Cache-Control"]) == (405, "no-store")


def test_static_files_are_kept(browser):
    """Their addresses change with their content, so browsers need not ask again."""
    file = browser.get("/static/desk.css")
    again = browser.get("/static/desk.css", **{"If-None-Match": file.headers["ETag"]})

    assert (file.status, again.status) == (200, 304)
    assert "immutable" in file.headers["Cache-Control"]
    assert "immutable" in again.headers["Cache-Control"]


def test_pages_are_small(browser):
    """A page with all it loads is under 100 KB."""
    browser.log_in(ANA)
    for path in ("/?more", "/leads", "/leads/new", "/account/disconnect"):
        page = browser.get(path)
        loaded = {_between(page.source, f'{kind}="/static/', '"') for kind in ("href", "src")}
        files = [browser.get(f"/static/{each}") for each in (*loaded, "icon.svg")]
        assert all(each.status == 200 for each in files)
        assert len(page.source) + sum(len(each.source) for each in files) < 60_000


def _between(text, before, after):
    return text.partition(before)[2].partition(after)[0]
