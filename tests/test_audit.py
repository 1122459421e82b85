"""The audit: each deed is a line that nobody can write, change, leave out or cut off unseen."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import resource
import shutil
import signal
import socket
import stat
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from emulated import consent
from faulty_backend import Faulty, vault_over
from mounts import can_mount, mount_tiny
from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.crm.api.user_signature import UserSignature

import tokenkeep
from tokenkeep import ConfigurationError, Keeper, KeyRing, StoreUnavailable, Token, Vault, holder
from tokenkeep.audit import FileAudit, noted
from tokenkeep.audit_check import Check, with_rotated
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.clock import Clock
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.login import WebLogin
from tokenkeep.moving import Merge, StoreSource, export_csv, open_source
from tokenkeep.policy import Policies, Policy
from tokenkeep.sealing import DataKeys
from tokenkeep.testing import FakeClock, emulator_configuration

KEYS = [bytes(32)]
SECRET = "an-unmistakable-secret"
OF_A_STORE = DataKeys("5" * 32, {1: bytes(32)}, bytes(32))


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """Nobody has said who acts."""
    for name in ("SUDO_USER", "TOKENKEEP_ACTOR", "TOKENKEEP_AUDIT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def open_vault(tmp_path, path):
    """Open the one store as another process would, with its audit."""
    opened = []

    def _open(name="tokens", kind=Vault, audit=path, **given):
        backend = SQLiteBackend(tmp_path / f"{name}.db")
        opened.append(kind(backend, KeyRing(KEYS), audit=audit, **given))
        return opened[-1]

    yield _open
    for vault in opened:
        vault.close()


@pytest.fixture
def vault(open_vault):
    return open_vault()


@pytest.fixture
def audited(vault):
    """Look through files: what is found, as ``line: text`` or text."""

    def _audited(*files, store=vault):
        found = store.audited().findings(files)
        return [f"{each.line}: {each.what}" if each.line else each.what for each in found]

    return _audited


def token(user="ana", **given):
    known = {"provider": "oauth2", "client_id": "c", "access_token": f"{user} {SECRET}"}
    return Token(user=user, **{**known, **given})


def told(*paths):
    """Return what the lines of files say, in their order."""
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def whats(*paths):
    return [line["what"] for line in told(*paths)]


def write(vault, *words):
    for each in words:
        vault.audit.note(each)


def change(path, work):
    """Let *work* change the list of a file's lines."""
    lines = path.read_text().splitlines(keepends=True)
    work(lines)
    path.write_text("".join(lines))


# What is told


def saved(keeper):
    return keeper.save(token())


def ended(keeper):
    keeper.end(saved(keeper).id)


def logged_in_again(keeper):
    first = saved(keeper)
    keeper.save(first.but(scope="more"))
    keeper.save(token(refresh_token="r2"))


def revoked_by_save(keeper):
    keeper.store.save_token(saved(keeper).but(status=tokenkeep.Status.REVOKED))


def by_policy(keeper):
    keeper.store.set_policies(Policies([Policy(name="one", at_most_per_user=1)]))
    keeper.save(token(environment="production"))
    keeper.save(token(environment="sandbox", access_token="a2"))


def damaged(keeper):
    row = saved(keeper)
    record = keeper.store.backend.read(row.id.removeprefix("tk_"))
    keeper.store.backend.write(replace(record, sealed=b"0" * 80), replaces=record.version)
    keeper.delete(row.id)


def swept(keeper):
    """What a sweep finishes for somebody's deed is no deed of its own."""
    keeper.delete(keeper.revoke(keeper.save(token(refresh_token="r")).id).id)
    keeper.sweep()


