"""The command that looks whether everything is in order."""

from __future__ import annotations

import json
import ssl
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from certificates import Authority

import tokenkeep
from tokenkeep.providers import Provider
from tokenkeep.providers.oauth2 import OAuth2
from tokenkeep.testing import FakeClock


@pytest.fixture
def checks(run):
    """Run the doctor; return the exit status, and the checks by their name."""

    def _checks():
        result = run("doctor", "--json")
        found = [json.loads(line) for line in result.stdout.splitlines()]
        return result.exit_code, {check["name"]: check for check in found}

    return _checks


@pytest.fixture
def failed(checks):
    """Run the doctor; return the check of this name, which has failed: status 1."""

    def _failed(name):
        status, found = checks()
        assert (status, found[name]["state"]) == (1, "failed")
        return found[name]

    return _failed


@pytest.fixture
def serve():
    """Start a token endpoint that refuses what is empty; with a clock, and with TLS if asked."""
    servers = []

    def _serve(*, clock=time.time, tls=None):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.server.asked.append(dict(self.headers))
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response_only(400)
                self.send_header("Date", formatdate(clock(), usegmt=True))
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a client that was refused

        server = Server(("127.0.0.1", 0), Handler)
        server.asked = []
        server.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/token"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield _serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def acme(environment, tmp_path):
    """Configure a provider with these options, and save a token of it."""
    path = tmp_path / "acme.toml"
    environment.setenv("TOKENKEEP_CONFIG", str(path))

    def _acme(*, provider="acme", store=None, options="", **given):
        path.write_text(f'[providers.acme]\nkind = "oauth2"\n{options}')
        known = tokenkeep.Token(provider=provider, user="ana", client_id="c", refresh_token="r")
        configured = tokenkeep.Providers("zoho", {provider: {"kind": "oauth2"}})
        with tokenkeep.open_store(store, providers=configured) as vault:
            return vault.save_token(known.but(**given))

    return _acme


def test_all_in_order(run, checks, save):
    """Nothing to complain about: status 0; in a pipe a line each, without colours."""
    save()

    status, found = checks()

    assert status == 0
    assert {check["state"] for check in found.values()} == {"ok"}
    assert set(found) == {"configuration", "modes", "store", "key", "journal", "provider"}
    assert found["key"]["text"] == "opens the store and its tokens"
    lines = [line.split("\t")[:2] for line in run("doctor").output.splitlines()]
    assert lines == [["ok", name] for name in found]


@pytest.mark.usefixtures("configured")
def test_looking_makes_nothing(checks, environment, tmp_path):
    """A store and a key that are not there are not made by looking."""
    environment.delenv("TOKENKEEP_KEYS")
    before = sorted(tmp_path.rglob("*"))

    status, found = checks()

    assert status == 0
    assert "nothing yet" in found["store"]["text"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_wrong_key(failed, save, environment):
    """The key that is missing is named."""
    save()
    environment.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())

    assert "wrapped under key" in failed("key")["text"]


def test_a_changed_row(failed, save, damage):
    """A row that does not open is a failure, by its id."""
    token = save()
    damage()

    assert token.id in failed("key")["text"]


@pytest.mark.parametrize("name", ["tokens.db", "tokens.db.journal"])
def test_others_can_read(failed, save, tmp_path, name):
    """A file or folder that others have rights to is a failure, with the cure."""
    save()
    path = tmp_path / name
    if name.endswith("journal"):
        path.mkdir()
    path.chmod(0o755)

    assert failed("modes")["hint"] == f"chmod go= {path}"


def test_the_provider_is_down(failed, save, configured):
    """Nobody answers there."""
    save()
    configured.stop()

    assert "network" in failed("provider")["hint"]


def test_the_clock_is_off(checks, acme, serve):
    """More than 30 seconds between this machine's clock and the provider's."""
    acme(issuer=serve(clock=lambda: time.time() + 100).url)

    status, found = checks()

    assert (status, found["clock"]["state"]) == (0, "warning")
    assert "s behind that of" in found["clock"]["text"]


def test_what_is_left_to_do(run, checks, save, configured):
    """Unconfirmed revocations and dead tokens are warnings, with the command to run."""
    revoked, dead = save(), save(configured.users[1].name)
    configured.revoke(configured.users[1])
    run("renew", dead.id)
    configured.stop()
    run("revoke", revoked.id)
    configured.start()

    status, found = checks()

    assert status == 0
    assert found["revocations"]["hint"] == "tokenkeep sweep"
    assert found["tokens"]["text"] == "1 token needs a new login"


