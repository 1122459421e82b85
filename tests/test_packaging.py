"""What is built out of the project, and how it runs where nothing was installed."""

from __future__ import annotations

import compileall
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from emulated import environment_of, login

import tokenkeep

ROOT = Path(__file__).parents[1]
PACKAGE = Path(tokenkeep.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


# Without metadata of a distribution


def as_zip(folder):
    return Path(shutil.make_archive(folder / "app", "zip", PACKAGE.parent, PACKAGE.name))


def as_bytecode(folder):
    shutil.copytree(PACKAGE, folder / "frozen" / PACKAGE.name)
    compileall.compile_dir(folder / "frozen", quiet=2, legacy=True)
    for each in (folder / "frozen").rglob("*.py"):
        each.unlink()
    return folder / "frozen"


RENEW = """
import sys, tokenkeep
from importlib.metadata import distributions
assert not [each for each in distributions() if each.name == 'tokenkeep']
assert tokenkeep.__file__.startswith(sys.argv[1]), tokenkeep.__file__
from tokenkeep.config import settings
providers = settings().providers()
keeper = tokenkeep.Keeper(tokenkeep.open_store(), providers=providers)
print(keeper.get(user="ana@example.com:1").access_token)
for bad in ('nosuch:', 'memory:?x'):
    try:
        tokenkeep.open_store(bad)
    except tokenkeep.TokenKeepError:
        pass
from tokenkeep.cli import main
sys.argv = ['tokenkeep', '--version']
main()
"""


@pytest.fixture
def dependencies(tmp_path):
    """A folder with all that is installed but tokenkeep."""
    folder = tmp_path / "dependencies"
    folder.mkdir()
    for place in (Path(each) for each in sys.path if each.endswith("site-packages")):
        for each in place.iterdir():
            if not each.name.lower().startswith(("tokenkeep", "__editable__")):
                with_this_name = folder / each.name
                with_this_name.exists() or with_this_name.symlink_to(each)
    return folder


@pytest.mark.parametrize("packed", [as_zip, as_bytecode])
def test_renews_without_metadata(zoho, tmp_path, dependencies, packed):
    """In a zip, or as bytecode in a folder: it renews, and knows its version."""
    where = packed(tmp_path)
    environ = environment_of(zoho, tmp_path)
    environ["PYTHONPATH"] = f"{where}{os.pathsep}{dependencies}"
    with tokenkeep.open_store(environ=environ) as store:
        store.save_token(login(zoho, user="ana@example.com:1"))

    ended = subprocess.run(
        [sys.executable, "-S", "-c", RENEW, where],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) == (0, "")
    access_token, version = ended.stdout.splitlines()
    assert zoho.is_active(access_token)
    assert version == f"tokenkeep {tokenkeep.__version__}"


# What is built


def test_source(tmp_path):
    """Each module, the tests and the texts are in it; what lies about in a checkout is not."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "docs", "src", "tests"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    for name in ("tokens.db", ".env", "config.toml", "src/tokens.json", "notes/login.md", "x.key"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("secret")
    build = "from hatchling.build import build_sdist; build_sdist('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, timeout=100)
    (built,) = (tmp_path / "dist").iterdir()
    assert built.name == f"tokenkeep-{tokenkeep.__version__}.tar.gz"
    with tarfile.open(built) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    modules = {f"src/tokenkeep/{each.relative_to(PACKAGE)}" for each in PACKAGE.rglob("*.py")}

    assert modules <= source
    assert {"LICENSE", "README.md", "CHANGELOG.md", "docs/stores.md", "tests/conftest.py"} < source
    named = r"(src/tokenkeep|tests|docs)/.*|(README|CHANGELOG)\.md|LICENSE|PKG-INFO|pyproject.toml"

    assert [name for name in source if not re.fullmatch(rf"{named}|\.gitignore", name)] == []


def test_floors():
    """Each dependency has a floor, the same wherever it is named, not below what is mended."""
    mended = {"urllib3": "2.6.3", "cryptography": "46",
              "starlette": "0.49.1", "jinja2": "3.1.6", "python-multipart": "0.0.22"}  # fmt: skip
    floors = defaultdict(set)
    extras = PROJECT["optional-dependencies"].values()
    for each in [*PROJECT["dependencies"], *(name for extra in extras for name in extra)]:
        name, floor = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", each).groups()
        floors[name].add(tuple(map(int, floor.split("."))))

    assert {name: found for name, found in floors.items() if len(found) > 1} == {}
    for name, floor in mended.items():
        assert min(floors[name]) >= tuple(map(int, floor.split("."))), name
