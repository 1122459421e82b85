"""Who may have made a file that decides where our secrets go, and who may read it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from mounts import can_mount, mount_read_only

from tokenkeep import ConfigurationError, KeyUnsafe, StoreUnavailable
from tokenkeep.backends import private_file

USERS = {"root": 0, "me": 12345, "other": 54321}
ME, OTHER = USERS["me"], USERS["other"]

pytestmark = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can give files away"
)


def plant(at, tree):
    """
    Make what is listed, and return the last path.

    Each is ``path owner mode``, with ``owner:group`` where the group is another's, and a slash
    behind a folder; ``path owner -> target``; ``path owner pipe``; or a path that is not made.
    """
    for each in tree.split(", "):
        name, *given = each.split()
        path = at / name
        if not given:
            continue
        owner, _, group = given[0].partition(":")
        ids = USERS[owner], USERS[group or owner]
        if given[1] == "->":
            path.symlink_to(given[2])
        elif given[1] == "pipe":
            os.mkfifo(path, 0o600)
        elif name.endswith("/"):
            path.mkdir()
        else:
            path.write_text("content")
        os.chown(path, *ids, follow_symlinks=False)
        if given[1] not in ("->", "pipe"):
            path.chmod(int(given[1], 8))
    return path


KUBERNETES = (  # as the kubelet mounts a secret
    "s/ root:me 1777, s/..1/ root:me 2755, s/..1/k root:me 440, "
    "s/..data root -> ..1, s/k root -> ..data/k"
)
SECRETS = {
    None: [
        *("k me 600", "k me 400", "k root 444", "k root:me 440", "k root 555", KUBERNETES),
        *("f/ root 1777, f/k root 444", "f/ root 1777, f/k me 600", "f/ me 770, f/k me 600"),
        "real me 600, f/ me 755, f/k me -> ../real",
        "real me 600, f/ root 777, f/k other -> ../real",
        "real me 600, f/ root 755, f/k root -> ../real",
        "real/ me 700, real/k me 600, f/ root 1777, f/to me -> ../real, f/to/k",
        "f/ me 700, f/k root 444",
    ],
    "others can read or change": ["k me 640", "k me 604", "k me 620"],
    "others can write": [
        *("k root 446", "f/ me 777, f/k me 600", "f/ root 777, f/k me 600"),
        *("f/ me:other 770, f/k me 600", "real/ me 777, real/k me 600, k me -> real/k"),
    ],
    f"belongs to user {OTHER}": [
        *("k other 644", "k other:me 440", "f/ other 755, f/k me 600"),
        "real other 644, f/ me 755, f/k me -> ../real",
    ],
}
CONFIGURATIONS = {
    None: [
        *("k me 644", "k root 644", "f/ me 700, f/k root 644", "k me 664", "k root:me 660"),
    ],
    "others can write": ["k me:other 664", "k me 666", "k root 666", "f/ root 777, f/k me 600"],
    f"belongs to user {OTHER}": ["k other 644", "f/ other 755, f/k me 600"],
}


@pytest.fixture
def world():
    """A folder of root's that all users reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def become_me():
    os.setgroups([])
    os.setgid(ME)
    os.setuid(ME)


@pytest.fixture
def as_me(fork):
    """Do something as a user whom nobody knows, with read-only mounts of his own."""

    def run(work, *mounted, root=False):
        def work_as_me(say):
            if mounted:
                mount_read_only(*mounted)
            if not root:
                become_me()
            try:
                work(say)
            except (ConfigurationError, StoreUnavailable) as exc:
                say(f"{type(exc).__name__}: {exc}")

        return fork(work_as_me).end()

    return run


def reading(path, *, secret=True):
    """Return what says the content of a file."""
    given = {"variable": "NAME", "secret": secret, "unsafe": KeyUnsafe}
    return lambda say: say(str(private_file.read(path, "The file", **given)))


