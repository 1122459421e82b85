"""
Run the demo in a process of its own, as a test wants it.

Arguments: a file for the emulator's secrets, and which trouble it shall make.
"""

import sys
from pathlib import Path

from tokenkeep.testing.demo import main

TROUBLE = {
    "none": lambda _zoho: None,
    "leads": lambda zoho: zoho.faults.add(endpoint="records", kind="status", times=None),
    "user": lambda zoho: setattr(zoho.options, "no_api_access", (zoho.user.name,)),
}

emulators = []


def make_trouble(zoho):
    emulators.append(zoho)
    TROUBLE[sys.argv[2]](zoho)


status = main(keep=sys.argv[2] == "none", trouble=make_trouble)
accounts = emulators[0]._world.accounts
secrets = [emulators[0].client.client_secret, *accounts.grants]
secrets += [*accounts._refresh_tokens, *accounts._access_tokens]
Path(sys.argv[1]).write_text("\n".join(secrets))
sys.exit(status)
