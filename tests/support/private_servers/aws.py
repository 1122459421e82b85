"""AWS Secrets Manager and DynamoDB, as moto knows them, over HTTP."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from pathlib import Path
from urllib.parse import quote

from .server import NotReady, PrivateServer

SERVER = Path(__file__).with_name("aws_server.py")


class AWS(PrivateServer):
    """
    moto's server in a process of its own.

    What is written survives `kill`: see `aws_server.py`. *durable* means nothing here.

    Attributes:
        region: The region of the URLs.
        credentials: The environment that boto3 needs, and that keeps it away from real accounts.
    """

    name = "AWS (moto)"
    needs_user = False
    region = "eu-central-1"

    @property
    def credentials(self):
        nowhere = str(self.folder / "no-such-file")
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": self.password,
            "AWS_SESSION_TOKEN": "testing",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def endpoint_url(self):
        return f"http://{self.host}:{self.port}"

    def prepare(self):
        pass

    def command(self):
        journal = self.folder / "requests.jsonl"
        return [sys.executable, SERVER, self.host, str(self.port), journal]

    def environment(self):
        # The interpreter is ours, and so is what it needs to find moto.
        return {
            **os.environ,
            **self.credentials,
            "COVERAGE_PROCESS_START": "",
            "COVERAGE_PROCESS_CONFIG": "",
        }

    def check(self):
        # It listens from the start, so that nobody else takes the port, and says when it is ready.
        if f"serves on {self.port}" not in self.log.read_text():
            raise NotReady
        try:
            socket.create_connection((self.host, self.port), 5).close()
        except OSError as exc:
            raise NotReady(str(exc)) from exc

    def url(self, service="secretsmanager"):
        """Return a URL of a new prefix (service "secretsmanager") or a new table ("dynamodb")."""
        name = f"t{secrets.token_hex(5)}"
        endpoint = quote(self.endpoint_url, safe="")
        if service == "dynamodb":
            return f"dynamodb://{self.region}/{name}?endpoint_url={endpoint}&create=true"
        return f"aws-secretsmanager://{self.region}/{name}?endpoint_url={endpoint}"
