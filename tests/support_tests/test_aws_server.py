"""What AWS does and moto alone does not, in moto's server as the tests run it."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import closing

from places import InAWS
from private_servers.aws_server import Server
from werkzeug.test import EnvironBuilder


def test_new_names_are_the_same_after_a_kill(aws):
    """What moto makes up for a secret, its ARN, is the same after a kill."""
    with closing(InAWS(aws.url()).client()) as client:
        name = f"named-{secrets.token_hex(4)}"
        arn = client.create_secret(Name=name, SecretString="x")["ARN"]
        client.get_secret_value(SecretId=name)

        aws.kill()
        aws.start()

        assert arn == client.get_secret_value(SecretId=arn)["ARN"]


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


def ask(server):
    server(EnvironBuilder(method="POST", data=b"{}").get_environ(), None)


def test_one_request_at_a_time(tmp_path):
    """A request is done as a whole, and in the order of the journal."""
    application = Slow()
    with closing(Server(tmp_path / "journal", application)) as server:
        threads = [threading.Thread(target=ask, args=(server,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert 1 == application.most


def test_torn_journal(tmp_path):
    """A request that was being noted in the kill was not done, and is forgotten."""
    journal = tmp_path / "journal"
    with closing(Server(journal, Slow())) as server:
        ask(server)
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole[:20])

    with closing(Server(journal)):
        pass

    assert whole == journal.read_bytes()
