"""
Take over the tokens of the official Zoho SDK's stores; the source is only read.

`open_source` finds out what a file is, `open_table` opens a table on a server;
`Importer` says what there is to do and does it, a row at a time. See
docs/importing.md.
"""

from tokenkeep.importing.opening import open_source, open_table
from tokenkeep.importing.planning import Importer, Step
from tokenkeep.importing.row import Action, Row
from tokenkeep.importing.source import Source

__all__ = ["Action", "Importer", "Row", "Source", "Step", "open_source", "open_table"]
