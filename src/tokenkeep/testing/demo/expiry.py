"""Step 5: the access token expires under eight processes; the SDK's own store beside ours."""

from __future__ import annotations

import csv
import stat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from tokenkeep.testing.demo.scene import Scene

PROCESSES = 8
BEN = "ben@example.com:6000008"
_LATENCY = 0.3
"""How long the provider takes for an access token, in seconds; Zoho is not faster."""

_REFRESH_TOKEN, _COLUMNS = 4, 10
"""In a row of the SDK's file."""


class _Stampede(NamedTuple):
    """
    What eight processes met.

    Args:
        calls: How often the token endpoint was called.
        served: How many of them read the leads.
        errors: What the others met, by name.
    """

    calls: int
    served: int
    errors: list[str]


def play(scene: Scene) -> None:
    """Play this step."""
    narrator, zoho = scene.narrator, scene.zoho
    narrator.step(f"An access token expires while {PROCESSES} processes use it")
    narrator.say(f"The same program {PROCESSES} times, released together; only its store differs.")
    narrator.say(f"The token endpoint takes {_LATENCY} s for its answer, as over the Internet.")
    scene.add_user(BEN)
    with scene.short_lives():
        for store in ("FileStore", "tokenkeep"):
            scene.crew.one(store=store).ask("log_in", grant_token=zoho.grant_code(BEN))
    _official_file(scene)
    official = _stampede(scene, "FileStore")
    narrator.compare(
        f"{PROCESSES} processes, the SDK's FileStore",
        f"{_times(official.calls)}, {official.served} served",
    )
    if official.errors:
        narrator.say(f"the others met: {', '.join(sorted(set(official.errors)))}")
    narrator.compare("The FileStore's file afterwards", _left(scene.stage.official_file))
    ours = _stampede(scene, "tokenkeep")
    narrator.claim(
        f"{PROCESSES} processes, SDKStore: one call",
        f"{_times(ours.calls)}, {ours.served} served",
        ok=ours.calls == 1 and ours.served == PROCESSES,
    )


def _stampede(scene: Scene, store: str) -> _Stampede:
    """Release eight processes at once on an access token that has expired."""
    workers = scene.crew.hire(PROCESSES, store=store)
    scene.wait_for_expiry()
    before = scene.token_calls
    scene.zoho.faults.add(endpoint="token", kind="slow", delay=_LATENCY, times=None)
    for worker in workers:
        worker.tell("resume", user=BEN)
    answers = [worker.answer() for worker in workers]
    scene.zoho.faults.clear()
    for worker in workers:
        worker.close()
    return _Stampede(
        calls=scene.token_calls - before,
        served=sum(bool(answer.get("leads")) for answer in answers),
        errors=[f"{each['error']} ({each['what']})" for each in answers if "error" in each],
    )


def _official_file(scene: Scene) -> None:
    """Look into the file as anybody may, and try whether the refresh token in it works."""
    path = scene.stage.official_file
    with path.open(newline="") as file:
        _header, row = csv.reader(file)
    text = "in clear" if scene.zoho.is_active(row[_REFRESH_TOKEN]) else "unusable"
    mode = stat.S_IMODE(path.stat().st_mode)
    scene.narrator.compare("The FileStore's file", f"mode {mode:04o}, refresh token {text}")


def _left(path: Path) -> str:
    """Say what is left of the SDK's file."""
    with path.open(newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    whole = sum(len(row) == _COLUMNS and all(row[: _REFRESH_TOKEN + 1]) for row in rows)
    torn = len(rows) - whole + (len(header) != _COLUMNS)
    return f"{whole} of 1 rows left" + (f", {torn} lines torn" if torn else "")


def _times(count: int) -> str:
    return f"{count} call{'' if count == 1 else 's'}"
