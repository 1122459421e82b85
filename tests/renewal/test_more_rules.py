"""Rules that need a particular moment."""

from __future__ import annotations

import threading

import pytest

from tokenkeep import ProviderUnavailable
from tokenkeep.renewal.flights import Flights


def test_threads_share_one_attempt(world):
    """Invariant 2: while one thread of a process renews, no other one writes a claim."""
    claims = []
    renewing, go_on = threading.Event(), threading.Event()

    def in_the_call():
        renewing.set()
        assert go_on.wait(30)

    def another_claim():
        # Later, one who read before the answer was saved may try; its old version is refused.
        if not go_on.is_set():
            claims.append("second")

    world.provider.before.append(in_the_call)
    # Others look at a record in which the claim has been lost.
    world.here.store.before["claim"] += [lambda: None, another_claim]
    first = threading.Thread(target=world.get)
    first.start()
    assert renewing.wait(30)
    world.free()
    second = threading.Thread(target=world.get)
    second.start()
    second.join(0.5)
    go_on.set()
    first.join(30)
    second.join(30)

    assert claims == []
    assert len(world.provider.sent) == 1


def test_failure_whose_pause_is_over(world):
    """Who waited raises the failure that came meanwhile, also when a new turn would be allowed."""
    world.claim()
    world.provider.trouble.append(ProviderUnavailable("It did not answer"))

    def the_other_fails():
        world.free()
        with pytest.raises(ProviderUnavailable):
            world.get(world.there)
        world.clock.advance(5)

    world.here.store.before["read"] += [lambda: None, the_other_fails]

    with pytest.raises(ProviderUnavailable, match="It did not answer"):
        world.get()

    assert len(world.provider.sent) == 1


def test_no_more_threads(monkeypatch):
    """Where no thread can be started (a limit, an ending interpreter) the caller's own is used."""

    def refused(self):  # noqa: ARG001  # the interface's
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    flight = Flights().start("id", lambda: "a token")

    assert flight.result() == "a token"


def test_attempt_that_raises_is_over():
    """After an attempt that failed the next one may start."""
    flights = Flights()

    def fail():
        raise ZeroDivisionError

    flight = flights.start("id", fail)
    flight.done.wait(30)

    with pytest.raises(ZeroDivisionError):
        flight.result()
    assert not flights.wait("id", 0)
    assert flights.start("id", lambda: None) is not None
