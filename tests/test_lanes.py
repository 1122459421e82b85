"""Many calls at a time, a few to one place; what is done with them stays in one thread."""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial

import pytest

from tokenkeep import lanes
from tokenkeep.backends.waiting import NoThread

PATIENCE = 20.0


class Places:
    """Answers calls as they are let, and counts how many are under way."""

    def __init__(self):
        self._lock = threading.Condition()
        self.under_way, self.most = Counter(), Counter()
        self.closed = set()

    def answer(self, place):
        with self._lock:
            for each in (place, "all"):
                self.under_way[each] += 1
                self.most[each] = max(self.most[each], self.under_way[each])
            self._lock.notify_all()
            assert self._lock.wait_for(lambda: place not in self.closed, PATIENCE)
            self.under_way.subtract((place, "all"))
        return place

    def wait_for(self, place, number):
        with self._lock:
            assert self._lock.wait_for(lambda: self.under_way[place] == number, PATIENCE)

    def open(self, place):
        with self._lock:
            self.closed.discard(place)
            self._lock.notify_all()

    def asked(self, items):
        return lanes.many(
            items, lambda place: place, lambda p: lanes.call(partial(self.answer, p))
        )


def in_another_thread(found):
    """Read an iterator in another thread; return it, and what it has read."""
    read = []
    thread = threading.Thread(target=lambda: read.extend(found), daemon=True)
    thread.start()
    return thread, read


@pytest.mark.parametrize(("names", "most"), [("a", lanes.AT_ONE_PLACE), ("abc", lanes.AT_ONCE)])
def test_so_many_to_one_place_and_so_many_in_all(names, most):
    """A place has eight calls at most, all places together sixteen; each item gets its result."""
    places = Places()
    found = places.asked(list(names) * 30)
    first = [next(found) for _ in range(10 * len(names))]
    places.closed = {*names}
    thread, read = in_another_thread(found)
    places.wait_for("all", most)
    for name in names:
        places.open(name)
    thread.join(PATIENCE)

    assert Counter(dict.fromkeys(names, 30)) == Counter(first + read)
    assert most == places.most["all"]
    assert lanes.AT_ONE_PLACE >= max(places.most[name] for name in names)


def test_a_place_that_has_not_answered_has_one_call():
    """Nobody knows whether it is mute: eight calls would wait for it, where one is enough."""
    places = Places()
    places.closed = {"mute"}
    thread, read = in_another_thread(places.asked(["mute"] * 10 + ["other"] * 10))
    places.wait_for("mute", 1)
    while read.count("other") < 10:
        thread.join(0.01)

    assert 1 == places.most["mute"]
    places.open("mute")
    thread.join(PATIENCE)
    assert 10 == read.count("mute")


def test_items_are_read_as_their_turn_comes_nearer():
    """A million of them are never held: so many are looked at before it is their turn."""
    read = []
    items = (read.append(n) or n for n in range(1000))
    found = lanes.many(items, lambda _: "here", lanes.at_once)

    assert 0 == next(found)
    assert len(read) <= lanes.AHEAD + 1
    assert 999 == len(list(found))


def test_nothing_to_wait_for():
    """What is not started yields nothing, and takes nobody's turn."""
    found = lanes.many(
        range(200), lambda _: "here", lambda n: lanes.at_once(n) if n > 150 else None
    )

    assert list(range(151, 200)) == sorted(found)


def test_no_thread_can_be_started(monkeypatch):
    """Then the calls are made one after the other, in the thread that asks."""

    def none(_):
        raise NoThread

    monkeypatch.setattr(lanes, "begin", none)

    assert {threading.get_ident()} == set(
        lanes.many(range(3), lambda _: "here", lambda _: lanes.call(threading.get_ident))
    )


def test_what_a_call_raises_is_raised():
    """It is not lost with its thread."""
    with pytest.raises(ZeroDivisionError):
        list(lanes.many([1], lambda _: "here", lambda n: lanes.call(lambda: n / 0)))