DEEDS = {
    "save": (saved, "login"),
    "update": (logged_in_again, "login login"),
    "revoke": (lambda keeper: keeper.revoke(saved(keeper).id), "login revoked"),
    "twice": (lambda k: [k.revoke(row.id) for row in [saved(k)] * 2], "login revoked"),
    "revoke all": (lambda k: [saved(k), list(k.revoke_all(user="ana"))], "login revoked"),
    "revoke by save": (revoked_by_save, "login revoked"),
    "delete": (lambda keeper: keeper.delete(saved(keeper).id), "login deleted"),
    "nothing to delete": (lambda keeper: keeper.delete("nothing"), ""),
    "what does not open": (damaged, "login deleted"),
    "logout": (ended, "login revoked deleted"),
    "a sweep": (swept, "login revoked deleted"),
    "all": (lambda k: [saved(k), k.store.delete_tokens()], "login deleted_all"),
    "all, some to revoke": (
        lambda k: [k.revoke(saved(k).id), k.store.delete_tokens()],
        "login revoked deleted_all",
    ),
    "the ring": (lambda keeper: keeper.store.rotate(), ""),
    "data keys": (lambda keeper: list(keeper.store.rotate_data()), "data_key_rotated"),
    "the rest": (lambda keeper: list(keeper.store.rotate_data(anew=False)), ""),
    "policies": (by_policy, "policy_set login login revoked"),
    "a renewal": (lambda k: k.store.swap(saved(k).but(access_token="a2")), "login"),
    "looking": (lambda k: [k.store.find_token(Token(user="ana")), k.store.get_tokens()], ""),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_deeds(vault, path, audited, deed):
    """Each deed of a person or program is a line, and what is none is not; no secret is in it."""
    if deed == "what does not open":
        vault = vault_over(Faulty(), KeyRing(KEYS), audit=path)
    do, expected = DEEDS[deed]
    vault.save_token(token("bo"))
    path.unlink()

    do(Keeper(vault))

    text = path.read_text() if path.exists() else ""
    assert expected.split() == [json.loads(line)["what"] for line in text.splitlines()]
    assert SECRET not in text
    if text and deed != "what does not open":
        assert [] == audited(path)


def test_a_line(vault, path, monkeypatch):
    """It says what, when, who, to which token and more, and has numbers and seals of a chain."""
    clock, os_user = FakeClock(1_800_000_000.0), os.geteuid()
    monkeypatch.setattr(socket, "gethostname", lambda: "web-3")
    audit = FileAudit(path, lambda: OF_A_STORE, vault, clock)
    audit.note("revoked", token(id="i"), policy="p", nothing=None)
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    audit.note("key_rotated")

    first, second = told(path)

    account = __import__("pwd").getpwuid(os_user).pw_name
    assert ("revoked", "i", "ana", {"policy": "p"}) == tuple(
        first[name] for name in ("what", "token", "user", "details")
    )
    assert (1_800_000_000.0, 1, f"web-3:{path}") == tuple(first[n] for n in ("at", "seq", "chain"))
    assert {"process": holder.name(holder.me()), "account": account} == first["by"]
    assert "54321" == second["by"]["account"]
    assert (2, first["mac"]) == (second["seq"], second["prev"])
    assert "5" * 12 == first["store"]


def test_who_acts(vault, path, monkeypatch):
    """A program says it for what it does inside; else the variable does, else sudo."""
    write(vault, "nobody")
    monkeypatch.setenv("SUDO_USER", "dan")
    write(vault, "sudo")
    monkeypatch.setenv("TOKENKEEP_ACTOR", "' job 7 '")
    write(vault, "variable")
    with tokenkeep.acting("carol@example.com"):
        other = threading.Thread(target=write, args=(vault, "other thread"))
        other.start()
        other.join()
        write(vault, "program")
    write(vault, "variable")

    assert [None, "dan", "job 7", "job 7", "carol@example.com", "job 7"] == [
        line["by"].get("actor") for line in told(path)
    ]


def test_integrations(zoho, tmp_path, path, monkeypatch):
    """The SDK's and a web application's logins and deletions are told as all others."""
    config = tmp_path / "config.toml"
    config.write_text(emulator_configuration(zoho))
    monkeypatch.setenv("TOKENKEEP_CONFIG", str(config))
    monkeypatch.setenv("TOKENKEEP_KEYS", tokenkeep.generate_key())
    monkeypatch.setenv("TOKENKEEP_AUDIT", str(path))
    client = zoho.client
    given = {"client_id": client.client_id, "client_secret": client.client_secret}
    sdk = SDKStore(f"sqlite:///{tmp_path}/sdk.db")
    logins = WebLogin(sdk.keeper, **given, redirect_uri=client.redirect_uris[0])
    web = logins.finish(consent(logins.begin("browser")), "browser")
    secrets = [web.access_token, web.refresh_token, client.client_secret]
    sdk.delete_token(web.id)
    mine = OAuthToken(**given, refresh_token=zoho.refresh_token())
    mine.set_user_signature(UserSignature(zoho.user.name))
    sdk.save_token(mine)
    sdk.find_token(mine)
    sdk.delete_tokens()

    assert ["login", "deleted", "login", "deleted"] == whats(path)
    assert {web.user, zoho.user.name} == {line["user"] for line in told(path)}
    assert not [each for each in secrets if each in path.read_text()]
    assert [] == [*sdk.keeper.store.audited().findings([path])]
    sdk.keeper.close()


def test_moving(vault, open_vault, tmp_path, audited):
    """A copy tells which tokens it brought and what it did in all; an export what it wrote."""
    target_path, target = tmp_path / "target.jsonl", None
    target = open_vault("target", audit=target_path)
    rows = [vault.save_token(token(f"u{n}", provider="zoho")) for n in range(3)]
    list(Merge(StoreSource(vault), target).steps(dry_run=True))
    assert not target_path.exists()

    list(Merge(StoreSource(vault), target).steps())
    vault.swap(rows[0].but(status=tokenkeep.Status.REVOKED, updated_at=rows[0].updated_at + 9))
    list(Merge(StoreSource(vault), target).steps())
    export_csv(target, tmp_path / "out.csv")
    list(Merge(open_source(tmp_path / "out.csv"), target).steps())

    lines = told(target_path)
    assert ["adopted", "merged", "updated", "merged", "exported", "merged"] == whats(target_path)
    assert {row.id for row in rows} == {*lines[0]["details"]["tokens"]}
    assert {"source": vault.describe(), "rows": {"new": 3}} == lines[1]["details"]
    assert ("u0", {"status": "revoked"}) == (lines[2]["user"], lines[2]["details"])
    exported = {"file": str(tmp_path / "out.csv"), "tokens": {"exported": 2, "left out": 1}}
    assert exported == lines[4]["details"]
    assert f"the file {tmp_path}/out.csv" == lines[5]["details"]["source"]
    assert [] == audited(target_path, store=target)
    assert SECRET not in target_path.read_text()


def test_the_ring_is_rotated(tmp_path, path):
    """The line names the key by its id; the chain goes on, and opens as before."""
    backend = SQLiteBackend(tmp_path / "t.db")
    with Vault(backend, KeyRing(KEYS), audit=path) as vault:
        write(vault, "before")
    ring = KeyRing([b"n" * 32, *KEYS])
    with Vault(backend, ring, audit=path) as vault:
        assert vault.rotate()
        assert not vault.rotate()
        list(vault.rotate_data())
        write(vault, "after")

        assert ["before", "key_rotated", "data_key_rotated", "after"] == whats(path)
        assert {"key": ring.key_ids[0]} == told(path)[1]["details"]
        assert [] == [*vault.audited().findings([path])]


def test_nothing_is_configured(open_vault, tmp_path):
    """Then nothing is written, neither a file nor a note."""
    vault = open_vault(audit=None)
    vault.save_token(token())

    assert None is vault.audit.describe()
    assert 0 == vault.audit.examine()
    assert ["header", "row"] == [record.kind for record in vault.backend.scan(None, 9)]
    assert not [each for each in tmp_path.iterdir() if "audit" in each.name]


def test_what_it_costs(path):
    """Where nobody else writes in between, one line and one write to the store."""
    vault = vault_over(Faulty(), audit=path)
    write(vault, "one")
    vault.backend.trips.clear()
    write(vault, "two", "three")

    assert ["write", "write"] == vault.backend.trips


# What is found


def _swap(lines):
    lines[1], lines[2] = lines[2], lines[1]


def _edit(lines):
    lines[1] = lines[1].replace('"two"', '"too"')


def _renumber(lines):
    lines[1] = lines[1].replace('"seq":2', '"seq":9')


TAMPERED = {
    "changed": (_edit, ["2: it is not as this store wrote it: changed, or put in"]),
    "renumbered": (_renumber, ["2: it is not as this store wrote it: changed, or put in"]),
    "two changed": (
        lambda lines: [_edit(lines), lines.__setitem__(2, "{}\n")],
        ["2: it is not as this store wrote it: changed, or put in, and so are the 1 below"],
    ),
    "left out": (lambda lines: lines.pop(1), ["2: missing before it: line 2 of the chain"]),
    "several left out": (
        lambda lines: lines.__delitem__(slice(1, 3)),
        ["2: missing before it: lines 2 to 3 of the chain"],
    ),
    "changed and left out": (
        lambda lines: [_edit(lines), lines.pop(2)],
        [
            "2: it is not as this store wrote it: changed, or put in",
            "3: missing before it: some of lines 2 to 3 of the chain",
        ],
    ),
    "cut off": (
        lambda lines: lines.pop(),
        ["missing at the end: line 5 of the chain; cut off, or in newer files"],
    ),
    "the last one changed": (
        lambda lines: lines.__setitem__(4, lines[4].replace("five", "vive")),
        [
            "5: it is not as this store wrote it: changed, or put in",
            "missing at the end: line 5 of the chain; cut off, or in newer files",
        ],
    ),
    "all cut off": (
        lambda lines: lines.clear(),
        ["missing at the end: lines 1 to 5 of the chain; cut off, or in newer files"],
    ),
    "put in": (
        lambda lines: lines.insert(2, lines[1].replace('"seq":2', '"seq":3')),
        ["3: it is not as this store wrote it: changed, or put in"],
    ),
    "nonsense put in": (
        lambda lines: lines.insert(2, "\x00\xff[" + "[" * 100_000 + "\n"),
        ["3: it is not as this store wrote it: changed, or put in"],
    ),
    "put in again": (
        lambda lines: lines.insert(3, lines[1]),
        ["4: line 2 of the chain again: it was put in"],
    ),
    "exchanged": (_swap, ["2: missing before it: line 2 of the chain"]),
    "another store's": (
        lambda lines: lines.__setitem__(1, lines[1].replace('"store":"', '"store":"0')),
        ["3: missing before it: line 2 of the chain"],
    ),
    "the beginning": (lambda lines: lines.__delitem__(slice(0, 2)), []),
    "nothing": (lambda _: None, []),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_tampering(vault, path, how):
    """What was changed, cut off, left out or put in is found, with its line; the rest is not."""
    work, expected = TAMPERED[how]
    write(vault, "one", "two", "three", "four", "five")
    change(path, work)
    check = vault.audited()
    check.expect(vault.audit.chain)

    found = [f"{each.line}: {each.what}" if each.line else each.what
             for each in check.findings([path])]  # fmt: skip

    assert expected == found


def test_tampering_is_not_written_over(open_vault, path, audited):
    """Where the end was cut off or changed, the next line goes on from what is noted."""
    write(open_vault(), "one", "two", "three")
    change(path, lambda lines: lines.__delitem__(slice(1, 3)))

    write(open_vault(), "four")
    assert [1, 4] == [line["seq"] for line in told(path)]
    assert ["2: missing before it: lines 2 to 3 of the chain"] == audited(path)

    change(path, lambda lines: lines.__setitem__(1, lines[1].replace("four", "for")))
    write(open_vault(), "five")
    assert [
        "2: it is not as this store wrote it: changed, or put in",
        "3: missing before it: some of lines 2 to 4 of the chain",
    ] == audited(path)


def test_without_the_keys(vault, path, audited, tmp_path):
    """Whoever has a store of their own, and other keys, writes no line that counts here."""
    write(vault, "one", "two")
    forger = DataKeys(vault.store_id, {1: bytes(32)}, bytes(32))
    forged = FileAudit(tmp_path / "forged", lambda: forger, vault, Clock())
    forged.chain = vault.audit.chain
    forged.note("three")
    with path.open("a") as file:
        file.write((tmp_path / "forged").read_text())

    found = audited(path)

    assert ["3: it is not as this store wrote it: changed, or put in"] == found[:1]
    assert "missing at the end: line 3" in found[1]  # it has noted that in our store, too


def test_the_note_is_gone(vault, path, audited):
    """A store without the note can't tell where the end is, and says so."""
    write(vault, "one", "two")
    name = f"audit {vault.audit.chain}"
    vault.drop_note(name, vault.note(name)[0])

    assert ["the store has not noted it: what is cut off at its end can't be seen"] == audited(
        path
    )


def test_a_note_of_another_line(vault, path, audited):
    """The last number alone is not enough: it has to be the line that the store has noted."""
    write(vault, "one", "two")
    name = f"audit {vault.audit.chain}"
    version, facts = vault.note(name)
    vault.put_note(name, {**facts, "mac": "0" * 64}, replaces=version)

    assert ["line 2 of the chain is not the one that the store has noted"] == audited(path)


# Several who write


def test_many_write_at_once(open_vault, path, audited, fork_together):
    """Processes and threads of a host write one chain, nobody's line is lost."""
    open_vault().save_token(token())

    def work(number):
        vault = open_vault()
        threads = [
            threading.Thread(target=write, args=(vault, *[f"{number}.{n}"] * 10)) for n in range(3)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    fork_together(work, 4)

    assert 1 + 4 * 3 * 10 == len(told(path))
    assert [*range(1, 122)] == [line["seq"] for line in told(path)]
    assert [] == audited(path)


def test_a_fork(vault, path, audited, fork):
    """A child writes with what its parent has opened."""
    write(vault, "parent")
    fork(lambda _: write(vault, "child")).end()
    write(vault, "parent")

    assert ["parent", "child", "parent"] == whats(path)
    assert [] == audited(path)


def test_two_stores(vault, open_vault, path, audited):
    """Two stores have a chain each in one file; each verifies its own, and counts the others."""
    other = open_vault("other")
    for n in range(3):
        write(vault, f"one {n}")
        write(other, f"other {n}", f"other {n}")

    assert [] == audited(path) == audited(path, store=other)
    check = vault.audited()
    assert [] == [*check.findings([path])]
    assert {other.store_id[:12]: 6} == check.others
    change(path, lambda lines: lines.pop(1))
    assert [] == audited(path)
    assert ["2: missing before it: line 1 of the chain"] != audited(path, store=other)


def test_several_hosts(open_vault, tmp_path, audited, monkeypatch):
    """Each host has a file, and a chain of its own; they are verified together, in any order."""
    paths = [tmp_path / name for name in ("b.jsonl", "a.jsonl")]
    for n, each in enumerate(paths):
        monkeypatch.setattr(socket, "gethostname", lambda n=n: f"host-{n}")
        write(open_vault(audit=each), "one", "two")

    assert [f"host-{n}:{each}" for n, each in enumerate(paths)] == [
        told(each)[0]["chain"] for each in paths
    ]
    assert [] == audited(*paths) == audited(*reversed(paths))


def test_somebody_else_holds_the_file(vault, path):
    """A process that hangs with the file in its hands costs a wait, and a line, not the deed."""
    audit = FileAudit(path, lambda: OF_A_STORE, vault, Clock(), patience=0.05)
    audit.note("one")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match=r"busy for 0\.05 seconds"):
            audit.examine()
        audit.note("two")
    audit.note("three")

    assert [("one", None), ("three", 1)] == [(x["what"], x.get("missed")) for x in told(path)]


# Crashes


class Killed(Vault):
    """A vault whose process dies as it is to note how far its audit has come."""

    def put_note(self, *_, **__):
        os.kill(os.getpid(), signal.SIGKILL)


def test_killed_between_line_and_note(open_vault, path, audited, fork):
    """The line is there, is no false alarm, and the next one goes on from it."""
    write(open_vault(), "one")
    child = fork(lambda _: write(open_vault(kind=Killed), "two"))
    assert "" == child.readline()
    child.kill()

    assert ["one", "two"] == whats(path)
    assert [] == audited(path)
    write(open_vault(), "three")
    assert [1, 2, 3] == [line["seq"] for line in told(path)]
    assert [] == audited(path)
    change(path, lambda lines: lines.pop(1))
    assert ["2: missing before it: line 2 of the chain"] == audited(path)


def test_killed_as_it_told_what_is_missing(open_vault, path, fork):
    """The next line does not tell it again."""
    vault = open_vault()
    write(vault, "one")
    with _in_the_way(path):
        write(vault, "two")
    assert "" == fork(lambda _: write(open_vault(kind=Killed), "three")).readline()
    write(open_vault(), "four")

    assert [("three", 1), ("four", None)] == [(x["what"], x.get("missed")) for x in told(path)]


class Overtaken(Vault):
    """A vault that another process overtakes, once, as it is to note the end of its audit."""

    by = None

    def put_note(self, *args, **given):
        if self.by:
            other, self.by = self.by, None
            other.audit.note("by another")
        return super().put_note(*args, **given)


def test_overtaken(open_vault, path, audited):
    """The later line stays noted."""
    vault = open_vault(kind=Overtaken)
    vault.by = open_vault()
    write(vault, "one")

    assert 2 == noted(vault, vault.audit.chain)[1].seq
    change(path, lambda lines: lines.pop())
    assert ["missing at the end: line 2 of the chain; cut off, or in newer files"] == audited(path)


def test_killed_then_rotated(open_vault, path, audited, fork):
    """Two lines may then have one number, in two files: both are genuine, nothing is missing."""
    write(open_vault(), "one")
    child = fork(lambda _: write(open_vault(kind=Killed), "two"))
    assert "" == child.readline()
    child.kill()
    older = path.rename(path.with_name("audit.jsonl.1"))
    write(open_vault(), "two again", "three")

    assert [2, 2, 3] == [line["seq"] for line in told(older, path)][1:]
    assert [] == audited(older, path)


@pytest.mark.parametrize("cut", [1, 60, -2, -1])
def test_a_torn_line(vault, open_vault, path, audited, cut):
    """What a crash has left of a line is no alarm; the next one takes it back, or completes it."""
    write(vault, "one")
    before = path.read_bytes()
    _, facts = vault.note(f"audit {vault.audit.chain}")
    write(vault, "two")
    whole = path.read_bytes()
    path.write_bytes((before + whole[len(before) :][:cut]) if cut > 0 else whole[:cut])
    now, _ = vault.note(f"audit {vault.audit.chain}")
    vault.put_note(f"audit {vault.audit.chain}", facts, replaces=now)

    assert [] == audited(path)
    write(open_vault(), "three")
    assert [] == audited(path)
    assert (["one", "two", "three"] if cut == -1 else ["one", "three"]) == whats(path)


def test_the_store_is_away_as_the_end_is_noted(path, caplog):
    """The line is written; the next one that can be noted notes it too."""
    vault = vault_over(Faulty(), audit=path)
    write(vault, "one")
    vault.backend.faults = ["lost"]
    write(vault, "two")
    assert "its end could not be noted" in caplog.text

    vault.backend.faults = ["answer lost"]
    write(vault, "three")
    write(vault, "four")

    assert [1, 2, 3, 4] == [line["seq"] for line in told(path)]
    assert [] == [*vault.audited().findings([path])]


def test_the_store_is_emptied(vault, open_vault, path, audited):
    """Deleting all tokens takes the note along, which is made anew: a cut is found as before."""
    vault.save_token(token())
    path.rename(path.with_name("audit.jsonl.1"))
    open_vault().delete_tokens()
    write(vault, "later")

    assert [2, 3] == [line["seq"] for line in told(path)]
    assert [] == audited(*with_rotated(path))
    change(path, lambda lines: lines.pop())
    assert 1 == len(audited(path))


# Rotation by others


def test_renamed(vault, open_vault, path, audited):
    """The chain goes on in a new file; over all of them it is whole, whatever their order."""
    for number in (3, 2, 1):
        write(vault, f"a {number}", f"b {number}")
        path.rename(path.with_name(f"audit.jsonl.{number}"))
    write(open_vault(), "now")
    older = [path.with_name(f"audit.jsonl.{number}") for number in (1, 2, 3)]
    shutil.copy(path, path.with_name("audit.jsonl.bak"))

    files = with_rotated(path)
    assert {path, *older} == {*files}
    assert [] == audited(*files) == audited(*older, path)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    check = vault.audited()
    assert [] == [*check.findings([path])]
    assert 7 == check.chains[vault.audit.chain].first
    assert ["missing at the end: line 7 of the chain; cut off, or in newer files"] == audited(
        *older
    )
    assert ["1: missing before it: lines 3 to 4 of the chain"] == audited(path, older[0], older[2])


def test_the_clock_was_set(open_vault, path, audited):
    """Files are taken in the order of their lines' numbers, whatever their times are."""
    clock = FakeClock(1_800_086_400.0)
    vault = open_vault(clock=clock)
    write(vault, "one", "two")
    older = path.rename(path.with_name("older"))
    clock.set(1_800_000_000.0)
    write(vault, "three")

    assert [] == audited(older, path) == audited(path, older)


def test_one_after_the_other_moved_file(vault, path, audited):
    """Who wrote to a file that had just been moved away went on from the newer one's lines."""
    write(vault, "one", "two", "three", "four")
    newer, lines = path.with_name("newer"), path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[::3]))
    newer.write_text("".join(lines[1:3]))

    assert [] == audited(path, newer)
    assert ["2: missing before it: lines 2 to 3 of the chain"] == audited(path)


