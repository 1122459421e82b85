"""
Load one generation of the official SDK, then fork a fresh application for each request.

Runs as a program with that generation on PYTHONPATH. Each line on standard
input is the path of a socket; the new process connects to it and obeys the
JSON lines it gets there. Forked from a process that has loaded the SDK and
used nothing of it, an application is as fresh as one that loads it itself,
and there in a hundredth of the time.
"""

import json
import logging
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

from sdk_application import Application

from tokenkeep.integrations.zoho_sdk import SDKStore


def main():
    # What the first store loads, loaded once for all.
    SDKStore("sqlite:///:memory:").close()
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
                lines.write(json.dumps(answer(application, *json.loads(line))) + "\n")
                lines.flush()


def settle(folder, environ):
    """Move into a folder of its own, with everything that is logged in it."""
    os.chdir(folder)
    os.environ.update(environ)
    output = os.open("output.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    logging.basicConfig(filename="all.log", level=logging.DEBUG, force=True)


def answer(application, name, given):
    try:
        return {"result": getattr(application, name)(**given)}
    except Exception as error:
        logging.getLogger("test").exception("%s failed", name)
        return {"error": described(error)}


def described(error):
    cause = getattr(error, "cause", None)
    return {
        "kind": type(error).__name__,
        "code": getattr(error, "code", None),
        "cause": cause and type(cause).__name__,
        "raised_from": error.__cause__ and type(error.__cause__).__name__,
        "is_same": cause is error.__cause__,
        "text": str(error),
        "everything": "\n".join(
            [repr(error), repr(cause), str(cause), *traceback.format_exception(error)]
        ),
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
