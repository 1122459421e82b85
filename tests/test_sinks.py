"""A command and a webhook: what they are told, what counts as taken, and what is refused."""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from certificates import Authority
from pages import labelled
from receivers import SECRET, close, drip, drip_headers, hang, redirect, slow
from reported import reported

import tokenkeep
from tokenkeep import ConfigurationError, Notices, Token, verify_signature
from tokenkeep.notices import facts
from tokenkeep.sinks import command, webhook
from tokenkeep.token import Notice

NOW = 1_800_000_000.0
DEATH = facts(
    Notice(what="login_needed", at=NOW, error="invalid_grant"),
    token_id="tk_1",
    user="ana@example.com:1",
    provider="zoho",
    issuer="https://accounts.example/token",
    login_link="https://desk.example/login",
)


@pytest.fixture
def short(monkeypatch):
    """Whoever is slow is given a moment only."""
    monkeypatch.setattr(webhook, "TIMEOUT", 0.5)
    monkeypatch.setattr(command, "TIMEOUT", 0.5)


# A webhook


def test_webhook(receiver):
    """It is posted as JSON, each fact or null, signed with the time; 2xx has taken it."""
    assert {"webhook": None} == receiver.notices().tell(DEATH, NOW)

    ((path, headers, body),) = receiver.calls
    assert ("/told", "application/json") == (path, headers["Content-Type"])
    assert f"127.0.0.1:{receiver.server_port}" == headers["Host"]
    assert DEATH == json.loads(body)
    assert receiver.is_signed(0, NOW)
    assert SECRET not in str(receiver.calls)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (500, "answered with status 500"),
        (404, "answered with status 404"),
        (redirect, "redirect (status 302)"),
        (close, "closed the connection"),
        (drip_headers, "did not answer within"),
        (slow, "did not answer within"),
        (410, None),
        (201, None),
        (drip, None),
        (hang, None),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.usefixtures("short")
def test_answers(receiver, answer, why):
    """Invariant 12: whatever it does ends in time; 2xx counts, however its body ends."""
    receiver.answers.append(answer)
    began = time.monotonic()

    (said,) = receiver.notices().tell(DEATH, NOW).values()

    assert time.monotonic() - began < 5
    assert (said is None) if why is None else (why in said)
    assert ["/told"] == [path for path, _, _ in receiver.calls]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/", "https://192.168.1.1/",
        "https://172.16.0.1/", "https://169.254.169.254/", "https://100.64.0.1/",
        "https://0.0.0.0/", "https://224.0.0.1/", "https://240.0.0.1/", "https://[::1]/",
        "https://[::]/", "https://[fe80::1]/", "https://[fd00::1]/", "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://[fec0::1]/",
        "https://[ff02::1]/", "http://127.0.0.1/",
    ],
)  # fmt: skip
def test_inside(url):
    """An address inside is refused as it is configured, and allowed by name."""
    with pytest.raises(ConfigurationError, match="allow_private"):
        Notices(webhook=url, webhook_secret=SECRET)
    assert Notices(webhook=url, webhook_secret=SECRET, allow_private=True)


@pytest.mark.parametrize(
    "url",
    ["https://93.184.216.34/", "https://[2606:2800:220:1::1]/", "https://[64:ff9b::5db8:d822]/",
     "https://[::ffff:93.184.216.34]/", "https://hook.example/"],
)  # fmt: skip
def test_outside(url):
    """What is public is allowed, however it is written; a name is looked up when it is told."""
    assert Notices(webhook=url, webhook_secret=SECRET)


@pytest.mark.parametrize("name", ["127.1", "0x7f.1", "2130706433"])
def test_names_that_lead_inside(receiver, name):
    """Invariant 9: what a name leads to is looked at when it is told, whatever it looks like."""
    whom = Notices(webhook=f"https://{name}:{receiver.server_port}/", webhook_secret=SECRET)

    (said,) = whom.tell(DEATH, NOW).values()

    assert "not public: 127.0.0.1" in said
    assert "not public" in str(*whom.look())
    assert [] == receiver.calls


def answers_of(monkeypatch, *answers):
    """Let a name server give these answers, one after the other, the last one for ever."""
    left = list(answers)
    real = socket.getaddrinfo

    def asked(host, port, *args, **given):
        if host != "hook.example":
            return real(host, port, *args, **given)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", asked)


