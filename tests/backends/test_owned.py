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

ME, OTHER = 12345, 54321

pytestmark = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0, reason="only root can give files away"
)


def put(path, owner, mode, group=None):
    """Make a file, or with a path that ends in a slash a folder."""
    if str(path).endswith("/"):
        Path(path).mkdir()
    else:
        Path(path).write_text("content")
    os.chown(path, owner, owner if group is None else group)
    Path(path).chmod(mode)


def link(path, to, owner):
    Path(path).symlink_to(to)
    os.chown(path, owner, owner, follow_symlinks=False)


def kubernetes(at):
    """A secret as the kubelet mounts it."""
    put(f"{at}/secret/", 0, 0o1777, ME)
    put(f"{at}/secret/..2026_11_30/", 0, 0o2755, ME)
    put(f"{at}/secret/..2026_11_30/keys", 0, 0o440, ME)
    link(f"{at}/secret/..data", "..2026_11_30", 0)
    link(f"{at}/secret/keys", "..data/keys", 0)
    return "secret/keys"


def alone(owner, mode, group=None):
    return lambda at: put(f"{at}/keys", owner, mode, group) or "keys"


def below(owner, mode, group=None, *, file=(ME, 0o600)):
    def make(at):
        put(f"{at}/f/", owner, mode, group)
        put(f"{at}/f/keys", *file)
        return "f/keys"

    return make


def linked(owner, folder, *, file=(ME, 0o600)):
    def make(at):
        put(f"{at}/real", *file)
        put(f"{at}/f/", *folder)
        link(f"{at}/f/keys", "../real", owner)
        return "f/keys"

    return make


def folder_linked(owner):
    def make(at):
        put(f"{at}/real/", ME, 0o700)
        put(f"{at}/real/keys", ME, 0o600)
        put(f"{at}/f/", 0, 0o1777)
        link(f"{at}/f/to", f"{at}/real", owner)
        return "f/to/keys"

    return make


SECRETS = {
    "ours": (alone(ME, 0o600), None),
    "ours, read-only": (alone(ME, 0o400), None),
    "Kubernetes": (kubernetes, None),
    "Docker": (alone(0, 0o444), None),
    "root's, for our group": (alone(0, 0o440, ME), None),
    "root's, executable": (alone(0, 0o555), None),
    "root's, in a sticky folder": (below(0, 0o1777, file=(0, 0o444)), None),
    "root's, in our folder": (below(ME, 0o700, file=(0, 0o444)), "others can read"),
    "root's, in our read-only folder": (below(ME, 0o500, file=(0, 0o444)), "others can read"),
    "root's, others can write": (alone(0, 0o446), "others can write"),
    "ours, the group can read": (alone(ME, 0o640), "others can read"),
    "ours, all can read": (alone(ME, 0o604), "others can read"),
    "ours, the group can write": (alone(ME, 0o620), "others can write"),
    "somebody else's": (alone(OTHER, 0o644), f"belongs to user {OTHER}"),
    "somebody else's, for our group": (alone(OTHER, 0o440, ME), f"belongs to user {OTHER}"),
    "somebody else's folder": (below(OTHER, 0o755), f"belongs to user {OTHER}"),
    "all can write the folder": (below(ME, 0o777), "others can exchange"),
    "all can write root's folder": (below(0, 0o777), "others can exchange"),
    "another group can write the folder": (below(ME, 0o770, OTHER), "others can exchange"),
    "our group can write the folder": (below(ME, 0o770), None),
    "a sticky folder": (below(0, 0o1777), None),
    "our link": (linked(ME, (ME, 0o755)), None),
    "our link in a sticky folder": (linked(ME, (0, 0o1777)), None),
    "root's link": (linked(0, (0, 0o755)), None),
    "somebody else's link": (linked(OTHER, (0, 0o1777)), "the link"),
    "somebody else's link to a folder": (folder_linked(OTHER), "the link"),
    "our link to a folder": (folder_linked(ME), None),
    "our link to somebody else's": (linked(ME, (ME, 0o755), file=(OTHER, 0o644)), f"{OTHER}"),
}
CONFIGURATIONS = {
    "ours, all can read": (alone(ME, 0o644), None),
    "root's, all can read": (alone(0, 0o644), None),
    "root's, in our folder": (below(ME, 0o700, file=(0, 0o644)), None),
    "our group can write": (alone(ME, 0o664), None),
    "our group can write root's": (alone(0, 0o660, ME), None),
    "another group can write": (alone(ME, 0o664, OTHER), "others can write"),
    "our group and all can write": (alone(ME, 0o666), "others can write"),
    "all can write": (alone(0, 0o666), "others can write"),
    "somebody else's": (alone(OTHER, 0o644), f"belongs to user {OTHER}"),
    "somebody else's folder": (below(OTHER, 0o755), f"belongs to user {OTHER}"),
    "all can write the folder": (below(0, 0o777), "others can exchange"),
}
CASES = [
    pytest.param(*case, secret, id=f"{kind}: {name}")
    for kind, secret, table in (("secret", True, SECRETS), ("plain", False, CONFIGURATIONS))
    for name, case in table.items()
]


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

    def run(work, *mounted):
        def work_as_me(say):
            if mounted:
                mount_read_only(*mounted)
            become_me()
            try:
                work(say)
            except (ConfigurationError, StoreUnavailable) as exc:
                say(f"{type(exc).__name__}: {exc}")

        return fork(work_as_me).end()

    return run


