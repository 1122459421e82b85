"""
Take tokens elsewhere: to another store, or to a file of the official SDK.

`Copier` copies every row of one store to another, and can be run again;
`export_csv` writes what the official SDK's FileStore reads.
"""

from tokenkeep.importing.row import Action
from tokenkeep.moving.copier import Copier, Step
from tokenkeep.moving.official_csv import export_csv

__all__ = ["Action", "Copier", "Step", "export_csv"]
