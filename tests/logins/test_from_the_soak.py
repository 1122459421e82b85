"""What 1,420 kills and ten minutes of soak have found."""

from __future__ import annotations

import os

import pytest
from login_stage import HOUR

from tokenkeep import Token
from tokenkeep.backends.sqlite import SQLiteBackend


@pytest.mark.parametrize("by", ["renewal", "sweep"])
def test_killed_in_the_journals_sync(rotating, killed, by):
    """
    The only living refresh token lay whole in a file that nobody could read.

    13 of 58 logins were lost so at a provider that rotates.
    """
    row = rotating.open().save_token(rotating.login(rotating.ana))
    assert killed(0, "renew, killed in the sync of the answer", token_id=row.id)
    journal = rotating.folder / "tokens.db.journal"
    [part] = journal.iterdir()
    assert ".part" == part.suffix
    keeper = rotating.keeper()

    if by == "sweep":
        rotating.pass_time(2 * HOUR)
        os.utime(part, (1.0, 1.0))
        assert 1 == keeper.sweep().saved
    else:
        keeper.renew(row.id)

    stored = rotating.open().find_token_by_id(row.id)
    assert by == "sweep" or rotating.works(stored)
    assert rotating.works(rotating.keeper().renew(row.id))
    assert [] == list(journal.iterdir())


def test_times_are_kept_where_a_limit_counts_them(stage, environment):
    """A row grew from 759 to 1,412 bytes by what nobody asked for."""
    path = stage.folder / "config.toml"
    path.write_text(path.read_text() + "\n[providers.acme.profile]\nrotates = false\n")
    environment.setenv("TOKENKEEP_CONFIG", str(path))
    keeper = stage.keeper()
    row = keeper.store.save_token(stage.login(stage.ana, provider="acme", api_domain=None))

    for _ in range(3):
        keeper.renew(row.id)
        stage.pass_time(61.0)

    assert () == keeper.store.reread(row.id).renewal.mints


@pytest.mark.parametrize("how", ["sweep", "doctor"])
def test_what_is_due_is_read(stage, environment, run, how):
    """Every row was read, by the sweep and by the doctor: 24 s for a million of them."""
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
        environment.setattr(SQLiteBackend, name, counted(getattr(SQLiteBackend, name)))

    if how == "sweep":
        assert 1 == stage.keeper().sweep().revoked
    else:
        assert "not confirmed 1" in run("doctor").output

    assert len(read) < 10