def reading(path, *, secret=False):
    """Return what says the content of a file."""
    given = {"variable": "NAME", "secret": secret, "unsafe": KeyUnsafe}
    return lambda say: say(str(owned.read(path, "The file", **given)))


@pytest.mark.parametrize(("make", "said", "secret"), CASES)
def test_who_may(world, as_me, make, said, secret):
    """What root or this user made is read, if nobody else can read or exchange it; else not."""
    (came,) = as_me(reading(world / make(world), secret=secret))

    if said is None:
        assert came == "content"
    else:
        assert came.startswith(f"KeyUnsafe: The file {world}/")
        assert said in came


@pytest.mark.parametrize("reader", [ME, 0])
@pytest.mark.parametrize(
    "make",
    [kubernetes, alone(0, 0o440, ME), alone(OTHER, 0o644), alone(0, 0o777), below(OTHER, 0o777,
     file=(OTHER, 0o644)), below(0, 0o755, file=(0, 0o440, ME))],
    ids=["Kubernetes", "its file", "Compose", "Docker Desktop", "Compose, a folder", "case 15"],
)  # fmt: skip
def test_on_a_mount_that_can_not_be_written(world, fork, as_me, make, reader):
    """Whoever made the mount answers for what is on it."""
    if not can_mount():
        pytest.skip("no mounts here")
    path = world / make(world)
    place = world / path.relative_to(world).parts[0]
    if reader == ME:
        assert as_me(reading(path, secret=True), place) == ["content"]
        return

    def work(say):
        mount_read_only(place)
        reading(path)(say)

    assert fork(work).end() == ["content"]


def large(at):
    put(f"{at}/keys", 0, 0o600)
    os.truncate(f"{at}/keys", 10 << 30)


ODD = {
    "a pipe": (lambda at: os.mkfifo(f"{at}/keys", 0o600), "not a regular file"),
    "a link to a pipe": (
        lambda at: (os.mkfifo(f"{at}/pipe", 0o600), Path(f"{at}/keys").symlink_to("pipe")),
        "not a regular file",
    ),
    "a device": (lambda at: Path(f"{at}/keys").symlink_to("/dev/zero"), "not a regular file"),
    "a folder": (lambda at: put(f"{at}/keys/", 0, 0o700), "it is a folder"),
    "10 GB": (large, "longer than 1,000,000 bytes"),
    "a circle": (lambda at: Path(f"{at}/keys").symlink_to("keys"), "in a circle"),
    "a link to nothing": (lambda at: Path(f"{at}/keys").symlink_to("no"), "leads nowhere"),
    "no text": (lambda at: Path(f"{at}/keys").write_bytes(b"\xff") and None, "not text"),
}


@pytest.mark.parametrize(("make", "said"), ODD.values(), ids=ODD)
def test_what_is_no_file(tmp_path, make, said):
    """What is no file, has no end or no text is refused at once."""
    make(tmp_path)
    if (tmp_path / "keys").is_file() and not (tmp_path / "keys").is_symlink():
        (tmp_path / "keys").chmod(0o600)

    with pytest.raises(ConfigurationError, match=said):
        owned.read(tmp_path / "keys", "The file", variable="NAME")


def test_marks_of_other_systems(tmp_path):
    """What Windows' editors put in front is not part of the text."""
    put(tmp_path / "keys", 0, 0o600)
    (tmp_path / "keys").write_bytes("\ufefftext\r\n".encode())

    assert "text\r\n" == owned.read(tmp_path / "keys", "The file", variable="NAME")


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


