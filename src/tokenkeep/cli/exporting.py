"""The command that writes tokens for the official SDK, in the clear."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokenkeep.cli import output, progress
from tokenkeep.cli.failures import together
from tokenkeep.cli.session import Session, pass_session
from tokenkeep.cli.tokens import confirm
from tokenkeep.errors import TokenKeepError

if TYPE_CHECKING:
    from tokenkeep.token import Token


@click.command()
@click.option(
    "--official-csv",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="Write what the FileStore of the official SDK reads, to a new file.",
)
@click.option(
    "--environment",
    metavar="NAME",
    default="production",
    show_default=True,
    help="Whose tokens are written: the SDK can't tell those of one user apart.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@pass_session
def export(session: Session, path: Path, *, environment: str, yes: bool) -> None:
    """
    Write the tokens to a file of the official Zoho SDK, every secret in the clear.

    Tokens that were revoked or need a new login are left out, and so are all
    but one of each user; and what does not open, which is an error at the end.
    The file is for its owner alone, and never takes another one's place.
    """
    from tokenkeep.moving import export_csv

    vault = session.vault()
    wanted = environment.strip().lower()
    vault.providers.named("zoho").expect_known(None, wanted)
    if not yes:
        will = f"{output.visible(path)} will hold every token and client secret in the clear"
        confirm(f"{will}. Write it?")
    count, troubles = 0, list[TokenKeepError]()
    with progress.shown(session, "Exporting") as move:

        def show(token: Token) -> None:
            nonlocal count
            move(count := count + 1, progress.part_before(token.id))

        counts = export_csv(
            vault,
            path,
            now=session.now(),
            environment=wanted,
            on_token=show,
            on_error=troubles.append,
        )
    exported = counts.pop("exported")
    left_out = ", ".join(f"{n:,} {reason}" for reason, n in counts.items())
    tokens = "token" if exported == 1 else "tokens"
    sentence = f"Wrote {exported:,} {tokens} to {path}"
    if left_out:
        sentence += f"; left out: {left_out}"
    session.tell(sentence, {"file": str(path), "exported": exported, "left_out": counts})
    if troubles:
        raise together(troubles)
