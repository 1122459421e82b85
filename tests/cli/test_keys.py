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
