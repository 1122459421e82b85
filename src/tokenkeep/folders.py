"""The user's own folders, where the operating system wants them; None where he has no home."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tokenkeep.environment import path

if TYPE_CHECKING:
    from collections.abc import Mapping

STATE = "TOKENKEEP_STATE"


def config() -> Path | None:
    """Return the folder of the key file and the configuration."""
    return _dirs("user_config_dir")


def data() -> Path | None:
    """Return the folder of the store that is used when none is named."""
    return _dirs("user_data_dir")


def state(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of this host's journal of a server's store: TOKENKEEP_STATE, if set."""
    return path(environ, STATE) or _dirs("user_state_dir")


def _dirs(name: str) -> Path | None:
    import platformdirs

    try:
        found = Path(getattr(platformdirs, name)("tokenkeep", appauthor=False))
    except RuntimeError:  # without HOME, for a user nobody knows
        return None
    return found if found.is_absolute() else None  # older ones: a folder called "~"
