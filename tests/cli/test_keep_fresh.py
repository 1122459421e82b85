"""Renewals ahead of need from the command line, as a person, a timer and a service use them."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tokenkeep import Policies, Policy

FRESH = '\ntokenkeep = 1\n\n[[policy]]\nname = "fresh"\nkeep_fresh = true\n'


@pytest.fixture
def kept(store):
    """The store, whose tokens are kept fresh."""
    store.set_policies(Policies([Policy(name="fresh", keep_fresh=True)]))
    return store


def test_once(run, run_json, save, kept, configured):
    """It says what it did, for people and as JSON, and a second time there is nothing to do."""
    token = save(access_token="a", expires_at=time.time() - 1)

    first, again = run("keep-fresh", "--once"), run_json("keep-fresh", "--once")

    assert (0, "1 token renewed\n") == (first.exit_code, first.stdout)
    assert {"renewed": 0, "failed": 0, "login_needed": 0} == again
    assert configured.is_active(kept.reread(token.id).access_token)


@pytest.mark.usefixtures("kept")
def test_signals_are_left_as_they_were(run, save):
    """Once it is over, or with --once, a Ctrl-C does what it did before."""
    save(access_token="a", expires_at=time.time() - 1)
    before = signal.getsignal(signal.SIGINT)

    assert 0 == run("keep-fresh", "--once").exit_code
    assert before is signal.getsignal(signal.SIGINT)

    def stop():
        while signal.getsignal(signal.SIGINT) is before:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop).start()
    assert 0 == run("keep-fresh").exit_code
    assert before is signal.getsignal(signal.SIGINT)


@pytest.mark.usefixtures("kept")
def test_what_went_wrong(run, save, configured):
    """Who needs a login and what failed is counted; the exit status is that of a service."""
    save(access_token="a", expires_at=time.time() - 1)
    configured.revoke(configured.user)

    done = run("keep-fresh", "--once")

    assert (0, "0 tokens renewed, 1 need a new login\n") == (done.exit_code, done.stdout)


def test_no_policy(run, save):
    """Where nothing says which tokens, it says what to type; with what it says, it works."""
    save(access_token="a", expires_at=time.time() - 1)

    refused = run("keep-fresh", "--once")
    run("policy", "set", "-", stdin=FRESH)
    done = run("keep-fresh", "--once")

    assert (1, "") == (refused.exit_code, refused.stdout)
    assert "tokenkeep policy set FILE" in refused.stderr
    assert "1 token renewed\n" == done.stdout


def test_no_store(run):
    """Looking makes no store."""
    refused = run("keep-fresh", "--once")

    assert 0 != refused.exit_code
    assert "" == refused.stdout


@pytest.mark.parametrize("workers", ["0", "257", "x"])
@pytest.mark.usefixtures("kept")
def test_workers(run, workers):
    """So many threads there can't be."""
    assert 2 == run("keep-fresh", "--once", "--workers", workers).exit_code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.usefixtures("kept")
def test_stopped_while_it_waits(start, number):
    """A service that has nothing to do says that it runs, and stops at once."""
    service = start("keep-fresh")
    said = service.stderr.readline()
    time.sleep(0.3)
    service.send_signal(number)

    began = time.monotonic()
    out, err = service.communicate(timeout=20)

    assert "Keeping tokens fresh; stop with Ctrl-C\n" == said
    assert (0, "0 tokens renewed\n", "") == (service.returncode, out, err)
    assert time.monotonic() - began < 5
