"""A process that did not run at its deadline still reads the answer that came in meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time

import pytest
from provider_server import SECRETS, response

from tokenkeep.errors import ProviderUnavailable
from tokenkeep.providers.form import Form
from tokenkeep.providers.http import post_form

TIMEOUT = 3.0
BODY = b'{"access_token": "the only one"}'
HEAD = b"HTTP/1.1 200 OK\r\n"

ANSWERS = {
    "with its length": response(BODY),
    "up to the end": HEAD + b"Connection: close\r\n\r\n" + BODY,
    "in chunks": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
    "long": response(BODY.ljust(100_000)),
}


def _ask(url, answers):
    try:
        answers.put(post_form(url, Form(**SECRETS), timeout=TIMEOUT).body.strip())
    except ProviderUnavailable as exc:
        answers.put(exc.what)
    left = [each for each in threading.enumerate() if each.name == "tokenkeep-request"]
    for thread in left:
        thread.join(60)
    answers.put([each.is_alive() for each in left])


@pytest.fixture
def stopped(serve):
    """Ask in a process that is stopped from when the request is out until past its deadline."""

    def run(answer):
        asked, release = threading.Event(), threading.Event()

        def play(connection, _request):
            asked.set()
            release.wait(60)
            connection.sendall(answer)
            if not answer:
                connection.recv(1)

        url = serve(play).url
        context = multiprocessing.get_context("spawn")
        answers = context.SimpleQueue()
        process = context.Process(target=_ask, args=(url, answers))
        process.start()
        try:
            assert asked.wait(60)
            os.kill(process.pid, signal.SIGSTOP)
            release.set()
            time.sleep(TIMEOUT + 1)
            os.kill(process.pid, signal.SIGCONT)
            process.join(60)
            assert 0 == process.exitcode
        finally:
            process.kill()
        return answers.get(), answers.get()

    return run


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow(part="ci") if number else ())
        for number, kind in enumerate(ANSWERS)
    ],
)
def test_an_answer_that_came_in_meanwhile_is_read(stopped, kind):
    """A whole answer in the socket's buffer counts, however late the process goes on."""
    assert BODY == stopped(ANSWERS[kind])[0]


def test_no_answer_came_in_meanwhile(stopped):
    """Without an answer the call ends once the process goes on, and its thread with it."""
    what, alive = stopped(b"")

    assert "did not answer within 3 seconds" in what
    assert not any(alive)
