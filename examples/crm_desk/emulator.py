"""
A Zoho to try the desk with, in a process of its own beside the workers.

    python -m crm_desk.emulator REDIRECT_URI    # ends with its standard input
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING

from tokenkeep.testing import EmulatorControl, ZohoEmulator, emulator_configuration, serve
from tokenkeep.token import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenkeep.store import TokenStore

DATA_CENTERS = ("us", "eu")
CLIENT_ID = "1000.CRMDESK"
CLIENT_SECRET = "made-up-for-the-emulator"  # noqa: S105  # it opens nothing

OPTIONS = {"access_token_life": 120, "throttle_window": 60}
"""Shorter than Zoho's hour and ten minutes, so that there is something to see; in seconds."""

PEOPLE = (
    ("ana@example.com", "us", "700001", "Ana", "Ruiz"),
    ("ben@example.com", "us", "700002", "Ben", "Okafor"),
    ("clara@example.eu", "eu", "700003", "Clara", "Weiss"),
)
"""E-mail address, data centre, organisation and names of those who can log in."""

_FIRST = ("Ines", "Noor", "Tom", "Yuki", "Omar", "Lea", "Jan", "Mia")
_LAST = {
    "700001": ("Alvarez", "Brandt", "Castillo"),
    "700002": ("Diallo", "Eriksen", "Ferrari"),
    "700003": ("Gruber", "Horvat", "Ivanova"),
}


@contextmanager
def running(redirect_uri: str) -> Iterator[EmulatorControl]:
    """
    Run the emulator in a process of its own for as long as this lasts.

    Args:
        redirect_uri: Where it sends browsers back to.

    Raises:
        RuntimeError: It does not start.
    """
    process = subprocess.Popen(  # noqa: S603  # this program
        [sys.executable, "-m", "crm_desk.emulator", redirect_uri],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for the desk; this one ends when its standard input does,
        # also if the desk is killed.
        start_new_session=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError("The emulator did not start")
        yield EmulatorControl(json.loads(line))
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait(timeout=10)


def environment(control: EmulatorControl, folder: Path, redirect_uri: str) -> dict[str, str]:
    """
    Introduce the desk to a running emulator, and return the environment it runs in.

    Args:
        control: Drives the emulator.
        folder: Where configuration, tokens and their key go, unless the
            environment names a store.
        redirect_uri: Where browsers are sent back to.
    """
    client = control.register_client(
        "CRM desk",
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uris=[redirect_uri],
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = folder / "emulator.toml"
    configuration.write_text(emulator_configuration(control), encoding="utf-8")
    found = {
        "CRM_DESK_EMULATOR": control.control_url,
        "CRM_DESK_DATA_CENTER": control.data_centers[0],
        "TOKENKEEP_CLIENT_ID": client.client_id,
        "TOKENKEEP_CLIENT_SECRET": client.client_secret,
        "TOKENKEEP_CONFIG": str(configuration),
        # The emulator is on this machine, whatever proxy the others are behind.
        "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1"))),
    }
    if not os.environ.get("TOKENKEEP_STORE"):
        found["TOKENKEEP_STORE"] = f"sqlite:///{folder / 'tokens.db'}"
        found["TOKENKEEP_KEY_FILE"] = str(folder / "keys")
    return found


def welcome_back(control: EmulatorControl, store: TokenStore) -> int:
    """
    Let a new emulator know the logins of an earlier one, as Zoho would still know them.

    Args:
        control: Drives the new one.
        store: Where the logins are.

    Returns:
        How many there are.
    """
    count = 0
    for token in store.get_tokens():
        email, _, organisation = (token.user or "").rpartition(":")
        known = token.data_center in control.data_centers and token.client_id == CLIENT_ID
        if not email or not known or token.status is not Status.OK:
            continue
        user = control.add_user(email, data_center=token.data_center, zgid=organisation)
        environment = token.environment or "production"
        login = control.refresh_token(user, client=CLIENT_ID, environment=environment)
        place = control[str(token.data_center)]
        store.save_token(
            token.but(
                refresh_token=login,
                access_token=control.access_token(refresh_token=login),
                expires_at=time.time() + float(control.options.access_token_life),
                issuer=place.token_url,
                api_domain=place.environment_url(environment),
            )
        )
        count += 1
    return count


def furnish(zoho: ZohoEmulator) -> None:
    """Add people, and leads for each organisation."""
    for email, data_center, organisation, first, last in PEOPLE:
        user = zoho.add_user(
            email, data_center=data_center, zgid=organisation, first_name=first, last_name=last
        )
        for number, (family, name) in enumerate(product(_LAST[organisation], _FIRST)):
            zoho.add_lead(
                user,
                First_Name=name,
                Last_Name=family,
                Company=f"{family} & Co",
                Email=f"{name}.{family}@example.com".lower(),
                Phone=f"+1 555 01{number:02}",
            )


def main(redirect_uri: str) -> None:
    """Run until standard input ends; print the address of the control as JSON."""

    def ready(zoho: ZohoEmulator) -> None:
        furnish(zoho)
        print(json.dumps(zoho.control_url), flush=True)
        threading.Thread(target=_end_with_input, daemon=True).start()

    zoho = ZohoEmulator(DATA_CENTERS, redirect_uris=(redirect_uri,))
    zoho.options.change(**OPTIONS)
    serve(zoho, ready)


def _end_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1])
