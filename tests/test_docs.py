"""The documentation names what there is, and what it tells to type works."""

from __future__ import annotations

import ast
import io
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit

import boto3
import pytest
from emulated import consent
from pages import PAGES, ROOT, blocks, labelled
from private_servers.ports import free_port
from zohocrmsdk.src.com.zoho.crm.api import Initializer

import tokenkeep
from tokenkeep.backends import BACKENDS
from tokenkeep.events import Event
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.testing import BackendContract, emulator_configuration

DOCS = "\n".join(page.read_text() for page in PAGES)
SOURCE = "\n".join(path.read_text() for path in ROOT.glob("src/**/*.py"))
TESTS = "\n".join(path.read_text() for path in ROOT.glob("tests/**/*.py"))

HERE = ("CHANGELOG.md", "CONTRIBUTING.md", "docs/speed.md", "examples/")
"""The pages for those who have the repository: what they tell to type is only looked for."""

TYPED = [name for page in PAGES if not (name := str(page.relative_to(ROOT))).startswith(HERE)]
"""
The pages whose examples are typed, one after the other, and have to do what they show.

A block of Python that begins with a file's name in a comment is that file. A command with … in
it is not typed: it stands for what only its reader knows. A block of TOML is a configuration, a
policy file, or a package's entry point. An aside, `<!-- $ command -->` or
`<!-- >>> statement -->`, is typed too. A block with another comment right above it is some other
test's, which finds it by that.
"""

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


def first_column(page, name=r"(\w+)` \|"):
    return re.findall(rf"^\| `{name}", (ROOT / page).read_text(), re.MULTILINE)


def test_stores():
    """Each kind of store has a row of its own in docs/stores.md."""
    rows = first_column("docs/stores.md", "([^`]*)")
    written = [each if each.endswith("+") else f"{each}:" for each in BACKENDS]

    assert [each for each in written if not any(row.startswith(each) for row in rows)] == []


def test_errors():
    """Each error that can be caught by name has a row in its page, and what is there can be."""
    assert sorted(tokenkeep.errors.__all__) == sorted(first_column("docs/lookup/errors.md"))


def test_events():
    """Each event that is reported has a row in its page, those of every day in the first half."""
    reported = {*re.findall(r'\b_report\(\s*(?:"\w+" if \w+ else )?"(\w+)"', SOURCE)}
    reported |= {*re.findall(r'\b_report\(\s*"(\w+)" if', SOURCE)}

    assert len(reported) > 10
    assert sorted(reported) == sorted(first_column("docs/lookup/events.md"))
    assert [name for name in reported if f"``{name}``" not in Event.__doc__] == []


def test_of_a_new_store(monkeypatch):
    """The test that CONTRIBUTING.md shows is a contract for the backend it names, in ten lines."""
    (text,) = labelled("CONTRIBUTING.md", "test of a new store")
    monkeypatch.setitem(sys.modules, "tokenkeep.backends.shelf", Mock())
    here = {}
    exec(text, here)

    assert issubclass(here["TestShelf"], BackendContract)
    assert sum(bool(line) for line in text.splitlines()) <= 10


def test_environment():
    """Each environment variable is documented."""
    names = set(re.findall(r"\bTOKENKEEP_[A-Z_]+[A-Z]\b", SOURCE))

    assert [name for name in names if name not in DOCS] == []


