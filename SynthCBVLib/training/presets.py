"""Presets: which inputs, which network, how it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from SynthCBVLib import __version__
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.synthesis.card import InputSpec, ModelCard, OutputSpec
from SynthCBVLib.training.config import TrainingConfig

#: The IVIM paper's b-values, s/mm² (Wang et al., MR imaging).
PAPER_B_VALUES = (0.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1000.0)
#: Its shorter set (Figure 3B).
FEW_B_VALUES = PAPER_B_VALUES[:5]
_ASL_INPUTS = (
    Modality.CBF, Modality.T1W, Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.T1C,
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """A card without weights, and how to train it.

    Attributes
    ----------
    card : ModelCard
        Inputs, network and output.
    config : TrainingConfig
        Schedule, patches and loss.
    cases : str
        Name of the preset whose prepared cases serve this one too.
    about : str
        One line for the command line's help.
    """

    card: ModelCard
    config: TrainingConfig
    cases: str
    about: str


def preset(name: str) -> Preset:
    """Give a preset by its name, one of `PRESETS`.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise InputError("preset", repr(name), f"one of {', '.join(PRESETS)}")
    return PRESETS[name]()


def _ivim(
    name: str = "ivim", about: str = "10 b-values and T2w, small 2D U-Net", cases: str = "ivim",
    inputs: tuple[InputSpec, ...] | None = None,
) -> Preset:  # fmt: skip
    inputs = (_diffusion(PAPER_B_VALUES), _T2W) if inputs is None else inputs
    modalities = {spec.modality for spec in inputs}
    card = ModelCard(
        name=name,
        version=__version__,
        network="unet2d",
        network_arguments={"in_channels": sum(s.channels for s in inputs), "width": 16, "levels": 5},
        inputs=inputs,
        reference=(Modality.T2W if Modality.T2W in modalities else Modality.DWI,),
        spacing=(1.146, 1.146, None),
        output=OutputSpec("rCBV", "slice-maximum"),
    )
    config = TrainingConfig(steps=7_000, batch=8, patch=(1, 96, 96), warmup=200, ssim_weight=0.5)
    return Preset(card, config, cases, about)


def _wang2023() -> Preset:
    """Give the IVIM paper's recipe.

    Left open by the paper, and chosen here: the U-Net's width (64, that of Ronneberger et al.), the maps of
    VGG19 that are compared (see `networks.perceptual`), how far patches are turned (15 degrees) and scaled
    (15 %). The scale is fitted on features that it cannot change, so that the location's training is the
    paper's.
    """
    inputs = (_diffusion(PAPER_B_VALUES), _T2W)
    card = ModelCard(
        name="wang2023",
        version=__version__,
        network="unet2d",
        network_arguments={
            "in_channels": sum(s.channels for s in inputs), "width": 64, "levels": 5, "scale_alone": True,
        },
        inputs=inputs,
        reference=(Modality.T2W,),
        spacing=(None, None, None),
        output=OutputSpec("rCBV", "slice-maximum"),
    )  # fmt: skip
    config = TrainingConfig(
        batch=8, patch=(1, 96, 96), epochs=2_000, learning_rate=1e-4, schedule="step", step_factor=0.8,
        step_every=40_000, largest_gradient=None, perceptual_weight=0.1, background=1.0, rotation=15.0,
        zoom=0.15, flip=False, gain=0.0, strip=0.0, drop=0.0, bf16=False,
    )  # fmt: skip
    return Preset(card, config, "wang2023", "the IVIM paper's recipe (days on a CPU; needs --perceptual)")


def _wang2023_small() -> Preset:
    """Give the IVIM paper's loss, optimiser, patches and augmentation for the cases and network of "ivim".

    So that the recipes can be told apart at equal steps on a CPU; with convolutions in 16-bit floating point.
    """
    ours, theirs = _ivim(), _wang2023()
    card = replace(
        ours.card,
        name="wang2023-small",
        network_arguments={**ours.card.network_arguments, "scale_alone": True},
    )
    config = replace(theirs.config, epochs=None, steps=2_000, bf16=True)
    return Preset(card, config, "ivim", "the IVIM paper's recipe for ivim's network (needs --perceptual)")