def test_one_address_of_several_inside(monkeypatch):
    """If one of a name's addresses is inside, none of them is called."""
    answers_of(monkeypatch, ["93.184.216.34", "10.0.0.1"])
    whom = Notices(webhook="https://hook.example/", webhook_secret=SECRET)

    assert "10.0.0.1" in whom.tell(DEATH, NOW)["webhook"]


def test_connects_to_what_was_looked_at(monkeypatch, tmp_path):
    """TLS is for the name; the connection to the addresses of one answer, in turn; no proxy."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("hook", "hook.example"))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve():
        with context.wrap_socket(listener.accept()[0], server_side=True) as served:
            data = b""
            while not data.endswith(b"}"):
                data += served.recv(65536)
            seen.append(data)
            served.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    seen = []
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.pem))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # it is not used
    answers_of(monkeypatch, ["127.0.0.9", "127.0.0.1"], ["192.0.2.1"])
    whom = Notices(
        webhook=f"https://hook.example:{port}/", webhook_secret=SECRET, allow_private=True
    )

    assert {"webhook": None} == whom.tell(DEATH, NOW)
    thread.join(10)
    listener.close()
    assert f"Host: hook.example:{port}".encode() in seen[0]


def test_certificate_of_another_name(monkeypatch, tmp_path):
    """TLS is verified for the name that is configured, not for the address."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("other", "127.0.0.1"))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener.accept()[0] as raw, suppress(OSError):
            context.wrap_socket(raw, server_side=True).close()

    threading.Thread(target=serve, daemon=True).start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.pem))
    answers_of(monkeypatch, ["127.0.0.1"])
    url = f"https://hook.example:{listener.getsockname()[1]}/"
    whom = Notices(webhook=url, webhook_secret=SECRET, allow_private=True)

    assert "certificate that can't be verified" in whom.tell(DEATH, NOW)["webhook"]
    listener.close()


# Its signature


@pytest.fixture
def signed(receiver):
    """A body and its signature."""
    receiver.notices().tell(DEATH, NOW)
    ((_, headers, body),) = receiver.calls
    return body, headers["Tokenkeep-Signature"]


def test_signature(signed):
    """It holds for this body, this secret and a few minutes; another's may stand beside it."""
    body, signature = signed

    assert verify_signature(SECRET, body, signature, now=NOW + 299)
    assert verify_signature(SECRET, body, f"{signature},v1={'0' * 64},v2=x", now=NOW)
    assert not verify_signature(SECRET, body, f"{signature},t={NOW + 400:.0f}", now=NOW)
    assert not verify_signature(SECRET, body, signature, now=NOW + 301)
    assert not verify_signature(SECRET, body, signature, now=NOW - 301)
    assert not verify_signature(SECRET, body, signature)
    assert not verify_signature(SECRET, body + b" ", signature, now=NOW)
    assert not verify_signature("another", body, signature, now=NOW)
    assert not verify_signature(
        SECRET, body, signature.replace(f"t={NOW:.0f}", f"t={NOW + 1:.0f}"), now=NOW
    )
    with pytest.raises(ConfigurationError, match="empty"):
        verify_signature("", body, signature, now=NOW)


@pytest.mark.parametrize(
    "bad",
    [None, "", "t=", "v1=", "t=1800000000", "t=18e8,v1=x", "t=1800000000,t=1800000000,v1=x", "é",
     "t=1800000000,v1=é", "t=" + "9" * 5000],
)  # fmt: skip
def test_no_signature(bad):
    """Whatever else stands there is none, and no error."""
    assert not verify_signature(SECRET, b"{}", bad, now=NOW)


def test_receiver_of_the_page(receiver):
    """The receiver that docs/notices.md shows takes what is signed, and nothing else."""
    here = {"__name__": "receiver"}
    (program,) = labelled("docs/notices.md", "receiver")
    exec(program, here)
    whom = receiver.notices(webhook_secret=here["SECRET"])
    whom.tell(DEATH, time.time())
    ((_, headers, body),) = receiver.calls
    kind = {"Content-Type": "application/json"}
    with here["app"].test_client() as client:
        known = kind | {"Tokenkeep-Signature": headers["Tokenkeep-Signature"]}
        assert 204 == client.post("/tokens", data=body, headers=known).status_code
        assert 403 == client.post("/tokens", data=body, headers=kind).status_code
        assert 403 == client.post("/tokens", data=body + b" ", headers=known).status_code


# A command

TELL = """
import json, os, sys
with open(sys.argv[1], "w") as file:
    json.dump([sys.argv[2:], dict(os.environ), sys.stdin.read()], file)
print("a s3cret of its own")
"""