PLANTED = {
    "somebody else's": (lambda at: put(f"{at}/", OTHER, 0o777), f"belongs to user {OTHER}"),
    "somebody else's, private": (lambda at: put(f"{at}/", OTHER, 0o700), f"user {OTHER}"),
    "a link": (lambda at: at.symlink_to("/etc"), "it is a link"),
    "a link to nothing": (lambda at: at.symlink_to("/nothing/there"), "it is a link"),
    "a pipe": (os.mkfifo, "it is no folder"),
    "a file": (lambda at: put(at, 0, 0o600), "it is no folder"),
}


@pytest.mark.parametrize("make", [False, True])
@pytest.mark.parametrize(("plant", "said"), PLANTED.values(), ids=PLANTED)
def test_a_folder_that_is_there_first(tmp_path, plant, said, make):
    """A folder of ours that somebody else has made, or that is none, is left as it is."""
    place = tmp_path / "journal"
    plant(place)

    with (
        pytest.raises(StoreUnavailable, match=said) as caught,
        owned.own_folder(place, make=make),
    ):
        pass

    assert "move it away" in str(caught.value)


def put_open(at):
    """A volume of containers, as Kubernetes' emptyDir is: root's, open to all."""
    put(f"{at}/state/", 0, 0o777)


WAYS = {
    "this user's": (lambda at: put(f"{at}/state/", ME, 0o700), None),
    "root's, open to all": (put_open, None),
    "root's, sticky": (lambda at: put(f"{at}/state/", 0, 0o1777), None),
    "this user's link": (
        lambda at: (put(f"{at}/real/", ME, 0o700), link(f"{at}/state", "real", ME)),
        None,
    ),
    "root's journal": (lambda at: (put_open(at), put(f"{at}/state/journal/", 0, 0o777)), None),
    "root's journal, root's store": (
        lambda at: (put_open(at), put(f"{at}/state/journal/", 0, 0o777),
                    put(f"{at}/state/journal/store/", 0, 0o777)),
        None,
    ),
    "somebody else's": (
        lambda at: put(f"{at}/state/", OTHER, 0o777),
        "the folder {at}/state belongs to user 54321",
    ),
    "below somebody else's": (
        lambda at: (put(f"{at}/state/", OTHER, 0o755), put(f"{at}/state/journal/", ME, 0o700)),
        "the folder {at}/state belongs to user 54321",
    ),
    "somebody else's link": (
        lambda at: (put(f"{at}/real/", ME, 0o700), link(f"{at}/state", "real", OTHER)),
        "the link {at}/state belongs to user 54321",
    ),
    "somebody else's link in it": (
        lambda at: (put(f"{at}/real/", ME, 0o700), put(f"{at}/state/", ME, 0o1777),
                    link(f"{at}/state/journal", "../real", OTHER)),
        "the link {at}/state/journal belongs to user 54321",
    ),
    "somebody else's journal": (
        lambda at: (put(f"{at}/state/", 0, 0o1777), put(f"{at}/state/journal/", OTHER, 0o777)),
        "the folder {at}/state/journal belongs to user 54321",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "said"), WAYS.values(), ids=WAYS)
def test_on_the_way_to_it(world, as_me, make, said):
    """What is below a folder that was named goes only where root or this user has led it."""
    make(world)
    place = world / "state" / "journal" / "store"
    before = sorted(world.rglob("*"))

    def work(say):
        for deed in (True, False):
            try:
                with owned.own_folder(
                    place, make=deed, below=world / "state", instead="Or name another"
                ) as folder:
                    if deed:
                        folder.write("name", b"x")
                    say(folder.read("name", 1).decode())
            except StoreUnavailable as exc:
                say(str(exc))

    came = as_me(work)

    if said is None:
        assert came == ["x", "x"]
        return
    for each in came:
        assert said.format(at=world) in each
        assert each.endswith(f"Let it belong to root or to user {ME}. Or name another")
    assert before == sorted(world.rglob("*"))


STATES = {
    "there": ("state", ["state"], ME),
    "with its journal": ("state", ["state", "state/journal"], ME),
    "to be made in his home": ("home/.local/state/tokenkeep", ["home"], ME),
    "root's": ("state", [], 0),
}


@pytest.mark.parametrize(("state", "there", "owner"), STATES.values(), ids=STATES)
def test_root_makes_what_is_somebody_s(world, state, there, owner):
    """What root makes below a folder that was named is its owner's, or of the nearest above it."""
    for each in there:
        put(f"{world}/{each}/", owner, 0o700)
    place = world / state / "journal" / "store"

    with owned.own_folder(place, make=True, below=world / state) as folder:
        folder.write("name", b"x")

    assert (place / "name").read_bytes() == b"x"
    assert {owner} == {each.stat().st_uid for each in world.rglob("*")}


