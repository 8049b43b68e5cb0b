"""A wide network that begins as a narrow one computes its maps, and learns with all of its channels."""

import pytest
import torch

from SynthCBVLib.networks import NETWORKS, build
from SynthCBVLib.networks.widening import widen

INPUTS = {"unet2d": "in_channels", "iedn": "modalities", "encoder-decoder-3d": "modalities"}


def network(name, width, levels=3, **more):
    torch.manual_seed(width)
    built = build(name, {INPUTS[name]: 3, "width": width, "levels": levels, **more})
    # Batch normalisations as after a training, so that a channel laid elsewhere would be seen.
    for key, tensor in built.state_dict().items():
        if tensor.dtype.is_floating_point and tensor.dim() == 1:
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        assert torch.isfinite(tensor.float()).all(), key
    return built.eval()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("narrow", "wide"), [(4, 4), (4, 5), (5, 8)])
@pytest.mark.parametrize("scale_alone", [False, True])
def test_the_wide_network_gives_the_narrow_ones_maps(name, narrow, wide, scale_alone):
    small, large = (network(name, w, scale_alone=scale_alone) for w in (narrow, wide))
    images = torch.rand(1, 3, 2, 24, 16)
    with torch.no_grad():
        before, own = large(images), small(images)
        assert narrow == wide or not torch.allclose(before.location, own.location, atol=1e-3)
        widen(large, small)
        after = large(images)
    torch.testing.assert_close(after.location, own.location, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(after.log_scale, own.log_scale, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("before", [False, True])
def test_a_conditioned_iedn_goes_on_from_any(before):
    small, large = network("iedn", 4, conditioned=before), network("iedn", 6, conditioned=True)
    for level in small.conditioning:
        torch.nn.init.normal_(level.learnt)
    images, present = torch.rand(2, 3, 2, 24, 16), torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    widen(large, small)
    with torch.no_grad():
        torch.testing.assert_close(
            large(images, present).location, small(images, present).location, rtol=1e-5, atol=1e-5
        )
    if before:
        with pytest.raises(ValueError, match="kinds"):
            widen(network("iedn", 4), small)


@pytest.mark.parametrize(
    ("name", "more"), [*((each, {}) for each in NETWORKS), ("iedn", {"conditioned": True})]
)
def test_new_channels_learn(name, more):
    small, large = network(name, 4, **more), network(name, 6, **more)
    widen(large, small)
    large.train()
    optimiser = torch.optim.Adam(large.parameters(), lr=1e-3)
    before = {key: tensor.clone() for key, tensor in large.named_parameters()}
    images = torch.rand(2, 3, 2, 24, 16)
    for _ in range(2):
        optimiser.zero_grad()
        result = large(images)
        (result.location.square().mean() + result.log_scale.mean()).backward()
        optimiser.step()
    moved = [key for key, tensor in large.named_parameters() if tensor.dim() > 1
             and "mask" not in key and (tensor - before[key]).flatten(1)[:, -1].abs().max() > 0]  # fmt: skip
    expected = [key for key in before if before[key].dim() > 1 and "mask" not in key]
    assert moved == expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("unet2d", {"width": 3}), ("unet2d", {"width": 8, "levels": 2}), ("iedn", {"width": 8})],
)
def test_networks_that_cannot_hold_the_other_are_refused(name, arguments):
    with pytest.raises(ValueError, match=r"kinds|cannot hold"):
        widen(network(name, **arguments), network("unet2d", 4))
