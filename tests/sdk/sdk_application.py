"""
An application on the official SDK: what a test can ask of it, from another process.

As a program, with one generation of the SDK on PYTHONPATH, it forks a fresh
application for each socket that it is sent over its standard input; the new
process obeys the JSON lines it gets there. Forked from a process that has loaded
the SDK and used nothing of it, an application is as fresh as one that loads it
itself, and there in a hundredth of the time.
"""

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
from functools import cached_property
from pathlib import Path

from sdk_calls import environment_of, leads
from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import Initializer
from zohocrmsdk.src.com.zoho.crm.api.exception.sdk_exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig
from zohocrmsdk.src.com.zoho.crm.api.user_signature import UserSignature

from tokenkeep.clock import Clock
from tokenkeep.integrations.zoho_sdk import NoToken, SDKStore, is_refused
from tokenkeep.stores.list import ListStore

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


def documented(words):
    """Return the Python block of docs/zoho-sdk.md that contains these words."""
    page = (Path(__file__).parents[2] / "docs" / "zoho-sdk.md").read_text()
    [block] = [
        each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if words in each
    ]
    return block


class MovableClock(Clock):
    """The operating system's time, moved or made to run faster."""

    ahead = 0.0
    speed = 1.0

    def now(self):
        return time.time() + self.ahead

    def monotonic(self):
        return time.monotonic() * self.speed


class Application:
    """One process; its store's and its token's methods can be called on it by their own names."""

    def __init__(self):
        self.token = None
        self.clock = MovableClock()

    def __getattr__(self, name):
        return getattr(self.store if hasattr(SDKStore, name) else self.token, name)

    @cached_property
    def store(self):
        return SDKStore("sqlite:///tokens.db", clock=self.clock)

    # -- what an application does ----------------------------------------------------------

    def open(self, store):
        """Open another store than the one that is used unasked."""
        own = {"file": lambda: FileStore("tokens.csv"), "list": ListStore}
        self.store = SDKStore(own[store]() if store in own else store, clock=self.clock)

    def start(self, environment, update_domain=None, **given):
        """Initialise the SDK as an application does when it starts."""
        more = {} if update_domain is None else {"sdk_config": SDKConfig(update_domain)}
        return self._initialize(environment, oauth_token(**given), self.store, **more)

    def start_with_nobody(self, environment):
        """Initialise the SDK as a server for many users does."""
        self._initialize(environment, NoToken(), self.store)

    def start_elsewhere(self, environment):
        """Initialise the SDK with another store than the one that is asked."""
        self._initialize(environment, NoToken(), FileStore("tokens.csv"))

    def _initialize(self, environment, token, store, **more):
        self.token = token
        Initializer.initialize(
            environment=environment_of(*environment),
            token=token,
            store=store,
            resource_path=str(Path.cwd()),
            logger=Logger.get_instance(level=Logger.Levels.DEBUG, file_path="sdk.log"),
            **more,
        )
        return token

    def switch(self, environment, **given):
        token = self.token = oauth_token(**given)
        Initializer.switch_user(environment=environment_of(*environment), token=token)
        return token

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
        with self.store.as_user(token_id) as call:
            return call(leads).get_status_code()

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
            return said.read().split()

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

    def sdk_revoke(self, id):  # noqa: A002 - as the SDK has it
        """Revoke by the SDK's own method; the store has another one of this name."""
        return self.token.revoke(id)

    def in_threads(self, name, count, **given):
        """Do the same in many threads at once."""
        together = threading.Barrier(count)

        def run(_):
            together.wait()
            return getattr(self, name)(**given)

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(run, range(count)))

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
            changes["expires_at"] = time.time() + changes.pop("expires_in")
        store.swap(store.reread(token_id).but(**changes))


def main():
    # What the first store loads, loaded once for all.
    SDKStore("sqlite:///not-made.db").close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks for the children's status
    with socket.socket(fileno=sys.stdin.fileno()) as control:
        while sent := socket.recv_fds(control, 1, 1)[1]:
            with socket.socket(fileno=sent[0]) as connection:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.alarm(120)  # no test lasts longer; nothing outlives one that failed
                    return obey(connection)
    return None


def obey(connection):
    with connection.makefile("rw", encoding="utf-8") as lines:
        settle(**json.loads(lines.readline()))
        application, answer = Application(), os.getpid()
        while True:
            lines.write(json.dumps(answer, default=shown) + "\n")
            lines.flush()
            line = lines.readline()
            if not line:
                return
            answer = answered(application, *json.loads(line))


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
