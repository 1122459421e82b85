"""Commands about keys."""

from __future__ import annotations

import os
from pathlib import Path

import tokenkeep
from tokenkeep.sealing import parse_keys


def test_generate_and_list(run, environment):
    """Another key each time; a file with one is its owner's; lists show ids in their order."""
    before = os.umask(0)
    try:
        printed, again, written = (
            run("keys", "generate", *options) for options in ([], [], ["--out", "k"])
        )
    finally:
        os.umask(before)

    texts = [printed.stdout, again.stdout, Path("k").read_text()]
    assert 3 == len({*texts})
    assert 0o600 == Path("k").stat().st_mode & 0o777
    assert texts[2].strip() not in written.output
    ids = tokenkeep.KeyRing(parse_keys(" ".join(texts), "here")).key_ids
    environment.setenv("TOKENKEEP_KEYS", " ".join(texts))
    listed = run("keys", "list").output
    assert [*ids] == [line.split("\t")[0] for line in listed.splitlines()]
    assert not [each for each in texts if each.strip() in listed]
    environment.delenv("TOKENKEEP_KEYS")
    assert (1, True) == ((none := run("keys", "list")).exit_code, "no key yet" in none.stderr)


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
    assert "data key 1\t1 record" in run("keys", "status").stdout
    environment.setenv("TOKENKEEP_KEYS", old)
    failed = run("show", token.id)
    assert (1, True) == (failed.exit_code, f"wrapped under key {done['key_id']}" in failed.stderr)


def test_rotate_data(run_json, save, configured):
    """All is sealed under a new data key; run again, it goes on where it was."""
    tokens = [save(user.name) for user in configured.users[:2]]

    done = run_json("keys", "rotate", "--data")
    rest = run_json("keys", "rotate", "--data", "--resume")

    assert (done["resealed"], rest["resealed"]) == (2, 0)
    assert run_json("keys", "status")["records"] == {"1": 0, "2": 2}
    assert run_json("show", tokens[0].id)["id"] == tokens[0].id
