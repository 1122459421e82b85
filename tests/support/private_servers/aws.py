"""AWS Secrets Manager and DynamoDB, as moto knows them, over HTTP."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path
from urllib.parse import quote

from pages import blocks

from tokenkeep.testing import Proxy

from .server import NotReady, PrivateServer

SERVER = Path(__file__).with_name("aws_server.py")
NOBODY = 1
"""A port where nobody listens."""


class AWS(PrivateServer):
    """
    moto's server, which keeps all in memory, and a way to it, which is what is killed.

    AWS forgets nothing when an endpoint goes away: what it was told survives `kill`, but not
    `close`. A request whose answer was lost may have been done, as with AWS.

    Attributes:
        region: The region of the URLs.
    """

    name = "AWS (moto)"
    region = "eu-central-1"
    drops_root = False  # its interpreter is ours, and may be in our home
    _way = None

    def prepare(self):
        pass

    def command(self):
        return [sys.executable, SERVER, self.host, self.port]

    def environment(self):
        # What the interpreter needs to find moto, and moto's own settings; coverage is not for it.
        return {name: value for name, value in os.environ.items() if "COVERAGE" not in name}

    def check(self):
        # Its own word, since there is no password: whoever else got the port would answer as well.
        if "serves" not in self.said():
            raise NotReady

    def start(self):
        if self._way is None:
            super().start()
            self._behind = self.host, self.port
            self._way = Proxy(*self._behind)
            self.port = self._way.port
        self._way.target = self._behind

    def kill(self):
        if self._way is None:
            super().kill()
        else:
            self._way.target = self.host, NOBODY
            self._way.cut()

    def close(self):
        if self._way is not None:
            self._way.close()
            self._way = None
        super().close()

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

    def url(self, service="secretsmanager"):
        """Return a URL of a new prefix (service "secretsmanager") or a new table ("dynamodb")."""
        name = f"t{secrets.token_hex(5)}"
        endpoint = quote(self.endpoint_url, safe="")
        if service == "dynamodb":
            self._make_table(name)
            return f"dynamodb://{self.region}/{name}?endpoint_url={endpoint}"
        return f"aws-secretsmanager://{self.region}/{name}?endpoint_url={endpoint}"

    def _make_table(self, name):
        """Make a table as the command of docs/aws.md does."""
        import boto3

        [told] = [each.text for each in blocks("docs/aws.md") if "create-table" in each.text]
        said = re.findall(r"AttributeName=(\w+),(\w+)=(\w+)", told)
        client = boto3.client(
            "dynamodb",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.password,
        )
        client.create_table(
            TableName=name,
            BillingMode=re.search(r"--billing-mode (\w+)", told)[1],
            AttributeDefinitions=_those(said, "AttributeType"),
            KeySchema=_those(said, "KeyType"),
        )
        client.close()


def _those(said, what):
    return [{"AttributeName": name, key: value} for name, key, value in said if key == what]
