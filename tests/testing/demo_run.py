"""
Run the demo in a process of its own, as a test wants it.

Arguments: a file for the emulator's secrets; and, for trouble, the code of a refusal.
"""

import sys
from pathlib import Path

from tokenkeep.testing import ZohoEmulator, demo

if __name__ == "__main__":  # the demo's processes load this file too

    class Troubled(ZohoEmulator):
        def __exit__(self, *given):
            Path(sys.argv[1]).write_text("\n".join(self.secrets()))
            super().__exit__(*given)

        def __enter__(self):
            for code in sys.argv[2:]:
                self.faults.add(endpoint="users", kind="refused", code=code, times=None)
            return super().__enter__()

    demo.ZohoEmulator = Troubled
    sys.exit(demo.main())
