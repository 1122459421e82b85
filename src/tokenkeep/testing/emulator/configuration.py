"""What tokenkeep has to be told for the emulator to take Zoho's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .options import Options

if TYPE_CHECKING:
    from .control import EmulatorControl
    from .emulator import ZohoEmulator


def emulator_configuration(zoho: ZohoEmulator | EmulatorControl) -> str:
    """
    Return a configuration file (TOML) in which the emulator takes the place of Zoho.

    Args:
        zoho: A running emulator, of this process or another one. Its data
            centres, and its budget of access tokens if that is not Zoho's.
    """
    lines = ["# Zoho's data centres as the emulator has them."]
    for name in zoho.data_centers:
        center = zoho[name]
        lines += [
            f"\n[zoho.data_centers.{name}]",
            f'accounts = "{center.accounts_url}"',
            f'production = "{center.api_url}"',
            f'sandbox = "{center.sandbox_url}"',
            f'developer = "{center.developer_url}"',
            "aliases = []",
        ]
    mints, window = zoho.options.mints_per_window, zoho.options.throttle_window
    if mints is not None and (mints, window) != (
        Options.mints_per_window,
        Options.throttle_window,
    ):
        lines += [
            "\n[providers.zoho.profile]",
            f"mint_limit = {mints:d}",
            f"mint_window = {window:g}",
        ]
    return "\n".join([*lines, ""])
