"""The documentation names what there is, and what it tells to type works."""

from __future__ import annotations

import ast
import io
import os
import pty
import random
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from desk_driver import consent
from zohocrmsdk.src.com.zoho.crm.api import Initializer

import tokenkeep
from tokenkeep.backends import BACKENDS
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.testing import emulator_configuration

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")])
DOCS = "\n".join(page.read_text() for page in PAGES)
SOURCE = "\n".join(path.read_text() for path in ROOT.glob("src/**/*.py"))

TYPED = (
    "logins.md",
    "keys.md",
    *sorted(
        str(page.relative_to(ROOT / "docs"))
        for folder in ("start", "do", "understand", "lookup")
        for page in (ROOT / "docs" / folder).glob("*.md")
    ),
)
"""
The pages whose examples are typed, one after the other, and have to do what they show.

A block of Python that begins with a file's name in a comment is that file. What has … in it
is not typed: it stands for what only its reader knows.
"""

BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$|^<!-- (.*?) -->$", re.MULTILINE | re.DOTALL)
PEOPLE = [("ana@example.com", "6000123"), ("bo@example.com", "6000124")]
DONE = "~done~"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page):
    """What a page links to in this repository is there, headings too."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    inside = [link for link in links if not link.startswith(("http:", "https:", "mailto:"))]
    missing = [link for link in inside if not is_there(page, *link.partition("#")[::2])]

    assert [] == missing


def is_there(page, link, heading):
    target = page.parent / link if link else page
    if not target.exists() or not heading:
        return target.exists()
    titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
    return heading in [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in titles]


@pytest.mark.parametrize("scheme", BACKENDS)
def test_stores(scheme):
    """Each kind of store has a row of its own in docs/stores.md."""
    written = scheme if scheme.endswith("+") else f"{scheme}:"
    page = (ROOT / "docs/stores.md").read_text()
    assert re.search(rf"^\| `{re.escape(written)}", page, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bTOKENKEEP_[A-Z_]+[A-Z]\b", SOURCE))))
def test_environment(name):
    """Each environment variable is documented."""
    assert name in DOCS


def test_makefile():
    """What README and CONTRIBUTING tell to make is there."""
    told = set(re.findall(r"\bmake (?:PYTHON=\S+ )?([a-z]+)\b(?=\s+#|`| *$)", DOCS, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert told
    assert told <= targets


def test_invariants():
    """Each of the 16 invariants is named by a test that fails without it."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").glob("**/test_*.py"))
    named = {int(number) for number in re.findall(r"[Ii]nvariant (\d+)", tests)}

    assert set(range(1, 17)) == named & set(range(1, 17))


@pytest.mark.parametrize("name", TYPED)
def test_examples(name, desk, zoho):
    """
    What a page tells to type is typed, in its order, and answers as it shows.

    Invariant 16: the deletion in logins.md that could mean two rows deletes neither.
    """
    here = {"__name__": "page"}
    for kind, text, aside in BLOCK.findall((ROOT / "docs" / name).read_text()):
        if kind == "console":
            run_console(text, desk)
        elif kind == "python":
            run_python(text, here)
        elif aside.startswith("$ "):
            desk.type(aside.removeprefix("$ "))
        elif aside == "the provider can't be reached once":
            zoho.faults.add(endpoint="revoke", kind="drop")
    for each in here.values():
        if isinstance(each, tokenkeep.Vault | tokenkeep.Keeper | SDKStore):
            each.close()


def test_flask(desk, zoho):  # noqa: ARG001  # a process environment of its own
    """The application of the page lets people in, shows them theirs, and takes an end for one."""
    page = (ROOT / "docs/do/flask.md").read_text()
    here = {"__name__": "app"}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], here)
    email, zgid = PEOPLE[0]
    with here["app"].test_client() as browser, here["store"].keeper as keeper:

        def log_in():
            answer = urlsplit(consent(browser.get("/login").location, user=email))
            return f"/callback?{answer.query}"

        assert b"Log in with Zoho" in browser.get("/").data
        answer = log_in()
        assert browser.get(answer).location == "/"
        assert list(browser.get("/").json) == ["leads"]
        assert browser.get(answer).location == "/login"  # it counts once

        browser.get(log_in())
        zoho.revoke(f"{email}:{zgid}")
        # tokenkeep takes no access token that is younger than a minute for a dead one.
        keeper.store.swap(keeper.get(user=f"{email}:{zgid}").but(logged_in_at=0.0))
        assert browser.get("/").location == "/login"


