"""Entry point of ``python -m SynthCBVLib``."""

import sys

from SynthCBVLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
