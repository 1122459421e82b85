"""``tokenkeep export --official-csv``: it asks first, and says what it left out."""

from __future__ import annotations

import csv

import pytest

from tokenkeep import Token
from tokenkeep.token import Status


@pytest.fixture
def tokens(store):
    """A token of use, and a revoked one."""
    for name in ("ana", "bob"):
        store.save_token(
            Token(user=name, access_token=f"secret {name}", refresh_token=f"secret of {name}")
        )
    bob = store.find_token(Token(user="bob"))
    store.swap(bob.but(status=Status.REVOKED, access_token=None))


def users(path):
    with path.open(newline="") as file:
        return [line["user_name"] for line in csv.DictReader(file)]


def test_it_asks_first(run, tokens, tmp_path):
    """What will be in the file is said before; anything but yes writes nothing."""
    for answer, status in (("n\n", 1), ("\n", 1), ("", 1), ("y\n", 0)):
        done = run("export", "--official-csv", "out.csv", stdin=answer)

        assert status == done.exit_code
        assert "every token and client secret in the clear. Write it?" in done.stderr
        assert (status == 0) == (tmp_path / "out.csv").exists()
        assert "secret " not in done.output.replace("client secret", "")
    assert ["ana"] == users(tmp_path / "out.csv")
    assert not tokens


def test_a_script_says_yes(run, run_json, tokens, tmp_path):
    """With --yes it does not ask; it says what it wrote and what it left out."""
    done = run("export", "--official-csv", "out.csv", "--yes")

    assert "Wrote 1 token to out.csv; left out: 1 revoked\n" == done.stdout
    assert {"file": "b.csv", "exported": 1, "left_out": {"revoked": 1}} == run_json(
        "export", "--official-csv", "b.csv", "--yes"
    )
    assert 0o600 == (tmp_path / "b.csv").stat().st_mode & 0o777
    assert not tokens


def test_bad_input(run, tokens, tmp_path):
    """No file, one that is there, a folder that is not: each is said, and nothing is touched."""
    (tmp_path / "out.csv").write_text("mine")

    assert (2, True) == _ended(run("export", "--yes"), "--official-csv")
    assert (1, True) == _ended(run("export", "--official-csv", "out.csv", "--yes"), "already")
    assert (1, True) == _ended(run("export", "--official-csv", "no/x", "--yes"), "No such file")
    assert "mine" == (tmp_path / "out.csv").read_text()
    assert not tokens


def _ended(done, said):
    return done.exit_code, said in done.stderr


def test_another_environment(run, store, tokens, tmp_path):
    """Only the one that is named is written; what else there is, is told."""
    store.save_token(Token(user="eve", client_id="c", refresh_token="r", environment="sandbox"))
    names = ("ana", "eve")

    for name, options in zip(names, ((), ("--environment", "Sandbox")), strict=True):
        done = run("export", "--official-csv", f"{name}.csv", "--yes", *options)

        other = "production" if name == "eve" else "sandbox"
        assert f"1 of the environment {other}" in done.stdout
        assert [name] == users(tmp_path / f"{name}.csv")
    assert not tokens
