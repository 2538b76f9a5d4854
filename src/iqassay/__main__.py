"""`python -m iqassay`, the same as the `iqassay` command."""

import sys

from iqassay.cli import main

if __name__ == "__main__":
    sys.exit(main())
