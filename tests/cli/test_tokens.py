"""Commands about stored tokens."""

from __future__ import annotations

import json

import person
import pytest

from tokenkeep import Token


def test_list_has_a_line_each(run, save, configured):
    """In a pipe a token is a line of eight fields, with --json a document; names can't act."""
    tokens = [
        save(),
        save(configured.users[1].name, refresh_token=None, access_token="x"),
        save("evil\x1b[2J\t\n\u009b1m:1", refresh_token="r"),
    ]

    out = run("list").stdout
    lines = [line.split("\t") for line in out.splitlines()]
    documents = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]

    users = {user.name for user in configured.users[:2]}
    assert {*users, r"evil\x1b[2J\t\n\x9b1m:1"} == {line[1] for line in lines}
    assert {8} == {len(line) for line in lines}
    assert {("zoho", "us", "production", "ok")} == {tuple(line[2:6]) for line in lines}
    assert {token.id for token in tokens} == {each["id"] for each in documents}
    assert not {"\x1b", "\u009b"} & set(out)


@pytest.mark.parametrize("asked", ["{id}", "{prefix}", "--user={user}"])
def test_show_names_every_fact_but_no_secret(run_json, save, asked):
    """All that is stored is shown, but for the secrets."""
    token = save(access_token="secret-access")

    found = run_json("show", asked.format(id=token.id, prefix=token.id[:8], user=token.user))

    assert (token.id, token.user) == (found["id"], found["user"])
    assert found["has_refresh_token"]
    assert found["has_client_secret"]
    assert found["renewals_in_window"] <= 1
    assert 10 == found["renewals_allowed"]
    for secret in (token.refresh_token, token.client_secret, token.access_token):
        assert secret not in json.dumps(found)


def test_renew_and_show_in_words(run, save, configured):
    """A good token is renewed all the same; facts are lines of a name and a value, in words."""
    token = save()
    first = run("token", token.id).stdout

    renewed = run("renew", token.id)
    shown = run("show", token.id).stdout

    assert f"Renewed {token.user} ({token.id}): 59 min left\n" == renewed.stdout
    assert first != run("token", token.id).stdout
    assert 2 == configured.counters.token_calls()
    assert "" == run("renew", token.id, "--quiet").output
    lines = dict(line.split("\t") for line in shown.splitlines())
    assert ("59 min", "yes") == (lines["expires_in"], lines["has_access_token"])
    assert lines["renewed_by"]
    assert lines["expires_at"].endswith("Z")
    assert lines["history"].startswith("renewed twice since 20")
    assert lines["renewals_in_window"] == "2"
    assert "\x1b" not in shown
    other = save(configured.users[1].name)
    configured.faults.add(endpoint="token", kind="status", status=500, times=2)
    failed = run("token", other.id)
    assert (5, 1) == (failed.exit_code, failed.stderr.count("\n"))
    assert "kind transient, error" in run("show", other.id).stdout


def test_token_prints_what_the_provider_takes(run, run_json, save, configured, store):
    """One line and nothing else: the access token, or its header, or more in JSON."""
    token = save()

    result = run("token", "--user", token.user)
    header = run("token", token.id, "--header").stdout
    found = run_json("token", token.id)

    access = result.stdout.removesuffix("\n")
    assert (0, result.output) == (result.exit_code, f"{access}\n")
    assert configured.is_active(access)
    assert f"Authorization: Zoho-oauthtoken {access}\n" == header
    me = f"{configured.us.api_url}/crm/v8/users?type=CurrentUser"
    assert 200 == person.visit(me, headers=dict([header.rstrip("\n").split(": ")]))[0]
    assert (access, configured.us.api_url) == (found["access_token"], found["api_domain"])
    assert f"Zoho-oauthtoken {access}" == found["authorization"]
    assert 3500 < found["expires_in"] <= 3600
    # Of another provider (RFC 6750 section 2.1).
    saved = store.save_token(Token(provider="oauth2", user="a", access_token="x"))
    assert "Authorization: Bearer x\n" == run("token", saved.id, "--header").stdout