def _asl_card(name: str, network: str, width: int, **arguments: bool) -> ModelCard:
    return ModelCard(
        name=name,
        version=__version__,
        network=network,
        network_arguments={"modalities": len(_ASL_INPUTS), "width": width, "levels": 4, **arguments},
        inputs=tuple(InputSpec(modality, "brain-mean", required=False) for modality in _ASL_INPUTS),
        # T1w as in the paper; without it the sharpest image at hand.
        reference=(
            Modality.T1W, Modality.T1C, Modality.T2W, Modality.FLAIR, Modality.ADC, Modality.CBF,
        ),
        spacing=(2.0, 2.0, 4.0),
        output=OutputSpec("rCBV", "brain-mean"),
    )  # fmt: skip


def _asl() -> Preset:
    config = TrainingConfig(
        steps=1_500, batch=4, patch=(12, 64, 64), warmup=50, validate_every=500, ssim_weight=0.5
    )
    return Preset(
        _asl_card("asl", "iedn", 8, conditioned=True), config, "asl", "any of six modalities, small 3D IEDN"
    )


def _encoder_decoder() -> Preset:
    """Give the network the ASL paper compares with: same data, absent inputs are zeros."""
    card = _asl_card("asl-plain", "encoder-decoder-3d", 12)
    return Preset(card, _asl().config, "asl", "as asl, plain 3D encoder-decoder")


def _pan_iedn() -> Preset:
    """Give the ASL paper's recipe.

    Cases without ASL are trained on like all others. Left open by the paper, and chosen here: width and
    levels (16 and 4), batch and patch (whole brains, one at a time, on a grid of 2 x 2 x 4 mm), no
    augmentation, and the weight of the brain mask's loss (0.1). As there, an input is absent where the
    subject lacks it, not by chance.
    """
    config = TrainingConfig(
        batch=1, patch=(40, 96, 96), epochs=500, learning_rate=1e-3, schedule="constant",
        largest_gradient=None, background=1.0, whole=True, rotation=0.0, zoom=0.0, flip=False, gain=0.0,
        strip=0.0, drop=0.0, bf16=False,
    )  # fmt: skip
    card = _asl_card("pan-iedn", "iedn", 16, scale_alone=True)
    return Preset(card, config, "asl", "the ASL paper's recipe")


def _diffusion(b_values: tuple[float, ...]) -> InputSpec:
    return InputSpec(Modality.DWI, "b0-slice-maximum", b_values=b_values)


_T2W = InputSpec(Modality.T2W, "slice-maximum")
_FRACTION = InputSpec(Modality.DWI, "brain-mean", b_values=PAPER_B_VALUES, derived="ivim-f")


def _variant(name: str, about: str, *inputs: InputSpec, cases: str = "ivim") -> Callable[[], Preset]:
    return lambda: _ivim(name, about, cases, inputs)


#: Every preset by its name.
PRESETS: dict[str, Callable[[], Preset]] = {
    "ivim": _ivim,
    "ivim-5b-t2w": _variant("ivim-5b-t2w", "as ivim, b = 0 to 200 and T2w", _diffusion(FEW_B_VALUES), _T2W),
    "ivim-10b": _variant("ivim-10b", "as ivim, without T2w", _diffusion(PAPER_B_VALUES)),
    "ivim-5b": _variant("ivim-5b", "as ivim, b = 0 to 200 alone", _diffusion(FEW_B_VALUES)),
    "ivim-f-t2w": _variant(
        "ivim-f-t2w", "as ivim, fitted perfusion fraction and T2w", _FRACTION, _T2W, cases="ivim-f-t2w"
    ),
    "wang2023": _wang2023,
    "wang2023-small": _wang2023_small,
    "asl": _asl,
    "asl-plain": _encoder_decoder,
    "pan-iedn": _pan_iedn,
}


def with_epochs(config: TrainingConfig, epochs: int) -> TrainingConfig:
    """Give the configuration with another length, in epochs."""
    return replace(config, steps=None, epochs=epochs)


def with_steps(config: TrainingConfig, steps: int) -> TrainingConfig:
    """Give the configuration with another length, in steps."""
    return replace(config, steps=steps, epochs=None)
