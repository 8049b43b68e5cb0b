from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from SynthCBVLib.physiology import ivim


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The reference data that lie beside the repository, where there are any."""
    folder = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no reference data beside the repository")
    return folder


@pytest.fixture(scope="session")
def paper() -> SimpleNamespace:
    """The IVIM paper's b-values and averages."""
    return SimpleNamespace(
        b=(0, 50, 100, 150, 200, 300, 400, 600, 800, 1000), averages=(2, 2, 2, 2, 2, 2, 2, 2, 3, 3)
    )


@pytest.fixture(scope="session")
def simulate() -> Callable[..., SimpleNamespace]:
    """Simulate averaged magnitude images of uniformly drawn parameters."""

    def run(b, averages, snr, n=8000, seed=0, d=(0.6, 1.6), f=(0.01, 0.2), d_star=(6, 40), rician=True):
        rng = np.random.default_rng(seed)
        d, d_star = 1e-3 * rng.uniform(*d, n), 1e-3 * rng.uniform(*d_star, n)
        f = rng.uniform(*f, n)
        clean = ivim.signal(b, 1.0, d, f, d_star)
        y = np.zeros_like(clean)
        for i, count in enumerate(averages):
            for _ in range(count):
                image = clean[:, i] + rng.normal(0, 1 / snr, n)
                y[:, i] += np.hypot(image, rng.normal(0, 1 / snr, n)) if rician else image
            y[:, i] /= count
        return SimpleNamespace(y=y, d=d, f=f, d_star=d_star)

    return run