@pytest.mark.parametrize(
    ("command", "said", "status"), [("revoke", "Revoked", 4), ("logout", "Logged out", 3)]
)
def test_ended_here_and_at_the_provider(*, run, run_json, save, configured, command, said, status):
    """From now on it is not handed out; what was not confirmed is told, and left to a sweep."""
    eu = {"issuer": configured.eu.token_url, "api_domain": configured.eu.api_url}
    token, other = save(), save(configured.users[1].name, **eu)
    unconfirmed = "not confirmed it yet, run: tokenkeep sweep"

    done = run(command, "--user", token.user)
    configured.stop()
    later = run(command, other.id)
    if command == "revoke":
        assert run_json("show", other.id)["revocation_pending"]
        assert unconfirmed in run("delete", other.id, "--yes").stdout
    configured.start()

    assert f"{said} {token.user} ({token.id}); the provider has confirmed it\n" == done.stdout
    assert (0, 1) == (later.exit_code, later.stdout.count(unconfirmed))
    assert [1, 0] == [run_json("sweep")["revoked"] for _ in range(2)]
    for each in (token, other):
        assert not configured.is_active(each.refresh_token)
    after = run("token", token.id)
    assert (status, "") == (after.exit_code, after.stdout)


def test_delete_asks(run, run_json, save, at_terminal):
    """No deletes nothing, nor does nobody to ask; --yes does not ask."""
    token = save()

    refused, asked = at_terminal(["delete", token.id], {"[y/N]: ": "n"})
    nobody = run("delete", token.id)
    still = run_json("show", token.id)
    done = run("delete", token.id, "--yes")

    assert (1, True) == (refused, f"Delete {token.user} ({token.id})?" in asked)
    assert (2, True) == (nobody.exit_code, "--yes" in nobody.stderr)
    assert token.id == still["id"]
    said = f"Deleted {token.user} ({token.id}); it was not revoked and goes on working"
    assert f"{said} at the provider\n" == done.stdout
    assert 3 == run("show", token.id).exit_code


def test_the_beginning_of_an_id(run, store):
    """Several tokens: say more."""
    stored = store.save_token(Token(user="u", access_token="x"))
    for n in "12":
        token_id = f"tk_{'ab' * 4}{n}{'0' * 23}"
        store.adopt(stored.but(id=token_id, user=n, access_token=n))

    for prefix in ("tk_abababab", "tk_abab"):
        result = run("show", prefix)

        assert 2 == result.exit_code
        assert f"Several tokens have an id that begins with {prefix}" in result.stderr
    assert 0 == run("show", "tk_abababab1").exit_code
    assert 3 == run("show", "abababab1").exit_code  # it may be somebody's own id
    assert 3 == run("show", "tk_").exit_code


@pytest.mark.parametrize("which", ["{id}", "{prefix}", "--user={user}"])
def test_what_was_asked_for_or_nothing(run, save, configured, which):
    """Nothing stands for another environment or client; it is said what was in the way."""
    token = save()
    which = which.format(id=token.id, prefix=token.id[:9], user=token.user)

    for other in ("--environment sandbox", "--client-id other", "--data-center eu"):
        for command in ("delete --yes", "token"):
            done = run(*command.split(), which, *other.split())
            assert (3, "") == (done.exit_code, done.stdout)
            assert f"with {other} (" in done.stderr
    assert run("show", which, "--client-id", token.client_id).exit_code == 0
    save(client_id=configured.register_client("Other").client_id, refresh_token="another")
    if "@" in which:
        ambiguous = run("token", which)
        assert (2, True) == (ambiguous.exit_code, "Add --client-id" in ambiguous.stderr)
        unnamed = run("token", token.user)
        assert (3, True) == (unnamed.exit_code, f"--user {token.user}" in unnamed.stderr)


def test_an_answer_that_can_t_be_read(acme, endpoint, run):
    """It is said what to do, by the command and by the doctor, and nothing of what is in it."""
    server = endpoint()
    token_id = acme(issuer=server.url, refresh_token="the old one", expires_at=1.0).id
    server.answers.append((200, {"data": {"access_token": "new-a", "refresh_token": "new-r"}}))

    failed = run("token", token_id)
    doctor = run("doctor").stdout
    swept = run("sweep")

    assert (5, 1) == (failed.exit_code, failed.stderr.count("tokenkeep: "))
    assert f"tokenkeep renew {token_id}" in failed.output
    assert "read_answer" in failed.output
    assert "warning\tjournal\t1 answer of the provider not saved yet\t" in doctor
    assert "unread: 1" in swept.stdout
    assert "new-" not in failed.output + doctor
    assert server.sent == ["the old one"]
