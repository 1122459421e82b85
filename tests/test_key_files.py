"""Where keys come from, and what is refused before anything is written."""

from __future__ import annotations

import logging
import stat
from contextlib import nullcontext
from pathlib import Path

import pytest
from reported import reported

import tokenkeep
from tokenkeep import ConfigurationError, KeyMissing, KeyUnsafe, Token, generate_key, keys
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.sealing import KeyRing, parse_keys


@pytest.fixture
def key_file(tmp_path):
    return tmp_path / "config" / "tokenkeep" / "keys"


@pytest.fixture
def environ(key_file):
    return {keys.KEY_FILE: str(key_file)}


def write(path, text, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("latin-1"))
    path.chmod(mode)


def ids(*texts):
    return KeyRing([key for text in texts for key in parse_keys(text, "")]).key_ids


def test_environment_before_file(environ, key_file):
    """Keys of the environment come first, newest first; else the file's; or there is none."""
    assert keys.load(environ) is None
    assert not key_file.exists()
    one, two, three = generate_key(), generate_key(), generate_key()
    write(key_file, f"# keys\n{three}\n")

    assert ids(three) == keys.load(environ).key_ids
    assert ids(two, one) == keys.load(environ | {keys.KEYS: f"{two},{one}"}).key_ids
    assert ids(three) == keys.load(environ | {keys.KEYS: "  "}).key_ids


def test_a_key_others_can_reach_is_refused(environ, key_file):
    """With what to do, and left alone; nor is one made in a folder that others can write."""
    write(key_file, generate_key(), 0o640)
    said = r"chmod 600.* mount it read-only, as a container's secret"
    with pytest.raises(KeyUnsafe, match=said):
        keys.load(environ)
    assert 0o640 == stat.S_IMODE(key_file.stat().st_mode)
    key_file.unlink()
    key_file.parent.chmod(0o772)

    with pytest.raises(KeyUnsafe, match="others can write"):
        keys.make(key_file, beside=key_file.with_name("tokens.db"))

    assert [] == list(key_file.parent.iterdir())


@pytest.mark.parametrize(
    ("content", "said"),
    [("hunter2", "Key number 1"), ("tk1_hunter2", "Key number 1"),
     ("tk1_hunter2ü", "Key number 1|not text"), ("'hunter2", "Key number 1"),
     (f"tk1_{'A' * 43}\nhunter2\n", "Key number 2"),
     ("", "keys generate"), ("# only a remark\n", "keys generate"), ("\xff\xfe\x00", "not text"),
     (None, "it is a folder")],
)  # fmt: skip
def test_what_is_no_key_file(environ, key_file, content, said):
    """Without a key, with something else, no text or a folder: named; nothing of it is shown."""
    if content is None:
        key_file.mkdir(parents=True)
    else:
        write(key_file, content)

    for given in (environ, {keys.KEYS: content}):
        if given is environ or "hunter2" in (content or ""):
            with pytest.raises(ConfigurationError, match=said) as caught:
                keys.load(given | {"OTHER": "hunter2"})
            for secret in ("hunter2", "A" * 43):
                assert secret not in reported(caught.value)


def test_make(environ, key_file, tmp_path, caplog):
    """A made key is for its owner alone, announced once, and is used from then on."""
    with caplog.at_level(logging.WARNING, "tokenkeep"):
        ring = keys.make(key_file, beside=tmp_path / "tokens.db")

    assert 0o600 == stat.S_IMODE(key_file.stat().st_mode)
    assert 0o700 == stat.S_IMODE(key_file.parent.stat().st_mode)
    assert [key_file] == list(key_file.parent.iterdir())
    assert ring.key_ids == keys.load(environ).key_ids
    (told,) = caplog.messages
    assert str(key_file) in told
    assert "back it up" in told
    assert "tk1_" not in told
    assert ring.key_ids == keys.make(key_file, beside=tmp_path / "tokens.db").key_ids
    assert [told] == caplog.messages


