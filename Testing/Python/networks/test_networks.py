"""U-Net, IEDN and their loss: shapes, invariances and closed forms."""

import math

import pytest
import torch

from SynthCBVLib.errors import InputError
from SynthCBVLib.networks import build
from SynthCBVLib.networks.estimate import LOG_SCALE_BOUNDS, Estimate, laplace_loss, pad_to_multiple
from SynthCBVLib.networks.iedn import Conditioning


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return build("unet2d", {"in_channels": 3, "width": 4, "levels": 5}).eval()


@pytest.fixture(params=[False, True], ids=["averaged", "conditioned"])
def iedn(request):
    torch.manual_seed(0)
    built = build("iedn", {"modalities": 3, "width": 4, "levels": 3, "conditioned": request.param}).eval()
    for level in built.conditioning:
        torch.nn.init.normal_(level.learnt)
    return built


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 33, 47), (2, 17, 5)])
def test_both_networks_keep_any_size(unet, iedn, shape):
    for network in (unet, iedn):
        result = network(torch.randn(2, 3, *shape))
        assert result.location.shape == result.log_scale.shape == (2, 1, *shape)
    assert result.mask_logits.shape == (2, 1, *shape)


def test_unet_has_five_levels_and_doubles_its_width(unet):
    assert [block[0].out_channels for block in unet.down] == [4, 8, 16, 32, 64]


def test_unet_treats_slices_alone(unet):
    volume = torch.randn(1, 3, 4, 32, 32)
    whole = unet(volume).location
    alone = torch.cat([unet(volume[:, :, i : i + 1]).location for i in range(4)], dim=2)
    torch.testing.assert_close(whole, alone, atol=1e-5, rtol=1e-5)


def test_iedn_does_not_see_absent_modalities(iedn):
    images = torch.randn(1, 3, 4, 16, 16)
    present = torch.tensor([[1.0, 0.0, 1.0]])
    other = images.clone()
    other[:, 1] = 1e3
    torch.testing.assert_close(iedn(images, present).location, iedn(other, present).location)


def test_iedn_subsets_in_a_batch_equal_single_runs(iedn):
    images = torch.randn(3, 3, 4, 16, 16)
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    together = iedn(images, present)
    for i in range(3):
        alone = iedn(images[i : i + 1], present[i : i + 1])
        torch.testing.assert_close(together.location[i : i + 1], alone.location, atol=1e-5, rtol=1e-5)


def test_iedn_averages_latents_by_weight(iedn):
    images = torch.randn(1, 3, 4, 16, 16)
    weights = torch.tensor([[0.75, 0.0, 0.25]])
    latents = [encoder(images[:, m : m + 1]) for m, encoder in enumerate(iedn.encoders)]
    for level, averaged in enumerate(iedn._averaged_latents(images, weights)):
        torch.testing.assert_close(averaged, 0.75 * latents[0][level] + 0.25 * latents[2][level])


def test_conditioning_scales_and_shifts_by_the_sum_of_what_is_present():
    level = Conditioning(3, 2)
    maps = torch.randn(2, 2, 3, 4, 4)
    present = torch.tensor([[0.5, 0.0, 2.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(level(maps, present), maps)  # nothing is learnt yet
    torch.nn.init.normal_(level.learnt)
    for sample, members in enumerate(([0, 2], [1])):
        scale, shift = level.learnt[members].sum(0).reshape(2, 2, 1, 1, 1)
        torch.testing.assert_close(level(maps, present)[sample], maps[sample] * (1 + scale) + shift)


def test_iedn_refuses_a_sample_without_modality(iedn):
    with pytest.raises(ValueError, match="at least one modality"):
        iedn(torch.zeros(2, 3, 2, 8, 8), torch.tensor([[1.0, 0, 0], [0, 0, 0]]))
    with pytest.raises(ValueError, match="2 channels for 3 encoders"):
        iedn(torch.zeros(1, 2, 2, 8, 8))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("resnet", {}), ("unet2d", {"in_channels": 0}), ("unet2d", {"width": 3}), ("iedn", {"modality": 3})],
)
def test_unknown_networks_and_arguments_are_refused(name, arguments):
    with pytest.raises(InputError):
        build(name, arguments)


def test_padding_replicates_and_tells_the_crop():
    images = torch.arange(6.0).reshape(1, 1, 2, 3)
    padded, crop = pad_to_multiple(images, 4)
    assert padded.shape == (1, 1, 4, 4)
    assert crop == (2, 3)
    torch.testing.assert_close(padded[0, 0, -1], torch.tensor([3.0, 4.0, 5.0, 5.0]))


def test_laplace_loss_is_the_closed_form():
    location, target = torch.zeros(1, 1, 1, 1, 2), torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 1, 2)
    log_scale = torch.full_like(location, math.log(2.0))
    weight = torch.tensor([1.0, 3.0]).reshape_as(location)
    l1, nll = laplace_loss(Estimate(location, log_scale), target, weight)
    assert l1.item() == pytest.approx((1 * 1 + 3 * 3) / 4)
    assert nll.item() == pytest.approx((1 * 0.5 + 3 * 1.5) / 4 + math.log(4.0))


def test_scale_gets_its_optimum_and_no_gradient_reaches_the_location():
    """The likelihood is stationary where the scale is the mean absolute error."""
    location = torch.zeros(1, 1, 1, 1, 4, requires_grad=True)
    target = torch.tensor([0.1, 0.2, 0.3, 0.4]).reshape_as(location)
    log_scale = torch.full((1, 1, 1, 1, 1), math.log(0.25), requires_grad=True)
    _, nll = laplace_loss(Estimate(location, log_scale.expand_as(location)), target, torch.ones_like(target))
    nll.backward()
    assert location.grad is None
    assert log_scale.grad.item() == pytest.approx(0.0, abs=1e-6)


def test_scale_is_bounded(unet):
    torch.nn.init.constant_(unet.head.bias, 1e4)
    result = unet(torch.zeros(1, 3, 1, 16, 16))
    assert result.log_scale.max().item() <= LOG_SCALE_BOUNDS[1]
