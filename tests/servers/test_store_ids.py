"""What tells stores apart, whatever they are called: their journals are named after it."""

from __future__ import annotations

import threading

from tokenkeep import KeyRing, Vault
from tokenkeep.backends import Record, open_backend
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.vault import whereabouts

RECORD = Record(id="id", version="1", identity="of id", key_id="key", sealed=b"sealed")


class Server(MemoryBackend):
    """A server that is called like another one."""

    embedded = False

    def __init__(self, store_id):
        super().__init__()
        self._store_id = store_id

    def store_id(self):
        return self._store_id

    def describe(self):
        return "the database shop at localhost"


def opened(url):
    """Open a store that holds something: AWS tells whose secrets they are with the first."""
    backend = open_backend(url)
    if not backend.scan(None, 1):
        backend.write(RECORD, replaces=None)
    return backend


def test_an_id_is_the_stores(place):
    """All who open a store find the same id; another store on the same server has another."""
    one, again = opened(place.url), opened(place.url)
    other = opened(place.server.url(*place.kind.split("/")[1:]))

    assert one.store_id()
    assert one.store_id() == again.store_id()
    assert whereabouts(one) == whereabouts(again)
    assert whereabouts(one) != whereabouts(other)
    if place.kind != "aws/secretsmanager":  # there it is the account
        assert one.store_id() != other.store_id()
    for each in (one, again, other):
        each.close()


def test_all_who_come_first_find_one_id(place):
    """Of eight that open an empty store at once, one makes its id."""
    ids = []

    def come():
        backend = open_backend(place.url)
        backend.scan(None, 1)
        ids.append(backend.store_id())
        backend.close()

    threads = [threading.Thread(target=come) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert len(ids) == 8
    assert len(set(ids)) == 1


def test_two_that_are_called_alike(tmp_path, monkeypatch):
    """Neither judges what was written in the other's journal."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ring = KeyRing([bytes(32)])
    one, two = (Vault(Server(store_id), ring).journal for store_id in ("1", "2"))

    one.give_back(one.prepare())

    assert one._folder.exists()
    assert not two._folder.exists()
    assert Vault(Server("1"), ring).journal._folder == one._folder