def test_kms(aws, desk, monkeypatch):  # noqa: ARG001  # a process environment of its own
    """The source of keys that docs/keys.md shows keeps a store's keys with AWS KMS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    monkeypatch.setenv("TOKENKEEP_STORE", "sqlite:///tokens.db")
    kms = boto3.client("kms")
    for alias in ("alias/tokenkeep", "alias/next"):
        kms.create_alias(AliasName=alias, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    example = re.search(r"```python kms\n(.*?)```", (ROOT / "docs/keys.md").read_text(), re.DOTALL)
    here = {"__name__": "page"}
    exec(example[1], here)
    vault, source = here["vault"], here["KMSKeys"]

    saved = here["keeper"].save(tokenkeep.Token(user="u", refresh_token="r"))
    with tokenkeep.Vault(vault.backend, source("alias/next", "alias/tokenkeep")) as other:
        assert other.rotate()
    with tokenkeep.Vault(vault.backend, source("alias/next")) as other:
        assert [saved] == other.get_tokens()
    kms.delete_alias(AliasName="alias/next")
    with pytest.raises(tokenkeep.KeyMissing, match="does not unwrap with alias/next"):
        tokenkeep.Vault(vault.backend, source("alias/next"))
    kms.close()


def run_console(text, desk):
    """Type a block's commands, and compare what comes out."""
    for typed, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        if "…" not in typed:
            assert_shown(typed, desk.type(typed), shown)


def run_python(text, here):
    """Run a block of Python. A comment behind an expression is its value, or what it raises."""
    named = re.match(r"# (\w+\.py)\n", text)
    if named:
        Path(named[1]).write_text(text, encoding="utf-8")
        if named[1].startswith("test_"):  # for pytest, which the page calls
            return
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        comment = re.search(r"  # (.*)$", lines[statement.end_lineno - 1])
        if comment is None or not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), "docs", "exec"), here)
            continue
        try:
            found = str(eval(compile(ast.Expression(statement.value), "docs", "eval"), here))
        except tokenkeep.TokenKeepError as error:
            found = f"{type(error).__name__}: {error}"
        assert_shown(lines[statement.lineno - 1], found, comment[1])


def assert_shown(typed, found, shown):
    """Compare what came out with what is shown, where … stands for anything."""
    pattern = r"\s+".join(re.escape(word).replace("…", ".*") for word in shown.split())
    assert re.fullmatch(pattern, found.strip(), re.DOTALL), f"{typed}\n{found}\nis not\n{shown}"


KNOWN_EXTRAS = r"""
import re, sys
from importlib.metadata import metadata
named = re.findall(r"tokenkeep\[(.*?)\]", " ".join(sys.argv[1:]))
extras = {extra for each in named for extra in each.split(",")}
assert extras and extras <= {*metadata("tokenkeep").get_all("Provides-Extra")}, extras
"""


