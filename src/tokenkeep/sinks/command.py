"""A command: the facts in its environment, no shell, a bound, and an end by its group."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from tokenkeep.clock import moment
from tokenkeep.errors import ConfigurationError, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT = 15.0
"""How long it may run, in seconds."""

_OURS = "TOKENKEEP_"


class Command:
    """
    Tell by running a program.

    Args:
        words: The program and its arguments.

    Raises:
        ConfigurationError: It is no list of texts.
    """

    def __init__(self, words: object) -> None:
        given = list(words) if isinstance(words, list | tuple) else []
        so = all(isinstance(each, str) and each and "\0" not in each for each in given)
        if not given or not so:
            raise ConfigurationError(
                "command has to be a list of texts: a program and its arguments",
                hint='There is no shell. Write command = ["/usr/local/bin/tell", "--urgent"]',
            )
        self._words: list[str] = given

    def tell(self, facts: Mapping[str, object], now: float) -> str | None:  # noqa: ARG002 - as a sink
        """Run it. Return None if it ended with 0, else why it does not count."""
        try:
            # What it prints may hold anything, so nobody keeps it.
            running = subprocess.Popen(  # noqa: S603  # what the owner of the configuration wrote
                self._words,
                env=environment_of(facts, os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "an argument can't be passed on"
            return f"The command {self._words[0]} can't be run: {why}"
        try:
            status = running.wait(TIMEOUT)
        except BaseException as exc:
            _end(running)
            if isinstance(exc, subprocess.TimeoutExpired):
                return f"The command {self._words[0]} did not end within {TIMEOUT:g} s"
            raise
        return None if status == 0 else f"The command {self._words[0]} ended with {status}"

    def look(self) -> str:
        """
        Return which program it is; it is not run.

        Raises:
            ConfigurationError: There is none.
        """
        if found := shutil.which(self._words[0]):
            return f"{found} can be run"
        raise ConfigurationError(
            f"There is no program {self._words[0]} that may be run",
            hint="Name it by its whole path, and make it executable: chmod +x",
        )


def environment_of(facts: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, str]:
    """Return a program's environment: no variable of ours but the facts; times for people."""
    theirs = {name: text for name, text in environ.items() if name[: len(_OURS)] != _OURS}
    for name, fact in facts.items():
        said = moment(fact) if name == "at" and isinstance(fact, float) else fact
        # A user's name may hold what no environment can.
        theirs[f"{_OURS}{name.upper()}"] = "" if said is None else visible(str(said))
    return theirs


def _end(running: subprocess.Popen[bytes]) -> None:
    """Kill a program with all that it has started."""
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(running.pid, signal.SIGKILL)
        else:
            running.kill()
    running.wait()