def test_moved_while_others_wait(open_vault, path, fork):
    """Who waits for the file, and then has it, writes to the one that is there by then."""
    write(open_vault(), "one")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        child = fork(lambda say: [say("begun"), write(open_vault(), "two")])
        assert "begun" == child.readline()
        threading.Event().wait(0.3)
        older = path.rename(path.with_name("older"))
    child.end()

    assert [["one"], ["two"]] == [whats(older), whats(path)]


def test_moved_after_others_wrote(open_vault, path, audited):
    """A process that has not written for a while goes on where the others were."""
    first, second = open_vault(), open_vault()
    write(first, "one")
    write(second, "two", "three")
    path.rename(path.with_name("older"))
    write(first, "four")

    assert [4] == [line["seq"] for line in told(path)]
    assert [] == audited(path)


def test_emptied_as_a_line_fails(vault, path, monkeypatch):
    """Nothing is put in the place of what somebody else has taken out of the file."""
    write(vault, "one")

    def full(_):
        os.truncate(path, 0)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    write(vault, "two")

    assert b"" == path.read_bytes()


def test_copied_and_emptied(vault, open_vault, path, audited):
    """As logrotate's copytruncate does: the file stays, and no hole is left in it."""
    write(vault, "one", "two")
    older = Path(shutil.copy(path, path.with_name("audit.jsonl-20260101")))
    with path.open("r+") as file:
        file.truncate(0)
    write(vault, "three")
    write(open_vault(), "four")

    assert ["three", "four"] == whats(path)
    assert [] == audited(*with_rotated(path))
    assert [older, path] == sorted(with_rotated(path), key=str, reverse=True)


