"""The loss's parts against closed forms and against the measure of maps."""

import dataclasses

import numpy as np
import pytest
import torch

from SynthCBVLib.analysis import similarity
from SynthCBVLib.networks.estimate import Estimate
from SynthCBVLib.training.config import TrainingConfig
from SynthCBVLib.training.losses import loss_of
from SynthCBVLib.training.sampling import Batch

CONFIG = TrainingConfig(batch=1, patch=(2, 20, 20), steps=10, background=0.0)


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    shape = (1, 1, 2, 20, 20)
    mask = torch.zeros(shape)
    mask[..., 4:16, 4:16] = 1
    return Batch(torch.zeros(shape), torch.ones(1, 1), torch.rand(shape, generator=generator) * mask, mask,
                 torch.ones(shape), torch.ones(1))  # fmt: skip


def off_by(batch: Batch, error: float, mask: bool = False) -> Estimate:
    scale = torch.zeros_like(batch.target)
    return Estimate(batch.target + error, scale, torch.zeros_like(scale) if mask else None)


def test_parts_and_their_weights(batch):
    config = dataclasses.replace(CONFIG, l1_weight=2.0, scale_weight=0.5, mask_weight=3.0)
    loss = loss_of(off_by(batch, 0.25, mask=True), batch, config, 0)
    l1, nll, mask = 0.25, 0.25 + np.log(2), np.log(2)
    found = {name: value.item() for name, value in loss.parts.items()}
    assert found == pytest.approx({"l1": l1, "nll": nll, "mask": mask})
    assert loss.total.item() == pytest.approx(2 * l1 + 0.5 * nll + 3 * mask)


def test_the_ssim_term_is_the_measured_ssim_of_the_windows_with_brain(batch):
    """Windows that see no brain are equal by definition and would only dilute the term."""
    generator = torch.Generator().manual_seed(1)
    guess = torch.rand(batch.target.shape, generator=generator)
    loss = loss_of(
        Estimate(guess, torch.zeros_like(guess)), batch, dataclasses.replace(CONFIG, ssim_weight=1.0), 0
    )
    real, synthetic = (maps[0, 0].numpy() for maps in (batch.target, guess * batch.mask))
    # Every window that lies inside these 20 x 20 voxels sees the brain.
    wanted = similarity.ssim(real, synthetic, np.ones(real.shape, np.uint8), data_range=1.0)
    assert 1 - loss.parts["ssim"].item() == pytest.approx(wanted, abs=1e-4)
    assert loss_of(off_by(batch, 0.0), batch, dataclasses.replace(CONFIG, ssim_weight=1.0), 0).parts[
        "ssim"
    ].item() == pytest.approx(0.0, abs=1e-5)


def test_the_perceptual_term_counts_from_its_step(batch):
    config = dataclasses.replace(CONFIG, perceptual_weight=0.1, perceptual_from=5)

    class Difference(torch.nn.Module):
        def forward(self, maps, target):
            return (maps - target).abs().sum()

    result = off_by(batch, 0.5)
    assert "perceptual" not in loss_of(result, batch, config, 4, Difference()).parts
    late = loss_of(result, batch, config, 5, Difference())
    assert late.parts["perceptual"].item() == pytest.approx(0.5 * batch.mask.sum().item())
    early = loss_of(result, batch, config, 4, Difference())
    assert (late.total - early.total).item() == pytest.approx(0.1 * late.parts["perceptual"].item(), rel=1e-4)


def test_unknown_voxels_do_not_count(batch):
    known = batch.known.clone()
    known[:, :, 0] = 0
    target = torch.where(known > 0, batch.target, torch.full_like(batch.target, 99.0))
    half = dataclasses.replace(batch, known=known, target=target)
    loss = loss_of(off_by(batch, 0.25), half, dataclasses.replace(CONFIG, ssim_weight=1.0), 0)
    assert loss.parts["l1"].item() == pytest.approx(0.25)
    assert loss.parts["ssim"].item() < 1.0


def test_emphasis_weighs_errors_where_there_is_much_blood(batch):
    config = dataclasses.replace(CONFIG, emphasis=8.0)
    batch = dataclasses.replace(batch, data_range=torch.tensor([2.0]))
    weight = batch.mask * (1 + 8 * (batch.target / 2).square())
    error = 0.1 + batch.target
    result = Estimate(batch.target + error, torch.zeros_like(error))
    loss = loss_of(result, batch, config, 0)
    plain = loss_of(result, batch, CONFIG, 0)
    assert loss.parts["l1"].item() == pytest.approx(((weight * error).sum() / weight.sum()).item(), rel=1e-5)
    assert loss.parts["nll"] == plain.parts["nll"]


def test_emphasis_takes_the_location_above_the_median():
    """Of one input and a skewed target: the plain error is least at the median, the weighed one above it."""
    generator = torch.Generator().manual_seed(3)
    target = torch.rand(1, 1, 1, 60, 60, generator=generator) ** 2
    whole = torch.ones_like(target)
    batch = Batch(target, torch.ones(1, 1), target, whole, whole, torch.ones(1))
    answers = torch.linspace(0, 1, 201)
    best = []
    for emphasis in (0.0, 10.0):
        config = dataclasses.replace(CONFIG, emphasis=emphasis)
        found = [loss_of(Estimate(whole * answer, whole), batch, config, 0).parts["l1"] for answer in answers]
        best.append(answers[int(torch.stack(found).argmin())].item())
    assert best[0] == pytest.approx(target.median().item(), abs=0.01)
    # The weighed median of u², u uniform, with weights 1 + 10 u⁴: u + 2 u⁵ = 3 / 2.
    assert best[1] == pytest.approx(0.8086**2, abs=0.02)
