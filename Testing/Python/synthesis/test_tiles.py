"""Tiles fit together as if the volume had been run whole; a device without memory is left step by step."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.errors import InputError
from SynthCBVLib.networks import build
from SynthCBVLib.synthesis import inference, memory, synthesize, tiles
from SynthCBVLib.synthesis.fused import fused

NETWORKS = {
    "unet2d": ({"in_channels": 3, "width": 2, "levels": 3}, 3, (6, 56, 60)),
    "iedn": ({"modalities": 2, "width": 2, "levels": 2}, 2, (40, 24, 28)),
    "encoder-decoder-3d": ({"modalities": 2, "width": 2, "levels": 2}, 2, (40, 24, 28)),
}


def trained(name):
    """Give a network with weights and statistics of which none is neutral."""
    arguments, channels, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = build(name, arguments)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
    network.eval().requires_grad_(False)
    return network, np.random.default_rng(0).uniform(0, 1, (channels, *shape)).astype(np.float32)


def whole(network, channels):
    return inference._run(network, channels, np.ones(len(channels)), torch.device("cpu"))


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_batch_normalisation_changes_nothing(name):
    network, channels = trained(name)
    folded = fused(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d) for m in folded.modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d) for m in network.modules())
    np.testing.assert_allclose(whole(folded, channels), whole(network, channels), atol=2e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("part", [0.6, 0.3])
def test_tiles_equal_the_whole(name, part):
    network, channels = trained(name)
    shape = channels.shape[1:]
    reach = tiles.reach_of(network, len(channels), len(channels))
    tiling = tiles.plan_tiles(shape, reach, network.multiple, part * np.prod(shape))
    assert tiling.exact
    assert tiling.count > 1
    assert tiling.largest <= part * np.prod(shape)
    found = tiles.run_tiles(lambda box: whole(network, box), channels, tiling)
    np.testing.assert_allclose(found, whole(network, channels), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_reach_is_as_far_as_a_voxel_is_felt(name):
    """Noise beyond the reach changes nothing; within it, it does."""
    network, channels = trained(name)
    reach = tiles.reach_of(network, len(channels), len(channels))
    expected = {"unet2d": 0}.get(name, 3)
    assert reach[0] == expected
    edge = channels.shape[-1] - 4
    spoiled = channels.copy()
    spoiled[..., edge:] = 0.5
    difference = np.abs(whole(network, spoiled) - whole(network, channels)).max(axis=(0, 1, 2))
    assert not difference[: edge - reach[2]].any()
    assert difference[edge - 2 : edge].all()


def test_slices_that_do_not_see_each_other_are_cut_without_surroundings():
    tiling = tiles.plan_tiles((20, 304, 304), (0, 109, 109), 16, 7 * 304 * 304)
    assert (tiling.core, tiling.context, tiling.count) == ((5, 304, 304), (0, 0, 0), 4)


def test_with_too_little_room_tiles_have_less_around_them_and_are_blended():
    network, channels = trained("iedn")
    reach = tiles.reach_of(network, 2, 2)
    tiling = tiles.plan_tiles(channels.shape[1:], reach, network.multiple, 16 * 16 * 10)
    assert not tiling.exact
    found = tiles.run_tiles(lambda box: whole(network, box), channels, tiling)
    expected = whole(network, channels)
    assert np.abs(found - expected).mean() < 0.02 * np.ptp(expected[0])


def test_nothing_fits_into_no_room():
    assert tiles.plan_tiles((20, 304, 304), (0, 109, 109), 16, 100) is None


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 40)] * 3),
    st.tuples(st.integers(0, 5), st.integers(0, 20), st.integers(0, 20)),
    st.sampled_from([1, 2, 4, 8]),
    st.floats(0.02, 1.2),
)
def test_weights_of_tiles_cover_every_voxel(shape, reach, multiple, part):
    tiling = tiles.plan_tiles(shape, reach, multiple, part * np.prod(shape))
    if tiling is None:
        return
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    np.testing.assert_allclose(tiles.run_tiles(lambda box: box, values, tiling), values, rtol=1e-5)
    for tile, _ in tiling.boxes():
        assert all(start % multiple == 0 for start, _ in tile[1:]), "the network's grid stays where it is"


# Memory: estimates, and what its lack does


def test_estimate_follows_what_torch_holds():
    """One convolution to 8 channels holds its images and its maps: 4 + 8 numbers a voxel, twice at worst."""

    class One(torch.nn.Module):
        multiple = 4

        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv3d(4, 8, 1)

        def forward(self, images, present):
            return self.convolution(images)

    assert 12 * 4 <= memory.bytes_per_voxel(One(), 4, 4) <= 2 * 12 * 4


def test_wider_networks_need_more():
    needs = [
        memory.needed_memory(build("iedn", {"modalities": 2, "width": w, "levels": 2}).eval(), 2, 2, 10**6)
        for w in (2, 4)
    ]
    assert needs[1] > 1.3 * needs[0]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB)"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 123 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("could not create a memory object: std::bad_alloc"),
    ],
)
def test_words_of_every_allocator_are_known(error):
    assert memory.is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("x")]
)
def test_other_errors_are_not_taken_for_it(error):
    assert not memory.is_out_of_memory(error)


def test_free_memory_is_the_least_of_machine_and_container(tmp_path):
    (tmp_path / "proc").mkdir()
    assert memory.free_main_memory(tmp_path) > 1e8, "the size of the machine stands in"
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4000000 kB\n")
    assert memory.free_main_memory(tmp_path) == 4.096e9
    groups = tmp_path / "sys" / "fs" / "cgroup"
    groups.mkdir(parents=True)
    (groups / "memory.max").write_text("max\n")
    (groups / "memory.current").write_text("123\n")
    assert memory.free_main_memory(tmp_path) == 4.096e9
    (groups / "memory.max").write_text("2000000000\n")
    (groups / "memory.current").write_text("500000000\n")
    assert memory.free_main_memory(tmp_path) == 1.5e9


def fail_on(monkeypatch, bad, error):
    """Let attempts fail where `bad(device type, voxels)` says so; gives the list of attempts."""
    run, seen = inference._run, []

    def attempt(network, channels, present, target):
        voxels = channels[0].size
        seen.append((target.type, voxels))
        if bad(target.type, voxels):
            raise error
        return run(network, channels, present, torch.device("cpu"))

    monkeypatch.setattr(inference, "_run", attempt)
    return seen


ERRORS = [
    torch.OutOfMemoryError("no room"),
    MemoryError(),
    RuntimeError("MPS backend out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory"),
]


@pytest.fixture
def on_cuda(monkeypatch):
    monkeypatch.setattr(inference, "choose_device", lambda device: torch.device("cuda"))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_full_device_goes_on_in_tiles(monkeypatch, on_cuda, error):
    network, channels = trained("unet2d")
    size = channels[0].size
    expected = whole(network, channels)
    seen = fail_on(monkeypatch, lambda device, voxels: voxels > size // 2, error)
    result = inference.infer(network, channels, np.ones(3))
    assert result.device == "cuda"
    assert result.tiles > 1
    assert {device for device, _ in seen} == {"cuda"}
    np.testing.assert_allclose(result.location, expected[0], atol=2e-5)
    told = [finding.what for finding in result.findings]
    assert any("cuda ran out of memory with the volume in one piece" in what for what in told)
    assert any("parts that fit together" in what for what in told)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_device_too_small_for_tiles_is_left_for_the_cpu(monkeypatch, on_cuda, error):
    network, channels = trained("iedn")
    seen = fail_on(monkeypatch, lambda device, voxels: device == "cuda", error)
    result = inference.infer(network, channels, np.ones(2))
    assert (result.device, result.tiles) == ("cpu", 1)
    assert seen[0] == ("cuda", channels[0].size)
    assert seen[-1] == ("cpu", channels[0].size)
    assert len(seen) > 2
    assert any("on the CPU instead of cuda" in finding.what for finding in result.findings)


def test_tiles_on_the_cpu_come_last(monkeypatch, on_cuda):
    network, channels = trained("unet2d")
    half = channels[0].size // 2
    seen = fail_on(monkeypatch, lambda device, voxels: device == "cuda" or voxels > half, MemoryError())
    result = inference.infer(network, channels, np.ones(3))
    assert result.device == "cpu"
    assert result.tiles > 1
    devices = [device for device, _ in seen]
    assert devices == sorted(devices, reverse=True), "cuda first, then the CPU"


def test_no_way_at_all_is_bad_input_with_a_remedy(monkeypatch, on_cuda):
    network, channels = trained("unet2d")
    fail_on(monkeypatch, lambda device, voxels: True, MemoryError())
    with pytest.raises(InputError, match="Close other programs"):
        inference.infer(network, channels, np.ones(3))


def test_other_failures_are_not_hidden(monkeypatch, on_cuda):
    network, channels = trained("unet2d")
    seen = fail_on(monkeypatch, lambda device, voxels: True, RuntimeError("a fault of ours"))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        inference.infer(network, channels, np.ones(3))
    assert len(seen) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_too_little_memory_is_seen_before_it_is_used(monkeypatch, name):
    network, channels = trained(name)
    count = len(channels)
    expected = whole(network, channels)
    need = memory.needed_memory(network, count, count, channels[0].size)
    fixed = memory.needed_memory(network, count, count, 0)
    free = (fixed + 0.5 * (need - fixed)) / memory.SHARE
    monkeypatch.setattr(inference, "free_memory", lambda device: free)
    seen = fail_on(monkeypatch, lambda device, voxels: False, None)
    result = inference.infer(network, channels, np.ones(count), "cpu")
    assert max(voxels for _, voxels in seen) <= 0.5 * channels[0].size
    assert result.tiles > 1
    assert "GB free" in result.findings[0].what
    np.testing.assert_allclose(result.location, expected[0], atol=2e-5)
    np.testing.assert_allclose(result.scale, expected[1], atol=2e-5)


def test_unknown_memory_is_no_hindrance(monkeypatch):
    network, channels = trained("unet2d")
    monkeypatch.setattr(inference, "free_memory", lambda device: None)
    result = inference.infer(network, channels, np.ones(3), "cpu")
    assert (result.tiles, result.findings) == (1, ())


def test_parts_stand_in_the_provenance(pair, models, monkeypatch):
    expected = synthesize(pair, models["asl"], device="cpu")
    seen = fail_on(monkeypatch, lambda device, voxels: voxels > 6000, MemoryError())
    result = synthesize(pair, models["asl"], device="cpu")
    assert len(seen) > 2
    assert result.provenance["tiles"] == sum(voxels <= 6000 for _, voxels in seen) > 1
    assert any("ran out of memory" in entry["what"] for entry in result.provenance["findings"])
    np.testing.assert_allclose(
        *(sitk.GetArrayFromImage(each.rcbv) for each in (result, expected)), atol=0.05
    )  # fmt: skip
