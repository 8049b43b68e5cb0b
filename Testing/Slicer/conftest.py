"""Under pytest these tests run in the host; in 3D Slicer `SynthCBVTest` runs them, without this file."""

import importlib.util
import sys
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def host():
    if importlib.util.find_spec("slicer") is None:
        pytest.skip("slicer-core is not installed")
    sys.path.insert(0, str(TESTING))
    import Host

    running = Host.start()
    yield running
    running.stop()
    sys.path.remove(str(TESTING))
