"""What is exported is what the official SDK's own FileStore reads."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from moved_tokens import NEW, NOW, fill, login, renewed, unsaved
from official_sdk import run_sdk

from tokenkeep import StoreError, StoreTampered
from tokenkeep.moving import export_csv

READER = Path(__file__).with_name("sdk_read_file.py")


@pytest.fixture
def export(source, tmp_path):
    """Export the source; return the lines of the file behind its first one."""

    def _export(**options):
        path = tmp_path / "sdk_tokens.txt"
        counts = export_csv(source, path, **options)
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file)
        assert NEW == header
        assert 0o600 == path.stat().st_mode & 0o777
        return counts, [dict(zip(header, line, strict=True)) for line in lines]

    return _export


def test_what_is_of_use_is_written(source, export):
    """Revoked and dead tokens are left out and counted; deleted ones and leases are nobody's."""
    fill(source)
    source.swap(source.save_token(login("else")).but(provider="no longer configured"))

    counts, lines = export()

    assert {"exported": 3, "left out": 3} == counts
    assert {"ok", "busy", ""} == {line["user_name"] for line in lines}
    assert ["1", "2", "3"] == [line["id"] for line in lines]


@pytest.mark.parametrize("environment", ["production", "sandbox"])
def test_of_each_user_one(source, export, tmp_path, environment):
    """The SDK finds the first row of a name: only that environment's, and the latest, is in it."""
    domains = {"sandbox": "https://sandbox.zohoapis.eu", "production": "https://www.zohoapis.eu"}
    for place in ("sandbox", "production", "sandbox"):
        for number, client in enumerate(("1000.B", "1000.C", "1000.A")):
            name = f"{place} {client}"
            token = login("ana", client_id=client, api_domain=domains[place])
            stored = source.save_token(token.but(access_token=name, refresh_token=f"r {name}"))
            source.swap(stored.but(updated_at=NOW + number))

    counts, lines = export(environment=environment)

    assert {"exported": 1, "left out": 5} == counts
    assert [f"{environment} 1000.A"] == [line["access_token"] for line in lines]
    found, _ = run_sdk("8_0", READER, tmp_path / "sdk_tokens.txt", "ana")
    wanted = (f"{environment} 1000.A", domains[environment])
    assert wanted == (found["access_token"], found["api_domain"])


@pytest.mark.parametrize("which", ["the one that is read", "the others"])
def test_what_is_renewed_meanwhile(source, export, monkeypatch, which):
    """Each user is in it once, however their rows overtake each other."""
    for user, client in (("ana", "1000.A"), ("ana", "1000.B"), ("ben", "1000.A")):
        source.save_token(login(user, client_id=client, refresh_token=user + client))
    walk, times = source.iter_tokens, count(2 * NOW)  # later than any save

    def while_others_renew(*, user=None, **options):
        for token in walk(user=user, **options):
            for its in [] if user else walk(user=token.user):
                if (its.id == token.id) == (which == "the one that is read"):
                    source.swap(renewed(its, next(times)))
            yield token

    monkeypatch.setattr(source, "iter_tokens", while_others_renew)

    counts, lines = export()

    assert {"exported": 2, "left out": 1} == counts
    assert ["ana", "ben"] == sorted(line["user_name"] for line in lines)


@pytest.mark.parametrize("generation", ["5_0", "8_0"])
def test_the_sdk_reads_it(source, export, tmp_path, generation):
    """Each token comes out of its FileStore as it is here, and it goes on writing the file."""
    source.save_token(
        login('o\'brien, "é"', redirect_uri="https://example.com/b", grant_token="grant")
    )
    source.save_token(login("endless", expires_at=None))
    export()

    _, read = run_sdk(generation, READER, tmp_path / "sdk_tokens.txt", "endless")

    assert ["1", "2", "3"] == sorted(token["id"] for token in read)  # it added one of its own
    found = {token["user"]: token for token in read}
    assert {
        "client_id": "1000.CLIENT",
        "client_secret": "client-secret",
        "access_token": 'access o\'brien, "é"',
        "refresh_token": 'refresh o\'brien, "é"',
        "grant_token": "grant",
        "redirect_url": "https://example.com/b",
        "expires_in": "1764003600000",
        "api_domain": "https://www.zohoapis.eu",
    }.items() <= found['o\'brien, "é"'].items()
    # Without an end the SDK never renews; without an access token it does.
    assert (None, None) == (found["endless"]["access_token"], found["endless"]["expires_in"])


def test_what_goes_wrong_leaves_no_file(source, tmp_path):
    """An answer that waits, a row that does not open: no file, no secret left."""
    row, path = source.save_token(login()), tmp_path / "x.csv"
    waiting = source.journal.put(unsaved(row))
    with pytest.raises(StoreError, match="sweep"):
        export_csv(source, path)
    source.journal.remove(waiting)

    record = source.backend.read(row.id.removeprefix("tk_"))
    source.backend.write(replace(record, sealed=record.sealed + b"x"), replaces=record.version)
    with pytest.raises(StoreTampered):
        export_csv(source, path)

    assert not [each for each in tmp_path.iterdir() if "csv" in each.name]
