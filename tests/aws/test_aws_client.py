"""What both stores at AWS do with boto3: a client for each process, requests, limits."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import warnings
import weakref

import pytest
from aws_proxy import GOING, refusal
from aws_records import FULL, own

from tokenkeep import KeyRing, StoreConflict, StoreError, StoreUnavailable, Token, Vault
from tokenkeep.backends import open_backend
from tokenkeep.testing._contract_workers import digits

# By service: what makes a new version the stored one, and what reads many.
LATE = {"secretsmanager": "UpdateSecretVersionStage", "dynamodb": "TransactWriteItems"}
READING = {"secretsmanager": "GetSecretValue", "dynamodb": "GetItem"}
LISTING = {
    "secretsmanager": ["ListSecrets", "BatchGetSecretValue"],
    "dynamodb": ["Query", "BatchGetItem"],
}


@pytest.fixture(params=LATE)
def service(request):
    return request.param


def forked(work):
    """Return the status of a child that does something and returns whether it went well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, since 3.12
        child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def test_a_child_has_its_own_connections(watched, proxy):
    """A child never writes into a connection of its parent, whose stays good."""
    watched.write(own(), replaces=None)
    proxy.ports.clear()

    watched.read(own().id)
    assert 0 == forked(lambda: watched.read(own().id) == own())
    watched.read(own().id)

    mine, childs, mine_again = proxy.ports
    assert childs != mine == mine_again


def test_a_fork_in_the_midst_of_requests(backend):
    """A child is not held up by locks of threads that it does not have."""
    backend.write(own(), replaces=None)
    stop = threading.Event()

    def hammer():
        while not stop.is_set():
            backend.read(own().id)
            backend.close()

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert 0 == forked(lambda: backend.read(own().id) == own())
    finally:
        stop.set()
        for thread in threads:
            thread.join()


SCRIPT = """
import gc, sys
from tokenkeep.backends import open_backend
from tokenkeep.testing._contract_workers import record

backend = open_backend(sys.argv[1])
backend.write(record(), replaces=None)
assert backend.read(record().id) == record()
if sys.argv[2] == "closed":
    backend.close()
    backend.close()
    assert backend.read(record().id) == record()
    backend.close()
if sys.argv[2] == "dropped":
    del backend
    gc.collect()
"""


