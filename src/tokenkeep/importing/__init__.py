"""
Take over the tokens of the official Zoho SDK's stores; the source is only read.

`open_source` finds out what a file is, `open_table` opens a table on a server;
`Importer` says what there is to do and does it, a row at a time. See
docs/importing.md.
"""

from tokenkeep.importing.planning import Action, Importer, Step
from tokenkeep.importing.source import Row, Source, open_source, open_table

__all__ = ["Action", "Importer", "Row", "Source", "Step", "open_source", "open_table"]