def test_packed(vault, path, audited):
    """A rotated file is read as gzip has packed it; one that is damaged is named."""
    import gzip

    write(vault, "one", "two")
    packed = path.with_name("audit.jsonl.2.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    write(vault, "three")

    assert [] == audited(*with_rotated(path))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(ConfigurationError, match=r"2\.gz can't be read: it is cut off or damaged"):
        audited(*with_rotated(path))


def test_rotated_while_many_write(open_vault, path, audited, fork):
    """Whoever moves the file away, as others write, loses none of their lines."""
    open_vault().save_token(token())
    children = [fork(lambda _, n=n: write(open_vault(), *[f"{n}"] * 60)) for n in range(3)]
    rotated = []
    while any(child.pid and not _is_over(child) for child in children):
        if path.exists():
            rotated.append(path.rename(path.with_name(f"audit.jsonl.{len(rotated)}")))
        threading.Event().wait(0.02)
    for child in children:
        child.end()

    files = with_rotated(path)
    assert len(rotated) > 2
    assert 181 == len(told(*files))
    assert [] == audited(*files)


def _is_over(child):
    found = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found is not None


# What can't be written


@contextmanager
def _in_the_way(path):
    path.unlink(missing_ok=True)
    path.mkdir()
    yield
    path.rmdir()


def test_it_can_not_be_written(vault, open_vault, path, caplog):
    """The deed is done, the loss is told loudly, counted in the store, and by the next line."""
    events = []
    keeper = Keeper(vault, on_event=events.append)
    row = keeper.save(token())
    with _in_the_way(path):
        keeper.revoke(row.id)
        keeper.delete(row.id)
        assert 2 == noted(vault, vault.audit.chain)[1].missed
        with pytest.raises(StoreUnavailable, match="Is a directory"):
            vault.audit.examine()

    lost = [each for each in events if each.name == "unaudited"]
    assert [("revoked", row.id, "ana"), ("deleted", row.id, "ana")] == [
        (each.details["what"], each.token_id, each.user) for each in lost
    ]
    assert "Is a directory" in lost[0].details["error"]
    assert 2 == sum(each.levelno == logging.ERROR for each in caplog.records)
    assert 2 == vault.audit.examine()
    write(open_vault(), "another process")
    write(vault, "later")
    lines = told(path)
    assert [2, None] == [line.get("missed") for line in lines]
    check = vault.audited()
    assert [] == [*check.findings([path])]
    assert 2 == check.chains[vault.audit.chain].missed
    assert 0 == vault.audit.examine()


def test_neither_file_nor_store_can_be_written(path):
    """Then the process counts, and the store's note says it as soon as it can."""
    vault = vault_over(Faulty(), audit=path)
    write(vault, "one")
    with _in_the_way(path):
        vault.backend.faults = ["lost"]
        write(vault, "two")
        write(vault, "three")
        vault.backend.faults = ["lost"]
        write(vault, "four")
    write(vault, "five")
    write(vault, "six")

    assert [3, None] == [line.get("missed") for line in told(path)]


def test_a_fork_knows_what_it_has_missed(path, fork):
    """What its parent could not write is its parent's to tell."""
    vault = vault_over(Faulty(), audit=path)
    with _in_the_way(path):
        vault.backend.faults = ["lost"]
        write(vault, "one")
    fork(lambda _: write(vault, "child")).end()
    write(vault, "two")

    assert [None, 1] == [line.get("missed") for line in told(path)]


def test_a_full_disk(vault, open_vault, path, audited, fork):
    """As far as a line came it is taken back; the token is stored all the same."""
    write(vault, "one")
    size = path.stat().st_size

    def work(say):
        mine = open_vault(audit=path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, size + 100))
        mine.audit.note("two")
        say(str(path.stat().st_size))

    assert [str(size)] == fork(work).end()
    assert ["one"] == whats(path)
    assert [] == audited(path)
    write(vault, "three")
    assert [] == audited(path)


