"""What the console can't show, and where nobody reads: no traceback after half a command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tokenkeep import Token, Vault

NAME = "Łukasz-🍁@example.com"
ESCAPED = r"\u0141ukasz-\U0001f341@example.com"
ODD = "北京\u202e@example.com"


@pytest.fixture
def row(store):
    """A token of somebody with such a name."""
    return store.save_token(Token(user=NAME, refresh_token="r", access_token="a", client_id="c"))


def ran(*args, **given):
    """Run a command as a process, and return its status, output and errors."""
    words = [sys.executable, "-m", "tokenkeep", *args]
    done = subprocess.run(words, capture_output="stdout" not in given, check=False, **given)
    return done.returncode, done.stdout or b"", done.stderr or b""


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_what_the_encoding_has_not(environment, store, row, tmp_path, encoding):
    """It is escaped on every way out, and the command ends as without."""
    environment.setenv("PYTHONIOENCODING", encoding)
    shown = NAME if encoding == "utf-8" else ESCAPED
    store.save_token(Token(user=ODD, access_token="b", client_id="c"))

    def says(status, *args):
        code, out, err = ran(*args)
        assert (status, False) == (code, b"Traceback" in err), (args, err)
        return (out + err).decode(encoding)

    listed = says(0, "list")
    assert shown in listed
    assert r"\u202e" in listed
    assert r"\u0141" in says(0, "--json", "list")
    assert shown in says(1, "renew", "--user", NAME)  # an error
    says(0, "export", "--official-csv", f"{NAME}.csv", "--yes")
    assert NAME in (tmp_path / f"{NAME}.csv").read_text()
    assert shown in says(0, "delete", "--user", NAME, "--yes")
    assert store.find_token_by_id(str(row.id)) is None


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize("args", ["list", "--help", "nothing"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_a_full_disk(environment, args):
    """It is a sentence, or a status at least where that can't be said either."""
    for unbuffered in ("", "1"):
        environment.setenv("PYTHONUNBUFFERED", unbuffered)
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            code, _, _ = ran(*args.split(), stdout=full, stderr=full)
            status, _, err = ran(*args.split(), stdout=full, stderr=subprocess.PIPE)

        assert 0 not in (code, status)
        assert b"Traceback" not in err
        assert (args == "nothing") == (b"No space left" not in err)


@pytest.mark.usefixtures("row")
def test_a_reader_who_goes(environment, store):
    """As with head: nothing is said; also of what is still to be written."""
    reader, writer = os.pipe()
    os.close(reader)
    for unbuffered in ("", "1"):
        environment.setenv("PYTHONUNBUFFERED", unbuffered)
        assert (1, b"") == ran("list", stdout=writer, stderr=subprocess.PIPE)[::2]
    os.close(writer)
    for number in range(800):
        store.save_token(Token(user=f"{NAME}{number}", access_token=f"a{number}", client_id="c"))
    words = f"({sys.executable} -m tokenkeep list; echo $? >&2) | head -1"
    done = subprocess.run(["bash", "-c", words], capture_output=True, check=False)
    assert (b"1\n", 1) == (done.stderr, done.stdout.count(b"\n"))


def test_a_listing_that_is_interrupted(run, row, environment):
    """What was printed so far comes out, though it is not flushed line by line."""
    flushed = []

    def interrupted(*_, **__):
        environment.setattr(sys.stdout, "flush", lambda: flushed.append(1))
        yield from [row] * 100
        environment.undo()
        raise KeyboardInterrupt

    environment.setattr(Vault, "iter_tokens", interrupted)

    result = run("list")

    assert (130, 100) == (result.exit_code, result.stdout.count("\n"))
    assert len(flushed) < 5
