"""Who may have made a file that decides where our secrets go, and who may read it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from mounts import can_mount, mount_read_only

from tokenkeep import ConfigurationError, KeyUnsafe, StoreUnavailable
from tokenkeep.backends import owned

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
        "real me 600, f/ root 1777, f/k me -> ../real",
        "real me 600, f/ root 755, f/k root -> ../real",
        "real/ me 700, real/k me 600, f/ root 1777, f/to me -> ../real, f/to/k",
    ],
    "others can read": [
        *("k me 640", "k me 604", "f/ me 700, f/k root 444", "f/ me 500, f/k root 444"),
    ],
    "others can write": ["k root 446", "k me 620"],
    f"belongs to user {OTHER}": [
        *("k other 644", "k other:me 440", "f/ other 755, f/k me 600"),
        "real other 644, f/ me 755, f/k me -> ../real",
    ],
    "others can exchange": [
        *(f"f/ {each}, f/k me 600" for each in ("me 777", "root 777", "me:other 770")),
    ],
    "the link": [
        "real me 600, f/ root 1777, f/k other -> ../real",
        "real/ me 700, real/k me 600, f/ root 1777, f/to other -> ../real, f/to/k",
    ],
}
CONFIGURATIONS = {
    None: [
        *("k me 644", "k root 644", "f/ me 700, f/k root 644", "k me 664", "k root:me 660"),
    ],
    "others can write": ["k me:other 664", "k me 666", "k root 666"],
    f"belongs to user {OTHER}": ["k other 644", "f/ other 755, f/k me 600"],
    "others can exchange": ["f/ root 777, f/k me 600"],
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
    return lambda say: say(str(owned.read(path, "The file", **given)))


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
    "in a circle": [lambda at: at.symlink_to("k")],
    "leads nowhere": [lambda at: at.symlink_to("no")],
    "not text": [lambda at: (at.touch(0o600), at.write_bytes(b"\xff"))],
}


@pytest.mark.parametrize(("said", "make"), [(said, each) for said in ODD for each in ODD[said]])
def test_what_is_no_file(tmp_path, said, make):
    """What is no file, has no end or no text is refused at once."""
    make(tmp_path / "k")

    with pytest.raises(ConfigurationError, match=said):
        owned.read(tmp_path / "k", "The file", variable="NAME")


def test_marks_of_other_systems(tmp_path):
    """What Windows' editors put in front is not part of the text."""
    path = plant(tmp_path, "k root 600")
    path.write_bytes("\ufefftext\r\n".encode())

    assert "text\r\n" == owned.read(path, "The file", variable="NAME")


def test_a_folder_and_those_above(tmp_path, monkeypatch):
    """Folders are made for their owner alone whatever the umask says, and synced one by one."""
    synced, fsync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        or fsync(handle)
    )  # fmt: skip
    was = os.umask(0)
    try:
        owned.make_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(was)

    made = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    assert [0o700] * 3 == [path.stat().st_mode & 0o777 for path in made]
    assert [path.parent for path in made] == synced


@pytest.mark.parametrize("make", [False, True])
@pytest.mark.parametrize(
    ("tree", "said"),
    [
        *((f"j/ other {mode}", f"belongs to user {OTHER}") for mode in (777, 700)),
        *((f"j root -> {to}", "it is a link") for to in ("/etc", "/nothing/there")),
        *((f"j root {what}", "it is no folder") for what in ("pipe", "600")),
    ],
)
def test_a_folder_that_is_there_first(tmp_path, tree, said, make):
    """A folder of ours that somebody else has made, or that is none, is left as it is."""
    place = plant(tmp_path, tree)

    with (
        pytest.raises(StoreUnavailable, match=rf"{said}(?s:.*)move it away"),
        owned.own_folder(place, make=make),
    ):
        pass


OPEN = "state/ root 777"  # a volume of containers, as Kubernetes' emptyDir is
WAYS = {
    "": [
        *("state/ me 700", OPEN, "state/ root 1777", "real/ me 700, state me -> real"),
        f"{OPEN}, state/journal/ root 777",
        f"{OPEN}, state/journal/ root 777, state/journal/store/ root 777",
    ],
    "the folder {at}/state belongs to user 54321": [
        *("state/ other 777", "state/ other 755, state/journal/ me 700"),
    ],
    "the link {at}/state belongs to user 54321": ["real/ me 700, state other -> real"],
    "the link {at}/state/journal belongs to user 54321": [
        "real/ me 700, state/ me 1777, state/journal other -> ../real"
    ],
    "the folder {at}/state/journal belongs to user 54321": [
        "state/ root 1777, state/journal/ other 777"
    ],
}


@pytest.mark.parametrize(("said", "tree"), [(said, each) for said in WAYS for each in WAYS[said]])
def test_on_the_way_to_it(world, as_me, said, tree):
    """What is below a folder that was named goes only where root or this user has led it."""
    plant(world, tree)
    given = {"below": world / "state", "instead": "Or name another"}
    before = sorted(world.rglob("*"))

    def work(say):
        for make in (True, False):
            try:
                with owned.own_folder(
                    world / "state" / "journal" / "store", make=make, **given
                ) as folder:
                    if make:
                        folder.write("name", b"x")
                    say(folder.read("name", 1).decode())
            except StoreUnavailable as exc:
                say(str(exc))

    came = as_me(work)

    if not said:
        assert came == ["x", "x"]
        return
    for each in came:
        assert said.format(at=world) in each
        assert each.endswith(f"Let it belong to root or to user {ME}. Or name another")
    assert before == sorted(world.rglob("*"))