@pytest.mark.skipif(not can_mount(), reason="only root may mount")
def test_a_full_file_system(tmp_path, fork):
    """The same where the disk is really full, and what comes with room there again."""
    folder = tmp_path / "small"
    folder.mkdir()

    def work(say):
        mount_tiny(folder, 16_384)
        path = folder / "audit.jsonl"
        vault = Vault(SQLiteBackend(tmp_path / "t.db"), KeyRing(KEYS), audit=path)
        for n in range(60):
            vault.save_token(token(f"u{n}"))
        say(str(sum(1 for _ in vault.iter_tokens())))
        say(str(path.read_bytes().endswith(b"\n")))
        lost = vault.audit.examine()
        say(str(lost > 5))
        say(str([*vault.audited().findings([path])]))
        path.unlink()
        write(vault, "again")
        say(str(told(path)[0]["missed"] == lost))

    assert ["60", "True", "True", "[]", "True"] == fork(work).end()


def test_a_handler_that_raises(vault, path, monkeypatch):
    """What a signal handler of the application raises in the midst of it is the application's."""

    def expired(_):
        raise TimeoutError("the application's own")

    monkeypatch.setattr(os, "fsync", expired)

    with pytest.raises(TimeoutError, match="own"):
        write(vault, "one")
    monkeypatch.undo()
    write(vault, "two")
    assert ["two"] == whats(path)


