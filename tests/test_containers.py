"""What docs/containers.md promises: any user, no home, no root that can be written."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from emulated import login
from pages import ROOT, labelled

import tokenkeep
from tokenkeep import ConfigurationError, Keeper, StoreUnavailable, Token, TokenKeepError
from tokenkeep.testing import emulator_configuration

PAGE = (ROOT / "docs/containers.md").read_text()
KUBERNETES, COMPOSE, DOCKERFILE = (
    labelled("docs/containers.md", label)[0] for label in ("kubernetes", "compose", "dockerfile")
)
NOBODY_KNOWS = 12345


POD = yaml.safe_load(KUBERNETES)["spec"]["template"]["spec"]
CONTAINER, APP = POD["containers"][0], yaml.safe_load(COMPOSE)["services"]["app"]


# The files that are shown


def test_kubernetes():
    """Two replicas as that user with a read-only root; what is named is mounted, for its group."""
    spec = yaml.safe_load(KUBERNETES)["spec"]
    mounted = {each["mountPath"]: each["name"] for each in CONTAINER["volumeMounts"]}
    secret = next(each["secret"] for each in POD["volumes"] if each["name"] == "secrets")
    given = {each["name"]: Path(each["value"]) for each in CONTAINER["env"]}
    files = [path for name, path in given.items() if name != "TOKENKEEP_STATE"]

    assert spec["replicas"] == 2
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    rights = [POD["securityContext"][name] for name in ("runAsUser", "runAsGroup", "fsGroup")]
    assert {NOBODY_KNOWS} == {*rights}
    assert CONTAINER["securityContext"]["readOnlyRootFilesystem"] is True
    places = {mounted[str(path.parent if path in files else path)] for path in given.values()}
    assert places == {each["name"] for each in POD["volumes"]} == {"secrets", "state"}
    command = r"^\$ kubectl create secret generic (\w+) (.*)$"
    (made,) = set(re.findall(command, PAGE, re.MULTILINE))
    assert (made[0], 0o440) == (secret["secretName"], secret["defaultMode"])
    assert {path.name for path in files} == set(re.findall(r"--from-file=([\w.]+)", made[1]))


def test_compose():
    """Likewise: each secret that is named is there, and what has to be kept is on a volume."""
    secrets, environ = yaml.safe_load(COMPOSE)["secrets"], APP["environment"]
    files = {value for name, value in environ.items() if name != "TOKENKEEP_STATE"}

    assert (APP["user"], APP["read_only"]) == (f"{NOBODY_KNOWS}:{NOBODY_KNOWS}", True)
    assert set(APP["secrets"]) == set(secrets)
    assert files == {f"/run/secrets/{name}" for name in secrets}
    assert APP["volumes"] == [f"state:{environ['TOKENKEEP_STATE']}"]
    for each in secrets.values():
        assert re.search(rf"[ /]secrets/{Path(each['file']).name}$", PAGE, re.MULTILINE)


def test_dockerfile():
    """It ends as that user, by number; where the state is, is his."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    found = dict(line.split(" ", 1) for line in lines)

    assert found["USER"] == f"{NOBODY_KNOWS}:{NOBODY_KNOWS}"
    assert isinstance(ast.literal_eval(found["CMD"]), list)
    state = found["ENV"].partition("=")[2]
    assert f"install -d -o {NOBODY_KNOWS} -g {NOBODY_KNOWS} -m 700 {state}" in PAGE


@pytest.mark.parametrize("missing", [None, "TOKENKEEP_KEY_FILE", "TOKENKEEP_CONFIG"])
def test_probes(tmp_path, missing):
    """The command that is shown fails where key or store is missing, else it does not."""
    probe = CONTAINER["readinessProbe"]["exec"]["command"]
    assert probe == APP["healthcheck"]["test"][1:]
    environ = {"TOKENKEEP_KEY_FILE": str(tmp_path / "keys"), "PATH": os.environ["PATH"]}
    with tokenkeep.open_store(f"sqlite:///{tmp_path}/t.db", environ=environ) as store:
        store.save_token(Token(user="ana", client_id="c", refresh_token="r"))
    (tmp_path / "config.toml").write_text(f"store = 'sqlite:///{tmp_path}/t.db'\n")
    environ["TOKENKEEP_CONFIG"] = str(tmp_path / "config.toml")
    if missing:
        environ[missing] = str(tmp_path / "nothing" / "there")

    command = [sys.executable, "-m", *probe]
    ended = subprocess.run(command, env=environ, capture_output=True, check=False)

    assert bool(missing) == bool(ended.returncode)


