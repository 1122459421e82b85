"""Commands about policies: what they refuse, ask, change and say."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import tokenkeep
from tokenkeep import Policies, Policy, Token, policy_readers
from tokenkeep.backends import private_file
from tokenkeep.testing import FakeClock

HOUR, DAY = 3600.0, 86_400.0
HEAD = "tokenkeep = 1\n"
SESSIONS = '\n[[policy]]\nname = "sessions"\nuser = "*@us.*"\nmax_session = "12h"\n'
IDLE = '\n[[policy]]\nname = "idle"\nidle = "30d"\naction = "delete"\n'
BOTH = HEAD + SESSIONS + IDLE


@pytest.fixture
def file(tmp_path):
    """Write a policy file that only this user can read, and return its path."""

    def _file(text, mode=0o600):
        path = tmp_path / "policies.toml"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return _file


@pytest.fixture
def aged(save, store):
    """Save a token whose user logged in so many seconds ago, and has used it since."""

    def _aged(seconds, **given):
        token = save(**given)
        then = time.time() - seconds
        return store.swap(token.but(logged_in_at=then))

    return _aged


def test_from_a_file_and_back(run, run_json, save, store, file):
    """What is set is said, holds, and can be shown and set again; set again it changes nothing."""
    save()
    path = file(BOTH)

    first, again = run("policy", "set", path), run("policy", "set", path)

    lines = [line.split("\t") for line in first.stdout.splitlines()]
    assert lines[:2] == [
        ["new", "sessions", "user *@us.*, max_session 12h"],
        ["new", "idle", "idle 30d, action delete"],
    ]
    version = store.ruled.policies.version
    assert lines[2][0].startswith(
        f"Set 2 policies, version {version}. Every process holds to them"
    )
    assert again.stdout == f"These are the policies it has, version {version}\n"
    assert store.ruled.serial == 1
    shown = run("policy", "show").stdout
    assert shown.startswith(f"# Version {version}, set 2")
    assert "; the next sweep looks at each token\n" in shown
    assert run("policy", "check", "-", stdin=shown).stdout.endswith("nothing would change\n")
    told = run_json("policy", "show")
    assert Policies.of_facts(told["policies"]) == store.policies == Policies.from_toml(BOTH, "f")
    assert (told["version"], told["applied"]) == (version, False)


def test_loosened_is_asked(run, save, store, file, at_terminal):
    """A policy that is gone or looser is asked about: a file cut off loosens nothing unseen."""
    save()
    run("policy", "set", file(BOTH))
    before = store.ruled.policies
    cut = HEAD + SESSIONS

    alone = run("policy", "set", file(cut))
    assert alone.exit_code == 2
    assert "Nothing was done: there is no terminal to ask at. Use --yes" in alone.stderr
    status, shown = at_terminal(["policy", "set", file(cut)], {"[y/N]": "n"})
    assert status == 1
    assert "gone" in shown
    assert "Less than now would end: 'idle' is gone. Set them?" in shown
    for text in (
        ("12h", "24h"),
        ('"30d"', '"31d"'),
        ('"delete"', '"revoke"'),
        ("*@us.*", "ana@us.*"),
    ):
        looser = run("policy", "set", "-", stdin=BOTH.replace(*text))
        assert looser.exit_code == 2, text
        assert "looser\t" in looser.stdout
    assert store.ruled.policies == before

    stricter = BOTH.replace("12h", "8h").replace("*@us.*", "*").replace("revoke", "delete")
    assert run("policy", "set", "-", stdin=stricter).exit_code == 0
    status, shown = at_terminal(["policy", "set", file(cut)], {"[y/N]": "y"})
    assert status == 0
    assert [rule.name for rule in store.ruled.policies.rules] == ["sessions"]


@pytest.mark.parametrize("word", ["check", "set"])
def test_what_is_refused(*, run, save, store, file, word, tmp_path):
    """A file that is cut, mistyped, too new or others' is refused by name; nothing is changed."""
    save()
    run("policy", "set", file(BOTH))
    before = store.ruled.serial
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    cases = {
        file(BOTH[:-10]): "is not TOML",
        "none.toml": "There is no policy file none.toml",
        str(folder): "it is a folder, or not a regular file",
        str(pipe): "it is a folder, or not a regular file",
    }
    for path, said in cases.items():
        refused = run("policy", word, path)
        assert refused.exit_code == 1
        assert said in refused.stderr
    for text, said in {
        BOTH.replace("idle =", "idel ="): "there is an unknown setting 'idel'",
        BOTH.replace("12h", "1min"): "max_session is not possible: 1min",
        BOTH
        + SESSIONS.replace('"sessions"', '"b"').replace("12", "8"): "'sessions' and 'b' fight",
        BOTH.replace("= 1", "= 2"): "is written for a newer tokenkeep",
        "#" * (private_file.LONGEST + 1): "longer than 1,000,000 bytes",
    }.items():
        for where, stdin in ((file(text), None), ("-", text)):
            refused = run("policy", word, where, "--json", stdin=stdin)
            assert refused.exit_code == 1
            assert said in json.loads(refused.stderr)["error"]["message"]
    refused = run("policy", word, file(BOTH, 0o644))
    assert "others can read or change it (mode 644). chmod 600 " in refused.stderr
    assert "secret into" not in refused.stderr
    assert "others can write" in run("policy", word, file(BOTH, 0o622)).stderr
    assert "is not text" in run("policy", word, "-", stdin=b"\xff").stderr
    assert store.ruled.serial == before


