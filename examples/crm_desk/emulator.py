"""A Zoho to try the desk with, in a process of its own: ``python -m crm_desk.emulator``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

from tokenkeep.testing import EmulatorControl, ZohoEmulator, emulator_configuration, serve

PEOPLE = (
    ("ana@example.com", "us", "700001", "Ana", "Ruiz"),
    ("ben@example.com", "us", "700002", "Ben", "Okafor"),
    ("clara@example.eu", "eu", "700003", "Clara", "Weiss"),
)
"""E-mail address, data centre, organisation and names of those who can log in."""

OPTIONS = {"access_token_life": 120, "throttle_window": 60}
"""Shorter than Zoho's hour and ten minutes, so that there is something to see; in seconds."""


@contextmanager
def running(redirect_uri, folder):
    """Run the emulator beside the workers, and yield the environment that they run in."""
    process = subprocess.Popen(  # noqa: S603 - this program
        [sys.executable, "-m", "crm_desk.emulator", redirect_uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the desk; this one ends with its standard input
    )
    try:
        control = EmulatorControl(json.loads(process.stdout.readline()))
        yield introduced(control, redirect_uri, folder)
    finally:
        process.stdin.close()
        process.wait(timeout=10)


def introduced(control, redirect_uri, folder):
    """Register the desk at an emulator, and return the environment that it runs in."""
    client = control.register_client("CRM desk", redirect_uris=[redirect_uri])
    configuration = folder / "emulator.toml"
    configuration.write_text(emulator_configuration(control), encoding="utf-8")
    return {
        "CRM_DESK_EMULATOR": control.control_url,
        "CRM_DESK_DATA_CENTERS": " ".join(control.data_centers),
        "TOKENKEEP_CLIENT_ID": client.client_id,
        "TOKENKEEP_CLIENT_SECRET": client.client_secret,
        "TOKENKEEP_CONFIG": str(configuration),
        "NO_PROXY": "127.0.0.1",
    }


def furnish(zoho):
    """Add people, and leads for each organisation."""
    for email, data_center, organisation, first, last in PEOPLE:
        user = zoho.add_user(
            email, data_center=data_center, zgid=organisation, first_name=first, last_name=last
        )
        for number, name in enumerate(("Ines", "Noor", "Tom", "Yuki", "Omar", "Lea") * 4, 1):
            zoho.add_lead(
                user,
                First_Name=name,
                Last_Name=f"{last}son {number}",
                Company=f"{last} & Co",
                Email=f"{name}.{number}@example.com".lower(),
                Phone=f"+1 555 01{number:02}",
            )


def main(redirect_uri):
    """Run until standard input ends; print the address of the control as JSON."""

    def ready(zoho):
        furnish(zoho)
        print(json.dumps(zoho.control_url), flush=True)
        threading.Thread(target=end_with_input, daemon=True).start()

    zoho = ZohoEmulator(("us", "eu"), redirect_uris=(redirect_uri,))
    zoho.options.change(**OPTIONS)
    serve(zoho, ready)


def end_with_input():
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1])
