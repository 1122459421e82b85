"""Commands about the keys that protect the tokens."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tokenkeep import environment
from tokenkeep import keys as key_files
from tokenkeep.backends import private_file
from tokenkeep.cli.session import Columns, Session, counted, pass_session, told_last
from tokenkeep.errors import ConfigurationError
from tokenkeep.sealing import KeyRing, generate_key, parse_keys

_COLUMNS: Columns = {"key_id": 16, "source": 0}


@click.group()
def keys() -> None:
    """Make, look at and rotate the keys that protect the tokens."""


@keys.command()
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write it to a new file that only you can read.",
)
@pass_session
def generate(session: Session, out: Path | None) -> None:
    """
    Make a key and print it. Keep it like a password.

    It goes into TOKENKEEP_KEYS, or on top of the file that
    TOKENKEEP_KEY_FILE names; older keys stay below it.
    """
    key = generate_key()
    key_id = KeyRing(parse_keys(key, "here")).key_ids[0]
    if out is None:
        session.answer(key, {"key": key, "key_id": key_id})
    else:
        with private_file.appearing(out) as file:
            file.write(f"{key}\n")
        session.tell(f"Wrote key {key_id} to {out}", {"file": str(out), "key_id": key_id})


@keys.command("list")
@pass_session
def list_keys(session: Session) -> None:
    """List the ids of the keys in use, newest first; never the keys."""
    ring = key_files.load(os.environ)
    if ring is None:
        raise ConfigurationError("There is no key yet", hint=key_files.HOW_TO_MAKE)
    given = environment.given(os.environ, key_files.KEYS)
    where = key_files.KEYS if given else str(key_files.key_file(os.environ))
    session.rows(_COLUMNS, ({"key_id": key_id, "source": where} for key_id in ring.key_ids))


@keys.command()
@click.option("--data", is_flag=True, help="Seal all tokens anew, under a new data key.")
@click.option("--resume", is_flag=True, help="Go on with a --data that was broken off.")
@pass_session
def rotate(session: Session, *, data: bool, resume: bool) -> None:
    """
    Wrap the store's own keys under your newest key: at once, however many tokens.

    Put the new key on top of the old ones first, on all hosts; after this
    the old ones can be taken away. With --data the store also gets a new
    data key, and all tokens are sealed under it; others may go on using them.
    """
    vault, sealed = session.vault(), 0
    rotated = vault.rotate()
    key_id = vault.ring.key_ids[0]
    facts: dict[str, object] = {"key_id": key_id, "rotated": rotated}
    told = f"The store's keys are {'now' if rotated else 'already'} wrapped under key {key_id}"
    with told_last() as troubles:
        if data or resume:
            with session.progress("Sealing") as move:
                for done in vault.rotate_data(anew=not resume, on_error=troubles.append):
                    sealed += done
                    move()
            facts["resealed"] = sealed
            told += f"; sealed {counted(sealed, 'record', 'records')} anew"
        session.tell(told, facts)


@keys.command()
@pass_session
def status(session: Session) -> None:
    """Say which key wraps the store's own keys, and how many records each data key has sealed."""
    with session.progress("Counting"):
        wrapped, records = session.vault().key_status()
    words = {f"data key {n}": counted(each, "record", "records") for n, each in records.items()}
    facts = {"wrapped_under": wrapped, "records": records}
    session.facts(facts, {"wrapped under": wrapped, **words})
