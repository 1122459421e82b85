"""The pickle of zcrmsdk 1 and 2: taken over, and nothing in it is run."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import tracemalloc
from traceback import format_exception
from types import ModuleType

import pytest
from moved_tokens import ANA, NOW

from tokenkeep import ConfigurationError, Token
from tokenkeep.moving import Defaults, open_source
from tokenkeep.providers import Providers

NAME = "zcrm_oauthtokens.pkl"
SAID = {"client_id": "1000.CLIENT", "data_center": "eu"}
BOB = ANA | {"user_name": "bob@example.com", "refresh_token": "r bob", "access_token": "a bob"}
PYTHON_2 = (
    b"\x80\x02czcrmsdk.OAuthClient\nZohoOAuthTokens\nq\x00)\x81q\x01}q\x02(U\nexpiryTimeq\x03"
    b"I1764000000123\nU\tuserEmailq\x04U\x11jos\xc3\xa9@example.comq\x05U\x0crefreshTokenq\x06"
    b"X\x0c\x00\x00\x001000.refreshq\x07U\x0baccessTokenq\x08X\x0b\x00\x00\x001000.accessq\tub."
)
"""What zcrmsdk 1.0.0, 1.0.9 and 2.0.14 write in Python 2.7."""


@pytest.fixture
def write(tmp_path):
    """Write a file of that name."""

    def _write(content):
        path = tmp_path / NAME
        path.write_bytes(content)
        return path

    return _write


def tokens(path, **given):
    source = open_source(path, defaults=Defaults(**SAID), **given)
    return [row.token for row in source.rows(NOW, Providers())]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_python_3(write, run, store, monkeypatch, protocol):
    """What the SDK wrote arrives once, whatever Python it ran in; of one user, the last."""
    module = ModuleType("OAuthClient")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.ZohoOAuthTokens = type("ZohoOAuthTokens", (), {"__module__": module.__name__})
    content = b""
    for row in (BOB, ANA, BOB | {"access_token": "a newer", "refresh_token": "r newer"}):
        token = module.ZohoOAuthTokens()
        token.refreshToken, token.accessToken = row["refresh_token"], row["access_token"]
        token.expiryTime, token.userEmail = int(row["expiry_time"]), row["user_name"]
        content += pickle.dumps(token, protocol)
    path = write(content)

    done = [("skipped", "row 3 is the same, and counts"), ("new", None), ("new", None)]
    assert done == run(path, dry_run=True, **SAID)
    assert [] == store.get_tokens()
    assert done == run(path, **SAID)
    assert {"already there"} == {action for action, _ in run(path, **SAID)[1:]}

    assert {("1000.access", "1000.refresh"), ("a newer", "r newer")} == {
        token.pair for token in store.get_tokens()
    }
    ana = store.find_token(Token(user=ANA["user_name"]))
    assert ("1000.CLIENT", "eu", 1764000000.123) == (
        ana.client_id,
        ana.data_center,
        ana.expires_at,
    )


def test_python_2(write):
    """Its text is bytes, in whatever the program had; what it is called does not matter."""
    written = write(PYTHON_2 + PYTHON_2.replace(b"\x11jos\xc3\xa9", b"\x10jos\xe9"))
    path = written.rename(written.with_name("tokens.csv"))

    with pytest.raises(ConfigurationError, match="not text in utf-8") as caught:
        tokens(path)
    assert "1000.refresh" not in "".join(format_exception(caught.value)) + repr(caught.value)
    assert ["josÃ©@example.com", "josé@example.com"] == [
        token.user for token in tokens(path, encoding="cp1252")
    ]
    # A copy of the SDK in a package, of a user it does not know, for the hour that is left.
    nobody = PYTHON_2.replace(b"U\x11jos\xc3\xa9@example.comq\x05", b"N")
    hour = nobody.replace(b"X\x0c\x00\x00\x001000.refreshq\x07", b"N")
    path.write_bytes(hour.replace(b"zcrmsdk.", b"vendored.zcrmsdk."))
    assert [(None, ("1000.access", None))] == [(each.user, each.pair) for each in tokens(path)]


class Runs:
    """What runs when it is loaded."""

    def __init__(self, how, *arguments):
        self.how, self.arguments = how, arguments

    def __reduce__(self):
        return self.how, self.arguments


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("inside", [False, True], ids=["by itself", "in a class of the SDK's"])
def test_nothing_is_run(write, tmp_path, monkeypatch, inside, protocol):
    """A pickle that would run something does not, nor is anything taken that is before it."""
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(Runs(os.system, "touch run"), protocol)
    if inside:
        content = PYTHON_2.replace(b"I1764000000123\n", content[2:-1])
    for before in (b"", PYTHON_2):
        with pytest.raises(ConfigurationError, match=r"is no token .* Nothing in it was run"):
            tokens(write(before + content))

    assert [NAME] == [path.name for path in tmp_path.iterdir()]


def named(*names):
    texts = (b"\x8c" + bytes([len(each)]) + each.encode() for each in names)
    return b"\x80\x04" + b"".join(texts) + b"\x93)\x81}(" + PYTHON_2.partition(b"(")[2]


HEAD = b"\x80\x02czcrmsdk.OAuthClient\nZohoOAuthTokens\n"
EVIL = {
    "arguments for the class": HEAD + b"U\x01x\x85\x81}(ub.",
    "a call of the class": PYTHON_2.replace(b")\x81", b")R"),
    "one more step": PYTHON_2.replace(b"ub.", b"u0b."),
    "a state that is no dict": HEAD + b")\x81U\x01xb.",
    "another class with that state": PYTHON_2.replace(b"ZohoOAuthTokens", b"ZohoOAuth"),
    "a module of another name": PYTHON_2.replace(b"zcrmsdk.OAuthClient", b"os.XOAuthClient"),
    "a name in two lines": named("os\nOAuthClient", "system"),
    "a class as an attribute": PYTHON_2.replace(b"U\x11jos\xc3\xa9@example.com", HEAD[2:]),
    "too few attributes": HEAD + b")\x81}(U\x0crefreshTokenU\x01xub.",
    "cut off": PYTHON_2[:-20],
    "garbage": b"\x80\x04" + bytes(range(255, 0, -1)),
    "a memo that is empty": b"\x80\x02h\x07.",
    "a memo of 4 billion": HEAD + b"r\xff\xff\xff\xff)\x81r\xfe\xff\xff\xff.",
    "1 GB of text": b"\x80\x02X" + struct.pack("<I", 1 << 30) + b"x",
    "2^62 bytes of text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"x",
    "a number of a million digits": HEAD + b")\x81}(U\x01xI" + b"9" * 1_000_000 + b"\nub.",
    "steps without an end": HEAD + b"".join(struct.pack("<ci", b"J", n) for n in range(300_000)),
    "a bomb of tuples": b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 100 + b".",
}  # fmt: skip


@pytest.mark.parametrize("content", EVIL.values(), ids=EVIL)
def test_evil_pickles(write, content):
    """Whatever else is in a pickle is one named error, and costs next to nothing."""
    path = write(content)
    tracemalloc.start()

    with pytest.raises(ConfigurationError, match="object 1 of it is no token"):
        tokens(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 10_000_000
