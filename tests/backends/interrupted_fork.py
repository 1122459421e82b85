"""Fork again and again, each time interrupted at a later step; test_forks.py runs this."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.errors import StoreUnavailable
from tokenkeep.testing.records import record

LONG = 30.0


class Interrupted(Exception):
    pass


def interrupted_fork(at):
    """Fork, interrupted at a step of our code as a handler may be; return whether there is one."""
    left = at

    def trace(frame, *_):
        nonlocal left
        if "tokenkeep/backends/" not in frame.f_code.co_filename.replace(os.sep, "/"):
            return None
        left -= 1
        if not left:
            raise Interrupted
        return trace

    tracing = sys.gettrace()
    sys.settrace(trace)
    try:
        return os.fork(), left <= 0
    finally:
        sys.settrace(tracing)


def main(path):
    store = SQLiteBackend(path, busy_timeout=LONG)
    store.write(record(), replaces=None)
    shown, at, happened = [], 0, True
    sys.unraisablehook = lambda shown_: shown.append(shown_.exc_type)

    def read():
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(store.read, record().id).result(LONG)

    while happened:
        at += 1
        child, happened = interrupted_fork(at)
        if not child:
            signal.alarm(int(LONG))  # its end, should it hang
            try:
                os._exit(read() != record())
            except StoreUnavailable as exc:
                os._exit("inherited" not in str(exc))  # it works, or says so
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0, at
        assert read() == record(), at
        store.write(record(f"{at}"), replaces=None)
    assert at > 20
    assert set(shown) == {Interrupted}
    assert len(store.scan(None, 10_000)) == at + 1
    store.close()


if __name__ == "__main__":
    main(sys.argv[1])
