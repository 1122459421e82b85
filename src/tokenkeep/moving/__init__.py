"""
Bring tokens elsewhere: from a store to another, or from the official SDK's stores and back.

`Merge` brings every row of a source into a store, and can be run again:
`StoreSource` are the rows of a store of tokenkeep's, `open_source` opens the
file of the SDK's FileStore, `open_table` the table of its DBStore.
`export_csv` writes what the SDK's FileStore reads. See docs/importing.md.
"""

from tokenkeep.errors import DriverMissing
from tokenkeep.moving.judging import Action
from tokenkeep.moving.merging import Merge, Step
from tokenkeep.moving.official import OfficialSource
from tokenkeep.moving.official_csv import export_csv, open_source
from tokenkeep.moving.sources import Row, Source, StoreSource

__all__ = [
    "Action",
    "Merge",
    "OfficialSource",
    "Row",
    "Source",
    "Step",
    "StoreSource",
    "export_csv",
    "open_source",
    "open_table",
]


def open_table(url: str, *, password: str | None = None) -> OfficialSource:
    """
    Open the table of the official SDK's DBStore.

    Args:
        url: Such as ``mysql://user@host:port/database?table=oauthtoken``. TLS
            and the like are options as of the store ``mysql:``.
        password: Of the user. None means the one in the URL, or none.

    Raises:
        ConfigurationError: The URL is wrong, or there is no such table.
        DriverMissing: The driver is not installed.
        StoreUnavailable: The server can't be reached or used; the text says why.
    """
    try:
        from tokenkeep.moving.official_table import Table
    except ModuleNotFoundError as exc:
        raise DriverMissing(
            f"Reading a MySQL table needs the module {exc.name}, which is not installed",
            hint="Install it: pip install 'tokenkeep[mysql]'",
        ) from exc
    return Table(url, password)