@pytest.mark.parametrize(("url", "name"), [("nothing:", "store"), ("no url", "configuration")])
def test_a_wrong_url(failed, environment, url, name):
    """A URL that names no store is a failure."""
    environment.setenv("TOKENKEEP_STORE", url)

    assert failed(name)


DAY = 86_400.0


@pytest.mark.parametrize(
    ("since", "days", "state", "left"),
    [
        (90, -2, "warning", "expired"),
        (90, 0.5, "warning", "11 h"),
        (90, 6.5, "warning", "6 d"),
        (90, 8, None, "7 d"),
        (3, 0.9, "warning", "21 h"),
        (1, 3, None, "2 d"),
        (1, None, None, None),
    ],
)
def test_a_login_that_ends(run, run_json, checks, save, store, since, days, state, left):  # noqa: PLR0917
    """Told a week before, or a quarter of its life; by whom it is. list and show say when."""
    ends = None if days is None else time.time() + days * DAY
    ana = tokenkeep.Token(user="ana", client_id="c", refresh_token="r", refresh_expires_at=ends)
    with tokenkeep.open_store(clock=FakeClock(time.time() - since * DAY)) as then:
        row = then.save_token(ana)
    save("later@example.com:1", refresh_token="later", refresh_expires_at=time.time() + 90 * DAY)
    dead = save("dead@example.com:2", refresh_token="dead", refresh_expires_at=1.0)
    store.save_token(dead.but(status=tokenkeep.Status.REVOKED))

    status, found = checks()

    assert (0, state) == (status, found.get("logins", {}).get("state"))
    if state:
        assert "1 login ends soon by itself, or has ended" in found["logins"]["text"]
        assert row.user in found["logins"]["text"]
    shown = run_json("show", row.id)
    assert ends == shown["refresh_expires_at"]
    lines = (line.split("\t") for line in run("list").stdout.splitlines())
    listed = {each[0]: each for each in lines}
    cell = listed[row.id][7]
    assert (cell == "") == (days is None)
    if days is not None:
        assert abs(int(cell) - days * DAY) < 60
        assert left in run("show", row.id).stdout
    assert "" == listed[dead.id][7]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "There is no home folder"),
        ("/dev/null/state", "its folder is a file"),
        ("file", "can't be"),
        ("fine", None),
        ("new/below", None),
    ],
)
def test_no_room_for_answers(
    *, run, checks, acme, serve, environment, tmp_path, redis_server, state, said
):
    """Where no token of a provider that rotates could be renewed, the variable is named."""
    (tmp_path / "file").touch(0o755)
    (tmp_path / "fine").mkdir(mode=0o700)
    environment.setenv("TOKENKEEP_STORE", redis_server.url())
    if state is None:
        environment.setattr("platformdirs.user_state_dir", lambda *_, **__: "~")
    else:
        environment.setenv("TOKENKEEP_STATE", str(tmp_path / state))
    token = acme(issuer=serve().url)
    before = sorted(tmp_path.rglob("*"))

    status, found = checks()

    assert sorted(tmp_path.rglob("*")) == before
    assert 0 == status
    journal = found["journal"]
    if said is None:
        assert "ok" == journal["state"]
        return
    assert "warning" == journal["state"]
    assert said in journal["text"]
    assert "acme" in journal["text"]
    assert "TOKENKEEP_STATE" in journal["hint"]
    assert "TOKENKEEP_STATE" in run("renew", token.id).stderr


def test_no_room_is_needed(checks, acme, serve, environment, redis_server):
    """Where nothing rotates there is no answer that could be lost."""
    environment.setenv("TOKENKEEP_STORE", redis_server.url())
    environment.setenv("TOKENKEEP_STATE", "/dev/null/state")
    acme(issuer=serve().url, options="profile = { rotates = false }")

    assert "ok" == checks()[1]["journal"]["state"]


