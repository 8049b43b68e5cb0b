"""Small cases; small networks run fastest on one thread."""

import numpy as np
import pytest
import torch

from SynthCBVLib.training.cases import Case


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ball(seed: int, channels: int = 6, inputs: int = 6) -> Case:
    """Give a ball whose rCBV is a smooth field that the inputs show with different weights."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[-1:1:6j, -1:1:24j, -1:1:24j]
    mask = (z**2 / 2 + y**2 + x**2 < 0.8).astype(np.uint8)
    field = (1 + np.sin(3 * x + rng.uniform(0, 6)) * np.cos(2 * y + rng.uniform(0, 6))) * mask
    images = np.stack([k * field + 0.05 * rng.standard_normal(field.shape) for k in range(1, channels + 1)])
    arrays = (images.astype(np.float16), np.ones(inputs, np.float32), field.astype(np.float16), mask)
    return Case(f"case{seed}", *arrays, known=np.ones_like(mask))


@pytest.fixture(scope="session")
def make_case():
    return ball
