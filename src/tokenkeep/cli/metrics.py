"""The command that counts what the store holds, for Prometheus."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from tokenkeep.cli.session import Session, pass_session, told_last


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Put it into this file, in one step and for all to read; its folder is the node "
    "exporter's, its name ends in .prom.",
)
@pass_session
def metrics(session: Session, *, out: Path | None) -> None:
    """
    Count what the store holds, as text for Prometheus.

    Tokens by their state, what a sweep has to do, revocations that are not
    confirmed; no user, no id, no secret. All records are read, and only those
    that are due are opened.
    """
    with told_last() as troubles:
        with session.progress("Counting"):
            census = session.keeper().census(on_error=troubles.append)
        if out is None:
            session.answer(census.text().rstrip("\n"), asdict(census))
        else:
            _put(out, census.text())
            session.tell(f"Wrote {out}", asdict(census))


def _put(path: Path, text: str) -> None:
    """Put a text in a file's place: who reads there finds the old one or the new one."""
    try:
        # The node exporter reads what ends in .prom: this one does not, until it is whole.
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            part = Path(file.name)
            try:
                part.chmod(0o644)
                part.write_text(text, encoding="utf-8")
                part.replace(path)
            except BaseException:
                part.unlink()
                raise
    except OSError as exc:
        raise click.ClickException(f"{path} can't be written: {exc.strerror}") from exc
