"""What docs/operations.md tells to type backs a store up while it is used, and puts it back."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from operations_site import PAGE
from pages import ROOT
from private_servers import Redis
from private_servers.skipped import started

import tokenkeep

KINDS = ("sqlite", "file", "postgresql", "mariadb", "redis")
LABELS = {
    "sqlite": ("sqlite backup", "sqlite restore"),
    "postgresql": ("postgresql backup", "postgresql restore"),
    "mariadb": ("mariadb backup", "mariadb restore"),
    "redis": ("redis backup", "redis restore"),
}
"""Of the blocks of the page that are typed."""
ENOUGH = 5
"""Each writer has had so many saves acknowledged before the backup begins."""


@pytest.fixture(scope="module")
def own_redis():
    """A server of this module's own: a dump is of all that is on it, and it is started anew."""
    yield from started(Redis)


class Kind:
    """How a store of one kind is backed up and put back; *instead* of what the page shows."""

    def __init__(self, name, request, tmp_path):
        self.name, self.at, self.server = name, tmp_path, None
        if name in ("sqlite", "file"):
            self.path = tmp_path / "tokens.db"
            self.url = f"{name}:///{self.path}"
            self.instead = {"/var/lib/app": tmp_path}
            return
        fixture = {"postgresql": "postgres", "redis": "own_redis"}.get(name, name)
        self.server = server = request.getfixturevalue(fixture)
        self.url = server.url()
        where = f"--host={server.host} --port={server.port}"
        database = urlsplit(self.url).path[1:]
        self.instead = {
            "postgresql": {"postgresql://app@db/app": self.url},
            "mariadb": {"--host=db --user=app app": f"{where} --user=app {database}"},
            "redis": {"-h redis.example.com": f"-h {server.host} -p {server.port}"},
        }[name]

    def back_up(self, host):
        """Do it, by the page; return nothing: it lies in the host's folder."""
        if self.server:
            password = {"MYSQL_PWD": self.server.password, "REDISCLI_AUTH": self.server.password}
            host.environ |= password
        if self.name == "file":
            assert "`cp tokens.json backup.json`" in (ROOT / PAGE).read_text()
            shutil.copy(self.path, self.at / "backup.json")
        else:
            host.type_page(LABELS[self.name][0], self.instead)

    def put_back(self, host):
        """Do it, by the page; nobody uses the store meanwhile."""
        if self.name == "file":
            shutil.copy(self.at / "backup.json", self.path)
            return
        if self.name == "redis":
            self.server.stop()
            data = self.server.folder / "data"
            shutil.rmtree(data / "appendonlydir")
            shutil.copy(host.folder / "tokens.rdb", data / "dump.rdb")
            shutil.chown(data / "dump.rdb", data.owner(), data.group())
            self.server.options = ["--appendonly", "no"]
            self.server.start()
            self.server.options = []
        host.type_page(LABELS[self.name][1], self.instead)
        if self.name == "redis":
            self._rewritten()
            self.server.stop()
            self.server.start()

    def _rewritten(self):
        with self.server.connect() as client:
            while client.info("persistence")["aof_rewrite_in_progress"]:
                time.sleep(0.01)


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    return Kind(request.param, request, tmp_path)


class Writers:
    """Processes that save without end; what was acknowledged to any of them."""

    def __init__(self, host, count=4):
        self.acknowledged = []
        self.processes = [host.writer() for _ in range(count)]
        self.threads = [threading.Thread(target=self._hear, args=(p,)) for p in self.processes]
        for each in self.threads:
            each.start()

    def _hear(self, process):
        for line in process.stdout:
            self.acknowledged.append(line.strip())

    def wait_for(self, count):
        end = time.monotonic() + 60
        while len(self.acknowledged) < count:
            assert time.monotonic() < end
            assert all(each.poll() is None for each in self.processes)
            time.sleep(0.01)

    def kill(self):
        for each in self.processes:
            each.kill()
        for each in self.threads:
            each.join()


def ids(host, url=None):
    with tokenkeep.open_store(url, environ=host.environ) as store:
        return {each.id for each in store.get_tokens()}


def test_while_four_processes_write(kind, host):
    """What was acknowledged before the backup began is in it; nothing in it is half-written."""
    here = host(url=kind.url)
    here.keeper()
    writers = Writers(here)
    writers.wait_for(4 * ENOUGH)
    before = set(writers.acknowledged)

    kind.back_up(here)
    writers.wait_for(len(writers.acknowledged) + 4)  # it held nobody up for good
    writers.kill()
    after = ids(here)
    kind.put_back(here)

    found = ids(here)
    assert before <= found
    assert set(writers.acknowledged) <= after
    assert found == after if kind.name == "sqlite" else found < after  # it copies the rest
    assert here.type("tokenkeep health").status == 0
    assert here.type("tokenkeep sweep").status == 0


def test_a_sqlite_backup_is_for_its_owner(host, tmp_path):
    """The copy is whole in one file, and nobody else reads it."""
    here = host()
    saved = here.login(here.keeper())

    here.type_page("sqlite backup", {"/var/lib/app": tmp_path})

    backup = tmp_path / "backup.db"
    assert 0o600 == backup.stat().st_mode & 0o777
    assert {saved.id} == ids(here, f"sqlite:///{backup}")
    with closing(sqlite3.connect(backup)) as db:
        assert [("ok",)] == db.execute("PRAGMA integrity_check").fetchall()


def test_a_program_that_still_runs(host, tmp_path):
    """One that meets the file that was put back refuses, and spoils nothing."""
    here = host()
    keeper = here.keeper()
    saved = here.login(keeper)
    here.type_page("sqlite backup", {"/var/lib/app": tmp_path})
    later = here.login(keeper, user=here.zoho.add_user("bo@example.com", data_center="us").name)

    here.type_page("sqlite restore", {"/var/lib/app": tmp_path})

    with pytest.raises(tokenkeep.StoreUnavailable, match="deleted or replaced"):
        keeper.get(id=saved.id)
    keeper.close()
    assert {saved.id, later.id} == ids(here)
    with closing(sqlite3.connect(tmp_path / "tokens.db")) as db:
        assert [("ok",)] == db.execute("PRAGMA integrity_check").fetchall()


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
def test_copy_as_a_backup(kind, host, tmp_path):
    """A copy in another store, run again and again, brings all back under the same ids."""
    here = host(url=kind.url)
    keeper = here.keeper()
    first = here.login(keeper)
    backup = f"sqlite:///{tmp_path}/backup.db"
    assert here.type(f"tokenkeep copy configured {backup}").status == 0
    second = here.login(keeper, user=here.zoho.add_user("bo@example.com", data_center="us").name)
    assert here.type(f"tokenkeep copy configured {backup}").status == 0
    new = kind.server.url()

    assert here.type(f"NEW={new} tokenkeep copy {backup} env:NEW").status == 0

    assert {first.id, second.id} == ids(here, new)
    moved = host("later", url=new).keeper()
    assert here.zoho.is_active(moved.get(id=first.id).access_token)
