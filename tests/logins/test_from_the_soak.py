"""What 1,420 kills and ten minutes of soak have found."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from login_stage import HOUR, refused

from tokenkeep import StoreUnavailable, Token
from tokenkeep.backends.sqlite import SQLiteBackend

OPENED: list[str] = []
_LISTENING: list[bool] = []


@sys.addaudithook
def _listen(event, arguments):
    if _LISTENING and event == "open" and isinstance(arguments[0], str):
        OPENED.append(Path(arguments[0]).name)


@contextmanager
def files_opened():
    """Note the names of all files that are opened meanwhile."""
    OPENED.clear()
    _LISTENING.append(True)
    yield OPENED
    _LISTENING.clear()


def journal_of(stage):
    return stage.folder / "tokens.db.journal"


@pytest.fixture
def renewed(rotating, killed):
    """A row whose renewal was killed as it synced the answer, with all of it written."""
    row = rotating.open().save_token(rotating.login(rotating.ana))
    assert killed(0, "renew, killed in the sync of the answer", token_id=row.id)
    return row


def test_killed_in_the_journals_sync(rotating, renewed):
    """
    The only living refresh token lay whole in a file that nobody could read.

    13 of 58 logins were lost so at a provider that rotates.
    """
    assert [".part"] == [path.suffix for path in journal_of(rotating).iterdir()]

    keeper = rotating.keeper()
    given = keeper.renew(renewed.id)

    assert rotating.works(given)
    assert given.refresh_token == rotating.open().find_token_by_id(renewed.id).refresh_token
    assert rotating.works(rotating.keeper().renew(renewed.id))


def test_a_sweep_saves_it(rotating, renewed):
    """The sweep deleted it after an hour."""
    rotating.pass_time(2 * HOUR)
    [part] = journal_of(rotating).iterdir()
    os.utime(part, (1.0, 1.0))

    assert 1 == rotating.keeper().sweep().saved

    assert rotating.works(rotating.keeper().renew(renewed.id))
    assert [] == list(journal_of(rotating).iterdir())


@pytest.mark.parametrize("content", [b"", b"\0" * 16_384, b"garbage", os.urandom(600)])
@pytest.mark.usefixtures("renewed")
def test_room_for_an_answer_is_tidied_up(rotating, content):
    """What holds no answer holds nobody up, and goes."""
    [part] = journal_of(rotating).iterdir()
    part.with_name(f"{part.stem[:-4]}0000.part").write_bytes(content)
    for path in journal_of(rotating).iterdir():
        os.utime(path, (1.0, 1.0))

    assert 1 == rotating.keeper().sweep().saved

    assert [] == list(journal_of(rotating).iterdir())


def test_its_own_claim_that_could_not_be_released(either):
    """A process whose store was away for a moment blocked itself for 22 seconds."""
    keeper = either.keeper()
    row = keeper.store.save_token(either.login(either.ana))
    swap, away = keeper.store.swap, [True]

    def not_released(token):
        if token.renewal.claim is None and away:
            raise StoreUnavailable("The disk is full")
        return swap(token)

    keeper.store.swap = not_released
    with either.provider_down("token"), refused("ProviderUnavailable"):
        keeper.renew(row.id)
    away.clear()
    assert either.open().find_token_by_id(row.id).renewal.claim
    began = either.clock.monotonic()

    given = keeper.renew(row.id)

    assert either.clock.monotonic() - began < 1
    assert either.works(given)


def test_times_are_kept_where_a_limit_counts_them(stage, environment):
    """A row grew from 759 to 1,412 bytes by what nobody asked for."""
    path = stage.folder / "config.toml"
    limits = "\n[providers.acme.profile]\nrotates = false\n"
    path.write_text(path.read_text() + limits)
    environment.setenv("TOKENKEEP_CONFIG", str(path))
    stage.zoho.options.mints_per_window = None
    keeper = stage.keeper()
    row = keeper.store.save_token(stage.login(stage.ana, provider="acme", api_domain=None))

    def size():
        records = keeper.store.backend.scan(None, 10)
        return sum(len(each.sealed) for each in records if getattr(each, "kind", "row") == "row")

    keeper.renew(row.id)
    once = size()
    for _ in range(12):
        stage.pass_time(61.0)
        keeper.renew(row.id)

    assert () == keeper.store.reread(row.id).renewal.mints
    assert size() < once + 20


def test_a_renewal_looks_for_its_own_answer(rotating):
    """It opened all unsaved answers of others: 124 ms at 5,000 of them."""
    keeper = rotating.keeper()
    swap = keeper.store.swap

    def not_saved(token):
        if token.renewal.claim is None:
            raise StoreUnavailable("The disk is full")
        return swap(token)

    keeper.store.swap = not_saved
    for number in range(10):
        row = keeper.store.save_token(rotating.login(f"user{number}:1"))
        assert rotating.works(keeper.renew(row.id))
    unsaved = {path.name for path in journal_of(rotating).glob("*.answer")}
    assert 10 == len(unsaved)
    mine = rotating.open().save_token(rotating.login(rotating.ana))

    with files_opened() as opened:
        rotating.keeper().renew(mine.id)
    assert not unsaved & {*opened}

    with files_opened() as opened:
        rotating.keeper().renew(row.id)
    assert 1 == len(unsaved & {*opened})


@pytest.fixture
def rows_read(stage, environment):
    """How many rows are read from now on in a store of 300, of which one is due."""
    keeper = stage.keeper()
    for number in range(300):
        keeper.store.save_token(
            Token(user=f"user{number}:1", client_id="c", access_token=f"a{number}",
                  api_domain=stage.zoho.us.api_url)
        )  # fmt: skip
    with stage.provider_down():
        keeper.revoke(keeper.store.save_token(stage.login(stage.ana)).id)
    read = []

    def counted(method):
        def _counted(self, *args, **given):
            found = method(self, *args, **given)
            read.extend(found)
            return found

        return _counted

    for name in ("scan", "due", "find"):
        if hasattr(SQLiteBackend, name):
            environment.setattr(SQLiteBackend, name, counted(getattr(SQLiteBackend, name)))
    return read


def test_a_sweep_reads_what_is_due(stage, rows_read):
    """It read every row: 24 s for a million of them."""
    assert 1 == stage.keeper().sweep().revoked

    assert len(rows_read) < 10


@pytest.mark.usefixtures("stage")
def test_the_doctor_reads_what_is_due(run, rows_read):
    """It read every row as well."""
    told = run("doctor").output

    assert "not confirmed 1" in told
    assert len(rows_read) < 10
