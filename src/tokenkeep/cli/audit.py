"""The command that looks whether the audit is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tokenkeep.audit import FileAudit
from tokenkeep.cli.session import Columns, Session, counted, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenkeep.audit_check import Chain

_COLUMNS: Columns = {"file": 0, "line": 0, "found": 0}


@click.group()
def audit() -> None:
    """Look whether the audit is whole: who did what to tokens."""


@audit.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@pass_session
def verify(session: Session, files: tuple[Path, ...]) -> None:
    """
    Say what was changed, cut off, left out or put in, and in which line.

    FILEs are those of one audit, as it is rotated, in whatever order; .gz too. Without one it
    is the file that is configured, and those beside it that it was rotated to. Exits with 1 if
    anything is wrong.
    """
    from tokenkeep.audit_check import with_rotated

    vault, found, given = session.vault(), 0, files
    check = vault.audited()
    if not files:
        if not isinstance(vault.audit, FileAudit):
            raise click.UsageError("No file of an audit is configured: name those to look at")
        files = tuple(with_rotated(vault.audit.path))
        if check.expect(vault.audit.chain).head.seq == 0 and not files:
            del check.chains[vault.audit.chain]

    def told() -> Iterator[dict[str, Any]]:
        nonlocal found
        for each in check.findings(files):
            found += 1
            where = f"{each.file}:{each.line}: " if each.line else f"{each.file}: "
            drawn = {"found": where + each.what} if session.draws else {"found": each.what}
            yield {"file": each.file, "line": each.line, **drawn}

    session.rows({"found": 0} if session.draws else _COLUMNS, told())
    for chain in check.chains.values():
        session.tell(_in_words(chain, is_whole=not found), _facts(chain))
    for store, count in check.others.items():
        lines = counted(count, "line is", "lines are")
        session.note(f"{lines} of another store, {store}, and can be verified with that one")
    if not check.chains:
        session.note("Nothing of this store's audit is there")
    # Where lines were looked for by name, none is not all of them.
    is_empty = bool(given) and not check.chains
    click.get_current_context().exit(1 if found or is_empty else 0)


def _facts(chain: Chain) -> dict[str, Any]:
    return {
        "chain": chain.name,
        "first": chain.first,
        "last": chain.last,
        "lines": chain.lines,
        "noted": chain.head.seq,
        "missed": chain.missed + chain.head.missed,
    }


def _in_words(chain: Chain, *, is_whole: bool) -> str:
    facts = _facts(chain)
    said = "{chain}: {lines} lines, {first} to {last}".format(**facts)
    said += ", whole" if is_whole else ""
    if chain.first > 1:
        said += f"; what was before line {chain.first} is in older files"
    if missed := facts["missed"]:
        said += f"; {counted(missed, 'deed', 'deeds')} could not be written"
    return said
