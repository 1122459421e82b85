"""What is saved has to be what the provider gave: a line break around it is refused, by name."""

from __future__ import annotations

import traceback

import pytest

from tokenkeep import Keeper, LookupFailed, Token, open_store
from tokenkeep.stores.list import ListStore

SECRET = "1000.s3cret"
GOOD = Token(user="ana", client_id="c", client_secret="s", access_token="a", refresh_token="r",
             grant_token="g", redirect_uri="https://a.example/")  # fmt: skip

SENT = ("access_token", "refresh_token", "grant_token", "client_id", "client_secret",
        "redirect_uri")  # fmt: skip


@pytest.fixture(params=["memory:", "six methods"])
def store(request):
    if request.param == "six methods":
        return ListStore()
    return open_store(request.param, keys_newest_first=[bytes(32)], environ={})


class ByHand(ListStore):
    """A store of somebody's own, which looks at nothing."""

    def save_token(self, token):
        raise AssertionError(token)


def refused(save, name, value):
    with pytest.raises(LookupFailed) as caught:
        save(GOOD.but(**{name: value}))
    assert f"The {name} " in str(caught.value)
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if frame.f_globals["__name__"].startswith("tokenkeep"):
            assert SECRET not in repr(frame.f_locals)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "written",
    [
        *("{}\n", "{}\r\n", " {}", "{}\t", "\ufeff{}", "{}\u00a0", "\v{}"),
        *("a\n{}", "a\0{}", "a\x1b[2J{}", "a\x85{}", "a\u2028{}"),
    ],
)
def test_what_no_header_can_carry(store, written):
    """Blanks around whatever goes to the provider, control characters in it: nothing is stored."""
    for name in SENT:
        for save in (Keeper(store).save, Keeper(ByHand()).save, store.save_token):
            refused(save, name, written.format(SECRET))

    assert [] == store.get_tokens()


@pytest.mark.parametrize("odd", ["a b", "a+b/c=", "é", "o'brien\u00a0x", "\U0001f511"])
def test_what_is_not_known_to_be_wrong(store, odd):
    """A provider may give anything else."""
    saved = store.save_token(GOOD.but(**dict.fromkeys(SENT, odd)))

    assert {odd} == {getattr(saved, name) for name in SENT}
    assert " x\n" == store.save_token(Token(user=" x\n", access_token="b", client_id="d")).user
