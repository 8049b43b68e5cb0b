"""The perceptual loss: which files it reads, and what it measures."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from SynthCBVLib.errors import InputError
from SynthCBVLib.networks.perceptual import PerceptualLoss

VGG16 = Path(__file__).parents[4] / "shared/data/vgg16_imagenet_conv1_1-3_3_fp16.npz"
WIDTHS = ((4, 4), (6, 6), (8, 8, 8))


def tensors(vgg19: bool = False) -> dict[str, torch.Tensor]:
    """Random weights of a narrow VGG under torchvision's names."""
    generator = torch.Generator().manual_seed(3)
    indices = ((0, 2), (5, 7), (10, 12, 14, 16) if vgg19 else (10, 12, 14))
    result, channels = {}, 3
    for block, numbers in enumerate(indices):
        for number in numbers:
            width = WIDTHS[block][0]
            result[f"features.{number}.weight"] = (
                torch.randn(width, channels, 3, 3, generator=generator) * 0.2
            )
            result[f"features.{number}.bias"] = torch.randn(width, generator=generator) * 0.1
            channels = width
    return result


@pytest.fixture(scope="module", params=["pth", "safetensors"])
def loss(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / f"vgg.{request.param}"
    (torch.save if request.param == "pth" else save_file)(tensors(), path)
    return PerceptualLoss(path)


def maps(seed: int) -> torch.Tensor:
    return torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_nothing_between_equal_maps_and_more_between_different_ones(loss):
    real = maps(0)
    assert float(loss(real, real)) == 0
    near, far = float(loss(real + 0.01, real)), float(loss(maps(1), real))
    assert 0 < near < far


def test_unit_of_the_maps_does_not_matter(loss):
    real, drawn = maps(0), maps(1)
    assert float(loss(7 * drawn, 7 * real)) == pytest.approx(float(loss(drawn, real)), rel=1e-5)


def test_gradient_reaches_the_maps_and_not_the_network(loss):
    drawn = maps(1).requires_grad_()
    loss(drawn, maps(0)).backward()
    assert float(drawn.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in loss.parameters())


def test_first_block_by_hand(tmp_path):
    """One block's maps computed with torch's functions, torchvision's mean and deviation."""
    named = tensors()
    for name in named:
        if int(name.split(".")[1]) > 2:
            named[name] = torch.zeros_like(named[name])
    torch.save(named, tmp_path / "one.pth")
    real, drawn = maps(0)[:1, :, :1], maps(1)[:1, :, :1]
    mean, sd = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def features(image):
        image = ((image[:, :, 0] / real.max()).clamp(0, 1.5).repeat(1, 3, 1, 1) - mean) / sd
        for i in (0, 2):
            image = functional.relu(
                functional.conv2d(
                    image, named[f"features.{i}.weight"], named[f"features.{i}.bias"], padding=1
                )
            )
        return image

    wanted = (features(drawn) - features(real)).abs().mean() / 3 * float(sd.mean()) / 0.226
    found = PerceptualLoss(tmp_path / "one.pth")(drawn, real)
    assert float(found) == pytest.approx(float(wanted), rel=1e-4)


def test_vgg19_is_told_from_vgg16(tmp_path):
    torch.save(tensors(vgg19=True), tmp_path / "a.pth")
    torch.save(tensors(), tmp_path / "b.pth")
    assert PerceptualLoss(tmp_path / "a.pth").name == "VGG19"
    assert PerceptualLoss(tmp_path / "b.pth").name == "VGG16"


@pytest.mark.skipif(not VGG16.is_file(), reason="the Oxford group's weights are not at hand")
def test_oxford_weights_see_structure():
    """Blur that moves no mean costs more than a small offset of the same mean absolute error."""
    loss = PerceptualLoss(VGG16)
    assert loss.name == "VGG16"
    rng = np.random.default_rng(0)
    real = torch.from_numpy(rng.random((1, 1, 1, 96, 96), dtype=np.float32))
    blurred = functional.avg_pool2d(real[:, :, 0], 5, 1, 2)[:, :, None]
    offset = real + (blurred - real).abs().mean()
    assert float(loss(blurred, real)) > 2 * float(loss(offset, real))


class Trap:
    def __reduce__(self):
        return (Path("trap-was-sprung").touch, ())


def spoiled(kind: str, path: Path) -> Path:
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"features.0.weight": Trap()}))
    elif kind == "cut":
        torch.save(tensors(), path)
        path.write_bytes(path.read_bytes()[:200])
    elif kind == "shape":
        torch.save({**tensors(), "features.5.weight": torch.zeros(6, 9, 3, 3)}, path)
    elif kind == "nan":
        torch.save({**tensors(), "features.5.bias": torch.full((6,), float("nan"))}, path)
    elif kind == "other":
        torch.save({"weight": torch.zeros(3)}, path)
    elif kind == "objects":
        np.savez(path.with_suffix(".npz"), **{"block3_conv1.w": np.array([{}], dtype=object)})
        return path.with_suffix(".npz")
    return path


@pytest.mark.parametrize("kind", ["pickle", "cut", "shape", "nan", "other", "objects", "missing"])
def test_spoiled_files_are_refused_and_nothing_runs(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        PerceptualLoss(spoiled(kind, tmp_path / "vgg.pth"))
    assert not (tmp_path / "trap-was-sprung").exists()
