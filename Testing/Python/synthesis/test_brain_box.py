"""The map of the brain's box is the map of the whole volume."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from SynthCBVLib.networks import build
from SynthCBVLib.synthesis.brain_box import MARGIN, brain_box, infer_brain
from SynthCBVLib.synthesis.inference import infer

SHAPE = (12, 96, 80)


def network(kind: str, **arguments: int) -> torch.nn.Module:
    torch.manual_seed(4)
    made = build(kind, arguments)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm3d | torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return made.eval()


def ball(centre: tuple[int, int, int] = (6, 50, 42), radius: float = 15.0) -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    near = (z - centre[0]) ** 2 * 25 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2
    return near.astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("unet2d", {"in_channels": 2, "width": 4, "levels": 2}),
        ("iedn", {"modalities": 2, "width": 4, "levels": 2}),
    ],
)
def test_networks_that_see_no_further_than_the_rim_give_the_same_map(kind, arguments):
    chosen = network(kind, **arguments)
    rng = np.random.default_rng(0)
    channels = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    present, mask = np.ones(2, np.float32), ball()
    whole, boxed = (
        infer(chosen, channels, present, "cpu"),
        infer_brain(chosen, channels, present, mask, "cpu"),
    )
    assert boxed.location.shape == boxed.scale.shape == SHAPE
    inside = mask > 0
    np.testing.assert_allclose(boxed.location[inside], whole.location[inside], atol=1e-4)
    np.testing.assert_allclose(boxed.scale[inside], whole.scale[inside], rtol=1e-4)
    assert (boxed.mask is None) == (whole.mask is None)
    if whole.mask is not None:
        assert (boxed.mask == whole.mask)[inside].all()
    far = np.ones(SHAPE, dtype=bool)
    far[brain_box(mask, chosen.multiple)] = False
    assert far.mean() > 0.4
    assert not boxed.location[far].any()
    assert not boxed.scale[far].any()


def test_without_a_brain_the_whole_volume_is_run():
    chosen = network("unet2d", in_channels=1, width=2, levels=2)
    channels = np.random.default_rng(1).normal(size=(1, *SHAPE)).astype(np.float32)
    present = np.ones(1, np.float32)
    empty = infer_brain(chosen, channels, present, np.zeros(SHAPE, np.uint8), "cpu")
    np.testing.assert_array_equal(empty.location, infer(chosen, channels, present, "cpu").location)


@given(
    points=st.lists(
        st.tuples(*(st.integers(0, size - 1) for size in SHAPE)), min_size=1, max_size=4
    ),
    multiple=st.sampled_from([1, 8, 16]),
)  # fmt: skip
def test_the_box_holds_brain_and_rim_and_keeps_the_pooling_grid(points, multiple):
    mask = np.zeros(SHAPE, dtype=bool)
    for point in points:
        mask[point] = True
    box = brain_box(mask, multiple)
    for axis, (part, size) in enumerate(zip(box, SHAPE, strict=True)):
        held = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        assert 0 <= part.start <= max(0, held[0] - MARGIN[axis])
        assert min(size, held[-1] + 1 + MARGIN[axis]) <= part.stop <= size
        if axis:
            assert part.start % multiple == 0
            assert part.stop == size or part.stop % multiple == 0
            assert held[0] - part.start < MARGIN[axis] + multiple or part.start == 0


@pytest.mark.parametrize("kind", ["unet2d", "iedn"])
def test_mirrored_maps_do_not_change_with_the_side(kind):
    arguments = {"in_channels": 2} if kind == "unet2d" else {"modalities": 2}
    chosen = network(kind, **arguments, width=4, levels=2)
    channels = np.random.default_rng(2).normal(size=(2, *SHAPE)).astype(np.float32)
    present, mask = np.ones(2, np.float32), ball(centre=(6, 48, 40))
    plain = infer_brain(chosen, channels, present, mask, "cpu")
    both = infer_brain(chosen, channels, present, mask, "cpu", mirrored=True)
    turned = infer_brain(chosen, channels[..., ::-1], present, mask[..., ::-1], "cpu", mirrored=True)
    box = brain_box(mask, chosen.multiple)
    assert (
        np.abs(both.location - plain.location)[box].max() > 1e-3
    )  # the network itself knows left from right
    np.testing.assert_allclose(turned.location[..., ::-1][mask > 0], both.location[mask > 0], atol=1e-4)
    np.testing.assert_allclose(turned.scale[..., ::-1][mask > 0], both.scale[mask > 0], rtol=1e-3)