@pytest.mark.parametrize(
    ("secret", "said", "tree"),
    [
        (table is SECRETS, said, tree)
        for table in (SECRETS, CONFIGURATIONS)
        for said, trees in table.items()
        for tree in trees
    ],
)
def test_who_may(world, as_me, secret, said, tree):
    """What root or this user made is read, if nobody else can read or exchange it; else not."""
    (came,) = as_me(reading(plant(world, tree), secret=secret))

    if said is None:
        assert came == "content"
    else:
        assert came.startswith(f"KeyUnsafe: The file {world}/")
        assert said in came


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize(
    "tree",
    [
        *(KUBERNETES, "k root:me 440", "k other 644", "k root 777"),
        *("f/ other 777, f/k other 644", "f/ root 755, f/k root:me 440"),
    ],
)
def test_on_a_mount_that_can_not_be_written(world, as_me, tree, root):
    """Whoever made the mount answers for what is on it."""
    if not can_mount():
        pytest.skip("no mounts here")
    path = plant(world, tree)

    assert as_me(reading(path), world / path.relative_to(world).parts[0], root=root) == ["content"]


def large(path):
    path.touch(0o600)
    os.truncate(path, 10 << 30)


ODD = {
    "not a regular file": [
        *(lambda at: os.mkfifo(at, 0o600), lambda at: at.symlink_to("/dev/zero")),
        lambda at: plant(at.parent, "pipe root pipe, k root -> pipe"),
    ],
    "it is a folder": [lambda at: at.mkdir(0o700)],
    "longer than 1,000,000 bytes": [large],
    "symbolic links": [lambda at: at.symlink_to("k")],
    "leads nowhere": [lambda at: at.symlink_to("no")],
    "not text": [lambda at: (at.touch(0o600), at.write_bytes(b"\xff"))],
}


@pytest.mark.parametrize(("said", "make"), [(said, each) for said in ODD for each in ODD[said]])
def test_what_is_no_file(tmp_path, said, make):
    """What is no file, has no end or no text is refused at once."""
    make(tmp_path / "k")

    with pytest.raises(ConfigurationError, match=said):
        private_file.read(tmp_path / "k", "The file", variable="NAME")


def test_marks_of_other_systems(tmp_path):
    """What Windows' editors put in front is not part of the text."""
    path = plant(tmp_path, "k root 600")
    path.write_bytes("\ufefftext\r\n".encode())

    assert "text\r\n" == private_file.read(path, "The file", variable="NAME")


@pytest.mark.parametrize("make", [False, True])
@pytest.mark.parametrize(
    ("tree", "said"),
    [
        *((f"j/ other {mode}", rf"belongs to user {OTHER}.*move it away") for mode in (777, 700)),
        *(
            (f"j root {what}", "Not a directory|File exists")
            for what in ("-> /etc", "pipe", "600")
        ),
    ],
)
def test_a_folder_that_is_there_first(tmp_path, tree, said, make):
    """A folder of ours that somebody else has made, or that is none, is left as it is."""
    place = plant(tmp_path, tree)
    before = place.lstat()

    with pytest.raises(StoreUnavailable, match=said):
        expect(place, make=make)

    assert (before.st_uid, before.st_mode) == (place.lstat().st_uid, place.lstat().st_mode)


@pytest.mark.parametrize("tree", ["j/ me 700", "j/ me 777", "j/ root 777"])
def test_a_folder_of_ours(world, as_me, tree):
    """It is used, and closed to others where that can be done."""
    place = plant(world, tree)

    assert ["700" if "me" in tree else "777"] == as_me(
        lambda say: (expect(place), say(f"{place.stat().st_mode & 0o777:o}"))
    )


def test_root_beside_a_service(tmp_path):
    """Root makes nothing that the service could not use, and is told how to run instead."""
    plant(tmp_path, "me/ me 700, tokens.db me 600, me/root.db root 600")

    for place in ("tokens.db.journal", "me/state/journal"):
        with pytest.raises(StoreUnavailable, match=f"sudo -u '#{ME}'"):
            expect(tmp_path / place, make=True)
        assert not (tmp_path / place).exists()

    expect(tmp_path / "me" / "root.db.journal", make=True)
    assert (tmp_path / "me" / "root.db.journal").is_dir()


def expect(place, **given):
    """Look at a folder; errors as a journal has them."""
    try:
        private_file.expect_own_folder(place, **given)
    except OSError as exc:
        private_file.refuse(place, exc)
