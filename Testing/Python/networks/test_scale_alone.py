"""Networks whose scale leaves the location's features alone, and the plain encoder-decoder."""

import pytest
import torch

from SynthCBVLib.networks import build

NETWORKS = {
    "unet2d": {"in_channels": 2, "width": 4, "levels": 2},
    "iedn": {"modalities": 2, "width": 4, "levels": 2},
    "encoder-decoder-3d": {"modalities": 2, "width": 4, "levels": 2},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_scale_alone_changes_no_value_and_stops_its_gradient(name):
    torch.manual_seed(0)
    images = torch.randn(1, 2, 2, 8, 8)
    free = build(name, NETWORKS[name]).eval()
    alone = build(name, {**NETWORKS[name], "scale_alone": True}).eval()
    alone.load_state_dict(free.state_dict())
    torch.testing.assert_close(alone(images).location, free(images).location)
    torch.testing.assert_close(alone(images).log_scale, free(images).log_scale)
    alone(images).log_scale.sum().backward()
    head = alone.head if name == "unet2d" else alone.rcbv.head
    reached = [
        key
        for key, value in alone.named_parameters()
        if value.grad is not None and value.grad.abs().sum() > 0
    ]
    assert sorted(reached) == sorted(key for key, value in alone.named_parameters()
                                     if any(value is own for own in head.parameters()))  # fmt: skip
    assert head.bias.grad[0] == 0
    assert head.bias.grad[1] != 0


def test_the_plain_network_takes_absent_inputs_as_zeros():
    torch.manual_seed(0)
    network = build("encoder-decoder-3d", NETWORKS["encoder-decoder-3d"]).eval()
    images = torch.randn(1, 2, 3, 9, 11)
    zeroed = images.clone()
    zeroed[:, 1] = 0
    result = network(images, torch.tensor([[1.0, 0.0]]))
    assert result.location.shape == result.mask_logits.shape == (1, 1, 3, 9, 11)
    torch.testing.assert_close(result.location, network(zeroed).location)
    assert not torch.allclose(result.location, network(images).location)
