"""AWS Secrets Manager and DynamoDB, as moto knows them, over HTTP."""

from __future__ import annotations

import os
import secrets
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
    drops_root = False  # its program is our own interpreter, which may be in our home
    region = "eu-central-1"

    @property
    def credentials(self):
        """The environment of a client."""
        nowhere = f"{self.folder}/no-such-file"
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
        """Where both services are."""
        return f"http://{self.host}:{self.port}"

    def prepare(self):
        pass

    def command(self):
        journal = self.folder / "requests.jsonl"
        return [sys.executable, SERVER, self.host, str(self.port), journal]

    def environment(self):
        # What the interpreter needs to find moto, and moto's own settings; coverage is not for it.
        ours = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
        return {**ours, **self.credentials}

    def check(self):
        # Its own word, since there is no password: whoever else got the port would answer as well.
        if "serves" not in self.said():
            raise NotReady

    def url(self, service="secretsmanager"):
        """Return a URL of a new prefix (service "secretsmanager") or a new table ("dynamodb")."""
        name = f"t{secrets.token_hex(5)}"
        endpoint = quote(self.endpoint_url, safe="")
        if service == "dynamodb":
            return f"dynamodb://{self.region}/{name}?endpoint_url={endpoint}&create=true"
        return f"aws-secretsmanager://{self.region}/{name}?endpoint_url={endpoint}"