def test_sixteen_processes_make_one_key(key_file, environ, fork_together):
    """Of sixteen processes that make the first key at once, all end up with the same one."""

    def make(number):
        ring = keys.make(key_file, beside=key_file.with_name("tokens.db"))
        key_file.with_name(f"{ring.key_ids[0]} {number}").touch()

    key_file.parent.mkdir(parents=True)
    fork_together(make, 16)

    (key_id,) = keys.load(environ).key_ids
    made = {key_file, *(key_file.with_name(f"{key_id} {number}") for number in range(16))}
    assert made == set(key_file.parent.iterdir())


LAYER, DATA, HOME = ("/", "overlay"), ("{}/data", "ext4"), ("{}/config", "ext4")
MOUNTS = {
    "volume for data only": ("config/keys", [LAYER, DATA], True),
    "rootless": ("config/keys", [("/", "fuse.fuse-overlayfs"), DATA], True),
    "a name that only begins alike": ("config.d/keys", [LAYER, DATA, HOME], True),
    "in memory": ("config/keys", [("/", "ext4"), ("{}/config", "tmpfs")], True),
    "in memory beside a layer": ("config/keys", [LAYER, ("{}/config", "tmpfs")], True),
    "in memory, elsewhere": ("config/keys", [("/", "tmpfs"), ("{}/data", "ramfs")], True),
    "data in memory": ("config/keys", [LAYER, ("{}/data", "tmpfs")], True),
    "both in the container": ("config/keys", [LAYER], False),
    "home on a volume": ("config/keys", [LAYER, DATA, HOME], False),
    "key beside the data": ("data/keys", [LAYER, DATA], False),
    "no container": ("config/keys", [("/", "ext4"), DATA], False),
    "mounted over": ("config/keys", [LAYER, ("{}/config", "tmpfs"), HOME], False),
    "no /proc": ("config/keys", [], False),
}


@pytest.mark.parametrize(("key", "mounts", "refused"), MOUNTS.values(), ids=MOUNTS)
def test_a_container_must_not_orphan_the_tokens(tmp_path, monkeypatch, key, mounts, refused):
    """A key that would be gone with the container, beside data that stays, is not made."""
    lines = [f"none {point.format(tmp_path)} {kind} rw,relatime 0 0\n" for point, kind in mounts]
    told, read = {Path("/proc/self/mounts"): "".join(lines).encode()}, Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: told.get(path) or read(path))

    said = f"(?s){keys.KEYS}.*{keys.KEY_FILE}"
    with pytest.raises(KeyUnsafe, match=said) if refused else nullcontext():
        keys.make(tmp_path / key, beside=tmp_path / "data" / "t.db")

    assert refused == (not list(tmp_path.iterdir()))


@pytest.mark.parametrize("around", ["{}\r", " {} ", "\t{}\n", "'{}'", '"{}"\r'])
def test_what_is_around_values(key_file, around):
    """Blanks, the line ends of Windows and an env file's quotes are no part of a value."""
    key = generate_key()
    write(key_file, f"{key}\r\n")

    for environ in ({keys.KEYS: around.format(key)}, {keys.KEY_FILE: around.format(key_file)}):
        assert ids(key) == keys.load(environ).key_ids


def test_a_lost_key(environ, key_file, tmp_path):
    """A store without its key: one error with key ids and places, nothing is written."""
    url = f"sqlite:///{tmp_path}/t.db"
    with tokenkeep.open_store(url, environ=environ, make=True) as store:
        (key_id,) = store.ring.key_ids
    key_file.rename(tmp_path / "lost")
    data = {path: path.read_bytes() for path in tmp_path.glob("t.*")}

    with pytest.raises(KeyMissing) as caught:
        tokenkeep.open_store(url, environ=environ)

    for said in (key_id, keys.KEYS, str(key_file)):
        assert said in str(caught.value)
    assert not key_file.exists()
    assert data == {path: path.read_bytes() for path in data}


def test_no_key_file_is_made(environ, key_file, monkeypatch):
    """What is gone with the process has a key that is, too; hosts that share a store bring one."""
    tokenkeep.open_store("memory:", environ=environ).save_token(Token(access_token="a"))
    monkeypatch.setattr(MemoryBackend, "embedded", False)
    with pytest.raises(KeyMissing, match="keys generate"):
        tokenkeep.open_store("memory:", environ=environ)

    assert not key_file.exists()
