"""Small exams that cost nothing: balls whose real map the inputs show, with regions, already on one grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study, join_series
from SynthCBVLib.networks import build
from SynthCBVLib.synthesis.card import InputSpec, ModelCard, OutputSpec
from SynthCBVLib.synthesis.model import save_model
from SynthCBVLib.training.evaluation.sources import Regions
from SynthCBVLib.training.evaluation.subjects import Subject

SHAPE = (4, 32, 32)
B_VALUES = (0.0, 50.0, 100.0, 200.0, 600.0, 1000.0)


def image(array: np.ndarray) -> sitk.Image:
    made = sitk.GetImageFromArray(array.astype(np.float32))
    made.SetSpacing((2.0, 2.0, 6.0))
    return made


@dataclass(frozen=True)
class BallSource:
    """A ball with a hot and a pale disc in one slice; `ratio` is its T/WM."""

    seed: int
    ratio: float
    measured: bool = True
    without: tuple[Modality, ...] = ()

    def key(self) -> str:
        return f"{self.seed} {self.ratio} {self.measured} {self.without}"

    def open(self, modalities):
        return _Ball(self)


class _Ball:
    def __init__(self, source: BallSource) -> None:
        rng = np.random.default_rng(source.seed)
        z, y, x = np.mgrid[-1:1:4j, -1:1:32j, -1:1:32j]
        self.mask = (z**2 / 4 + y**2 + x**2 < 0.8).astype(np.uint8)
        self.masks, self.real = {}, (1.0 + 0.2 * np.sin(5 * x + source.seed) * np.cos(4 * y)) * self.mask
        for name, centre, value in (
            ("Tumour 1", (-0.4, -0.3), source.ratio),
            ("White matter 1", (0.4, 0.3), 1.0),
        ):
            disc = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 0.02) & (np.arange(4) == 1)[:, None, None]
            self.masks[name], self.real[disc] = disc.astype(np.uint8), value
        fraction = 0.05 * self.real
        volumes = [
            image(100 * self.mask * ((1 - fraction) * np.exp(-b * 0.8e-3) + fraction * np.exp(-b * 12e-3))
                  + 0.2 * rng.standard_normal(SHAPE)) for b in B_VALUES
        ]  # fmt: skip
        images = {
            Modality.DWI: DiffusionSeries(join_series(volumes), B_VALUES),
            Modality.CBF: image(40 * self.real + rng.standard_normal(SHAPE) * self.mask),
        }
        for modality in (Modality.T1W, Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.T1C):
            images[modality] = image(
                (50 + 20 * self.real) * self.mask + rng.standard_normal(SHAPE) * self.mask
            )
        if source.measured:
            images[Modality.RCBV] = image(7 * self.real)
        images = {modality: one for modality, one in images.items() if modality not in source.without}
        self._study = Study(f"{source.seed}", images)

    def study(self):
        return self._study

    def regions(self, reference):
        masks = {name: sitk.Cast(image(mask), sitk.sitkUInt8) for name, mask in self.masks.items()}
        return Regions(masks, reference)

    def transforms(self, reference):
        return {m: sitk.Transform(3, sitk.sitkIdentity) for m in self._study.images}

    def brain(self, reference):
        return sitk.Cast(image(self.mask), sitk.sitkUInt8)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def make_subject():
    def make(seed: int, group: str | None, ratio: float, measured: bool = True) -> Subject:
        return Subject(f"{seed}-{group}", str(seed), group, BallSource(seed, ratio, measured))

    return make


@pytest.fixture(scope="session")
def ivim_card():
    inputs = (InputSpec(Modality.DWI, "b0-slice-maximum", b_values=B_VALUES),
              InputSpec(Modality.T2W, "slice-maximum"))  # fmt: skip
    arguments = {"in_channels": 7, "width": 2, "levels": 2}
    return ModelCard("tiny-ivim", "0", "unet2d", arguments, inputs, (Modality.T2W,), (None,) * 3,
                     OutputSpec("rCBV", "slice-maximum"))  # fmt: skip


@pytest.fixture(scope="session")
def asl_card():
    order = (Modality.CBF, Modality.T1W, Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.T1C)
    return ModelCard("tiny-asl", "0", "iedn", {"modalities": 6, "width": 2, "levels": 2},
                     tuple(InputSpec(m, "brain-mean", required=False) for m in order),
                     (Modality.T1W, *(m for m in order if m is not Modality.T1W)), (None,) * 3,
                     OutputSpec("rCBV", "brain-mean"))  # fmt: skip


@pytest.fixture(scope="session")
def store_model():
    def store(path, card, seed: int = 1):
        torch.manual_seed(seed)
        network = build(card.network, card.network_arguments)
        head = network.head if hasattr(network, "head") else network.rcbv.head
        with torch.no_grad():
            head.bias[0] = 1.0  # a map below 0 has no ratio
        return save_model(path, network, card)

    return store