@pytest.fixture
def run(tmp_path):
    """Return whom to tell, a program of this text; and what it has written."""

    def _run(text=TELL, *more):
        path = tmp_path / "tell.py"
        path.write_text(text)
        out = tmp_path / "out.json"
        whom = Notices(command=[sys.executable, str(path), str(out), *more])
        return whom, out

    return _run


def test_command(run, monkeypatch, capfd):
    """It has the facts in its environment, as text, of ours nothing else; there is no shell."""
    monkeypatch.setenv("TOKENKEEP_KEYS", "a s3cret key")
    monkeypatch.setenv("TOKENKEEP_NEW_SECRET", "s3cret")
    monkeypatch.setenv("OTHER", "stays")
    whom, out = run(TELL, "$HOME; touch x")

    assert {"command": None} == whom.tell(DEATH, NOW)

    words, environ, typed = json.loads(out.read_text())
    assert (words, typed) == (["$HOME; touch x"], "")
    ours = {name: text for name, text in environ.items() if name.startswith("TOKENKEEP_")}
    assert ours.pop("TOKENKEEP_ID") == DEATH["id"]
    assert ours == {
        "TOKENKEEP_EVENT": "login_needed",
        "TOKENKEEP_AT": "2027-01-15T08:00:00Z",
        "TOKENKEEP_TOKEN_ID": "tk_1",
        "TOKENKEEP_USER": "ana@example.com:1",
        "TOKENKEEP_PROVIDER": "zoho",
        "TOKENKEEP_ISSUER": "https://accounts.example/token",
        "TOKENKEEP_ERROR": "invalid_grant",
        "TOKENKEEP_LASTED": "",
        "TOKENKEEP_HINT": "Let this user log in again",
        "TOKENKEEP_LOGIN_LINK": "https://desk.example/login",
    }
    assert environ["OTHER"] == "stays"
    assert ("", "") == tuple(capfd.readouterr())


@pytest.mark.parametrize("user", ["a\0b", "a\nTOKENKEEP_X=1", "\ud800", "ü"])
def test_command_and_odd_users(run, user):
    """What no environment can hold, or what would look like more than one fact, is spelt out."""
    whom, out = run()

    assert {"command": None} == whom.tell(DEATH | {"user": user}, NOW)
    assert json.loads(out.read_text())[1]["TOKENKEEP_USER"].isprintable()


def test_command_that_fails(run, tmp_path):
    """One that ends with another status, or is not there, has not taken it."""
    assert "ended with 3" in run("raise SystemExit(3)")[0].tell(DEATH, NOW)["command"]
    for path in (tmp_path / "nothing", tmp_path):
        whom = Notices(command=[str(path)])
        assert "can't be run" in whom.tell(DEATH, NOW)["command"]
        assert isinstance(next(whom.look()), ConfigurationError)
    assert "can be run" in next(run()[0].look())


HANGS = """
import os, sys, time
child = os.fork()
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(60)
"""


@pytest.mark.usefixtures("short")
def test_command_that_hangs(run):
    """Invariant 12: it is killed in time, with all that it has started."""
    whom, out = run(HANGS)
    began = time.monotonic()

    assert "did not end within" in whom.tell(DEATH, NOW)["command"]

    assert time.monotonic() - began < 10
    for pid in map(int, out.read_text().split()):
        assert is_gone(pid)


def is_gone(pid):
    """Wait until a process has ended, if only nobody has taken note of that."""
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        try:
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


# Both


def test_both(receiver, run, tmp_path):
    """Each is told, whatever becomes of the other; who has taken it already is not."""
    run("raise SystemExit(1)")
    both = receiver.notices(command=[sys.executable, str(tmp_path / "tell.py")])

    assert both.names == {"command", "webhook"}
    answers = both.tell(DEATH, NOW)
    assert answers["webhook"] is None
    assert "ended with 1" in answers["command"]
    assert ["command"] == list(both.tell(DEATH, NOW, told=("webhook",)))
    assert 1 == len(receiver.calls)
    assert not Notices()


