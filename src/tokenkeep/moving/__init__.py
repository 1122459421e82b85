"""
Bring tokens elsewhere: from a store to another, or from the official SDK's stores and back.

`Merge` brings every row of a source into a store, and can be run again:
`StoreSource` are the rows of a store of tokenkeep's, `open_source` opens a
store of the official SDK's. `export_csv` writes what that reads.
See docs/importing.md.
"""

from pathlib import Path

from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import DriverMissing, UnknownName
from tokenkeep.moving.judging import Action
from tokenkeep.moving.merging import Merge, Step
from tokenkeep.moving.official import OfficialSource
from tokenkeep.moving.official_csv import CSVFile, export_csv
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
]


@without_frames
def open_source(place: str | Path, *, password: str | None = None) -> OfficialSource:
    """
    Open a store of the official SDK's: the file of its FileStore, or the table of its DBStore.

    Args:
        place: The path of the file, which is in UTF-8; or the URL of the table,
            ``mysql://user@host:port/database?table=oauthtoken``, with options for
            TLS and the like as of the store ``mysql:``.
        password: Of the table's user. None means the one in the URL, or none.

    Raises:
        UnknownName: The URL is of another kind.
        ConfigurationError: It is something else, or can't be read; or the URL is wrong.
        DriverMissing: The driver of a table is not installed.
        StoreUnavailable: A server can't be reached or used; the text says why.
    """
    scheme, is_url, _ = str(place).partition("://")
    if not is_url:
        return CSVFile(Path(place))
    if scheme.lower() != "mysql":
        raise UnknownName(
            f"The official SDK keeps no tokens at {scheme}:// URLs",
            hint="What tokenkeep has stored goes elsewhere with: tokenkeep copy",
        )
    try:
        from tokenkeep.moving.official_table import Table
    except ModuleNotFoundError as exc:
        raise DriverMissing(
            f"Reading a MySQL table needs the module {exc.name}, which is not installed",
            hint="Install it: pip install 'tokenkeep[mysql]'",
        ) from exc
    return Table(str(place), password)
