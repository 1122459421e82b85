"""Redis, or Valkey."""

from __future__ import annotations

from itertools import count

from .binaries import REDIS
from .server import ANSWER, NotReady, PrivateServer

DATABASES = 10_000


class Redis(PrivateServer):
    """Redis; `url` names a database by number that was never used before."""

    name = "Redis"

    def prepare(self):
        REDIS.require()
        self._numbers = count(1)
        self.make("data")

    def command(self):
        settings = {
            "bind": self.host,
            "port": self.port,
            "requirepass": self.password,
            "dir": self.folder / "data",
            "databases": DATABASES,
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "always" if self.durable else "everysec",
            "maxmemory-policy": "noeviction",
        }
        lines = "".join(f"{name} {value}\n" for name, value in settings.items())
        return [REDIS.require(), self.write("redis.conf", lines)]

    def connect(self, number=0, **more):
        """Return a client of redis-py for one database."""
        import redis

        timeout = {"socket_timeout": 5, **more}
        return redis.Redis(self.host, self.port, number, self.password, **timeout)

    def check(self):
        import redis

        try:
            with self.connect(socket_timeout=ANSWER, retry=None) as client:
                client.ping()
        except redis.RedisError as exc:
            raise NotReady(str(exc)) from exc

    def url(self):
        return f"redis://:{self.password}@{self.host}:{self.port}/{next(self._numbers)}"
