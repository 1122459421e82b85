"""What AWS does and moto alone does not, in moto's server as the tests run it."""

from __future__ import annotations

import threading
import time

from private_servers.aws_server import OneAtATime


class Slow:
    """An application that takes its time; *most* were in it at once."""

    def __init__(self):
        self.active = self.most = 0

    def __call__(self, *_):
        self.active += 1
        self.most = max(self.most, self.active)
        time.sleep(0.01)
        self.active -= 1
        return [b"{}"]


def test_one_request_at_a_time():
    """A request is done as a whole: two conditional writes don't mix."""
    slow = Slow()
    server = OneAtATime(slow)
    threads = [threading.Thread(target=server, args=({}, None)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == slow.most


def test_moto_ends_with_its_endpoint(aws):
    """Both go when it is closed."""
    with type(aws)() as another:
        moto = another._moto
        assert moto.running
    assert not moto.running
