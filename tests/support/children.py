"""Processes that tests start: what they inherit, and forks that share something."""

from __future__ import annotations

import faulthandler
import os
import signal
import traceback
import warnings

import pytest

PATIENCE = 60.0
"""How long a child may take to its end, in seconds; then it says where it is."""


def pytest_configure():
    """
    Take Ctrl-C as a program does that a person started, and so does whatever is started here.

    ``nohup make test &`` and a shell's other background jobs ignore it, and hand that down.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Child:
    """A forked process; what it says arrives line by line."""

    def __init__(self, work, fork):
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads; some tests do just that.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = fork()
        if not self.pid:
            os.close(reader)
            faulthandler.dump_traceback_later(PATIENCE, exit=True, file=writer)
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

    def _end(self):
        said = self._lines.read().splitlines()
        self._lines.close()
        return os.waitpid(self.pid, 0)[1], said


class Pause:
    """Where one process waits until another one lets it go on."""

    def __init__(self):
        self._reader, self._writer = os.pipe()

    def wait(self):
        assert os.read(self._reader, 1)

    def end(self):
        os.write(self._writer, b".")

    def __del__(self):
        os.close(self._reader)
        os.close(self._writer)


@pytest.fixture
def fork():
    """Start a child: it calls *work* with a function that says a line to the parent."""
    children = []

    def start(work, fork=os.fork):
        children.append(Child(work, fork))
        return children[-1]

    yield start
    for child in children:
        child.put_down()


@pytest.fixture
def fork_together(fork):
    """Start children that do *work*, each with its number, at the same moment; wait for them."""

    def start(work, count):
        gate, opener = os.pipe()

        def begin(number):
            os.close(opener)
            os.read(gate, 1)  # returns when the parent closes the other end
            work(number)

        children = [fork(lambda _, number=number: begin(number)) for number in range(count)]
        os.close(gate)
        os.close(opener)
        for child in children:
            child.end()

    return start