# Files


def test_the_file_and_its_folder(open_vault, tmp_path):
    """Made for this user alone when they are needed, and narrowed where they were wide."""
    path = tmp_path / "log" / "audit.jsonl"
    vault = open_vault(audit=path)
    assert 0 == vault.audit.examine()
    assert not path.parent.exists()
    write(vault, "one")
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)]
    assert [0o700, 0o600] == modes
    path.chmod(0o644)

    write(vault, "two")

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/null"), "symbolic links"),
        (lambda path: path.parent.chmod(0o777), "others can write to"),
        (lambda path: [path.touch(), os.chown(path, 54_321, 0)], "belongs to user 54321"),
    ],
    ids=["pipe", "link", "folder", "owner"],
)
def test_what_is_refused(open_vault, tmp_path, make, said):
    """A file that others have made, or can exchange, is not written to, and nothing hangs."""
    if said.startswith("belongs") and os.geteuid() != 0:
        pytest.skip("only root can give files away")
    path = tmp_path / "log" / "audit.jsonl"
    path.parent.mkdir(0o700)
    make(path)
    vault = open_vault(audit=path)

    with pytest.raises(StoreUnavailable, match=said):
        vault.audit.examine()
    assert vault.save_token(token()).id


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be another")
def test_root_beside_a_service(open_vault, tmp_path):
    """What root writes in a service's folder stays the service's, which goes on writing."""
    path = tmp_path / "log" / "audit.jsonl"
    path.parent.mkdir(0o700)
    os.chown(path.parent, 12_345, 12_345)
    write(open_vault(audit=path), "root")

    assert 12_345 == path.stat().st_uid


