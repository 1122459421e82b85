"""The table of a SQL store, for those whose application may not make them."""

from __future__ import annotations

import click

from tokenkeep.cli.session import Session, pass_session


@click.command("sql-schema")
@click.option(
    "--dialect",
    metavar="NAME",
    required=True,
    help="mysql, mariadb or postgresql.",
)
@click.option("--table", metavar="NAME", help="As table= in the store's URL.")
@pass_session
def sql_schema(session: Session, *, dialect: str, table: str | None) -> None:
    """
    Print the SQL that makes the table of a store.

    For those whose application may not create tables: it then needs SELECT,
    INSERT, UPDATE and DELETE on this one.
    """
    from tokenkeep.backends.sql import ddl

    text = ddl(dialect, table=table or "tokenkeep")
    session.answer(text.removesuffix("\n"), {"dialect": dialect, "sql": text})
