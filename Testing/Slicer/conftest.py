"""Under pytest these tests run in the host; in 3D Slicer `SynthCBVTest` runs them, without this file."""

import sys
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def host():
    pytest.importorskip("slicer")
    sys.path.insert(0, str(TESTING))
    import Host

    running = Host.start()
    yield running
    running.stop()
    sys.path.remove(str(TESTING))
