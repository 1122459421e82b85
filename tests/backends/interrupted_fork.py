"""Fork again and again, each time interrupted at a later step; test_forks.py runs this."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable
from tokenkeep.testing._contract_workers import record

LONG = 30.0


class Interrupted(Exception):
    pass


class Interruption:
    """Raise at the n-th step of our code around a fork, as a signal handler may anywhere."""

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, *_):
        if "tokenkeep/backends/" not in frame.f_code.co_filename.replace(os.sep, "/"):
            return None
        self.left -= 1
        if not self.left:
            raise Interrupted
        return self


def fork_interrupted(at, work):
    """
    Fork, with an interruption at the step *at*.

    Returns:
        Whether there are that many, and how the child ended.
    """
    interruption = Interruption(at)
    tracing = sys.gettrace()
    sys.settrace(interruption)
    try:
        child = os.fork()
    finally:
        sys.settrace(tracing)
    if not child:
        code = 1
        signal.alarm(30)  # its end, should it hang
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return interruption.left <= 0, os.waitpid(child, 0)[1]


def main(path):
    store = SQLiteBackend(path, busy_timeout=LONG)
    store.write(record(), replaces=None)
    shown = []
    sys.unraisablehook = lambda shown_: shown.append(shown_.exc_type)

    def work():
        try:
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(store.read, record().id).result() == record()
        except StoreUnavailable as exc:
            assert "inherited" in str(exc)  # noqa: PT017 - it works, or says so

    for at in range(1, 10_000):
        happened, code = fork_interrupted(at, work)
        assert code == 0, at
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(store.read, record().id).result(LONG) == record(), at
        store.write(record(f"{at}"), replaces=None)
        if not happened:
            break
    assert at > 20
    assert set(shown) == {Interrupted}
    assert len(store.scan(None, 10_000)) == at + 1
    store.close()


if __name__ == "__main__":
    main(sys.argv[1])