@pytest.mark.parametrize("provider", ["chat", "Acme", "acme2"])
@pytest.mark.parametrize("issuer", [None, "https://127.0.0.1:9/token"])
def test_a_provider_that_is_not_configured(run, failed, acme, provider, issuer):
    """Tokens that nobody can renew are a failure; the remedy is named, here and there."""
    token = acme(provider=provider, issuer=issuer)

    check = failed("provider")

    assert f"There is no provider '{provider}'" == check["text"]
    assert f"[providers.{provider}]" in check["hint"]
    assert f"[providers.{provider}]" in run("token", token.id).stderr
    assert f"provider\t{provider}" in run("show", token.id).stdout


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("case", ["shown", "gone", "not configured"])
def test_a_client_certificate(checks, acme, serve, authority, environment, case):  # noqa: PLR0917
    """The endpoint is tried as a renewal asks it: with certificate and headers."""
    environment.setenv("REQUESTS_CA_BUNDLE", str(authority.pem))
    environment.setenv("NO_PROXY", "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("server", "127.0.0.1"))
    tls.load_verify_locations(authority.pem)
    tls.verify_mode = ssl.CERT_REQUIRED
    server = serve(tls=tls)
    certificate, key = authority.issue("ana", "ana.example")
    if case == "gone":
        certificate = certificate.with_name("gone.pem")
    options = f'certificate = "{certificate}"\ncertificate_key = "{key}"\n'
    options += 'headers = { X-Api-Key = "k" }\n'
    acme(issuer=server.url, options="" if case == "not configured" else options)

    status, found = checks()

    provider = found["provider"]
    if case == "shown":
        assert (0, "ok") == (status, provider["state"])
        assert ["k"] == [each["X-Api-Key"] for each in server.asked]
        return
    assert (1, "failed") == (status, provider["state"])
    assert (case == "gone") == ("gone.pem" in provider["text"])
    assert (case == "gone") == ("network" not in (provider["hint"] or ""))


def test_a_provider_that_can_not_be_asked(checks, acme, environment):
    """A provider of another package that has no probe is not asked."""

    class Own(OAuth2):
        def probe(self, issuer):
            return Provider.probe(self, issuer)

    environment.setattr("tokenkeep.providers.oauth2.OAuth2", Own)
    acme(issuer="https://127.0.0.1:9/token")

    status, found = checks()

    assert (0, "ok") == (status, found["provider"]["state"])
    assert "is not asked" in found["provider"]["text"]


@pytest.mark.parametrize(
    ("others", "hint"),
    [
        (["acme"], "Let them log in again at acme"),
        (["acme", "zoho"], "Let them log in again at acme; at Zoho with: tokenkeep login"),
        (["zoho"], "tokenkeep login"),
    ],
)
@pytest.mark.parametrize("name", ["logins", "tokens"])
def test_who_logs_in_where(checks, acme, serve, others, hint, name):  # noqa: PLR0917
    """`tokenkeep login` is offered where it helps."""
    for each in others:
        dead = acme(issuer=serve().url, user=each, refresh_token=each, refresh_expires_at=1.0)
        with tokenkeep.open_store() as store:
            store.delete_token(dead.id)
            dead = dead.but(id=None, version=None, provider=each)
            if name == "tokens":
                dead = dead.but(status=tokenkeep.Status.LOGIN_NEEDED)
            store.save_token(dead)

    assert hint == checks()[1][name]["hint"]


@pytest.mark.parametrize("how", ["revoke", "logout", "delete"])
@pytest.mark.parametrize("case", ["no endpoint", "no provider", "nobody answers"])
def test_what_can_not_be_revoked(run, acme, serve, checks, how, case):  # noqa: PLR0917
    """Why the provider does not confirm, as far as the configuration says it; and what to do."""
    options = f'revocation_endpoint = "{serve().url}"' if case == "nobody answers" else ""
    token = acme(
        issuer=serve().url, options=options, provider="gone" if "prov" in case else "acme"
    )

    if how == "delete":
        run("revoke", token.id)
    told = run(how, token.id, *(["--yes"] if how == "delete" else [])).stdout
    check = checks()[1]["revocations"]

    if case == "nobody answers":
        assert ": tokenkeep sweep" in told
        assert "tokenkeep sweep" == check["hint"]
        return
    why = {"no endpoint": "No revocation endpoint", "no provider": "There is no provider"}[case]
    do = {"no endpoint": "Set revocation_endpoint, or revoke", "no provider": "[providers.gone]"}
    assert why in told
    assert do[case] in told
    assert "tokenkeep sweep" not in told
    assert "warning" == check["state"]
    assert why in check["text"]
    assert do[case] in check["hint"]
