"""Commands about stored tokens."""

from __future__ import annotations

import json
import math
import sqlite3

import pytest

import tokenkeep


def test_an_empty_store_lists_nothing(run):
    """Nothing stored is no error."""
    result = run("list")

    assert (0, "") == (result.exit_code, result.output)


def test_list_has_a_line_each(run, save, configured):
    """In a pipe a token is a line of seven fields."""
    save()
    save(configured.users[1].name, refresh_token=None, access_token="x", expires_at=None)

    lines = [line.split("\t") for line in run("list").stdout.splitlines()]

    assert {user.name for user in configured.users} == {line[1] for line in lines}
    assert {7} == {len(line) for line in lines}
    assert {("zoho", "us", "production", "ok")} == {tuple(line[2:6]) for line in lines}


def test_list_as_json(run, save):
    """With --json each line is a document."""
    token = save()

    (line,) = run("list", "--json").stdout.splitlines()

    assert token.id == json.loads(line)["id"]


def test_a_name_cannot_act_on_the_terminal(run, save):
    """Control characters, tabs and line breaks in names are shown, not sent."""
    save("evil\x1b[2J\t\n\u009b1m:1", refresh_token="r")

    out = run("list").stdout

    assert 1 == out.count("\n")
    assert 6 == out.count("\t")
    assert "\x1b" not in out
    assert "\u009b" not in out
    assert r"evil\x1b[2J\t\n\x9b1m:1" in out


@pytest.mark.parametrize("how", ["id", "option", "prefix", "user"])
def test_show_names_every_fact_but_no_secret(run_json, save, how):
    """All that is stored is shown, but for the secrets."""
    token = save(access_token="secret-access")
    asked = {
        "id": [token.id],
        "option": ["--id", token.id],
        "prefix": [token.id[:8]],
        "user": ["--user", token.user],
    }[how]

    found = run_json("show", *asked)

    assert token.id == found["id"]
    assert token.user == found["user"]
    assert found["has_refresh_token"]
    assert found["has_client_secret"]
    assert found["renewals_in_window"] <= 1
    assert 10 == found["renewals_allowed"]
    for secret in (token.refresh_token, token.client_secret, token.access_token):
        assert secret not in json.dumps(found)


def test_show_in_words(run, save):
    """Without --json facts are lines of a name and a value."""
    token = save()
    run("renew", token.id)

    lines = dict(line.split("\t") for line in run("show", token.id).stdout.splitlines())

    assert "59 min" == lines["expires_in"]
    assert "1 of 10 in the last 600 s" == lines["renewals"]
    assert lines["renewed_by"]
    assert lines["expires_at"].endswith("Z")


def test_show_tells_the_last_failure(run, save, configured):
    """What went wrong last is shown, and until when the provider is left alone."""
    token = save()
    configured.faults.add(endpoint="token", kind="status", status=500)
    failed = run("token", token.id)

    shown = run("show", token.id).stdout

    assert 5 == failed.exit_code
    assert failed.stderr.count("\n") == 1
    assert "transient, 1 in a row" in shown


def test_token_prints_a_valid_access_token(run, save, configured):
    """One line, nothing else, and the provider takes it."""
    token = save()

    result = run("token", "--user", token.user)

    assert 0 == result.exit_code
    assert result.output == result.stdout
    assert 1 == result.stdout.count("\n")
    assert configured.is_active(result.stdout.strip())


def test_token_as_a_header(run, save):
    """--header prints the line that Zoho CRM takes."""
    token = save()
    access = run("token", token.id).stdout.strip()

    assert (
        f"Authorization: Zoho-oauthtoken {access}\n" == run("token", "--header", token.id).stdout
    )


def test_another_provider_takes_bearer(run, store):
    """A token of another provider goes behind Bearer (RFC 6750 section 2.1)."""
    saved = store.save_token(tokenkeep.Token(provider="oauth2", user="a", access_token="x"))

    assert "Authorization: Bearer x\n" == run("token", saved.id, "--header").stdout


def test_an_access_token_cannot_add_a_header(run, store):
    """A line break in an access token never reaches a header."""
    saved = store.save_token(tokenkeep.Token(user="a", access_token="x\nX-Evil: 1"))

    for more in ([], ["--header"], ["--json"]):
        result = run("token", saved.id, *more)
        assert 1 == result.exit_code
        assert "Evil" not in result.output


def test_token_as_json(run_json, save, configured):
    """--json says what the token is good for, too."""
    found = run_json("token", save().id)

    assert configured.us.api_url == found["api_domain"]
    assert f"Zoho-oauthtoken {found['access_token']}" == found["authorization"]
    assert 3500 < found["expires_in"] <= 3600


def test_sandbox_is_never_answered_with_production(run, save):
    """Asking for another environment finds nothing: status 3."""
    token = save()

    result = run("token", "--user", token.user, "--environment", "sandbox")

    assert 3 == result.exit_code
    assert "There is no such token" in result.stderr
    assert "" == result.stdout


def test_renew_makes_another(run, save, configured):
    """A token that is good is renewed all the same."""
    token = save()
    first = run("token", token.id).stdout

    result = run("renew", token.id)

    assert f"Renewed {token.user} ({token.id}): 59 min left\n" == result.stdout
    assert first != run("token", token.id).stdout
    assert 2 == configured.counters.token_calls()


def test_revoke_says_that_the_provider_confirmed(run, save, configured):
    """Revoked here and there; from now on status 4."""
    token = save()

    result = run("revoke", token.id)
    after = run("token", token.id)

    assert "the provider has confirmed it" in result.stdout
    assert not configured.is_active(token.refresh_token)
    assert 4 == after.exit_code
    assert "" == after.stdout


