"""Logging in: by browser, by pasting, with a self client's code."""

from __future__ import annotations

import errno
import json
import os
import queue
import re
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import person
import pytest
from reported import reported

from tokenkeep import Token, Vault

STARTED = Path(__file__).with_name("started_browser.py")
ANY_PORT = ("--redirect-uri", "http://127.0.0.1:0/callback")
SECRET = re.compile(r"1000\.[0-9a-f]{32}\.[0-9a-f]{32}")


@pytest.fixture
def browse(environment, tmp_path):
    """Put a function in the browser's place; what it returns can be waited for."""

    def _browse(do):
        # The command may be done before its page has arrived.
        kept, called = queue.SimpleQueue(), tmp_path / "called"
        os.mkfifo(called)
        environment.setenv("BROWSER", f"{sys.executable} {STARTED} {called} %s")

        def be_started():
            _browse.told = json.loads(called.read_text())
            kept.put(do(_browse.told["url"]))

        threading.Thread(target=be_started, daemon=True).start()
        return lambda: kept.get(timeout=30)

    return _browse


@pytest.fixture
def login(run, client):
    """Run the command with the emulator's client and a free port."""

    def _login(*options, stdin=None):
        return run("login", *client, *(() if stdin else ANY_PORT), *options, stdin=stdin)

    return _login


@pytest.fixture
def started(start, client):
    """Start it as a process; return that, and the address it shows."""

    def _started(*options, **given):
        process = start("login", *client, *options, **given)
        return process, next(line.strip() for line in process.stderr if line.startswith("http"))

    return _started


def come_back(**decision):
    """Return a browser that decides and goes where it is sent."""
    return lambda url: person.visit(person.decide(url, **decision))


@pytest.mark.parametrize("where", ["production", "sandbox"])
def test_the_token_is_stored_as_the_sdk_would(login, browse, configured, store, where):
    """After consent the user's token is there, of the place consented to, and no secret."""
    eu = configured.users[1]
    shown = browse(come_back(user=eu.name, environment=where))

    result = login("-vv")

    assert result.exit_code == 0, result.output
    token = store.find_token(Token(user=eu.name))
    assert result.stdout == f"Logged in {eu.name} ({token.id}): eu, {where}\n"
    assert token.client_id == configured.client.client_id
    assert token.client_secret == configured.client.client_secret
    assert token.api_domain == configured.eu.environment_url(where)
    assert token.issuer == configured.eu.token_url
    assert (token.data_center, token.environment) == ("eu", where)
    assert configured.is_active(token.refresh_token)
    assert configured.is_active(token.access_token)
    status, _, page = shown()
    assert (status, "Logged in" in page) == (200, True)
    assert configured.client.client_secret not in result.output + page
    assert not SECRET.search(result.output + page)


@pytest.mark.parametrize(
    ("scopes", "asked"),
    [
        ([], "ZohoCRM.modules.ALL,ZohoCRM.settings.ALL,ZohoCRM.users.READ,ZohoCRM.org.READ"),
        (["ZohoCRM.users.READ a"], "ZohoCRM.users.READ,a,ZohoCRM.org.READ"),
        (["a,b", "a"], "a,b,ZohoCRM.users.READ,ZohoCRM.org.READ"),
    ],
)
def test_the_request_is_as_the_standards_say(login, scopes, asked):
    """State, PKCE S256, the registered redirect URI, and scopes to name the user, once each."""
    result = login("--no-browser", *(f"--scope={scope}" for scope in scopes), stdin="x\n")

    query = person.query_of(re.search(r"^http.*$", result.stderr, re.MULTILINE)[0])
    assert query["redirect_uri"] == "http://127.0.0.1:8417/callback"
    assert query["code_challenge_method"] == "S256"
    assert re.fullmatch(r"[\w-]{43}", query["code_challenge"])
    assert len(query["state"]) >= 43
    assert query["scope"] == asked
    assert "client_secret" not in query


def test_nobody_to_paste(login):
    """As of cron, or a container without a terminal."""
    result = login("--no-browser", stdin="")

    assert (2, True) == (result.exit_code, "There is no terminal" in result.stderr)