def test_login_link():
    """What is filled in is quoted for a URL: nobody's name leads elsewhere."""
    whom = Notices(login_link="https://desk.example/{provider}?user={user}&id={token_id}")
    token = Token(id="tk_1", user="a/b&c=d é#@evil.example", provider="zoho")

    link = whom.login_link(token)

    assert link == (
        "https://desk.example/zoho?user=a%2Fb%26c%3Dd%20%C3%A9%23%40evil.example&id=tk_1"
    )
    assert "user=&" in whom.login_link(Token(id="tk_1", provider="zoho"))
    assert whom.login_link(Token(id="tk_1", user="\ud800"))
    assert Notices().login_link(token) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"login_link": "https://x/{mail}"}, "{mail}"),
        ({"login_link": "https://x/{user.__class__}"}, "user.__class__"),
        ({"login_link": "https://x/{user!r}"}, "placeholder"),
        ({"login_link": "https://x/{user:>9}"}, "placeholder"),
        ({"login_link": "https://x/{}"}, "placeholder"),
        ({"login_link": "https://x/{user"}, "left open"),
        ({"login_link": "javascript:alert({user})"}, "URL"),
        ({"login_link": 1}, "URL"),
        ({"command": "tell"}, "list of texts"),
        ({"command": []}, "list of texts"),
        ({"command": ["a", 1]}, "list of texts"),
        ({"command": ["a\0"]}, "list of texts"),
        ({"webhook": "https://x.example/"}, "webhook_secret"),
        ({"webhook": "https://x.example/", "webhook_secret": "short"}, "16 characters"),
        ({"webhook": "https://u:p4ss@x.example/", "webhook_secret": SECRET}, "webhook's URL"),
        ({"webhook": "http://x.example/", "webhook_secret": SECRET}, "https"),
        ({"webhook": "ftp://x.example/", "webhook_secret": SECRET}, "webhook's URL"),
        ({"webhook": 1, "webhook_secret": SECRET}, "webhook's URL"),
        ({"webhook_secret": SECRET}, "no webhook"),
        ({"allow_private": "yes"}, "allow_private"),
    ],
    ids=str,
)
def test_refused(given, said):
    """Invariant 9: what is no use is refused by name at once, and no secret is shown."""
    with pytest.raises(ConfigurationError) as caught:
        Notices(**given)

    assert said in str(caught.value)
    assert SECRET not in reported(caught.value)
    assert "p4ss" not in reported(caught.value)


def test_no_secret_is_shown(receiver):
    """Invariant 9: neither by a repr, nor by an error on the way."""
    whom = receiver.notices(webhook=f"{receiver.url}/s3cret-path")
    receiver.answers += [500, redirect]

    said = [whom.tell(DEATH, NOW)["webhook"] for _ in range(2)]

    assert "s3cret" not in f"{said} {whom!r}"


# The configuration


@pytest.fixture
def configured(tmp_path):
    """Read a configuration of this text."""

    def _configured(text, mode=0o600):
        path = tmp_path / "config.toml"
        path.write_text(text)
        path.chmod(mode)
        environ = {"TOKENKEEP_CONFIG": str(path), "TOKENKEEP_STORE": "memory:"}
        return tokenkeep.settings(environ), environ

    return _configured


def test_configured(configured, tmp_path, receiver):
    """A store that is opened with it brings whom to tell; a keeper may be given others."""
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    text = f'[notices]\nwebhook = "{receiver.url}"\nallow_private = true\n'
    found, environ = configured(f'{text}webhook_secret_file = "{secret}"\n', 0o644)

    with tokenkeep.open_store(environ=environ) as store:
        assert {"webhook"} == store.notices.names
        store.notices.tell(DEATH, NOW)
    assert receiver.is_signed(0, NOW)
    assert SECRET not in f"{found!r}{found.notices!r}"
    secret.chmod(0o644)
    with pytest.raises(ConfigurationError, match="secret can't be used: others can read"):
        configured(f'{text}webhook_secret_file = "{secret}"\n')
    assert configured("")[0].notices is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("notices = 1", "a table"),
        ('[notices]\ncomand = ["x"]', "unknown entry 'comand'"),
        ('[notices]\nwebhook_secret_file = "/nowhere/x"', "/nowhere/x"),
        ("[notices]\nwebhook_secret_file = 1", "a path"),
        (f'[notices]\nwebhook_secret_file = "/x"\nwebhook_secret = "{SECRET}"', "both"),
    ],
)
def test_wrongly_configured(configured, text, said):
    """Invariant 9: it names file and entry, and shows no secret."""
    with pytest.raises(ConfigurationError, match=r"config\.toml") as caught:
        configured(text)

    assert said in str(caught.value)
    assert SECRET not in reported(caught.value)


def test_secret_in_a_file_for_all(configured):
    """A configuration with the secret in it is refused where others can read it."""
    with pytest.raises(ConfigurationError, match="secret of a webhook"):
        configured(f'[notices]\nwebhook = "https://x.example"\nwebhook_secret = "{SECRET}"', 0o644)
