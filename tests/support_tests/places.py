"""What a client of each private server's URL does: keep one value and find it again."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import boto3
import psycopg
import pymysql
import redis


class InMariaDB:
    """One value, as a client of the URL keeps it."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.arguments = {
            "host": parts.hostname,
            "port": parts.port,
            "user": parts.username,
            "password": parts.password,
            "database": parts.path[1:],
            "autocommit": True,
        }

    def put(self, value):
        with pymysql.connect(**self.arguments) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept (value TEXT)")
            cursor.execute("INSERT INTO kept VALUES (%s)", (value,))

    def get(self, seconds=30):
        with (
            pymysql.connect(**self.arguments, read_timeout=seconds) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SHOW TABLES")
            if not cursor.fetchall():
                return None
            cursor.execute("SELECT value FROM kept")
            return cursor.fetchone()[0]


class InPostgres:
    def __init__(self, url):
        self._url = url

    def put(self, value):
        with psycopg.connect(self._url) as connection:
            connection.execute("CREATE TABLE kept (value TEXT)")
            connection.execute("INSERT INTO kept VALUES (%s)", (value,))

    def get(self, seconds=30):
        with psycopg.connect(self._url, connect_timeout=seconds) as connection:
            found = connection.execute(
                "SELECT FROM pg_tables WHERE schemaname = 'public'"
            ).rowcount
            return connection.execute("SELECT value FROM kept").fetchone()[0] if found else None


class InRedis:
    def __init__(self, url):
        self._url = url

    def put(self, value):
        with redis.Redis.from_url(self._url) as client:
            client.set("kept", value)

    def get(self, seconds=30):
        with redis.Redis.from_url(
            self._url, decode_responses=True, socket_timeout=seconds, retry=None
        ) as client:
            return client.get("kept") if client.dbsize() else None


class InAWS:
    def __init__(self, url):
        parts = urlsplit(url)
        self._name = parts.path[1:]
        self.arguments = {
            "service_name": "secretsmanager",
            "region_name": parts.netloc,
            "endpoint_url": parse_qs(parts.query)["endpoint_url"][0],
        }

    def client(self, seconds=30):
        quick = boto3.session.Config(read_timeout=seconds, retries={"total_max_attempts": 1})
        return boto3.client(**self.arguments, config=quick)

    def put(self, value):
        with closing(self.client()) as client:
            client.create_secret(Name=f"{self._name}/kept", SecretString=value)

    def get(self, seconds=30):
        with closing(self.client(seconds)) as client:
            under = [{"Key": "name", "Values": [f"{self._name}/"]}]
            found = client.list_secrets(Filters=under)["SecretList"]
            return (
                client.get_secret_value(SecretId=found[0]["ARN"])["SecretString"]
                if found
                else None
            )


PLACES = {
    "mariadb": InMariaDB,
    "postgres": InPostgres,
    "redis_server": InRedis,
    "aws": InAWS,
}
"""By the fixture of their server."""
