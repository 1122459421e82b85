"""The command that tells a probe whether all is well."""

from __future__ import annotations

import time
from dataclasses import asdict

import click

from tokenkeep.cli.session import Session, pass_session
from tokenkeep.errors import TokenKeepError, visible
from tokenkeep.health import Health, trouble_of


@click.command()
@pass_session
def health(session: Session) -> None:
    """
    Tell a probe whether tokens could be handed out and renewed here: exit status 0, else 1.

    The key opens the store, this process may write there, and the clock agrees
    with the other hosts'. No provider is asked, and nothing is made; one time in
    the store's own record is written.
    """
    started = time.monotonic()
    try:
        found = session.keeper().health()
    except (TokenKeepError, OSError) as exc:
        seconds = time.monotonic() - started
        found = Health(troubles=(trouble_of(exc),), seconds=seconds)
    facts = {"ok": found.ok, **asdict(found)}
    if found.ok:
        session.tell(f"ok ({found.seconds * 1000:.0f} ms)", facts)
    else:
        words = [
            ". ".join(filter(None, (f"{each.check}: {each.text}", each.hint)))
            for each in found.troubles
        ]
        session.answer("\n".join(map(visible, words)), facts)
    click.get_current_context().exit(0 if found.ok else 1)
