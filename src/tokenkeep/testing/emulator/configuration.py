"""What tokenkeep has to be told for the emulator to take Zoho's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .control import EmulatorControl
    from .emulator import ZohoEmulator

_MINTS, _WINDOW = 10, 600.0
"""Zoho's own budget of access tokens, which tokenkeep knows."""


def emulator_configuration(zoho: ZohoEmulator | EmulatorControl) -> str:
    """
    Return a configuration file (TOML) in which the emulator takes the place of Zoho.

    Args:
        zoho: A running emulator, of this process or another one. Its data
            centres, and its budget of access tokens if that is not Zoho's.
    """
    tables = []
    for name in zoho.data_centers:
        center = zoho[name]
        tables.append(
            f"[zoho.data_centers.{name}]\n"
            f'accounts = "{center.accounts_url}"\n'
            f'production = "{center.api_url}"\n'
            f'sandbox = "{center.sandbox_url}"\n'
            f'developer = "{center.developer_url}"\n'
            "aliases = []\n"
        )
    mints, window = zoho.options.mints_per_window, float(zoho.options.throttle_window)
    if mints is not None and (mints, window) != (_MINTS, _WINDOW):
        tables.append(
            f"[providers.zoho.profile]\nmint_limit = {mints:d}\nmint_window = {window:g}\n"
        )
    return "\n".join(["# Zoho's data centres as the emulator has them.\n", *tables])
