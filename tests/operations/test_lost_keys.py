"""A key that is lost, found again, or in the wrong hands, as docs/operations.md says it."""

from __future__ import annotations

import json
import shutil

import pytest

import tokenkeep
from tokenkeep import KeyMissing, Status
from tokenkeep.testing import FakeClock


def test_lost_and_found(host, key):
    """Without it nothing starts, nor is written; what runs goes on; brought back, all is well."""
    here = host()
    clock = FakeClock()
    running = here.keeper(clock=clock)
    saved = here.login(running)
    before = running.store.backend.scan(None, 9)
    here.hold([tokenkeep.generate_key()])

    for command in ("list", "sweep", "health", "copy configured sqlite:///x.db"):
        done = here.type(f"tokenkeep {command}")
        assert (1, True) == (done.status, "wrapped under key" in done.text), done.text
    with pytest.raises(KeyMissing, match="Bring the key back"):
        here.keeper()
    assert before == running.store.backend.scan(None, 9)
    clock.advance(61.0)  # it looks at the header again
    assert here.zoho.is_active(running.get(id=saved.id).access_token)

    here.hold(None)
    done = here.type("tokenkeep list")
    assert (1, False) == (done.status, here.key_file.exists()), done.text
    here.hold([key])
    assert here.type("tokenkeep health && tokenkeep list").status == 0


def test_leaked_with_a_copy(host, key, tmp_path):
    """What was copied with the key opens, and is worth nothing; the key opens nothing later."""
    here = host()
    keeper = here.keeper()
    ana = here.login(keeper, left=3000.0)
    stolen = host("thief")
    here.type_page("sqlite backup", {"/var/lib/app": tmp_path})
    shutil.copy(tmp_path / "backup.db", stolen.folder / "stolen.db")
    new = tokenkeep.generate_key()

    done = here.type("tokenkeep revoke --all --everything --yes")
    assert (0, True) == (done.status, "1 confirmed" in done.text)
    keeper.close()
    here.hold([new, key])
    assert here.type("tokenkeep keys rotate").status == 0
    here.hold([new])
    assert here.type("tokenkeep keys rotate --data").status == 0
    assert here.type("tokenkeep keys rotate --data --resume").status == 0
    again = here.login(here.keeper(), left=3000.0)

    copy = f"sqlite:///{stolen.folder}/stolen.db"
    with tokenkeep.open_store(copy, environ=stolen.environ) as has:
        (read,) = has.get_tokens()
    assert read.refresh_token == ana.refresh_token
    assert not here.zoho.is_active(read.refresh_token)
    assert not here.zoho.is_active(read.access_token)
    # The thief comes back for a later copy.
    later = stolen.type("tokenkeep list")
    assert (1, True) == (later.status, "wrapped under key" in later.text)
    records = json.loads(here.type("tokenkeep keys status --json").text)["records"]
    assert {"1": 0, "2": 1} == records
    assert (ana.id, Status.OK) == (again.id, again.status)
