"""A Zoho to try the desk with, where there is no client of Zoho's."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenkeep.testing import ZohoEmulator, emulator_configuration

PEOPLE = (
    ("ana@example.com", "us", "700001", "Ruiz"),
    ("ben@example.com", "us", "700002", "Okafor"),
    ("clara@example.eu", "eu", "700003", "Weiss"),
)
"""E-mail address, data centre and organisation of those who can log in, and whom they sell to."""


@contextmanager
def running(redirect_uri):
    """
    Run an emulator with people and leads; yield the environment that the desk runs in.

    Where no store is given, the desk's goes with the emulator: what that has issued is worth
    nothing to the next one.
    """
    with TemporaryDirectory(prefix="crm-desk-") as folder, ZohoEmulator(("us", "eu")) as zoho:
        # Shorter than Zoho's hour, so that there is something to see.
        zoho.options.access_token_life = 120
        for email, data_center, zgid, last in PEOPLE:
            user = zoho.add_user(email, data_center=data_center, zgid=zgid)
            for number, name in enumerate(("Ines", "Noor", "Tom", "Yuki", "Omar", "Lea") * 4, 1):
                zoho.add_lead(
                    user,
                    First_Name=name,
                    Last_Name=f"{last}son {number}",
                    Company=f"{last} & Co",
                    Email=f"{name}.{number}@example.com".lower(),
                    Phone=f"+1 555 01{number:02}",
                )
        environ = introduced(zoho, redirect_uri, Path(folder))
        if not os.environ.get("TOKENKEEP_STORE"):
            environ["TOKENKEEP_STORE"] = f"sqlite:///{folder}/tokens.db"
            environ["TOKENKEEP_KEY_FILE"] = f"{folder}/keys"
        yield environ


def introduced(zoho, redirect_uri, folder):
    """Register the desk at an emulator, and return the environment that it runs in."""
    client = zoho.register_client("CRM desk", redirect_uris=[redirect_uri])
    configuration = folder / "emulator.toml"
    configuration.write_text(emulator_configuration(zoho), encoding="utf-8")
    return {
        "CRM_DESK_EMULATOR": zoho.control_url,
        "CRM_DESK_DATA_CENTERS": " ".join(zoho.data_centers),
        "TOKENKEEP_CLIENT_ID": client.client_id,
        "TOKENKEEP_CLIENT_SECRET": client.client_secret,
        "TOKENKEEP_CONFIG": str(configuration),
        "NO_PROXY": "127.0.0.1",
    }