# Through logging


def test_logging(open_vault, caplog, tmp_path, fork):
    """Each process has a chain of its own in the lines of the logger; a cut inside is found."""
    vault = open_vault(audit="logging")
    row = vault.save_token(token())
    write(vault, "two", "three")
    lines = [each.getMessage() for each in caplog.records if each.name == "tokenkeep.audit"]
    forked = tmp_path / "forked"

    def work(_):
        handler = logging.FileHandler(forked)
        logging.getLogger("tokenkeep.audit").addHandler(handler)
        write(vault, "child")
        handler.close()

    fork(work).end()
    path = tmp_path / "all"
    path.write_text(
        "\n".join([lines[0], forked.read_text(), *lines[1:], ""]).replace("\n\n", "\n")
    )

    assert ["login", "child", "two", "three"] == whats(path)
    assert row.id == told(path)[0]["token"]
    assert "the logger tokenkeep.audit" == vault.audit.describe()
    assert SECRET not in caplog.text
    check = vault.audited()
    assert [] == [*check.findings([path])]
    assert 2 == len(check.chains)
    change(path, lambda lines: lines.pop(2))
    assert ["missing before it: line 2 of the chain"] == [
        each.what for each in vault.audited().findings([path])
    ]


# Configuration


@pytest.mark.parametrize(
    ("environ", "text", "expected"),
    [
        ({}, "", None),
        ({"TOKENKEEP_AUDIT": "/a/b"}, "audit = '/c'", "/a/b"),
        ({"TOKENKEEP_AUDIT": " 'logging' "}, "", "logging"),
        ({}, "audit = 'logging'", "logging"),
        ({}, "audit = '/c'", "/c"),
        ({"TOKENKEEP_AUDIT": "~/a"}, "", "HOME/a"),
    ],
)
def test_configured(tmp_path, monkeypatch, environ, text, expected):
    """The environment before the file; an argument before both."""
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "config.toml"
    config.write_text(text)
    environ = {**environ, "TOKENKEEP_CONFIG": str(config)}

    expected = expected and expected.replace("HOME", str(tmp_path))
    assert expected == tokenkeep.settings(environ, store="memory:").audit
    given = {"keys_newest_first": KEYS, "environ": environ, "audit": tmp_path / "argument"}
    with tokenkeep.open_store("memory:", **given) as vault:
        assert str(tmp_path / "argument") == vault.audit.describe()