def test_in_the_repository():
    """What the pages tell to type in it is there: each target of make, script, bench."""
    told = set(re.findall(r"\bmake (?:PYTHON=\S+ )?([a-z]+)\b(?=\s+#|`| *$)", DOCS, re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = [each.text for page in PAGES for each in blocks(page) if each.kind == "console"]
    paths = re.findall(r"(?<=[ \n])((?:\.ci|bench|tests)/\S+)", "\n".join(shown))
    missing = {path for path in paths if not (ROOT / path).exists()}

    assert told
    assert told <= targets
    assert paths
    assert missing <= {"tests/backends/test_shelf.py"}  # whoever writes one has it


def test_invariants():
    """Each of the 16 invariants is named by a test that fails without it."""
    named = {int(number) for number in re.findall(r"[Ii]nvariant (\d+)", TESTS)}

    assert set(range(1, 17)) == named & set(range(1, 17))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_is_left_out(page):
    """Each block is typed, or has a label by which a test finds it, or is no program."""
    found = blocks(page)

    assert page.read_text().count("```") == 2 * sum(each.kind != "aside" for each in found)
    for each in found:
        if each.label:
            assert f'"{each.label}"' in TESTS, each.label
        elif each.kind not in ("console", "python", "toml", "aside"):
            assert each.kind in ("text", "sql")


@pytest.mark.parametrize("name", TYPED)
def test_examples(name, request, desk, zoho):
    """
    What a page tells to type is typed, in its order, and answers as it shows.

    Invariant 16: the deletion in logins.md that could mean two rows deletes neither.
    """
    here = {"__name__": "page", "zoho": zoho}
    instead = at_hand(name, request)
    if name == "README.md":
        request.getfixturevalue("monkeypatch").setenv("TOKENKEEP_STORE", "sqlite:///tokens.db")
        desk.type("export TOKENKEEP_STORE=sqlite:///tokens.db; tokenkeep login")
        exec(BEFORE_README, here)
    if name == "docs/aws.md":
        address = request.getfixturevalue("aws").endpoint_url
        desk.type(f"export AWS_ENDPOINT_URL={address} AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b")
    for kind, shown, label in blocks(name):
        text = re.sub("|".join(map(re.escape, instead)), lambda each: instead[each[0]], shown)
        if not label:
            type_block(kind, text, desk, here)
    for each in here.values():
        if isinstance(each, tokenkeep.Vault | tokenkeep.Keeper | SDKStore):
            each.close()


BEFORE_README = """
import tokenkeep
from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.record import GetRecordsParam, RecordOperations
with tokenkeep.open_store("sqlite:///tokens.db") as first:
    ana = first.find_token(tokenkeep.Token(user="ana@example.com:6000123"))
token, token_id = OAuthToken(id=ana.id), ana.id
environment = DataCenter.Environment(ana.api_domain, ana.issuer, ana.api_domain)
parameters, headers = ParameterMap(), HeaderMap()
parameters.add(GetRecordsParam.fields, "Last_Name")
"""
"""What a program on the SDK has already, in which one line changes."""


def type_block(kind, text, desk, here):
    """Type what a block tells to type; what is no program is only shown."""
    if kind == "console":
        run_console(text, desk)
    elif kind == "python":
        run_python(text, here)
    elif kind == "toml":
        run_toml(text)
    elif kind == "aside" and text.startswith("$ "):
        desk.type(text.removeprefix("$ "))
    elif kind == "aside":
        exec(text.removeprefix(">>> "), here)


def at_hand(name, request):
    """Return what stands in a page for something that only its reader has, and ours instead."""
    zoho = request.getfixturevalue("zoho")
    ours = {
        "/var/lib/app": str(Path.cwd()),
        "http://127.0.0.1:9000": zoho.control_url,
        "https://www.zohoapis.com": zoho.us.api_url,
        "postgresql://app@db/app": "sqlite:///tokens.db",
    }
    if name == "docs/redis.md":
        server = request.getfixturevalue("redis_server")
        ours["redis://:password@redis.example.com:6379/0"] = server.url()
    if name == "docs/sql.md":
        server = request.getfixturevalue("mariadb")
        ours["mysql://app:password@db:3306/app"] = url = server.url()
        ours["mysql://app@db:3306/app"] = url.replace(f":{server.password}@", "@")
        ours['os.environ["DB_PASSWORD"]'] = repr(server.password)
    return ours


def test_flask(desk, zoho):  # noqa: ARG001  # a process environment of its own
    """The application of the page lets people in, shows them theirs, and takes an end for one."""
    (program,) = (each.text for each in blocks("docs/do/flask.md") if each.kind == "python")
    here = {"__name__": "app"}
    exec(program, here)
    email, zgid = PEOPLE[0]
    with here["app"].test_client() as browser, here["store"].keeper as keeper:

        def log_in():
            answer = urlsplit(consent(browser.get("/login").location, user=email))
            return f"/callback?{answer.query}"

        assert b"Log in with Zoho" in browser.get("/").data
        refused = urlsplit(consent(browser.get("/login").location, user=email, decision="reject"))
        assert browser.get(f"/callback?{refused.query}").status_code == 503
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
    here = {"__name__": "page"}
    exec(*labelled("docs/keys.md", "kms"), here)
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
    for typed, shown in re.findall(
        r"^\$ ((?:.*\\\n)*.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", text, re.MULTILINE
    ):
        command = re.sub("^> ", "", typed, flags=re.MULTILINE).rstrip("\n")
        if "…" not in command:
            assert_shown(command, desk.type(command), shown)


def run_toml(text):
    """Read a block of TOML as what it is: policies, a configuration, or what a package brings."""
    found = tomllib.loads(text)
    if "policy" in found:
        Path("policies.toml").write_text(text)
        return
    packaged = found.get("project", {}).get("entry-points", {})
    for group in packaged:
        assert f'ENTRY_POINTS = "{group}"' in SOURCE
    if not packaged:
        Path("shown.toml").write_text(text)
        Path("shown.toml").chmod(0o600)
        settings = tokenkeep.settings({**os.environ, "TOKENKEEP_CONFIG": "shown.toml"})
        assert settings.providers()


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
        command, out = [*around, "bash", "--norc"], {"stdout": writer, "stderr": writer}
        self._shell = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, **out)
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
        try:
            self._shell.wait(10)
        except subprocess.TimeoutExpired:  # it waits for something that does not come
            self._shell.kill()
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


def test_a_pod(pod_desk):
    """What docs/containers.md tells to type renews a token as a user nobody knows."""
    (block,) = labelled("docs/containers.md", "try")
    run_console(block.replace("9000", str(free_port(8))), pod_desk)


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
        "HOME": tmp_path,
        "COLUMNS": "120",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TOKENKEEP_CONFIG": tmp_path / "zoho.toml",
        "TOKENKEEP_CLIENT_ID": zoho.client.client_id,
        "TOKENKEEP_CLIENT_SECRET": zoho.client.client_secret,
        "REPOSITORY": ROOT,
        "REDIRECT_URI": zoho.client.redirect_uris[0],
        "SESSION_KEY": "of the cookies",
        "TERM": "dumb",  # no progress is drawn
    }.items():
        monkeypatch.setenv(name, str(value))
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
        make() { grep -q "^$1:" "$REPOSITORY/Makefile"; }
        # Other people's programs, which are not here.
        for each in aws docker kubectl mysql psql sudo; do eval "$each() { cat >/dev/null; }"; done
    """
    made = Desk(prelude)
    yield made
    made.close()
    Initializer.initializer = None  # the SDK keeps the first store of a process
