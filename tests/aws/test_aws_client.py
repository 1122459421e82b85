"""boto3's client: one per process, closed for good, and no warning left behind."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref

import pytest
from aws_records import own

from tokenkeep import StoreUnavailable
from tokenkeep.backends import open_backend
from tokenkeep.testing._contract_workers import digits

SERVICES = ("secretsmanager", "dynamodb")


@pytest.fixture(params=SERVICES)
def url(aws, request):
    return aws.url(request.param)


def test_a_child_has_its_own_connections(url, proxy):
    """A child never writes into a connection of its parent, whose stays good."""
    open_backend(url).close()
    backend = open_backend(proxy.of(url))
    backend.write(own(), replaces=None)
    proxy.ports.clear()

    backend.read(own().id)
    child = forked(lambda: backend.read(own().id) == own())
    assert 0 == os.waitpid(child, 0)[1]
    backend.read(own().id)

    mine, childs, mine_again = proxy.ports
    assert childs != mine == mine_again
    backend.close()


def test_a_fork_in_the_midst_of_requests(url):
    """A child is not held up by locks of threads that it does not have."""
    backend = open_backend(url)
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
            child = forked(lambda: backend.read(own().id) == own())
            assert 0 == os.waitpid(child, 0)[1]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        backend.close()


def forked(work):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, since 3.12
        child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return child


SCRIPT = """
import sys
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
    import gc
    gc.collect()
"""


@pytest.mark.parametrize("end", ["closed", "left open", "dropped"])
def test_no_warning_is_left(url, end):
    """Connections are closed however a program ends."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", SCRIPT, url, end],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "", "") == (ended.returncode, ended.stdout, ended.stderr)


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


def test_no_thread_is_left(url):
    """Requests are made in threads of their own, which end with them."""
    before = threading.active_count()
    backend = open_backend(url)
    backend.write(own(), replaces=None)
    backend.close()

    assert before == threading.active_count()


def test_nothing_is_sent_too_late(url, proxy):
    """When the time is over, no further request is made: nobody would hear of its outcome."""
    backend = open_backend(proxy.of(url))
    proxy.requests.clear()
    backend._aws._given["timeout"] = -1.0

    with pytest.raises(StoreUnavailable, match="did not answer within"):
        backend.write(own(), replaces=None)
    for thread in threading.enumerate():
        if thread.name == "tokenkeep-aws":
            thread.join(10)

    assert [] == proxy.requests
    backend.close()


def test_a_closed_client_is_forgotten(url):
    """Closing and going on for ever does not pile up clients."""
    backend = open_backend(url)
    client = weakref.ref(backend._aws._client())

    backend.close()
    backend.read(own().id)
    gc.collect()

    assert client() is None
    backend.close()


def test_a_clients_errors_do_not_stay(url):
    """After a failed opening the next one is as the first."""
    with pytest.raises(Exception, match="region"):
        open_backend(url.replace("eu-central-1", "no region"))

    backend = open_backend(url)
    backend.write(own(), replaces=None)
    backend.close()


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