@pytest.mark.parametrize(
    ("which", "known"), [('provider = "zohoo"', "zoho"), ('environment = "sandbx"', "sandbox")]
)
@pytest.mark.parametrize("word", ["check", "set"])
def test_for_nobody(*, run, save, store, file, word, which, known):
    """A policy for a provider or an environment that nobody knows would protect nobody."""
    save()

    done = run("policy", word, file(f"{HEAD}{SESSIONS}{which}\n"))

    assert 2 == done.exit_code
    assert "Policy 'sessions'" in done.stderr
    assert known in done.stderr.partition(which.split('"')[1])[2]
    assert not store.policies


def test_check(*, run, run_json, save, store, file, environment, tmp_path):
    """A check says what would change, and changes nothing; it works without a store."""
    save()
    store.set_policies(Policies([Policy(name="idle", idle=DAY), Policy(name="x", keep_dead=DAY)]))

    told = run("policy", "check", file(BOTH))

    assert told.stdout.splitlines() == [
        "new\tsessions\tuser *@us.*, max_session 12h",
        "looser\tidle\tidle 30d, action delete (was: idle 1d)",
        "gone\tx\tkeep_dead 1d",
        f"Version {Policies.from_toml(BOTH, 'f').version}, in order: 1 new, 1 looser, 1 gone",
    ]
    changes = run_json("policy", "check", file(BOTH))["changes"]
    assert [each["loosens"] for each in changes] == [False, True, True]
    assert store.ruled.serial == 1
    environment.setenv("TOKENKEEP_STORE", f"sqlite:///{tmp_path}/none.db")
    assert "in order; there is no store yet" in run("policy", "check", file(BOTH)).stdout
    assert run("policy", "set", file(BOTH)).exit_code == 3
    assert not (tmp_path / "none.db").exists()


def test_foreseen(run, aged, store, file, configured):
    """What would end is listed for whom, why and since when, before anything changes."""
    over = aged(13 * HOUR)
    aged(11 * HOUR, user=configured.users[1].name)
    path = file(HEAD + SESSIONS)

    before = run("policy", "set", path, "--dry-run")
    assert store.ruled.serial == 0
    run("policy", "set", path)
    after = run("sweep", "--dry-run")

    for told in (before, after):
        (line,) = told.stdout.splitlines()
        token_id, what, since, why, user = line.split("\t")
        assert (token_id, user) == (over.id, over.user)
        assert (what, why) == ("revoke", "policy sessions")
        assert since.endswith("Z")
        assert told.stderr == "1 revoke. Dry run, nothing was changed.\n"
    documents = [
        json.loads(each) for each in run("sweep", "--dry-run", "--json").stdout.split("\n")[:-1]
    ]
    assert documents[0]["since"] == pytest.approx(time.time() - HOUR, abs=60)
    assert documents[1] == {"dry_run": True, "tokens": {"revoke": 1}}
    swept = run("sweep", "--json")
    assert json.loads(swept.stdout)["ended"] == 1
    assert run("sweep", "--dry-run").stderr == "nothing. Dry run, nothing was changed.\n"
    refused = run("token", over.id)
    assert refused.exit_code == 4
    assert "Policy 'sessions' has ended this session, at 2" in refused.stderr
    assert "revoked" in run("show", over.id).stdout


def test_clear(run, save, store, file, at_terminal):
    """All are let go after asking; what they ended stays so."""
    save()
    run("policy", "set", file(BOTH))
    assert run("policy", "clear").exit_code == 2
    assert at_terminal(["policy", "clear"], {"[y/N]": "n"})[0] == 1
    assert store.ruled.policies

    told = run("policy", "clear", "--yes")

    assert told.stdout == "Let go of 2 policies; what they ended stays so\n"
    assert not store.ruled.policies
    assert run("policy", "clear").stdout == "There was no policy\n"
    assert run("policy", "show").stdout.startswith("# Version none, set 2")


def test_doctor(run, save, store, file):
    """The doctor says how many policies hold, whether they are applied, and who is behind."""
    save()

    def told():
        lines = [line.split("\t") for line in run("doctor").stdout.splitlines()]
        return [line[:1] + line[2:] for line in lines if line[1] == "policies"]

    assert told() == []
    run("policy", "set", file(BOTH))
    version = store.ruled.policies.version
    ((state, text, hint),) = told()
    assert state == "ok"
    assert text.startswith(f"2 policies, version {version}, set 2")
    assert text.endswith("; the next sweep looks at each token once")
    assert hint == "tokenkeep sweep"

    policy_readers.tell(store, "0ld", time.time())
    assert [line[0] for line in told()] == ["ok", "ok"]  # it may still be at it
    with tokenkeep.open_store(clock=FakeClock(time.time() - HOUR)) as earlier:
        earlier.set_policies(Policies())
    late = told()[1]
    assert late[0] == "warning"
    assert "has version 0ld, as it said 2" in late[1]


def test_sweeps_at_once(run, start, store, configured, file):
    """Processes that sweep at once end each token once between them."""
    run("policy", "set", file(HEAD + SESSIONS.replace('user = "*@us.*"\n', "")))
    issuer, long_ago = configured.us.token_url, time.time() - DAY
    for n in range(60):
        row = store.save_token(
            Token(user=f"u{n}@x:1", client_id="c", refresh_token=f"r{n}", issuer=issuer,
                  api_domain=configured.us.api_url)
        )  # fmt: skip
        store.swap(row.but(logged_in_at=long_ago))

    processes = [start("sweep", "--json") for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        said = [json.loads(out) for out, _ in pool.map(lambda each: each.communicate(), processes)]

    assert sum(each["ended"] for each in said) == 60
    whats = {tuple(each.what for each in row.history) for row in store.get_tokens()}
    assert whats == {("login", "revoked")}
