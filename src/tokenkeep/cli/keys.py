"""Commands about the keys that protect the tokens."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tokenkeep import environment
from tokenkeep import keys as key_files
from tokenkeep.backends import private_file
from tokenkeep.cli.output import Columns, counted
from tokenkeep.cli.session import Session, pass_session
from tokenkeep.errors import ConfigurationError, TokenKeepError
from tokenkeep.sealing import KeyRing, generate_key, parse_keys

COLUMNS: Columns = {"key_id": 16, "source": None}


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
    if out is not None:
        write_new(out, f"{key}\n")
        session.tell(f"Wrote key {key_id} to {out}", {"file": str(out), "key_id": key_id})
    elif session.json:
        session.facts({"key": key, "key_id": key_id})
    else:
        click.echo(key)


@keys.command("list")
@pass_session
def list_keys(session: Session) -> None:
    """List the ids of the keys in use, newest first; never the keys."""
    ring = key_files.load(os.environ)
    if ring is None:
        raise ConfigurationError("There is no key yet", hint=key_files.HOW_TO_MAKE)
    given = environment.given(os.environ, key_files.KEYS)
    where = key_files.KEYS if given else str(key_files.key_file(os.environ))
    session.rows(COLUMNS, ({"key_id": key_id, "source": where} for key_id in ring.key_ids))


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
    if resume and not data:
        raise click.UsageError("--resume goes with --data")
    vault = session.vault()
    bad: list[TokenKeepError] = []
    rotated = vault.rotate()
    key_id = vault.ring.key_ids[0]
    was = "now" if rotated else "already"
    facts: dict[str, object] = {"key_id": key_id, "rotated": rotated}
    told = f"The store's keys are {was} wrapped under key {key_id}"
    if data:
        sealed = 0
        with session.progress("Sealing") as move:
            for done in vault.rotate_data(anew=not resume, on_error=bad.append):
                sealed += done
                move(None)
        facts["resealed"] = sealed
        told = f"{told}; sealed {counted(sealed, 'record', 'records')} anew"
    session.tell(told, facts)
    if bad:
        raise bad[0]


@keys.command()
@pass_session
def status(session: Session) -> None:
    """Say which key wraps the store's own keys, and how many records each data key has sealed."""
    with session.progress("Counting"):
        wrapped_under, records = session.vault().key_status()
    words = {f"data key {n}": counted(each, "record", "records") for n, each in records.items()}
    session.facts(
        {"wrapped_under": wrapped_under, "records": records},
        {"wrapped under": wrapped_under, **words},
    )


def write_new(path: Path, text: str) -> None:
    """
    Write a file that only its owner can read, and never over another.

    Raises:
        ConfigurationError: There is a file already, or it can't be written.
    """
    try:
        with private_file.appearing(path) as file:
            file.write(text)
    except FileExistsError as exc:
        raise ConfigurationError(
            f"There is a file {path} already; it is left as it is", hint="Name another one"
        ) from exc
    except OSError as exc:
        raise ConfigurationError(f"{path} can't be written: {exc.strerror}") from exc