def test_root_leaves_what_is_another_s(world):
    """Beside the owner of the folder that was named, root believes nobody; it says what to do."""
    put(f"{world}/state/", ME, 0o700)
    put(f"{world}/state/journal/", ME, 0o700)
    put(f"{world}/state/journal/store/", OTHER, 0o700)

    with (
        pytest.raises(StoreUnavailable, match=r"belongs to user.*run this as that user"),
        owned.own_folder(world / "state/journal/store", below=world / "state"),
    ):
        pass


@pytest.mark.parametrize(
    ("place", "mode"),
    [("journal", 0o777), ("journal", 0o1777), ("journal", 0o757), ("state", 0o777), (None, 0o777)],
)
def test_rights_that_can_not_be_taken_away(world, fork, caplog, place, mode):
    """
    A folder of root's that stays open is used, and said once; so for one on the way to it.

    Not so for a volume of containers: it is open, to nobody else.
    """
    if not (place or can_mount()):
        pytest.skip("no mounts here")
    put(f"{world}/{place or 'state'}/", 0, mode)
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
        assert each.startswith(f"{world}/{place} is open to other users (mode {mode:o})")
        assert "sealed" in each
        assert "take away the answers" in each


@pytest.mark.parametrize("there", [None, (ME, 0o700), (0, 0o700), (0, 0o777), (0, 0o755)], ids=str)
def test_root_uses_what_is_somebody_s(tmp_path, there):
    """What root makes, or has made before, beside a store is its owner's: he finds it, closed."""
    store, journal = tmp_path / "tokens.db", tmp_path / "journal"
    put(store, ME, 0o600)
    if there:
        put(f"{journal}/", *there)

    with owned.own_folder(journal, make=True, like=store) as folder:
        folder.write("name", b"x")

    assert {ME} == {each.stat().st_uid for each in tmp_path.rglob("*")}
    assert 0o700 == journal.stat().st_mode & 0o777
    put(tmp_path / "root.db", 0, 0o600)
    with pytest.raises(StoreUnavailable), owned.own_folder(journal, like=tmp_path / "root.db"):
        pass


def test_another_name_elsewhere(tmp_path):
    """What others link into a folder that is open to them is not written over."""
    put(f"{tmp_path}/journal/", 0, 0o777)
    put(tmp_path / "mine", 0, 0o600)
    os.link(tmp_path / "mine", tmp_path / "journal" / "name")

    with (
        owned.own_folder(tmp_path / "journal") as folder,
        pytest.raises(StoreUnavailable, match="another name elsewhere"),
    ):
        folder.write("name", b"")

    assert (tmp_path / "mine").read_text() == "content"


FILES = {
    "somebody else's": (lambda at: put(at, OTHER, 0o666), f"belongs to user {OTHER}"),
    "a link": (lambda at: at.symlink_to("/etc/hostname"), "it is a link"),
    "a link to nothing": (lambda at: at.symlink_to("/nothing/there"), "it is a link"),
    "a pipe": (os.mkfifo, "no.*file"),
}


@pytest.mark.parametrize("deed", ["read", "write"])
@pytest.mark.parametrize(("plant", "said"), FILES.values(), ids=FILES)
def test_a_file_in_it_that_is_there_first(tmp_path, plant, said, deed):
    """In a folder that was open to others there may be anything: nothing hangs or is followed."""
    place = tmp_path / "journal"
    put(f"{place}/", 0, 0o777)
    plant(place / "name")

    with owned.own_folder(place) as folder:
        assert 0o700 == place.stat().st_mode & 0o777
        with pytest.raises((StoreUnavailable, OSError), match=said):
            folder.read("name", 100) if deed == "read" else folder.write("name", b"ours")


def test_exchanged_while_it_is_open(tmp_path):
    """What is done goes to the folder that was looked at, whatever is at its path by now."""
    put(f"{tmp_path}/journal/", 0, 0o700)
    put(f"{tmp_path}/other/", 0, 0o700)
    put(tmp_path / "other" / "old", 0, 0o600)

    with owned.own_folder(tmp_path / "journal") as folder:
        (tmp_path / "journal").rename(tmp_path / "away")
        (tmp_path / "journal").symlink_to("other")
        folder.write("new", b"x")
        folder.rename("new", "newer")
        folder.remove("old")
        assert folder.names() == ["newer"]

    assert [tmp_path / "other" / "old"] == list((tmp_path / "other").iterdir())
