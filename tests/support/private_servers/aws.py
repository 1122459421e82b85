"""AWS Secrets Manager and DynamoDB, as moto knows them, over HTTP."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from urllib.parse import quote

from .server import NotReady, PrivateServer

HERE = Path(__file__).parent


class SaysWhenReady(PrivateServer):
    """A script of ours, which says so when it listens."""

    drops_root = False  # its interpreter is ours, and may be in our home

    def prepare(self):
        pass

    def check(self):
        # Its own word, since there is no password: whoever else got the port would answer as well.
        if "serves" not in self.said():
            raise NotReady


class Moto(SaysWhenReady):
    """moto's server, which keeps all in memory."""

    name = "moto"

    def command(self):
        return [sys.executable, HERE / "aws_server.py", self.host, self.port]

    def environment(self):
        # What the interpreter needs to find moto, and moto's own settings; coverage is not for it.
        return {name: value for name, value in os.environ.items() if "COVERAGE" not in name}

    def url(self):
        return f"http://{self.host}:{self.port}"


class AWS(SaysWhenReady):
    """
    An endpoint of AWS, and moto behind it. What it was told survives `kill`, but not `close`.

    Attributes:
        region: The region of the URLs.
    """

    name = "AWS (moto)"
    region = "eu-central-1"

    def __init__(self):
        super().__init__()
        self._moto = Moto()

    @property
    def endpoint_url(self):
        """Where both services are."""
        return f"http://{self.host}:{self.port}"

    @property
    def credentials(self):
        """The environment of a client: made-up credentials, and nothing of real accounts."""
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

    def prepare(self):
        self._moto.start()

    def command(self):
        endpoint = HERE / "aws_endpoint.py"
        return [sys.executable, "-I", "-S", endpoint, self.host, self.port, self._moto.port]

    def close(self):
        super().close()
        self._moto.close()

    def url(self, service="secretsmanager"):
        """Return a URL of a new prefix (service "secretsmanager") or a new table ("dynamodb")."""
        name = f"t{secrets.token_hex(5)}"
        endpoint = quote(self.endpoint_url, safe="")
        if service == "dynamodb":
            return f"dynamodb://{self.region}/{name}?endpoint_url={endpoint}&create=true"
        return f"aws-secretsmanager://{self.region}/{name}?endpoint_url={endpoint}"