# Homes


@pytest.fixture
def world():
    """A folder that all users reach, with a closed one of root's in it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "closed").mkdir(mode=0o700)
    (folder / "volume").mkdir()
    if os.geteuid() == 0:
        os.chown(folder / "volume", NOBODY_KNOWS, NOBODY_KNOWS)
    yield folder
    shutil.rmtree(folder)


HOMES = {"unset": None, "root's": "{world}/closed", "a device": "/dev/null", "relative": "here"}


@pytest.fixture(params=HOMES)
def stranger(request, world, fork, monkeypatch):
    """Do something as a user whom nobody knows, in a home that is none; return what it says."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    home = HOMES[request.param]
    for name in list(os.environ):
        if name.startswith(("TOKENKEEP_", "XDG_", "HOME")):
            monkeypatch.delenv(name)

    def run(work):
        def begin(say):
            # What is imported later must be there already: this interpreter may be root's alone.
            os.environ["HOME"] = str(world / "volume")
            work(lambda _: None)
            os.environ.pop("HOME")
            if home is not None:
                os.environ["HOME"] = home.format(world=world)
            os.chdir(world)
            os.setgroups([])
            os.setgid(NOBODY_KNOWS)
            os.setuid(NOBODY_KNOWS)
            work(say)

        said = fork(begin).end()
        assert {"closed", "volume", "config.toml"} >= {path.name for path in world.iterdir()}
        return said

    return run


def configured(world, zoho, more=""):
    """Return the environment of a program for the emulator, with a key."""
    (world / "config.toml").write_text(f"{emulator_configuration(zoho)}\n{more}")
    keys = {"TOKENKEEP_KEYS": tokenkeep.generate_key()}
    return keys | {"TOKENKEEP_CONFIG": str(world / "config.toml")}


def renewed(vault, token, say):
    """Let a token be renewed, and what waits be saved; say the new access token."""
    with vault:
        keeper = Keeper(vault)
        say(str(keeper.get(id=vault.save_token(token).id).access_token))
        keeper.sweep()


@pytest.mark.parametrize("place", ["volume", "server"])
def test_nothing_of_a_home_is_needed(stranger, world, zoho, redis_server, place):
    """With keys and store in the environment a token is renewed, wherever the home is."""
    environ = configured(world, zoho)
    urls = [f"sqlite:///{world}/volume/{name}.db" for name in "ab"]
    if place == "server":
        urls = [redis_server.url(), redis_server.url()]
    expired = login(zoho, access_token="a", expires_at=1.0)

    (token,) = stranger(
        lambda say: renewed(tokenkeep.open_store(urls.pop(), environ=environ), expired, say)
    )

    assert zoho.is_active(token)


def refusal(work, say):
    try:
        work()
    except TokenKeepError as exc:
        say(f"{type(exc).__name__}: {exc}")


KEY = tokenkeep.generate_key()


@pytest.mark.parametrize(
    ("environ", "url", "kind", "named"),
    [({}, None, ConfigurationError, ["TOKENKEEP_STORE"]),
     ({}, "sqlite:///{}/volume/{}.db", ConfigurationError,
      ["TOKENKEEP_KEYS", "TOKENKEEP_KEY_FILE"]),
     ({"TOKENKEEP_KEY_FILE": "~nobody-knows/keys"}, "sqlite:///{}/x.db", ConfigurationError,
      ["TOKENKEEP_KEY_FILE"]),
     # A provider that rotates is not asked where there is no place for its answer.
     ({"TOKENKEEP_KEYS": KEY}, "a server", StoreUnavailable, ["TOKENKEEP_STATE"])],
)  # fmt: skip
def test_what_is_needed_is_named(*, stranger, world, redis_server, environ, url, kind, named):
    """Where something has to be told, one error names the variable that tells it."""
    server = redis_server.url()

    def save():
        where = server if url == "a server" else url and url.format(world, os.geteuid())
        with tokenkeep.open_store(where, environ=environ) as store:
            store.save_token(Token(user="ana", client_id="c", refresh_token="r"))
            store.journal.prepare()

    (said,) = stranger(lambda say: refusal(save, say))

    assert said.startswith(kind.__name__)
    for name in named:
        assert name in said
