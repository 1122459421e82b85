"""
An application on the official SDK: what a test can ask of it, from another process.

As a program, with one generation of the SDK on PYTHONPATH, it forks a fresh
application for each line on standard input: the path of a socket, which the
new process connects to and obeys the JSON lines it gets there. Forked from a
process that has loaded the SDK and used nothing of it, an application is as
fresh as one that loads it itself, and there in a hundredth of the time.
"""

import inspect
import json
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.exception.sdk_exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.record import GetRecordsParam, RecordOperations
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig
from zohocrmsdk.src.com.zoho.crm.api.user_signature import UserSignature

from tokenkeep.clock import Clock
from tokenkeep.errors import RenewalTimeout
from tokenkeep.integrations.zoho_sdk import NoToken, SDKStore, is_refused
from tokenkeep.stores.list import ListStore
from tokenkeep.vault import Vault

NAMES = (
    "id", "client_id", "client_secret", "grant_token", "refresh_token", "redirect_url",
    "access_token", "expires_in", "api_domain",
)  # fmt: skip


def oauth_token(user=None, **given):
    if user is not None:
        given["user_signature"] = UserSignature(user)
    return OAuthToken(**given)


def shown(token):
    """Return an OAuthToken as a dict."""
    signature = token.get_user_signature()
    values = {name: getattr(token, f"get_{name}")() for name in NAMES}
    return values | {"user": signature and signature.get_name()}


def environment_of(api_url, token_url):
    addresses = (api_url, token_url, api_url)
    # Generation 5_0 wants a name as well.
    takes = len(inspect.signature(DataCenter.Environment.__init__).parameters) - 1
    return DataCenter.Environment(*addresses, *["emulator"][: takes - 3])


def documented(words):
    """Return the Python block of docs/zoho-sdk.md that contains these words."""
    page = (Path(__file__).parents[2] / "docs" / "zoho-sdk.md").read_text()
    [block] = [
        each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if words in each
    ]
    return block


def leads():
    """Read the leads."""
    wanted = ParameterMap()
    wanted.add(GetRecordsParam.fields, "Last_Name")
    if len(inspect.signature(RecordOperations.__init__).parameters) > 1:
        return RecordOperations("Leads").get_records(wanted, HeaderMap())
    return RecordOperations().get_records("Leads", wanted, HeaderMap())


def all_at_once(works):
    """Do each in a thread of its own; return what they returned, errors by name."""
    results = [None] * len(works)
    together = threading.Barrier(len(works))

    def run(number, work):
        together.wait()
        try:
            results[number] = work()
        except Exception as error:  # noqa: BLE001 - the test judges it
            results[number] = type(error).__name__

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return results


def interrupted(_seconds):
    raise RenewalTimeout("interrupted")


class MovableClock(Clock):
    """The operating system's time, moved or made to run faster."""

    ahead = 0.0
    speed = 1.0

    def now(self):
        return time.time() + self.ahead

    def monotonic(self):
        return time.monotonic() * self.speed


