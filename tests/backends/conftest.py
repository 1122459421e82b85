"""Children and strangers: real processes for the tests of the backends."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from threading import Timer

import pytest

NOBODY = 65534
PATIENCE = 60.0
"""How long a child may take to its end, in seconds."""


class Child:
    """A forked process; what it says arrives line by line."""

    def __init__(self, work):
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads; some tests do just that.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if not self.pid:
            os.close(reader)
            faulthandler.register(signal.SIGUSR1, file=writer)
            code = 1
            try:
                work(lambda text: os.write(writer, f"{text}\n".encode()))
                code = 0
            except BaseException:  # noqa: BLE001 - the parent shows it
                os.write(writer, traceback.format_exc().encode())
            finally:
                os._exit(code)
        os.close(writer)
        self._lines = os.fdopen(reader)

    def readline(self):
        return self._lines.readline().rstrip("\n")

    def kill(self):
        """Kill it in the midst of things; return what it still said."""
        os.kill(self.pid, signal.SIGKILL)
        return self._end()[1]

    def end(self):
        """Wait for its end, which must be a good one; return what it still said."""
        code, said = self._end()
        assert code == 0, "\n".join(said)
        return said

    def put_down(self):
        """Make sure that it is gone, if its test failed before its end."""
        if not self._lines.closed:
            self.kill()

    def _ask_where(self):
        """Let a child that hangs say where, and end it."""
        os.kill(self.pid, signal.SIGUSR1)
        time.sleep(1.0)
        os.kill(self.pid, signal.SIGKILL)

    def _end(self):
        timer = Timer(PATIENCE, self._ask_where)
        timer.start()
        said = self._lines.read().splitlines()
        timer.cancel()
        timer.join()
        self._lines.close()
        return os.waitpid(self.pid, 0)[1], said


@pytest.fixture
def fork():
    """Start a child: it calls *work* with a function that says a line to the parent."""
    children = []

    def start(work):
        children.append(Child(work))
        return children[-1]

    yield start
    for child in children:
        child.put_down()


@pytest.fixture
def as_nobody(fork):
    """Do something as a user without special rights; return what it says."""

    def run(work):
        def work_as_nobody(say):
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work(say)

        return fork(work_as_nobody).end()

    return run


@pytest.fixture
def shared_folder():
    """A folder that other users reach too; pytest's own ones are private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)
