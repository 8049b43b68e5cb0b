"""SSIM with gradients: equal to the measure that maps are judged by."""

import numpy as np
import pytest
import torch

from SynthCBVLib.analysis import similarity
from SynthCBVLib.networks.ssim import WINDOW, ssim_map, window_mean


def test_it_is_the_ssim_of_the_evaluation():
    rng = np.random.default_rng(0)
    real = rng.random((3, 30, 26)).astype(np.float32)
    synthetic = (real + 0.2 * rng.standard_normal(real.shape)).astype(np.float32)
    wanted = similarity.ssim(real, synthetic, np.ones(real.shape, np.uint8), data_range=1.3)
    maps = (torch.from_numpy(array)[None, None] for array in (real, synthetic))
    assert ssim_map(*maps, torch.tensor([1.3])).mean().item() == pytest.approx(wanted, abs=1e-4)


def test_equal_maps_have_one_and_the_gradient_leads_there():
    torch.manual_seed(0)
    real = torch.rand(2, 1, 1, 16, 16)
    data_range = torch.ones(2)
    assert ssim_map(real, real, data_range).min().item() == pytest.approx(1.0, abs=1e-5)
    guess = torch.full_like(real, 0.5).requires_grad_()
    optimiser = torch.optim.Adam([guess], lr=0.05)
    first = 1 - ssim_map(real, guess, data_range).mean().item()
    for _ in range(60):
        optimiser.zero_grad()
        loss = 1 - ssim_map(real, guess, data_range).mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2 * first


def test_windows_are_normalised_and_lie_inside():
    mean = window_mean(torch.ones(2, 1, 3, 15, 12))
    assert mean.shape == (2, 1, 3, 15 - WINDOW + 1, 12 - WINDOW + 1)
    torch.testing.assert_close(mean, torch.ones_like(mean))
    with pytest.raises(ValueError, match="smaller than the SSIM window"):
        window_mean(torch.ones(1, 1, 1, 10, 30))
