"""URLs: which backend they open, and what is said of those that open none."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pytest

from tokenkeep import backends
from tokenkeep.backends import BACKENDS, Kind, file_of, open_backend
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import ConfigurationError, DriverMissing, UnknownName
from tokenkeep.testing.records import record


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_is_right():
    """Each row of the table names a class that takes a URL, and says where its records are."""
    for kind in BACKENDS.values():
        backend = getattr(import_module(kind.module), kind.name)

        assert callable(backend.from_url)
        assert kind.place in ("memory", "file", "server")
        assert backend.embedded is (kind.place != "server")


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("SQLite:///tokens.db", SQLiteBackend, "tokens.db"),
        ("file:///tokens.json", FileBackend, "tokens.json"),
        ("sqlite:///a%20b%3Fc%23d%25.db", SQLiteBackend, "a b?c#d%.db"),
        ("sqlite:///a b#100%.db", SQLiteBackend, "a b#100%.db"),
        ("file:///%C3%BCml%C3%A4ut.json", FileBackend, "\u00fcml\u00e4ut.json"),
        ("sqlite:///\u00fc \U0001f511.db", SQLiteBackend, "\u00fc \U0001f511.db"),
        ("file:///a'b\"c&d=e;f%3F", FileBackend, "a'b\"c&d=e;f?"),
        ("sqlite:///./x/../tokens.db", SQLiteBackend, "tokens.db"),
        ("sqlite:///tokens.db?busy_timeout=2.5", SQLiteBackend, "tokens.db"),
        ("file:///tokens.json?busy_timeout=2", FileBackend, "tokens.json"),
    ],
)
def test_path(folder, url, kind, name):
    """Three slashes: the path is relative to the working directory; four: absolute; decoded."""
    (folder / "x").mkdir()

    backend = open_backend(url)

    assert isinstance(backend, kind)
    assert backend.home == file_of(url) == folder / name
    assert name in backend.describe()
    backend.write(record(), replaces=None)
    assert (folder / name).is_file()
    backend.close()
    scheme, _, path = url.partition(":///")
    assert open_backend(f"{scheme}:///{folder}/{path}").home == folder / name


def test_windows_drive(monkeypatch):
    """A drive behind three slashes is an absolute path of Windows."""
    seen = []
    monkeypatch.setattr(SQLiteBackend, "__init__", lambda _, path, **_options: seen.append(path))

    open_backend("sqlite:///C:/Users/Ana%20B/tokens.db")
    open_backend(r"sqlite:///C:\Users\tokens.db")

    assert seen == ["C:/Users/Ana B/tokens.db", r"C:\Users\tokens.db"]


def test_no_file():
    """What is in memory, or with a server or somebody else, is in no file of ours."""
    for url in ("memory:", "memory://", "memory:///"):
        assert file_of(url) is open_backend(url).home is None
    for url in ("postgresql://app@db/app", "ana://x"):
        assert file_of(url) is None


def refused(url, error):
    """Return the text of the error, which repeats no password, whatever is wrong with the URL."""
    with pytest.raises(error) as caught:
        open_backend(url)
    exc = caught.value
    assert "hunter2" not in f"{exc} {exc!r} {exc.__dict__} {exc.__cause__!r}"
    return str(exc)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlit:///tokens.db", "no kind of store named 'sqlit'"),
        ("app:hunter2@db/tokens", "no kind of store named 'app'"),
        ("oracle://app:hunter2@db/tokens", f"Known: {', '.join(sorted(BACKENDS))}"),
    ],
)
def test_mistyped_scheme(url, said):
    """An unknown scheme is answered with the known ones."""
    assert said in refused(url, UnknownName)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "no scheme"),
        ("tokens.db", "write sqlite:///tokens.db"),
        (r"C:\tokens.db", "no scheme"),
        ("sqlite:", "three slashes"),
        ("sqlite:tokens.db", "three slashes"),
        ("sqlite://app:hunter2@db/tokens", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///folder/", "names no file"),
        ("file:///?busy_timeout=1", "names no file"),
        ("sqlite:///a%00b", "names no file"),
        ("sqlite:///:memory:", "in memory memory:"),
        ("memory:tokens", "no path"),
        ("memory://app:hunter2@db", "no path"),
        ("memory:?busy_timeout=1", "no option 'busy_timeout'. Known options: none"),
        ("sqlite:///t.db?password=hunter2", "'password'. Known options: busy_timeout"),
        ("sqlite:///t.db?busy_timeout=hunter2", "not a valid float"),
        ("sqlite:///t.db?busy_timeout=", "is blank"),
        ("sqlite:///t.db?busy_timeout=1&busy_timeout=2", "given twice"),
        ("sqlite:///t.db?hunter2", "can't be read"),
        ("sqlite:///t.db?busy_timeout=-1", "from 0 to 86400"),
    ],
)
def test_wrong_url(folder, url, said):
    """A URL that can't be meant is refused with what to write, and nothing is made."""
    assert said in refused(url, ConfigurationError)
    assert list(folder.iterdir()) == []


def test_missing_driver(monkeypatch):
    """A driver that is not installed is answered with what to install."""
    Path("needy.py").write_text("import surely_not_installed_anywhere")
    monkeypatch.syspath_prepend(os.fspath(Path.cwd()))
    monkeypatch.setitem(BACKENDS, "needy", Kind("needy", "NeedyBackend", "server", "needs"))

    with pytest.raises(DriverMissing) as caught:
        open_backend("needy://app:hunter2@db")

    assert "surely_not_installed_anywhere" in str(caught.value)
    assert "pip install 'tokenkeep[needs]'" in str(caught.value)


def test_backend_of_another_package(folder, monkeypatch):
    """A package that offers a backend by an entry point needs no word from us."""
    (folder / "vault_of_ana.py").write_text("ana_s = 'from {}'.format")
    info = folder / "vault_of_ana-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vault-of-ana\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{backends.ENTRY_POINTS}]\nana = vault_of_ana:ana_s\n"
        "broken = vault_of_ana_is_not_there:X\n"
    )
    monkeypatch.syspath_prepend(os.fspath(folder))

    assert open_backend("ana://somewhere") == "from ana://somewhere"
    with pytest.raises(UnknownName, match=r"Known: ana, .*broken, .*file, .*memory, .*sqlite"):
        open_backend("nobody://x")
    with pytest.raises(DriverMissing, match="vault_of_ana_is_not_there"):
        open_backend("broken://x")
