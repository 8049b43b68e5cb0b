"""``python -m SynthCBVLib.worker JOB.json``."""

import sys

from SynthCBVLib.worker.main import main

if __name__ == "__main__":
    sys.exit(main())
