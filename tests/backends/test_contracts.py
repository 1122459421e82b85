"""Each backend that comes with tokenkeep keeps every promise."""

from __future__ import annotations

import secrets
from functools import partial

import pytest

from tokenkeep.backends import open_backend
from tokenkeep.backends.base import MARKS
from tokenkeep.backends.file import FileBackend
from tokenkeep.backends.memory import MemoryBackend
from tokenkeep.backends.sqlite import SQLiteBackend
from tokenkeep.testing import BackendContract, RevisionContract, SharedBackendContract
from tokenkeep.testing.records import again, record


class TestMemory(BackendContract, RevisionContract):
    @pytest.fixture
    def open_backend(self):
        backend = MemoryBackend()
        return lambda: backend


class TestSQLite(SharedBackendContract, RevisionContract):
    @pytest.fixture
    def open_backend(self, tmp_path):
        return partial(SQLiteBackend, tmp_path / "tokens.db")


class TestFile(SharedBackendContract, RevisionContract):
    @pytest.fixture
    def open_backend(self, tmp_path):
        return partial(FileBackend, tmp_path / "tokens.json")


class TestMariaDB(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, mariadb):
        return partial(open_backend, mariadb.url())


@pytest.fixture(scope="module")
def in_order_of_english(postgres):
    """The URL of a database whose texts are in the order of a language, as most are."""
    name = f"app_{secrets.token_hex(5)}"
    with postgres.connect() as connection:
        connection.execute(
            f"CREATE DATABASE {name} OWNER app TEMPLATE template0 ENCODING 'UTF8' "
            "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
        )
    return f"{postgres.url().rpartition('/')[0]}/{name}"


class TestPostgreSQL(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, in_order_of_english):
        return partial(open_backend, f"{in_order_of_english}?table=t_{secrets.token_hex(5)}")


class TestRedis(SharedBackendContract):
    @pytest.fixture
    def open_backend(self, redis_server):
        return partial(open_backend, redis_server.url())


class TestDynamoDB(SharedBackendContract):
    """But for the time of last use, which would cost write units."""

    very_many = 200  # each is a request, and all of them within its timeout
    test_touch = test_touch_does_not_disturb_a_write = None

    @pytest.fixture
    def open_backend(self, aws):
        return partial(open_backend, aws.url("dynamodb"))


class TestSecretsManager(SharedBackendContract):
    """But for the time of last use, which would be a version; and ids are owners."""

    largest = 48_000  # a secret's 64 KB, in base64
    test_owners_are_unique = None  # its ids are made of them

    @pytest.fixture
    def open_backend(self, aws):
        return partial(open_backend, aws.url())

    @pytest.mark.parametrize("field", ["id", *MARKS])
    def test_find_by_each_field(self, backend, field):
        super().test_find_by_each_field(backend, field)

    def test_touch(self, backend):
        """A touch does nothing."""
        backend.write(record(last_used_at=3.0), replaces=None)

        backend.touch(record().id, 7.5)

        assert backend.read(record().id) == record(last_used_at=3.0)

    def test_touch_does_not_disturb_a_write(self, connect):
        """The time that was first stored stays."""
        mine, yours = connect(), connect()
        mine.write(record(last_used_at=2.0), replaces=None)
        yours.touch(record().id, 7.0)

        mine.write(again(record(), last_used_at=3.0), replaces=record().version)

        assert mine.read(record().id) == again(record(), last_used_at=2.0)
