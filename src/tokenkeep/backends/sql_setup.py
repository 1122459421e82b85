"""Making sure that the tables of a SQL store are there, ours, and not of another time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Table, false, inspect, literal_column, select
from sqlalchemy.exc import DBAPIError

from tokenkeep.backends.patience import tries
from tokenkeep.backends.sql_schema import VERSION
from tokenkeep.errors import StoreTooNew

if TYPE_CHECKING:
    from sqlalchemy import Connection, Index
    from sqlalchemy.sql.expression import Executable

    from tokenkeep.backends.sql_errors import Explainer
    from tokenkeep.backends.sql_schema import Schema


def prepare(
    db: Connection, schema: Schema, errors: Explainer, patience: float, *, make: bool
) -> bool:
    """
    Look for the tables; make what is missing. Return whether all are there.

    Any number of processes may do so at once: each step is one that somebody
    else may have taken in the meantime. No lock is used, since proxies and
    clusters don't keep those of MySQL and PostgreSQL.

    Args:
        db: A connection.
        schema: The tables.
        errors: Makes our errors.
        patience: How long to try while others are in the way, in seconds.
        make: Whether to make them. False only looks, and completes what was begun.

    Raises:
        DBAPIError: The database says no.
        StoreForeign: A table is not ours, or of an earlier layout.
        StoreTooNew: A newer tokenkeep made them.
    """
    if _is_ready(db, schema, errors):
        return True
    if not make and not _has_table(db, schema.records):
        return False
    _refuse_foreign(db, schema.records, errors)
    for made, statement in schema.create():
        _make(db, made, statement, patience, errors)
    try:
        _run(db, schema.insert_version)
    except DBAPIError as exc:
        db.rollback()
        if not errors.is_taken(exc.orig or exc):
            raise
    return True


def _is_ready(db: Connection, schema: Schema, errors: Explainer) -> bool:
    """Return whether all is there: the version is written last."""
    if not _has_table(db, schema.version):
        return False
    _refuse_foreign(db, schema.version, errors)
    row = db.execute(select(schema.version.c.version)).first()
    db.rollback()
    if row is None:
        return False
    if row[0] > VERSION:
        raise StoreTooNew(
            f"The table {schema.records.name} was made by a newer tokenkeep (format {row[0]})",
            hint="Upgrade tokenkeep",
        )
    if row[0] < VERSION:
        raise errors.foreign(f"is in the format {row[0]}, which no released tokenkeep had")
    return True


def _has_table(db: Connection, table: Table) -> bool:
    return inspect(db).has_table(table.name, schema=table.schema)


def _refuse_foreign(db: Connection, table: Table, errors: Explainer) -> None:
    if not _has_table(db, table):
        return
    # Not each dialect can look at a table's columns, but each names those of a result.
    found = db.execute(select(literal_column("*")).select_from(table).where(false())).keys()
    db.rollback()
    if {name.lower() for name in found} != {column.name for column in table.columns}:
        raise errors.foreign(f"has a table {table.name} that is not one of tokenkeep's")


def _make(
    db: Connection,
    made: Table | Index,
    statement: Executable,
    patience: float,
    errors: Explainer,
) -> None:
    for _ in tries(patience):
        if isinstance(made, Table) and _has_table(db, made):
            return
        try:
            _run(db, statement)
        except DBAPIError as exc:
            db.rollback()
            last, said = exc, exc.orig or exc
            # Another process may have been faster. Not each dialect can look for an index.
            if errors.is_made(said):
                return
            if not errors.is_busy(said) and not errors.is_taken(said):
                raise
        else:
            return
    raise last


def _run(db: Connection, statement: Executable) -> None:
    db.execute(statement)
    db.commit()
