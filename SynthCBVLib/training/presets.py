"""Presets: which inputs, which network, how it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from SynthCBVLib import __version__
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.synthesis.card import InputSpec, ModelCard, OutputSpec

#: The IVIM paper's b-values, s/mm² (Wang et al., MR imaging).
PAPER_B_VALUES = (0.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1000.0)


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    batch : int
        Patches a step.
    patch : tuple of int
        Size of a patch in voxels of the card's grid, (z, y, x).
    learning_rate : float
        Of Adam (beta .9 and .999) at the start; it falls to zero along a half cosine.
    rotation : float
        Largest in-plane rotation of a patch, degrees.
    zoom : float
        Largest shrink or amplification of a patch, as a fraction.
    gain : float
        Largest change of an input's scale, as a fraction: another scanner, another maximum.
    strip : float
        Share of the patches whose inputs are set to zero outside the brain, as skull-stripped images are.
    drop : float
        Probability that an input the card does not require is left out of a patch.
    scale_weight : float
        Weight of the scale's likelihood beside the location's L1.
    mask_weight : float
        Weight of the brain mask's cross-entropy, for networks with a mask decoder.
    background : float
        Weight of voxels outside the brain (inside: 1).
    validate_every : int
        Steps between validations and checkpoints.
    seed : int
        Of everything random in the training.
    """

    steps: int
    batch: int
    patch: tuple[int, int, int]
    learning_rate: float = 1e-3
    rotation: float = 15.0
    zoom: float = 0.15
    gain: float = 0.1
    strip: float = 0.25
    drop: float = 0.4
    scale_weight: float = 0.1
    mask_weight: float = 0.1
    background: float = 0.1
    validate_every: int = 1000
    seed: int = 1


@dataclass(frozen=True)
class Preset:
    """A card without weights, and how to train it."""

    card: ModelCard
    config: TrainingConfig


def preset(workflow: str) -> Preset:
    """Give the preset of a workflow.

    Parameters
    ----------
    workflow : str
        "ivim": DWI at the paper's 10 b-values and T2w through a 5-level 2D U-Net;
        "asl": any of CBF, T1w, T2w, FLAIR, ADC and T1c through the 3D IEDN.
    """
    if workflow == "ivim":
        return Preset(_ivim_card(), TrainingConfig(steps=7_000, batch=8, patch=(1, 96, 96)))
    if workflow == "asl":
        return Preset(
            _asl_card(), TrainingConfig(steps=1_500, batch=4, patch=(12, 64, 64), validate_every=500)
        )
    raise InputError("workflow", repr(workflow), "ivim or asl")


def _ivim_card() -> ModelCard:
    return ModelCard(
        name="ivim",
        version=__version__,
        network="unet2d",
        network_arguments={"in_channels": len(PAPER_B_VALUES) + 1, "width": 16, "levels": 5},
        inputs=(
            InputSpec(Modality.DWI, "b0-slice-maximum", b_values=PAPER_B_VALUES),
            InputSpec(Modality.T2W, "slice-maximum"),
        ),
        reference=(Modality.T2W,),
        spacing=(1.146, 1.146, None),
        output=OutputSpec("rCBV", "slice-maximum"),
    )


def _asl_card() -> ModelCard:
    modalities = (
        Modality.CBF, Modality.T1W, Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.T1C,
    )  # fmt: skip
    return ModelCard(
        name="asl",
        version=__version__,
        network="iedn",
        network_arguments={"modalities": len(modalities), "width": 8, "levels": 4},
        inputs=tuple(InputSpec(modality, "brain-mean", required=False) for modality in modalities),
        # T1w as in the paper; without it the sharpest image at hand.
        reference=(
            Modality.T1W, Modality.T1C, Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.CBF,
        ),
        spacing=(2.0, 2.0, 4.0),
        output=OutputSpec("rCBV", "brain-mean"),
    )  # fmt: skip
