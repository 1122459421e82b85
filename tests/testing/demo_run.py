"""
Run the demo in a process of its own, as a test wants it.

Arguments: a file for the emulator's secrets, and which trouble it shall make.
"""

import sys
from pathlib import Path

from tokenkeep.testing.demo import main

TROUBLE = {
    "none": {"endpoint": "org", "kind": "slow", "delay": 0.0},
    "user": {"endpoint": "users", "kind": "refused", "code": "NO_PERMISSION", "times": None},
}

if __name__ == "__main__":  # the demo's processes load this file too
    emulators = []

    def make_trouble(zoho):
        emulators.append(zoho)
        zoho.faults.add(**TROUBLE[sys.argv[2]])

    status = main(keep=sys.argv[2] == "none", trouble=make_trouble)
    Path(sys.argv[1]).write_text("\n".join(emulators[0].secrets()))
    sys.exit(status)
