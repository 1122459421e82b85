"""Keepers and stores handed to workers: an error that says what to do, and what it says works."""

from __future__ import annotations

import copy
import functools
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from emulated import environment_of, login

import tokenkeep
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.stores.list import ListStore

KEYS = [b"S" * 32]
STORES = Path(__file__).parents[1] / "docs" / "stores.md"


@pytest.fixture
def opened(tmp_path):
    """A store with a key that would be seen."""
    url = f"sqlite:///{tmp_path}/tokens.db"
    with tokenkeep.open_store(url, keys_newest_first=KEYS, environ={}) as store:
        yield store


THINGS = {
    "store": lambda store: store,
    "keeper": tokenkeep.Keeper,
    "SDKStore": SDKStore,
    "keeper of a six-method store": lambda _: tokenkeep.Keeper(ListStore()),
    "its store": lambda _: tokenkeep.Keeper(ListStore()).store,
    "six-method store": lambda _: ListStore(),
    "method": lambda store: tokenkeep.Keeper(store).get,
    "among others": lambda store: {"jobs": [1], "keeper": (tokenkeep.Keeper(store),)},
    "partial": lambda store: functools.partial(print, SDKStore(store)),
}
"""What people hand to workers."""

each_thing = pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)


@each_thing
@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
def test_pickled(opened, thing, protocol):
    """It is a TypeError that says what to write, in every protocol; nor is it copied."""
    for deed in (lambda it: pickle.dumps(it, protocol), copy.deepcopy):
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


def test_what_the_page_says(zoho, tmp_path):
    """The workers of docs/stores.md each open their own, and renew once among them."""
    [example] = re.findall(r"```python\n(# jobs.py\n.*?)```", STORES.read_text(), re.DOTALL)
    (tmp_path / "jobs.py").write_text(example)
    environ = environment_of(zoho, tmp_path)
    with tokenkeep.open_store(environ=environ) as store:
        store.save_token(login(zoho, user="ana"))
    done = subprocess.run(
        [sys.executable, "jobs.py", *["ana"] * 8],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"ana works at {zoho.us.api_url}\n" * 8
    assert zoho.counters.token_calls() == 1
