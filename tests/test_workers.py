"""Keepers and stores handed to workers: an error that says what to do, as docs/stores.md does."""

from __future__ import annotations

import copy
import functools
import pickle

import pytest

import tokenkeep
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.stores.list import ListStore

KEYS = [b"S" * 32]


@pytest.fixture
def opened(tmp_path):
    """A store with a key that would be seen."""
    url = f"sqlite:///{tmp_path}/tokens.db"
    with tokenkeep.open_store(url, keys_newest_first=KEYS, environ={}) as store:
        yield store


THINGS = {
    "store": lambda store: store,
    "keeper among others": lambda store: {"jobs": [1], "keepers": (tokenkeep.Keeper(store),)},
    "method of a six-method store": lambda _: tokenkeep.Keeper(ListStore()).store.get_tokens,
    "partial of an SDKStore": lambda store: functools.partial(print, SDKStore(store)),
}
"""What people hand to workers."""


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_pickled(opened, thing):
    """It is a TypeError that says what to write, in every protocol; nor is it copied."""
    dumps = [functools.partial(pickle.dumps, protocol=each) for each in (0, 2, 5)]
    for deed in (*dumps, copy.deepcopy):
        with pytest.raises(
            TypeError, match=r"nor copied.* in each worker.*(open_store|SDKStore)\("
        ):
            deed(thing(opened))


class OfMyOwn(ListStore):
    """A store that can be opened anew by what it is made with."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    def __reduce__(self):
        return OfMyOwn, (self.place,)


def test_a_store_that_can_be_pickled():
    """A store of one's own may say how."""
    mine = OfMyOwn("place")

    assert pickle.loads(pickle.dumps(mine)).place == "place"
    assert copy.copy(mine).place == "place"
