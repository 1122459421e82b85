"""Commands about keys."""

from __future__ import annotations

import os
from pathlib import Path

import tokenkeep
from tokenkeep.sealing import parse_keys


def test_generate_prints_one_key(run):
    """What is printed is a key, another one each time."""
    first, second = run("keys", "generate").stdout, run("keys", "generate").stdout

    assert first != second
    assert 1 == len(parse_keys(first, "here"))


def test_generate_writes_a_private_file(run):
    """A key file is for its owner, whatever the umask."""
    before = os.umask(0)
    try:
        result = run("keys", "generate", "--out", "k")
    finally:
        os.umask(before)

    text = Path("k").read_text()
    assert 0o600 == Path("k").stat().st_mode & 0o777
    assert text.strip() not in result.output
    assert 1 == len(parse_keys(text, "here"))


def test_generate_never_overwrites(run):
    """A file that is there stays as it is."""
    Path("k").write_text("mine")

    result = run("keys", "generate", "--out", "k")

    assert 1 == result.exit_code
    assert "mine" == Path("k").read_text()
    assert "There is a file k already" in result.stderr


def test_list_names_ids_only(run, environment):
    """The ids are shown in their order, the keys are not."""
    keys = [tokenkeep.generate_key(), tokenkeep.generate_key()]
    environment.setenv("TOKENKEEP_KEYS", " ".join(keys))

    result = run("keys", "list")

    ids = [line.split("\t")[0] for line in result.stdout.splitlines()]
    assert list(tokenkeep.KeyRing(parse_keys(" ".join(keys), "here")).key_ids) == ids
    assert keys[0] not in result.output


def test_rotate(run, run_json, save, environment):
    """A new key on top opens the store at once; the old one can be taken away."""
    token = save()
    old = os.environ["TOKENKEEP_KEYS"]
    new = tokenkeep.generate_key()
    environment.setenv("TOKENKEEP_KEYS", f"{new} {old}")

    done, again = run_json("keys", "rotate"), run_json("keys", "rotate")

    assert (done["rotated"], again["rotated"]) == (True, False)
    environment.setenv("TOKENKEEP_KEYS", new)
    assert run_json("show", token.id)["id"] == token.id
    assert run_json("keys", "status")["wrapped_under"] == done["key_id"]
    environment.setenv("TOKENKEEP_KEYS", old)
    failed = run("show", token.id)
    assert failed.exit_code == 1
    assert f"wrapped under key {done['key_id']}" in failed.stderr


def test_rotate_data(run_json, run, save, configured):
    """All is sealed under a new data key; run again, it goes on where it was."""
    tokens = [save(user.name) for user in configured.users[:2]]

    done = run_json("keys", "rotate", "--data")
    rest = run_json("keys", "rotate", "--data", "--resume")

    assert (done["resealed"], rest["resealed"]) == (2, 0)
    assert run_json("keys", "status")["records"] == {"1": 0, "2": 2}
    assert run_json("show", tokens[0].id)["id"] == tokens[0].id
    assert run("keys", "rotate", "--resume").exit_code == 2