@pytest.mark.parametrize(
    ("decision", "said", "logins"),
    [
        ({"environment": "developer"}, "granted to developer, not to sandbox", ["revoked"]),
        ({"decision": "reject"}, "The user refused access", []),
    ],
)
def test_what_was_not_granted(*, login, browse, configured, store, decision, said, logins):
    """Told here and in the browser; nothing is stored, and what the provider made is revoked."""
    shown = browse(come_back(**decision))

    result = login("--environment", "sandbox")

    assert (result.exit_code, said in result.stderr) == (1, True)
    status, _, page = shown()
    assert (status, said in page) == (400, True)
    assert store.get_tokens() == []
    assert [each["status"] for each in configured.state()["logins"]] == logins


def test_an_error_of_another_kind(*, login, browse, monkeypatch):
    """It ends the wait, and is raised without the code in a frame; the page is a plain one."""
    shown, codes, error = browse(come_back()), [], RuntimeError("A plug-in fails")

    def fail(_, token):
        codes.append(token.grant_token)
        raise error

    monkeypatch.setattr(Vault, "save_token", fail)
    result = login()

    status, _, page = shown()
    assert (status, "The login failed" in page, "plug-in" in page) == (400, True, False)
    assert (result.exception, "Nobody came back" in result.stderr) == (error, False)
    assert codes[0] not in reported(error) + result.output


def test_a_forged_state_changes_nothing(login, browse, configured, store):
    """An answer with another state is refused, and the real one still works."""

    def forge_then_come_back(url):
        back = person.decide(url)
        forged = re.sub(r"state=[^&]+", "state=" + "x" * 43, back)
        none = re.sub(r"state=[^&]+&", "", back)
        return [person.visit(each)[0] for each in (forged, none, f"{back}state=a", back)]

    seen = browse(forge_then_come_back)
    result = login()

    assert result.exit_code == 0, result.output
    assert seen() == [400, 400, 400, 200]
    assert configured.counters.token_calls() == 1
    assert len(store.get_tokens()) == 1


def test_what_others_see_of_the_browser(login, browse, environment, tmp_path):
    """A private page leads it on: neither arguments nor environment tell of this login."""
    environment.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    environment.setenv("TOKENKEEP_CLIENT_SECRET", "a-secret")
    Path("webbrowser.py").write_text("raise SystemExit('Somebody put this into the folder')")
    shown = browse(come_back())

    result = login()

    assert result.exit_code == 0, result.output
    shown()
    told = browse.told
    query = person.query_of(told["url"])
    for each in (query["state"], query["code_challenge"], "http"):
        assert each not in "".join(told["arguments"])
    assert told["page"] in told["arguments"][0]
    assert told["modes"] == [0o600, 0o700]
    assert not Path(told["page"]).parent.exists()
    assert [name for name in told["environ"] if name.startswith("TOKENKEEP_")] == []
    assert told["environ"]["TMPDIR"] == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("browser", ["no-such %s", "false", None])
def test_by_the_address_that_is_printed(started, environment, configured, store, browser):
    """Where no browser can be started; or its answer is brought by hand."""
    environment.setenv("BROWSER", browser or "true")
    environment.setenv("PATH", "/nonexistent")
    process, url = started(*(ANY_PORT if browser else ["--no-browser"]))

    back = person.decide(url)
    if browser:
        person.visit(back)
    out, err = process.communicate(None if browser else f"{back}\n", timeout=60)

    assert process.returncode == 0, err
    assert out.startswith(f"Logged in {configured.user.name} (")
    assert "Traceback" not in err
    assert store.find_token(Token(user=configured.user.name))


def test_nobody_comes_back(login, environment):
    """Nor can a page be put anywhere: the wait ends, and the error says so: status 5."""

    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    environment.setattr(tempfile, "TemporaryDirectory", refuse)
    environment.setenv("BROWSER", "touch started %s")
    environment.setattr("tokenkeep.cli.login.PATIENCE", 1.0)

    result = login()

    said = "Nobody came back from the login within 1 seconds"
    assert (result.exit_code, said in result.stderr) == (5, True)
    assert not Path("started").exists()