def test_revoke_without_the_provider_is_finished_by_sweep(run, run_json, save, configured):
    """The provider being down is told, shown, and made good by a sweep."""
    token = save()
    configured.stop()
    result = run("revoke", token.id)
    pending = run_json("show", token.id)["revocation_pending"]
    configured.start()

    swept = run_json("sweep")

    assert 0 == result.exit_code
    assert "not confirmed it yet, run: tokenkeep sweep" in result.stdout
    assert pending
    assert 1 == swept["revoked"]
    assert not configured.is_active(token.refresh_token)


def test_delete_asks(run, run_json, save):
    """No deletes nothing, --yes does not ask."""
    token = save()

    refused = run("delete", token.id, stdin="n\n")
    still = run_json("show", token.id)
    done = run("delete", token.id, "--yes")

    assert 1 == refused.exit_code
    assert token.id == still["id"]
    said = f"Deleted {token.user} ({token.id}); it was not revoked and goes on working"
    assert f"{said} at the provider\n" == done.stdout
    assert 3 == run("show", token.id).exit_code


def test_logout(run, run_json, save, store, configured):
    """It is gone here and at the provider; what that could not confirm is seen to by a sweep."""
    token, other = save(), save(configured.users[1].name)

    done = run("logout", "--user", token.user)
    configured.stop()
    later = run_json("logout", other.id)
    configured.start()
    swept = run_json("sweep")

    assert f"Logged out {token.user} ({token.id}); the provider has confirmed it\n" == done.stdout
    assert later["revocation_pending"]
    assert later["deleted"]["status"] == "revoked"
    assert swept["revoked"] == 1
    assert store.get_tokens() == []


def test_delete_what_the_provider_has_not_confirmed(run, run_json, save, configured):
    """The command says that something is left to be revoked, and the sweep does it."""
    token = save()
    configured.stop()
    run("revoke", token.id)

    done = run("delete", token.id, "--yes")

    configured.start()
    assert "not confirmed to be revoked is tried by: tokenkeep sweep" in done.stdout
    assert run_json("sweep")["revoked"] == 1
    assert run_json("sweep")["revoked"] == 0


def test_quiet_says_nothing(run, save):
    """--quiet leaves out what was not asked for."""
    assert "" == run("renew", save().id, "--quiet").output


def test_an_ambiguous_prefix_is_refused(run, store):
    """Several ids that begin so: say more."""
    stored = store.save_token(tokenkeep.Token(user="u", access_token="x"))
    for n in "12":
        token_id = f"tk_{'ab' * 4}{n}{'0' * 23}"
        store.adopt(stored.but(id=token_id, user=n, access_token=n))

    for prefix in ("tk_abababab", "tk_abab"):
        result = run("show", prefix)

        assert 2 == result.exit_code
        assert f"Several tokens have an id that begins with {prefix}" in result.stderr
    assert 0 == run("show", "tk_abababab1").exit_code
    assert 3 == run("show", "abababab1").exit_code  # it may be somebody's own id


def test_two_clients_of_one_user_have_to_be_told_apart(run, save, configured):
    """An ambiguous user is wrong usage, and the error says what to add."""
    save()
    other = configured.register_client("Other")
    save(client_id=other.client_id, refresh_token="another")

    result = run("token", "--user", configured.user.name)

    assert 2 == result.exit_code
    assert "Add --client-id" in result.stderr


@pytest.mark.parametrize("expires_at", [math.nan, math.inf, -math.inf, 1e20, -1e20])
def test_an_end_that_is_no_time(run, run_json, save, store, expires_at):
    """One odd row, stored by whoever, keeps nobody from listing and showing tokens."""
    token = save(access_token="a")
    store.swap(token.but(expires_at=expires_at, refresh_token=None))

    listed = run("list")

    assert (listed.exit_code, listed.stdout.count("\n")) == (0, 1)
    assert json.loads(run("list", "--json").stdout)["expires_in"] is None
    assert run("show", token.id).exit_code == 0
    assert run_json("show", token.id)["expires_at"] is None


def test_a_script_gets_no_end_that_is_no_time(run_json, save, store):
    """What is printed as JSON is JSON: Infinity is not."""
    token = save(access_token="a")
    store.swap(token.but(expires_at=math.inf))

    found = run_json("token", token.id)

    assert (found["expires_at"], found["expires_in"]) == (None, None)


def test_too_little_of_an_id(run, save):
    """An id that is too short to tell tokens apart is answered with how much of it is needed."""
    result = run("show", save().id[:3])

    assert result.exit_code == 3
    assert "7 characters" in result.stderr


def test_delete_without_a_terminal(run, run_json, save):
    """Where nobody can be asked, the option that goes without is named."""
    token = save()

    result = run("delete", token.id)

    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert run_json("show", token.id)["id"] == token.id


def test_an_id_and_what_it_is_not(run, save):
    """With an id, too, a command takes what was asked for, or nothing."""
    token = save()

    for other in (("--environment", "sandbox"), ("--client-id", "other"), ("--data-center", "eu")):
        assert run("delete", token.id, *other, "--yes").exit_code == 3
    nowhere = run("token", token.id, "--data-center", "mars")

    assert "There is no data centre 'mars'" in nowhere.stderr
    assert run("show", token.id, "--client-id", token.client_id).exit_code == 0


def test_delete_what_does_not_open(run, save, store, tmp_path):
    """What was changed outside can be deleted by its id, as the error says."""
    token = save()
    with sqlite3.connect(tmp_path / "tokens.db") as db:
        db.execute("UPDATE token SET sealed = zeroblob(100) WHERE kind = 'row'")
    db.close()

    assert "delete it and log in again" in run("show", token.id).stderr
    assert run("delete", token.id, "--yes").exit_code == 0
    assert run("show", token.id).exit_code == 3
    assert store.get_tokens() == []
