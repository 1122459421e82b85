"""Looking makes no store and no key: it says where nothing is."""

from __future__ import annotations

import json
import os

import pytest

import tokenkeep
from tokenkeep import Keeper, Token, TokenNotFound
from tokenkeep.stores.list import ListStore

READING = [
    "list", "list --json", "show tk_0123abcd", "token --user ana", "renew tk_0123abcd",
    "revoke --user ana", "logout --user ana", "delete tk_0123abcd --yes", "sweep",
    "export --official-csv out.csv --yes", "keys status", "keys rotate --data",
]  # fmt: skip
URLS = ["sqlite:///tokens.db", "file:///tokens.json", "sqlite:///../elsewhere/tokens.db", None]


@pytest.fixture
def cron(environment, tmp_path):
    """Another folder than the store is in, and an empty home without a key."""
    environment.delenv("TOKENKEEP_KEYS")
    for name in ("cron", "home", "elsewhere"):
        (tmp_path / name).mkdir()
    environment.setenv("HOME", str(tmp_path / "home"))
    environment.chdir(tmp_path / "cron")
    return tmp_path


def files(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


@pytest.mark.parametrize("args", [*READING, "doctor --json"])
def test_commands_that_read(run, environment, cron, args):
    """They name the file they looked in, end with status 3, and leave nothing behind."""
    for url in URLS:
        environment.delenv("TOKENKEEP_STORE", raising=False)
        if url is not None:
            environment.setenv("TOKENKEEP_STORE", url)
        before = files(cron)

        done = run(*args.split())

        assert before == files(cron)
        name = os.path.realpath(url[10:] if url and "sqlite" in url else "tokens.json")
        if "doctor" in args:  # nothing is wrong with a store that is not there yet
            checks = {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}
            assert ("ok", True) == (checks["store"]["state"], "nothing yet" in done.stdout)
        else:
            assert 3 == done.exit_code, done.output
        assert (name if url else f"{cron}/home") in done.output
    if "doctor" not in args:  # on a server it is only seen once it is open
        done = run(*args.split(), "--store", "memory:")
        assert (3, True) == (done.exit_code, "There is no store yet" in done.stderr), done.output


@pytest.mark.parametrize("url", URLS[:3])
def test_the_library(cron, url):
    """Nor does a program that looks something up; its first save makes both."""
    environ = {"TOKENKEEP_KEY_FILE": str(cron / "home" / "keys")}
    before = files(cron)
    keeper, other = (Keeper(tokenkeep.open_store(url, environ=environ)) for _ in range(2))

    with pytest.raises(TokenNotFound, match=os.path.realpath(url.partition("///")[2])):
        keeper.get(user="ana")
    for look in (lambda own: keeper.get(id=own), keeper.renew, keeper.revoke, keeper.end):
        with pytest.raises(TokenNotFound, match="which is not there yet"):
            look("tk_" + "0" * 32)
    assert keeper.delete("customer-42") is None
    keeper.store.delete_tokens()
    keeper.store.touch("tk_" + "0" * 32, 1.0)
    assert [] == [*keeper.tokens()] == keeper.store.get_tokens()
    keeper.sweep()
    keeper.close()
    unmade = {"TOKENKEEP_KEY_FILE": f"{os.devnull}/keys"}
    with pytest.raises(tokenkeep.ConfigurationError, match="null/keys"):
        tokenkeep.open_store(url, environ=unmade, make=True)
    assert before == files(cron)

    saved = other.save(Token(user="ana", access_token="a"))  # two first processes agree
    again = keeper.save(Token(user="bo", access_token="b"))
    assert {saved, again} == {*keeper.store.get_tokens()} == {*other.store.get_tokens()}


def test_what_the_six_methods_say():
    """A store of somebody's own is named by its class."""
    with pytest.raises(TokenNotFound, match="no such token in a ListStore"):
        Keeper(ListStore()).get(id="x")