@pytest.mark.parametrize(
    ("mode", "how"),
    [
        (ANY_PORT, signal.SIGINT),
        (ANY_PORT, signal.SIGTERM),
        (["--no-browser"], signal.SIGINT),
        (["--grant-file", "-"], signal.SIGINT),
    ],
)
def test_ctrl_c_leaves_nothing(*, started, start, client, configured, store, mode, how):
    """
    At any time: status 130, stored whole or not at all, no page, and no traceback.

    To be ended by the system is the same.
    """
    if "-" in mode:
        fault = configured.faults.add(endpoint="token", kind="hang")
        process = start("login", *client, *mode)
        process.stdin.write(configured.grant_code())
        process.stdin.close()
        process.stdin = None
        assert fault.wait()
    else:
        process, _ = started(*mode)
        while mode is ANY_PORT and not list(Path().glob("tokenkeep-login-*/*")):
            time.sleep(0.01)

    process.send_signal(how)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (130, "")
    assert not list(Path().glob("tokenkeep-login-*"))
    assert "Traceback" not in err
    assert store.get_tokens() == []


@pytest.mark.parametrize("options", [("--grant-file", "code"), ("--grant-file", "-")])
def test_a_self_clients_code(login, configured, store, options):
    """A code of the API console, from a file or a pipe, never an argument."""
    code = configured.grant_code(configured.users[1])
    Path("code").write_text(code + "\n")

    result = login("--json", "--data-center", "eu", *options, stdin=code)

    assert result.exit_code == 0, result.output
    (token,) = store.get_tokens()
    assert token.user == configured.users[1].name == json.loads(result.stdout)["user"]
    assert token.grant_token == code
    assert code not in result.output


def test_a_token_that_may_not_ask_its_user(login, configured, store):
    """Without the scopes it is stored nameless, and told so; --user names it."""
    refusal = {"kind": "refused", "code": "OAUTH_SCOPE_MISMATCH"}
    configured.faults.add(endpoint="users", times=None, **refusal)
    code, another = (configured.grant_code() for _ in range(2))

    nameless = login("--grant-file", "-", stdin=code)
    by_hand = login("--grant-file", "-", "--user", "me@x:1", stdin=another)

    assert (nameless.exit_code, by_hand.exit_code) == (0, 0)
    assert "stored without its user" in nameless.stderr
    assert {token.user for token in store.get_tokens()} == {None, "me@x:1"}


def test_what_is_asked_at_a_terminal(configured, store, at_terminal):
    """The client secret and the code are not echoed."""
    code, secret = configured.grant_code(), configured.client.client_secret
    words = ["login", "--client-id", configured.client.client_id, "--grant-file", "-"]

    status, shown = at_terminal(words, {"Client secret: ": secret, "Grant code: ": code})

    assert status == 0, shown
    assert code not in shown
    assert secret not in shown
    assert len(store.get_tokens()) == 1


@pytest.mark.parametrize("given", ["options", "variables"])
def test_blanks_around_what_is_given(*, run, configured, store, environment, given):
    """Trimmed in options, files, variables and at standard input."""
    around = "\ufeff {}\r\n".format
    known = configured.client
    client_id, secret = around(known.client_id), around(known.client_secret)
    Path("secret").write_text(secret)
    words = ["--client-id", client_id, "--client-secret-file", "secret"]
    if given == "variables":
        words = []
        environment.setenv("TOKENKEEP_CLIENT_ID", client_id)
        environment.setenv("TOKENKEEP_CLIENT_SECRET", secret)
    user, code = around("ana"), around(configured.grant_code())

    done = run("login", *words, "--grant-file", "-", "--user", user, stdin=code)

    assert 0 == done.exit_code, done.output
    token = store.find_token(Token(user="ana"))
    assert (known.client_id, known.client_secret) == (token.client_id, token.client_secret)
    assert 0 == run("show", "--user", user).exit_code
