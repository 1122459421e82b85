"""``python -m tokenkeep`` is the command ``tokenkeep``."""

from tokenkeep.cli import main

if __name__ == "__main__":
    main()
