"""The user's own folders, where the operating system wants them."""

from __future__ import annotations

from pathlib import Path


def config() -> Path:
    """Return the folder of the key file and the configuration."""
    return _dirs("user_config_dir")


def data() -> Path:
    """Return the folder of the store that is used when none is named."""
    return _dirs("user_data_dir")


def state() -> Path:
    """Return the folder of this host's journal of a server's store."""
    return _dirs("user_state_dir")


def _dirs(name: str) -> Path:
    import platformdirs

    return Path(getattr(platformdirs, name)("tokenkeep", appauthor=False))
