"""Import: what tokenkeep adds to the start of a program, beside the interpreter and the SDK."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from statistics import median
from typing import NamedTuple

from common import Case, folder, options, report

SDK = (
    "from zohocrmsdk.src.com.zoho.api.authenticator.oauth_token import OAuthToken\n"
    "from zohocrmsdk.src.com.zoho.crm.api.initializer import Initializer"
)
ADAPTER = "from tokenkeep.integrations.zoho_sdk import SDKStore"


class Start(NamedTuple):
    """A program: what it has loaded already, and what is measured then."""

    before: str
    then: str
    target: float | None = None


STARTS = {
    "import tokenkeep": Start("", "import tokenkeep", 60),
    "... and open_store(url)": Start(
        "", "import tokenkeep; tokenkeep.open_store('sqlite:///start.db')"
    ),
    "... and Keeper": Start(
        "", "import tokenkeep; tokenkeep.Keeper(tokenkeep.open_store('sqlite:///start.db'))"
    ),
    "import the SDK": Start("", SDK),
    "import SDKStore after the SDK": Start(SDK, ADAPTER, 30),
    "... and SDKStore(url)": Start(SDK, f"{ADAPTER}\nSDKStore('sqlite:///start.db')"),
}

CHILD = """
import sys, time
exec(sys.argv[1])
start = time.perf_counter(), time.process_time()
exec(sys.argv[2])
print([time.perf_counter() - start[0], time.process_time() - start[1]])
"""


def inside(start: Start) -> tuple[float, float]:
    """Return the wall and CPU time of the statement within a fresh interpreter, in ms."""
    command = [sys.executable, "-c", CHILD, start.before, start.then]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wall, cpu = json.loads(out)
    return wall * 1000, cpu * 1000


def whole(code: str) -> tuple[float, float]:
    """Return the wall and CPU time of a whole interpreter, from its start to its end, in ms."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, cpu * 1000


def main() -> None:
    given = options(__doc__)
    took: dict[str, list[tuple[float, float]]] = {}
    with folder() as path:
        os.chdir(path)
        for start in STARTS.values():
            inside(start)  # compiled files and the database are there from now on
        for _ in range(40 if given.full else 12):
            for name, code in (("bare", "pass"), ("with", "import tokenkeep")):
                took.setdefault(name, []).append(whole(code))
            for name, start in STARTS.items():
                took.setdefault(name, []).append(inside(start))
        os.chdir("/")
    found = []
    for i, kind in enumerate(("wall", "CPU")):
        bare = median(each[i] for each in took["bare"])
        pairs = zip(took["with"], took["bare"], strict=True)
        more = median(one[i] - none[i] for one, none in pairs)
        note = f"the whole process, over the bare interpreter's {bare:.0f}"
        found.append(Case("python -c 'import tokenkeep'", kind, more, target=60, note=note))
        found += [
            Case(name, kind, median(each[i] for each in took[name]), target=start.target)
            for name, start in STARTS.items()
        ]
    report("start of a program", "ms more", found, given)


if __name__ == "__main__":
    main()