class Application:
    """One process; its store's methods can be called on it, too, by their own names."""

    def __init__(self):
        self.store = None
        self.token = None
        self.clock = MovableClock()

    def __getattr__(self, name):
        return getattr(self.store, name)

    # -- what an application does ----------------------------------------------------------

    def open(self, store="sqlite:///tokens.db"):
        own = {"file": lambda: FileStore("tokens.csv"), "list": ListStore}
        if self.store is None:
            self.store = SDKStore(own[store]() if store in own else store, clock=self.clock)

    def start(self, environment, store="sqlite:///tokens.db", update_domain=None, **given):
        """Initialise the SDK as an application does when it starts."""
        self.open(store)
        more = {} if update_domain is None else {"sdk_config": SDKConfig(update_domain)}
        return self._initialize(environment, oauth_token(**given), **more)

    def start_with_nobody(self, environment):
        """Initialise the SDK as a server for many users does."""
        self.open()
        self._initialize(environment, NoToken())

    def _initialize(self, environment, token, **more):
        self.token = token
        Initializer.initialize(
            environment=environment_of(*environment),
            token=token,
            store=self.store,
            resource_path=str(Path.cwd()),
            logger=Logger.get_instance(level=Logger.Levels.DEBUG, file_path="sdk.log"),
            **more,
        )
        return token

    def switch(self, environment, **given):
        token = self.token = oauth_token(**given)
        Initializer.switch_user(environment=environment_of(*environment), token=token)
        return token

    def forget_user(self):
        """Leave no user on this thread."""
        Initializer.LOCAL.init = None

    def call(self):
        """Read the leads; return the HTTP status."""
        return leads().get_status_code()

    def call_with_retry(self):
        """The same with the one retry that the documentation recommends."""
        names = {"store": self.store}
        exec(documented("def with_one_retry"), names)
        return names["with_one_retry"](leads, self.token).get_status_code()

    def call_as(self, token_id):
        """Read the leads as one user, as a server does; return the HTTP status."""
        self.open()
        with self.store.as_user(token_id) as call:
            return call(leads).get_status_code()

    def called_as_each(self, token_ids):
        """Read the leads as many users in as many threads."""
        return all_at_once([partial(self.call_as, each) for each in token_ids])

    def start_elsewhere(self, environment):
        """Initialise the SDK with another store than the one that is asked."""
        Initializer.initialize(
            environment=environment_of(*environment),
            token=NoToken(),
            store=FileStore("tokens.csv"),
            resource_path=str(Path.cwd()),
        )

    def folder_of_the_sdk(self):
        return Initializer.initializer.resource_path

    def folder_in_a_child(self, token_id):
        """Read the leads as one user in a forked process; return where the SDK has its files."""
        reader, writer = os.pipe()
        if os.fork() == 0:
            status = self.call_as(token_id)
            os.write(writer, f"{status} {self.folder_of_the_sdk()}".encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as said:
            status, _, folder = said.read().partition(" ")
        return [int(status), folder]

    def judged(self):
        """Read the leads; return whether the access token is said to have been refused."""
        try:
            return is_refused(leads())
        except SDKException as error:
            return is_refused(error)

    def run_example(self, environment):
        """Run the documentation's first example, at the emulator; return the token."""
        text = documented("ZOHO_GRANT_TOKEN").replace("USDataCenter.PRODUCTION()", "place")
        names = {"place": environment_of(*environment)}
        exec(text, names)
        self.store, self.token = names["store"], names["token"]
        return self.token

    def get_token(self):
        return self.token.get_token()

    def remove(self):
        return self.token.remove()

    def sdk_revoke(self, id):  # noqa: A002 - as the store's own
        return self.token.revoke(id)

    def in_threads(self, name, count, **given):
        """Do the same in many threads at once."""
        return all_at_once([partial(getattr(self, name), **given)] * count)

    def hammer(self, users, rounds):
        """Switch users in several threads; return what each thread was given."""

        def work(mine):
            token = oauth_token(user=mine["user"])
            Initializer.switch_user(environment=environment_of(*mine["environment"]), token=token)
            seen = {token.get_token() for _ in range(rounds)}
            return {"tokens": sorted(seen), "status": self.call(), "id": token.get_id()}

        return all_at_once([partial(work, each) for each in users * 2])

    # -- the store by itself ---------------------------------------------------------------

    def find(self, **given):
        asked = oauth_token(**given)
        found = self.store.find_token(asked)
        if found is None:
            assert shown(asked) == shown(oauth_token(**given)), "not found, but filled"
            return None
        return shown(asked) | {"is_same": found is asked}

    def save(self, expires_in=None, **given):
        token = oauth_token(**given)
        token.set_expires_in(expires_in)
        self.store.save_token(token)
        return token

    def rejected(self, **given):
        self.store.rejected(oauth_token(**given) if given else self.token)

    def renew(self, token_id):
        self.store.keeper.renew(token_id)

    def repr_of_store(self):
        return repr(self.store)

    def locals_of_ours(self, method, **given):
        """Let the store fail; return the error and the adapter's local variables as text."""
        token = oauth_token(**given)
        with ThreadPoolExecutor(1) as other:
            if method == "elect":
                other.submit(self.store.find_token, oauth_token(**given)).result()
                self.clock.sleep = interrupted
            try:
                if method == "rejected":
                    self.store.rejected(self.token)
                else:
                    self.store.find_token(token)
            except Exception as error:  # noqa: BLE001 - the test judges it
                frames = [frame for frame, _ in traceback.walk_tb(error.__cause__.__traceback__)]
                ours = [f for f in frames if "integrations" in f.f_code.co_filename]
                return f"Error: {error!r} {[f.f_locals for f in ours]!r}"
        return "no error"

    # -- what happens meanwhile ------------------------------------------------------------

    def move_clock(self, seconds):
        self.clock.ahead += seconds

    def hurry(self, speed):
        """Let waits end sooner by so many times, or hardly ever."""
        self.clock.speed = speed

    def edit(self, token_id, **changes):
        """Change a stored row; ``expires_in`` is counted from now."""
        store = self.store.keeper.store
        if "expires_in" in changes:
            left = changes.pop("expires_in")
            changes["expires_at"] = None if left is None else time.time() + left
        edited = store.reread(token_id).but(**changes)
        # What a six-method store holds can only be saved.
        (store.swap if isinstance(store, Vault) else store.save_token)(edited)


def main():
    # What the first store loads, loaded once for all.
    SDKStore("sqlite:///not-made.db").close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks for the children's status
    print("ready", flush=True)  # noqa: T201 - the driver waits for it
    for line in iter(sys.stdin.readline, ""):
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.alarm(120)  # no test lasts longer; nothing outlives one that failed
            return obey(line.strip())
    return None


def obey(address):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        with connection.makefile("rw", encoding="utf-8") as lines:
            settle(**json.loads(lines.readline()))
            application = Application()
            lines.write(f"{os.getpid()}\n")
            lines.flush()
            for line in lines:
                answer = answered(application, *json.loads(line))
                lines.write(json.dumps(answer, default=shown) + "\n")
                lines.flush()


def settle(folder, environ):
    """Move into a folder of its own, with everything that is logged in it."""
    os.chdir(folder)
    os.environ.update(environ)
    output = os.open("output.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    logging.basicConfig(filename="all.log", level=logging.DEBUG, force=True)


def answered(application, name, arguments, given):
    try:
        return {"result": getattr(application, name)(*arguments, **given)}
    except Exception as error:
        logging.getLogger("test").exception("%s failed", name)
        cause = getattr(error, "cause", None)
        described = {
            "text": str(error),
            "kind": type(error).__name__,
            "code": getattr(error, "code", None),
            "cause": cause and type(cause).__name__,
            "is_same": cause is error.__cause__,
            "everything": "\n".join(
                [repr(error), repr(cause), str(cause), *traceback.format_exception(error)]
            ),
        }
        return {"error": described}


if __name__ == "__main__":
    main()