class Desk:
    """A shell on a terminal, with an emulated Zoho behind it."""

    def __init__(self, prelude, *around):
        reader, writer = pty.openpty()
        self._out = io.TextIOWrapper(io.FileIO(reader), encoding="utf-8", newline="")
        self._shell = subprocess.Popen(
            [*around, "bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=writer,
            stderr=writer,
            text=True,
        )
        os.close(writer)
        self.type(prelude)

    def type(self, command):
        """Run a command, and return what it writes without its colours."""
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null; echo {DONE}\n")
        self._shell.stdin.flush()
        lines = []
        while DONE not in (line := self._out.readline()):
            lines.append(re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip())
        return "\n".join([*lines, line.partition(DONE)[0]])

    def close(self):
        self._shell.stdin.close()
        self._shell.wait()
        with suppress(OSError):
            self._out.close()


@pytest.fixture
def pod_desk():
    """A shell of root's whose mounts are its own, in which all users reach this interpreter."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("only root may mount")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    needed = (sys.base_prefix, sys.prefix, Path(tokenkeep.__file__).parents[1])
    hidden = {place: top for place in map(Path, needed) if (top := closed_above(place))}
    steps = [f"export PATH={Path(sys.executable).parent}:$PATH"]
    # In place of a folder for root alone comes one with nothing in it but what is needed.
    for number, place in enumerate(hidden):
        steps.append(f"mkdir {folder}/{number} && mount --bind {place} {folder}/{number}")
    steps += [f"mount -t tmpfs -o mode=755 none {top}" for top in sorted(set(hidden.values()))]
    for number, place in enumerate(hidden):
        steps.append(f"mkdir -p {place} && mount --bind {folder}/{number} {place}")
    prelude = "\n".join(steps)
    made = Desk(f"{prelude}\ncd {folder}", "unshare", "--mount")
    yield made
    made.close()
    shutil.rmtree(folder)


def closed_above(place):
    """Return the first folder on the way to a place that others can't enter. None if they can."""
    way = (*reversed(place.parents), place)
    return next((each for each in way if not each.stat().st_mode & stat.S_IXOTH), None)


def free_ports(count):
    """Return the first of so many ports in a row that nobody uses."""
    for first in range(random.randrange(20_000, 30_000), 32_000, count):
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    pytest.fail("no free ports")


def test_a_pod(pod_desk):
    """What docs/containers.md tells to type renews a token as a user nobody knows."""
    page = (ROOT / "docs/containers.md").read_text().partition("<!-- try -->")[2]
    block = re.search(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1]
    block = block.replace("9000", str(free_ports(8)))
    for typed, more, shown in re.findall(
        r"^\$ (.*\n)((?:> .*\n)*)((?:(?!\$ ).*\n)*)", block, re.MULTILINE
    ):
        command = typed + re.sub("^> ", "", more, flags=re.MULTILINE)
        assert_shown(typed, pod_desk.type(command.rstrip("\n")), shown)


@pytest.fixture
def desk(zoho, tmp_path, monkeypatch):
    """A shell and a process environment with an empty home, and people who log in one by one."""
    for name in list(os.environ):
        if name.startswith(("TOKENKEEP_", "XDG_")):
            monkeypatch.delenv(name)
    for email, zgid in PEOPLE:
        zoho.add_user(email, data_center="us", zgid=zgid)
    (tmp_path / "zoho.toml").write_text(emulator_configuration(zoho))
    keys = tmp_path / ".config" / "tokenkeep" / "keys"
    keys.parent.mkdir(parents=True)
    keys.touch(0o600)
    keys.write_text(f"{tokenkeep.generate_key()}\n")
    for name, value in {
        "HOME": str(tmp_path),
        "COLUMNS": "120",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TOKENKEEP_CONFIG": str(tmp_path / "zoho.toml"),
        "TOKENKEEP_CLIENT_ID": zoho.client.client_id,
        "TOKENKEEP_CLIENT_SECRET": zoho.client.client_secret,
        "REDIRECT_URI": zoho.client.redirect_uris[0],
        "SESSION_KEY": "of the cookies",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    # No browser is there: each login takes the next code.
    for number, (email, zgid) in enumerate([PEOPLE[0], *PEOPLE]):
        code = zoho.grant_code(f"{email}:{zgid}", life=600)
        (tmp_path / f"code{number}").write_text(code)
    (tmp_path / "known_extras.py").write_text(KNOWN_EXTRAS)
    prelude = """
        n=0
        tokenkeep() {
            if [ "$1" = login ]; then
                command tokenkeep login --grant-file "code$((n++))"
            else
                command tokenkeep "$@"
            fi
        }
        pip() { python known_extras.py "$@"; }  # all is here: are there such extras?
    """
    made = Desk(prelude)
    yield made
    made.close()
    Initializer.initializer = None  # the SDK keeps the first store of a process