@pytest.mark.parametrize("end", ["closed", "left open", "dropped"])
def test_no_warning_is_left(url, end):
    """Connections are closed however a program ends."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", SCRIPT, url, end],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (0, "", "") == (ended.returncode, ended.stdout, ended.stderr)


def test_nothing_is_left_of_a_closed_store(url):
    """Closing and going on for ever piles up neither threads nor clients."""
    threads = threading.active_count()
    backend = open_backend(url)
    client = weakref.ref(backend._aws._client())

    backend.close()
    assert threads == threading.active_count()
    backend.read(own().id)
    gc.collect()

    assert client() is None
    backend.close()


def test_a_server_that_comes_back(aws, url):
    """While it is away every call ends in time; afterwards all goes on, with what was stored."""
    backend = open_backend(f"{url}&timeout=1")
    backend.write(own(), replaces=None)
    aws.kill()
    try:
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            backend.read(own().id)
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            backend.write(own(version="2"), replaces=digits("1"))
    finally:
        aws.start()

    assert own() == backend.read(own().id)
    backend.write(own(version="2"), replaces=digits("1"))
    assert own(version="2") == backend.read(own().id)
    backend.close()


def test_nothing_is_sent_too_late(watched, proxy):
    """When the time is over, no further request is made: nobody would hear of its outcome."""
    watched._aws._given["timeout"] = -1.0

    with pytest.raises(StoreUnavailable, match="did not answer within"):
        watched.write(own(), replaces=None)
    for thread in threading.enumerate():
        if thread.name == "tokenkeep-aws":
            thread.join(10)

    assert [] == proxy.requests


@pytest.mark.parametrize("scheme", ["aws-secretsmanager", "dynamodb"])
def test_boto3_is_loaded_when_it_is_needed(scheme):
    """Who keeps tokens elsewhere does not load boto3; who lacks it is told what to install."""
    script = (
        "import sys, tokenkeep, tokenkeep.backends\n"
        "assert not any(name.startswith('boto') for name in sys.modules)\n"
        "sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        "try:\n"
        f"    tokenkeep.backends.open_backend('{scheme}://eu-central-1/tokens')\n"
        "except tokenkeep.DriverMissing as exc:\n"
        "    print(exc.hint)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert "Install it: pip install 'tokenkeep[aws]'\n" == ended.stdout


# Requests


@pytest.mark.parametrize("code", ["ThrottlingException", "ProvisionedThroughputExceededException"])
def test_throttled(watched, proxy, service, code):
    """Throttling is waited out, also that of a write; if it goes on, the error says so."""
    slow = refusal(code, "Rate exceeded")
    watched.write(own(), replaces=None)
    proxy.faults.update({LATE[service]: [slow, slow], READING[service]: [slow, slow]})
    watched.write(own(version="2"), replaces=digits("1"))

    for name, act in (
        (LATE, lambda: watched.write(own(version="3"), replaces=digits("2"))),
        (READING, lambda: watched.read(own().id)),
    ):
        proxy.faults = {name[service]: (slow,)}
        with pytest.raises(StoreUnavailable, match=f"throttled {service}:{name[service]}"):
            act()
    proxy.faults.clear()
    assert own(version="2") == watched.read(own().id)


def test_a_save_of_unknown_outcome_is_looked_for(watched, proxy, service):
    """The vault finds out that a login was stored although its answer was lost."""
    vault = Vault(watched, KeyRing([bytes(32)]))
    vault.save_token(Token(user="ana", refresh_token="r1", **FULL))
    proxy.faults[LATE[service]] = (GOING,)

    saved = vault.save_token(Token(user="ana", refresh_token="r2", **FULL))

    assert ("r2", [saved]) == (saved.refresh_token, vault.get_tokens())


def test_a_delete_is_not_undone_by_a_late_write(watched, proxy, backend, service):
    """A write that was read for before a delete does not bring the token back."""
    watched.write(own(), replaces=None)

    proxy.faults[LATE[service]] = [lambda: backend.delete(own().id)]
    with pytest.raises(StoreConflict):
        watched.write(own(version="2"), replaces=digits("1"))

    assert backend.read(own().id) is None


def test_a_delete_of_one_version_is_not_of_another(watched, proxy, backend, service):
    """Somebody wrote while it was being deleted: that stays, and no secret is scheduled."""
    watched.write(own(), replaces=None)

    def write():
        backend.write(own(version="2"), replaces=digits("1"))

    proxy.faults[LATE[service]] = [write]
    with pytest.raises(StoreConflict):
        watched.delete(own().id, replaces=digits("1"))

    assert own(version="2") == backend.read(own().id)
    assert [] == proxy.sent("DeleteSecret")


def test_what_is_not_due_is_not_read(watched, proxy, service):
    """One request finds what is due, however much is stored, and one reads it."""
    for n in range(5):
        watched.write(own(str(n), due_at=1_790_000_000.0 + n), replaces=None)
    watched.write(own("never"), replaces=None)
    proxy.requests.clear()

    assert [0, 1] == [each.due_at - 1_790_000_000 for each in watched.due(1_790_000_001.5, 10)]

    listing, reading = LISTING[service]
    assert [listing, reading] == proxy.operations()
    (asked,) = proxy.sent(reading)
    if service == "dynamodb":
        assert 2 == sum(len(part["Keys"]) for part in asked["RequestItems"].values())
    else:
        assert 2 == len(asked["SecretIdList"])


def test_many_in_their_order(backend):
    """Pages go through partitions and AWS's own pages in the order of ids."""
    ids = sorted(own(str(n)).id for n in range(130))
    for n in range(130):
        backend.write(own(str(n)), replaces=None)

    pages = [backend.scan(None, 50)]
    while pages[-1]:
        pages.append(backend.scan(pages[-1][-1].id, 50))

    assert ids == [each.id for page in pages for each in page]


def test_too_large(backend, service):
    """More than AWS holds is refused by name, and what was stored stays."""
    size, said = {
        "secretsmanager": (60_000, "a secret holds 65536"),
        "dynamodb": (409_600, "items hold 409600"),
    }[service]
    backend.write(own(), replaces=None)

    with pytest.raises(StoreError, match=said):
        backend.write(own(version="2", sealed=bytes(size)), replaces=digits("1"))
    with pytest.raises(StoreError, match=said):
        backend.write(own("large", sealed=bytes(size)), replaces=None)

    assert [own()] == backend.scan(None, 10)
