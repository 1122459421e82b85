"""``tokenkeep export --official-csv``: it asks first, and says what it left out."""

from __future__ import annotations

import csv

import pytest

from tokenkeep import Status, Token

pytestmark = pytest.mark.usefixtures("tokens")
ARGS = ("export", "--official-csv")


@pytest.fixture
def tokens(store):
    """A token of use, a revoked one, and one of a sandbox."""
    for name in ("ana", "bob"):
        saved = store.save_token(
            Token(user=name, access_token=f"secret {name}", refresh_token=f"secret of {name}")
        )
    store.swap(saved.but(status=Status.REVOKED, access_token=None))
    store.save_token(Token(user="eve", client_id="c", refresh_token="r", environment="sandbox"))


def users(path):
    with path.open(newline="") as file:
        return [line["user_name"] for line in csv.DictReader(file)]


def test_it_asks_first(run, run_json, tmp_path):
    """What will be in the file is said before; anything but yes writes nothing; --yes asks not."""
    for answer, status in (("n\n", 1), ("\n", 1), ("", 2), ("y\n", 0)):
        done = run(*ARGS, "out.csv", stdin=answer)

        assert status == done.exit_code
        assert "every token and client secret in the clear. Write it?" in done.stderr
        assert (status == 0) == (tmp_path / "out.csv").exists()
        assert "secret " not in done.output.replace("client secret", "")
    for said in (
        "Wrote 1 token to out.csv; left out: 1 ",
        "1 of the environment sandbox",
        "1 revoked",
    ):
        assert said in done.stdout
    assert ["ana"] == users(tmp_path / "out.csv")
    told = {
        "file": "b.csv",
        "exported": 1,
        "left_out": {"of the environment production": 1, "revoked": 1},
    }
    assert told == run_json(*ARGS, "b.csv", "--yes", "--environment", "Sandbox")
    assert ["eve"] == users(tmp_path / "b.csv")
    assert 0o600 == (tmp_path / "b.csv").stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["export"], 2, "--official-csv"),
        ([*ARGS, "out.csv"], 1, "already"),
        ([*ARGS, "no/x"], 1, "No such file"),
        ([*ARGS, "new", "--environment", "prodction"], 2, "Known are production, sandbox, dev"),
    ],
)
def test_bad_input(run, tmp_path, args, status, said):
    """No file, one that is there, no such folder or environment: nothing is touched."""
    (tmp_path / "out.csv").write_text("mine")

    done = run(*args, "--yes")

    assert (status, True) == (done.exit_code, said in done.stderr)
    assert "mine" == (tmp_path / "out.csv").read_text()
    assert not (tmp_path / "new").exists()