@pytest.mark.parametrize(
    ("environ", "text", "said"),
    [
        ({"TOKENKEEP_AUDIT": "audit.jsonl"}, "", "TOKENKEEP_AUDIT: .*absolute path, or logging"),
        ({}, "audit = 'audit.jsonl'", "config.toml: .*absolute path"),
        ({}, "audit = 5", 'audit has to be the path of a file, or "logging"'),
        ({"TOKENKEEP_AUDIT": "~nobody-here/a"}, "", "no such home"),
    ],
)
def test_configured_wrong(tmp_path, environ, text, said):
    """A path that each folder would have another of, or no path at all, is refused by name."""
    config = tmp_path / "config.toml"
    config.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        tokenkeep.settings({**environ, "TOKENKEEP_CONFIG": str(config)}, store="memory:")


def test_a_very_long_deed(vault, path, audited):
    """A line has a bound, whatever a program has to say."""
    vault.audit.note("x", token("ü" * 100_000), more="m" * 5000, rows=["r" * 50] * 5000)
    write(vault, "y")

    assert ["x", "y"] == whats(path)
    assert path.stat().st_size < 70_000
    assert [] == audited(path)


def test_the_order_of_nothing(vault, tmp_path):
    """Files that are empty or no audit at all are read in the order given, and found out."""
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for each, text in zip(paths, ("", "[]\n", '{"seq": "x"}\n'), strict=True):
        each.write_text(text)

    check = Check(OF_A_STORE, vault)

    assert [("b", 1), ("c", 1)] == [(Path(f.file).name, f.line) for f in check.findings(paths)]