@pytest.mark.parametrize(
    ("state", "tree"),
    [
        *(("state", tree) for tree in ("state/ me 700", "state/ me 700, state/journal/ me 700")),
        *(("home/.local/state/tokenkeep", "home/ me 700"), ("state", "root's")),
    ],
)
def test_root_makes_what_is_somebody_s(world, state, tree):
    """What root makes below a folder that was named is its owner's, or of the nearest above it."""
    plant(world, tree)
    place = world / state / "journal" / "store"

    with owned.own_folder(place, make=True, below=world / state) as folder:
        folder.write("name", b"x")

    assert (place / "name").read_bytes() == b"x"
    assert {ME * ("me" in tree)} == {each.stat().st_uid for each in world.rglob("*")}


def test_root_leaves_what_is_another_s(world):
    """Beside the owner of the folder that was named, root believes nobody; it says what to do."""
    place = plant(world, "state/ me 700, state/journal/ me 700, state/journal/store/ other 700")

    with (
        pytest.raises(StoreUnavailable, match=r"belongs to user.*run this as that user"),
        owned.own_folder(place, below=world / "state"),
    ):
        pass


@pytest.mark.parametrize(
    ("place", "mode"),
    [("journal", "777"), ("journal", "1777"), ("journal", "757"), ("state", "777"), (None, "777")],
)
def test_rights_that_can_not_be_taken_away(world, fork, caplog, place, mode):
    """
    A folder of root's that stays open is used, and said once; so for one on the way to it.

    Not so for a volume of containers: it is open, to nobody else.
    """
    if not (place or can_mount()):
        pytest.skip("no mounts here")
    plant(world, f"{place or 'state'}/ root {mode}")
    folder, below = world / "journal", None
    if place != "journal":
        folder, below = world / "state" / "journal" / "store", world / "state"

    def work(say):
        if not place:
            mount_read_only()  # nothing yet, in a namespace of its own
            options = ["-t", "tmpfs", "-o", "mode=777"]
            subprocess.run(["mount", *options, "volume", below], check=True)
        become_me()
        for _ in range(3):
            with owned.own_folder(folder, make=True, below=below) as made:
                made.write("name", b"x")
        for each in caplog.messages:
            say(each)

    said = fork(work).end()

    assert len(said) == bool(place)
    for each in said:
        assert each.startswith(f"{world}/{place} is open to other users (mode {mode})")
        assert "sealed" in each
        assert "take away the answers" in each


@pytest.mark.parametrize("there", ["", "me 700", "root 700", "root 777", "root 755"])
def test_root_uses_what_is_somebody_s(tmp_path, there):
    """What root makes, or has made before, beside a store is its owner's: he finds it, closed."""
    store, journal = plant(tmp_path, "tokens.db me 600"), tmp_path / "journal"
    if there:
        plant(tmp_path, f"journal/ {there}")

    with owned.own_folder(journal, make=True, like=store) as folder:
        folder.write("name", b"x")

    assert {ME} == {each.stat().st_uid for each in tmp_path.rglob("*")}
    assert 0o700 == journal.stat().st_mode & 0o777
    like = plant(tmp_path, "root.db root 600")
    with pytest.raises(StoreUnavailable), owned.own_folder(journal, like=like):
        pass


@pytest.mark.parametrize("deed", ["read", "write"])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        *(("other 666", f"belongs to user {OTHER}"), ("root pipe", "no.*file")),
        *((f"root -> {to}", "it is a link") for to in ("/etc/hostname", "/nothing/there")),
    ],
)
def test_a_file_in_it_that_is_there_first(tmp_path, what, said, deed):
    """In a folder that was open to others there may be anything: nothing hangs or is followed."""
    place = plant(tmp_path, f"journal/ root 777, journal/name {what}").parent

    with owned.own_folder(place) as folder:
        assert 0o700 == place.stat().st_mode & 0o777
        with pytest.raises((StoreUnavailable, OSError), match=said):
            folder.read("name", 100) if deed == "read" else folder.write("name", b"ours")


def test_another_name_elsewhere(tmp_path):
    """What others link into a folder that is open to them is not written over."""
    mine = plant(tmp_path, "journal/ root 777, mine root 600")
    os.link(mine, tmp_path / "journal" / "name")

    with (
        owned.own_folder(tmp_path / "journal") as folder,
        pytest.raises(StoreUnavailable, match="another name elsewhere"),
    ):
        folder.write("name", b"")

    assert mine.read_text() == "content"


def test_exchanged_while_it_is_open(tmp_path):
    """What is done goes to the folder that was looked at, whatever is at its path by now."""
    old = plant(tmp_path, "journal/ root 700, other/ root 700, other/old root 600")

    with owned.own_folder(tmp_path / "journal") as folder:
        (tmp_path / "journal").rename(tmp_path / "away")
        (tmp_path / "journal").symlink_to("other")
        folder.write("new", b"x")
        folder.rename("new", "newer")
        folder.remove("old")
        assert folder.names() == ["newer"]

    assert [old] == list(old.parent.iterdir())
