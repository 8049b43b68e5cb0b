"""A small head seen by every modality, and untrained models of both kinds."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SynthCBVLib.imaging.study import DiffusionSeries, Modality, Study
from SynthCBVLib.networks import build
from SynthCBVLib.synthesis import Model, load_model
from SynthCBVLib.synthesis.model import save_model
from SynthCBVLib.training.presets import PAPER_B_VALUES, preset


def head(weight: float = 1.0, shape: tuple[int, int, int] = (10, 32, 32)) -> sitk.Image:
    """Give an ellipsoid with structure, 6 mm voxels, centred at the origin."""
    z, y, x = np.mgrid[tuple(slice(-1, 1, complex(0, size)) for size in shape)]
    ball = np.clip(6 * (0.75 - z**2 - y**2 - x**2 * 1.3), 0, 1)
    image = sitk.GetImageFromArray(
        (ball * (100 + weight * (40 * np.sin(7 * x) * np.cos(5 * y) + 30 * (x > 0.2)))).astype(np.float32)
    )
    image.SetSpacing((6.0, 6.0, 6.0))
    image.SetOrigin([-3.0 * (size - 1) for size in shape[::-1]])
    return image


@pytest.fixture(scope="session")
def study() -> Study:
    series = sitk.JoinSeries([head() * float(np.exp(-b * 8e-4)) for b in PAPER_B_VALUES])
    images = {modality: head(weight) for weight, modality in
              ((0.5, Modality.CBF), (0.7, Modality.T1W), (1.0, Modality.T2W), (0.8, Modality.FLAIR),
               (1.2, Modality.ADC), (0.9, Modality.T1C))}  # fmt: skip
    return Study("01", {Modality.DWI: DiffusionSeries(series, PAPER_B_VALUES), **images})


@pytest.fixture(scope="session")
def pair(study) -> Study:
    """Give the study's T1w and FLAIR alone: one registration."""
    return Study("01", {m: study.images[m] for m in (Modality.T1W, Modality.FLAIR)})


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Model]:
    """Give small untrained models; their maps are meaningless but exact."""
    arguments = {
        "ivim": {"in_channels": 11, "width": 2, "levels": 3},
        "asl": {"modalities": 6, "width": 2, "levels": 2},
    }
    found = {}
    for workflow, values in arguments.items():
        card = dataclasses.replace(preset(workflow).card, network_arguments=values, spacing=(6.0, 6.0, 6.0))
        torch.manual_seed(3)
        path = tmp_path_factory.mktemp("models") / f"{workflow}.safetensors"
        found[workflow] = load_model(save_model(path, build(card.network, values), card))
    return found
